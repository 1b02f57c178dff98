//! The general-purpose timers TIM2 to TIM5 as up-counters with compare channels (RM0090 section 18).
//!
//! The counter is computed from the time that passed, so it costs nothing while nobody looks; it counts on while the flash stalls the core.
//! Not modelled: inputs, outputs on pins, DMA, slave modes, counting down: setting one of these up is reported.

use crate::register::{Context, Refusal, Registers, Result, Write};
use crate::time::Time;

const CR1: u32 = 0x00;
const CR2: u32 = 0x04;
const SMCR: u32 = 0x08;
const DIER: u32 = 0x0C;
const SR: u32 = 0x10;
const EGR: u32 = 0x14;
const CCMR1: u32 = 0x18;
const CCMR2: u32 = 0x1C;
const CCER: u32 = 0x20;
const CNT: u32 = 0x24;
const PSC: u32 = 0x28;
const ARR: u32 = 0x2C;
const CCR1: u32 = 0x34;
const CCR4: u32 = 0x40;
const DCR: u32 = 0x48;
const OR: u32 = 0x50;

const CEN: u32 = 1;
const UDIS: u32 = 1 << 1;
const URS: u32 = 1 << 2;
const OPM: u32 = 1 << 3;
const CR1_KNOWN: u32 = CEN | UDIS | URS | OPM | 1 << 7 | 3 << 8;
/// UIE and CC1IE to CC4IE; SR has its flags in the same places.
const INTERRUPTS: u32 = 0x1F;

#[derive(Debug)]
pub(crate) struct Timer {
    /// 32 bits for TIM2 and TIM5, 16 for TIM3 and TIM4.
    limit: u32,
    cr1: u32,
    dier: u32,
    sr: u32,
    ccmr: [u32; 2],
    ccer: u32,
    psc: u32,
    /// The prescaler in use: PSC takes effect at the next update event (RM0090 section 18.4.11).
    psc_active: u32,
    arr: u32,
    ccr: [u32; 4],
    /// The counter at `anchor`, and the input clock since then.
    count: u32,
    anchor: Time,
    hz: u64,
    holds_until: Time,
}

impl Timer {
    pub(crate) const fn new(bits: u32) -> Self {
        let limit = u32::MAX >> (32 - bits);
        Self {
            limit,
            cr1: 0,
            dier: 0,
            sr: 0,
            ccmr: [0; 2],
            ccer: 0,
            psc: 0,
            psc_active: 0,
            arr: limit,
            ccr: [0; 4],
            count: 0,
            anchor: Time::ZERO,
            hz: 0,
            holds_until: Time::ZERO,
        }
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::new(32 - self.limit.leading_zeros());
    }

    /// Whether the interrupt line is high.
    pub(crate) fn interrupt(&self) -> bool {
        self.sr & self.dier & INTERRUPTS != 0
    }

    fn is_running(&self) -> bool {
        self.cr1 & CEN != 0 && self.hz != 0
    }

    fn step(&self) -> u64 {
        u64::from(self.psc_active) + 1
    }

    /// Catches up with `now` and takes over the clock that runs from there on.
    pub(crate) fn advance(&mut self, now: Time, hz: u64) {
        if self.is_running() {
            let ticks = now.since(self.anchor).cycles(self.hz) / self.step();
            self.count_up(ticks);
            self.anchor += Time::of_cycles(ticks * self.step(), self.hz);
        }
        if !self.is_running() || hz != self.hz {
            self.anchor = now;
        }
        self.hz = hz;
    }

    fn count_up(&mut self, ticks: u64) {
        if ticks == 0 {
            return;
        }
        let period = u64::from(self.arr) + 1;
        let start = u64::from(self.count);
        for (channel, &compare) in self.ccr.iter().enumerate() {
            let distance = distance(start, compare.into(), period);
            if distance.is_some_and(|distance| distance <= ticks) {
                self.sr |= 2 << channel;
            }
        }
        let total = start + ticks;
        self.count = (total % period) as u32;
        if total >= period {
            self.update_event();
            if self.cr1 & OPM != 0 {
                self.cr1 &= !CEN;
                self.count = 0;
            }
        }
    }

    fn update_event(&mut self) {
        if self.cr1 & UDIS == 0 {
            self.psc_active = self.psc;
            self.sr |= 1;
        }
    }

    /// Until when the counter is what was read last.
    pub(crate) fn holds_until(&self) -> Time {
        self.holds_until
    }

    /// When the next flag rises whose interrupt is on.
    pub(crate) fn next_event(&self) -> Time {
        if !self.is_running() {
            return Time::NEVER;
        }
        let (start, period) = (u64::from(self.count), u64::from(self.arr) + 1);
        let enabled = self.dier & !self.sr;
        let overflow = (enabled & 1 != 0).then(|| period.saturating_sub(start).max(1));
        let compares = self
            .ccr
            .iter()
            .enumerate()
            .filter(|(channel, _)| enabled & 2 << channel != 0);
        let compares = compares.filter_map(|(_, &compare)| distance(start, compare.into(), period));
        let next = compares.chain(overflow).min();
        next.map_or(Time::NEVER, |ticks| {
            self.anchor + Time::of_cycles(ticks * self.step(), self.hz)
        })
    }

    /// EGR.UG: counter and prescaler start anew.
    fn generate_update(&mut self, now: Time) {
        self.count = 0;
        self.anchor = now;
        let flag = self.sr & 1;
        self.update_event();
        if self.cr1 & URS != 0 {
            self.sr = self.sr & !1 | flag;
        }
    }
}

/// Ticks from `start` until the counter equals `compare`; none if it never does.
fn distance(start: u64, compare: u64, period: u64) -> Option<u64> {
    let ahead = (compare + period - start % period) % period;
    (compare < period).then_some(if ahead == 0 { period } else { ahead })
}

impl Registers for Timer {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32> {
        self.advance(context.now, context.wires.clocks.timers1_hz);
        Ok(match offset {
            CR1 => self.cr1,
            CR2 | SMCR | EGR | DCR | OR => 0,
            DIER => self.dier,
            SR => self.sr,
            CCMR1 | CCMR2 => self.ccmr[((offset - CCMR1) / 4) as usize],
            CCER => self.ccer,
            CNT => {
                self.holds_until = match self.is_running() {
                    true => self.anchor + Time::of_cycles(self.step(), self.hz),
                    false => Time::NEVER,
                };
                self.count
            }
            PSC => self.psc,
            ARR => self.arr,
            CCR1..=CCR4 => self.ccr[((offset - CCR1) / 4) as usize],
            _ => return Err(Refusal::NotModelled),
        })
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        self.advance(context.now, context.wires.clocks.timers1_hz);
        match offset {
            CR1 if write.ones() & !CR1_KNOWN != 0 => return Err(Refusal::NotModelled),
            CR1 => {
                self.cr1 = write.over(self.cr1);
                self.anchor = if self.cr1 & CEN != 0 {
                    self.anchor
                } else {
                    context.now
                };
            }
            // CR2.MMS and CCDS drive nothing here.
            CR2 | DCR => {}
            SMCR | OR if write.ones() == 0 => {}
            DIER if write.ones() & !INTERRUPTS != 0 => return Err(Refusal::NotModelled),
            DIER => self.dier = write.over(self.dier),
            SR => self.sr &= !(write.mask & !write.value),
            EGR if write.ones() & !INTERRUPTS != 0 => return Err(Refusal::NotModelled),
            EGR => {
                self.sr |= write.ones() & INTERRUPTS & !1;
                if write.ones() & 1 != 0 {
                    self.generate_update(context.now);
                }
            }
            CCMR1 | CCMR2 => {
                let slot = &mut self.ccmr[((offset - CCMR1) / 4) as usize];
                *slot = write.over(*slot);
                if *slot & 0x0303 != 0 {
                    return Err(Refusal::NotModelled); // input capture
                }
            }
            CCER => self.ccer = write.over(self.ccer),
            CNT => {
                self.count = write.over(self.count) & self.limit;
                self.anchor = context.now;
            }
            PSC => self.psc = write.over(self.psc) & 0xFFFF,
            ARR => self.arr = write.over(self.arr) & self.limit,
            CCR1..=CCR4 => {
                let slot = &mut self.ccr[((offset - CCR1) / 4) as usize];
                *slot = write.over(*slot) & self.limit;
            }
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Reports;
    use crate::wires::{Clocks, Wires};

    struct Bench {
        timer: Timer,
        wires: Wires,
        now: Time,
    }

    impl Bench {
        fn new(hz: u64) -> Self {
            let mut wires = Wires::new(3300);
            wires.clocks = Clocks {
                timers1_hz: hz,
                ..Clocks::RESET
            };
            Self {
                timer: Timer::new(32),
                wires,
                now: Time::ZERO,
            }
        }

        fn access<T>(&mut self, f: impl FnOnce(&mut Timer, &mut Context<'_>) -> T) -> T {
            let mut reports = Reports::default();
            let mut context = Context::new(self.now, 0, &self.wires, &mut reports);
            f(&mut self.timer, &mut context)
        }

        fn write(&mut self, offset: u32, value: u32) {
            self.access(|timer, context| timer.write(offset, Write::word(value), context))
                .unwrap();
        }

        fn read(&mut self, offset: u32) -> u32 {
            self.access(|timer, context| timer.read(offset, context))
                .unwrap()
        }
    }

    #[test]
    fn the_prescaler_divides_once_an_update_event_has_loaded_it() {
        let mut bench = Bench::new(84_000_000);
        bench.write(PSC, 83);
        bench.write(EGR, 1);
        bench.write(CR1, CEN);
        bench.now = Time::from_millis(5);
        assert_eq!(bench.read(CNT), 5000);
        bench.now += Time::from_nanos(1500);
        assert_eq!(bench.read(CNT), 5001);
        bench.now += Time::from_nanos(500);
        assert_eq!(bench.read(CNT), 5002, "the half tick is not lost");
    }

    #[test]
    fn a_compare_match_interrupts_at_its_time_and_again_a_period_later() {
        let mut bench = Bench::new(1_000_000);
        bench.write(ARR, 999);
        bench.write(CCR1, 250);
        bench.write(DIER, 2);
        bench.write(CR1, CEN);
        assert_eq!(bench.timer.next_event(), Time::from_micros(250));
        bench.now = Time::from_micros(250);
        assert_eq!(bench.read(SR), 2);
        assert!(bench.timer.interrupt());
        bench.write(SR, !2);
        assert!(!bench.timer.interrupt());
        assert_eq!(bench.timer.next_event(), Time::from_micros(1250));
    }

    #[test]
    fn an_overflow_sets_uif_and_one_pulse_mode_stops() {
        let mut bench = Bench::new(1_000_000);
        bench.write(ARR, 9);
        bench.write(DIER, 1);
        bench.write(CR1, CEN | OPM);
        assert_eq!(bench.timer.next_event(), Time::from_micros(10));
        bench.now = Time::from_micros(15);
        assert_eq!(
            (bench.read(SR) & 1, bench.read(CNT), bench.read(CR1) & CEN),
            (1, 0, 0)
        );
    }

    #[test]
    fn the_counter_follows_a_change_of_the_clock() {
        let mut bench = Bench::new(16_000_000);
        bench.write(CR1, CEN);
        bench.now = Time::from_micros(1);
        bench.timer.advance(bench.now, 84_000_000);
        bench.now += Time::from_micros(1);
        bench.wires.clocks.timers1_hz = 84_000_000;
        assert_eq!(bench.read(CNT), 16 + 84);
    }
}
