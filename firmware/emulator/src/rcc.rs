//! RCC: clock sources, PLL, prescalers, clock gates, peripheral resets, reset flags (RM0090 section 7).
//!
//! The core's clock follows these registers. A source that is not ready cannot be selected, the source in use cannot be switched off, and
//! a clock outside its limits is a guest error. HSE can be broken from the beginning or stop later, which the clock security system
//! notices (`hse`) and says by NMI. Not modelled: PLLI2S, interrupts of clocks that become ready, spread spectrum, LSE.

mod cause;
mod hse;
mod limits;
mod prescaler;

use crate::register::{Context, Refusal, Registers, Result, Write};
use crate::time::Time;
use crate::wires::Clocks;
pub use cause::ResetCause;
pub(crate) use hse::Oscillator;
pub(crate) use limits::check_limits;
use prescaler::{ahb_shift, apb_shift};

/// RM0090 section 7.2.2.
pub(crate) const HSI_HZ: u64 = 16_000_000;

const CR: u32 = 0x00;
const PLLCFGR: u32 = 0x04;
const CFGR: u32 = 0x08;
const CIR: u32 = 0x0C;
const AHB1RSTR: u32 = 0x10;
const AHB1ENR: u32 = 0x30;
const AHB1LPENR: u32 = 0x50;
const BDCR: u32 = 0x70;
const CSR: u32 = 0x74;
const SSCGR: u32 = 0x80;
const PLLI2SCFGR: u32 = 0x84;
const RESERVED: u32 = 0x88;
const RESERVED_LAST: u32 = 0x8C;

const HSION: u32 = 1;
const HSIRDY: u32 = 1 << 1;
const HSEON: u32 = 1 << 16;
const HSERDY: u32 = 1 << 17;
const HSEBYP: u32 = 1 << 18;
const PLLON: u32 = 1 << 24;
const PLLRDY: u32 = 1 << 25;
const CSSON: u32 = 1 << 19;
const PLLI2SON: u32 = 1 << 26;
const BDRST: u32 = 1 << 16;
const LSION: u32 = 1;
const LSIRDY: u32 = 1 << 1;
const RMVF: u32 = 1 << 24;

/// Start-up times: DS8626 section 5.3.10 (PLL, typical), 5.3.9 (LSI, typical).
const PLL_LOCK: Time = Time::from_micros(100);
const LSI_STARTUP: Time = Time::from_micros(15);

/// Where the system clock comes from: the encoding of CFGR.SW.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Hsi = 0,
    Hse = 1,
    Pll = 2,
}

/// A clock gate: which of the ENR registers (AHB1, AHB2, AHB3, -, APB1, APB2), and which bit; the reset bit is in the same place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gate {
    pub(crate) bus: usize,
    pub(crate) bit: u32,
}

impl Gate {
    fn is_set_in(self, registers: &[u32; 6]) -> bool {
        let register = registers.get(self.bus);
        register.is_some_and(|bits| bits >> self.bit & 1 != 0)
    }
}

#[derive(Debug)]
pub(crate) struct Rcc {
    hse: Oscillator,
    cr: u32,
    hse_ready_at: Time,
    pll_ready_at: Time,
    lsi_ready_at: Time,
    pllcfgr: u32,
    cfgr: u32,
    source: Source,
    /// RSTR, ENR and LPENR of AHB1, AHB2, AHB3, (none), APB1, APB2.
    resets: [u32; 6],
    enables: [u32; 6],
    low_power: [u32; 6],
    bdcr: u32,
    csr: u32,
    /// CIR.CSSF: HSE has stopped.
    hse_failed: bool,
    plain: [u32; 2],
}

impl Rcc {
    pub(crate) fn new(hse: Oscillator) -> Self {
        Self {
            hse,
            cr: 0x83,
            hse_ready_at: Time::NEVER,
            pll_ready_at: Time::NEVER,
            lsi_ready_at: Time::NEVER,
            pllcfgr: 0x2400_3010,
            cfgr: 0,
            source: Source::Hsi,
            resets: [0; 6],
            enables: [0x0010_0000, 0, 0, 0, 0, 0],
            low_power: [0x7E67_91FF, 0xF1, 1, 0, 0x36FE_C9FF, 0x0007_5F33],
            bdcr: 0,
            csr: ResetCause::PowerOn.flags(),
            hse_failed: false,
            plain: [0, 0x2000_3000],
        }
    }

    /// A reset keeps the backup domain's register and adds its flag to those that nobody has cleared.
    pub(crate) fn reset(&mut self, cause: ResetCause) {
        let (bdcr, csr) = match cause {
            ResetCause::PowerOn => (0, 0),
            _ => (self.bdcr, self.csr & 0xFE00_0000),
        };
        *self = Self {
            bdcr,
            csr: csr | cause.flags(),
            ..Self::new(self.hse)
        };
    }

    pub(crate) fn is_enabled(&self, gate: Gate) -> bool {
        gate.is_set_in(&self.enables)
    }

    pub(crate) fn is_held_in_reset(&self, gate: Gate) -> bool {
        gate.is_set_in(&self.resets)
    }

    /// BDCR.BDRST: the backup domain is held in reset.
    pub(crate) fn backup_reset(&self) -> bool {
        self.bdcr & BDRST != 0
    }

    /// The clocks at `now`, after a switch that was waiting for its source.
    pub(crate) fn clocks(&mut self, now: Time) -> Clocks {
        self.switch(now);
        let sysclk_hz = match self.source {
            Source::Hsi => HSI_HZ,
            Source::Hse => self.hse.hz,
            Source::Pll => self.vco_hz() / self.pll_p(),
        };
        let hclk_hz = sysclk_hz >> ahb_shift(self.cfgr >> 4 & 0xF);
        let (shift1, shift2) = (
            apb_shift(self.cfgr >> 10 & 7),
            apb_shift(self.cfgr >> 13 & 7),
        );
        let pclk1_hz = hclk_hz >> shift1;
        Clocks {
            sysclk_hz,
            hclk_hz,
            pclk1_hz,
            pclk2_hz: hclk_hz >> shift2,
            timers1_hz: pclk1_hz << u32::from(shift1 > 0),
            pll48_hz: self.pll48_hz(now),
            mco1_hz: self.mco1_hz(now),
        }
    }

    /// When a source that was switched on becomes ready: the clocks may change then.
    pub(crate) fn next_event(&self, now: Time) -> Time {
        let waiting = self.cfgr & 3 != self.source as u32;
        let times = [self.hse_ready_at, self.pll_ready_at];
        let next = times.into_iter().filter(|at| waiting && *at > now).min();
        next.unwrap_or(Time::NEVER)
    }

    fn is_ready(&self, source: Source, now: Time) -> bool {
        match source {
            Source::Hsi => self.cr & HSION != 0,
            Source::Hse => self.hse_ready_at <= now,
            Source::Pll => self.pll_ready_at <= now,
        }
    }

    fn switch(&mut self, now: Time) {
        let wanted = match self.cfgr & 3 {
            0 => Source::Hsi,
            1 => Source::Hse,
            2 => Source::Pll,
            _ => return,
        };
        if self.is_ready(wanted, now) {
            self.source = wanted;
        }
    }

    fn pll_source_hz(&self) -> u64 {
        match self.pllcfgr >> 22 & 1 {
            0 => HSI_HZ,
            _ => self.hse.hz,
        }
    }

    /// PLLM.
    fn pll_m(&self) -> u64 {
        u64::from(self.pllcfgr & 0x3F).max(1)
    }

    fn vco_hz(&self) -> u64 {
        self.pll_source_hz() * u64::from(self.pllcfgr >> 6 & 0x1FF) / self.pll_m()
    }

    fn pll_p(&self) -> u64 {
        u64::from(self.pllcfgr >> 16 & 3) * 2 + 2
    }

    fn pll48_hz(&self, now: Time) -> u64 {
        match self.is_ready(Source::Pll, now) {
            true => self.vco_hz() / u64::from(self.pllcfgr >> 24 & 0xF).max(1),
            false => 0,
        }
    }

    fn mco1_hz(&self, now: Time) -> u64 {
        let divider = match self.cfgr >> 24 & 7 {
            prescaler @ 4..=7 => u64::from(prescaler) - 2,
            _ => 1,
        };
        let source = match self.cfgr >> 21 & 3 {
            0 if self.is_ready(Source::Hsi, now) => HSI_HZ,
            2 if self.is_ready(Source::Hse, now) => self.hse.hz,
            3 if self.is_ready(Source::Pll, now) => self.vco_hz() / self.pll_p(),
            _ => 0,
        };
        source / divider
    }

    fn control(&self, now: Time) -> u32 {
        let flag = |on: bool, bit| if on { bit } else { 0 };
        self.cr
            | flag(self.is_ready(Source::Hsi, now), HSIRDY)
            | flag(self.is_ready(Source::Hse, now), HSERDY)
            | flag(self.is_ready(Source::Pll, now), PLLRDY)
    }

    fn write_control(&mut self, write: Write, context: &mut Context<'_>) -> Result<()> {
        let new = write.over(self.cr) & !(HSIRDY | HSERDY | PLLRDY);
        if new & PLLI2SON != 0 {
            return Err(Refusal::NotModelled);
        }
        if new & !self.cr & CSSON != 0 && !self.is_ready(Source::Hse, context.now) {
            context
                .guest_error("RCC_CR.CSSON is set while HSE is not ready (RM0090 section 7.2.7)");
        }
        let (on, off) = (new & !self.cr, self.cr & !new);
        let in_use = match self.source {
            Source::Hsi => HSION,
            Source::Hse => HSEON,
            Source::Pll => PLLON,
        };
        if off & in_use != 0 {
            context.guest_error(
                "RCC_CR: the clock that drives the system is switched off (RM0090 section 7.3.1)",
            );
        }
        self.cr = new | in_use & self.cr & !HSIRDY;
        if on & HSEON != 0 {
            self.hse_ready_at = self.hse_ready_at(new, context);
        }
        if off & HSEON != 0 && in_use != HSEON {
            self.hse_ready_at = Time::NEVER;
        }
        if on & PLLON != 0 {
            self.check_pll(context);
            self.pll_ready_at = context.now + PLL_LOCK;
        }
        if off & PLLON != 0 && in_use != PLLON {
            self.pll_ready_at = Time::NEVER;
        }
        Ok(())
    }

    /// RM0090 section 7.3.2.
    fn check_pll(&self, context: &mut Context<'_>) {
        let (input, vco) = (self.pll_source_hz() / self.pll_m(), self.vco_hz());
        if !(950_000..=2_100_000).contains(&input) {
            context.guest_error(format!("RCC_PLLCFGR: the VCO's input is {input} Hz, expected 1 to 2 MHz (RM0090 section 7.3.2)"));
        }
        if !(100_000_000..=432_000_000).contains(&vco) {
            context.guest_error(format!("RCC_PLLCFGR: the VCO's output is {vco} Hz, expected 100 to 432 MHz (RM0090 section 7.3.2)"));
        }
        if self.pllcfgr >> 22 & 1 != 0 && self.hse_ready_at > context.now {
            context.guest_error("RCC_CR: the PLL is switched on while its source, HSE, is not ready (RM0090 section 7.2.3)");
        }
    }

    fn write_csr(&mut self, write: Write, now: Time) {
        let bits = write.ones();
        if bits & RMVF != 0 {
            self.csr &= 0x00FF_FFFF;
        }
        if write.mask & LSION != 0 {
            let on = bits & LSION != 0;
            if on && self.csr & LSION == 0 {
                self.lsi_ready_at = now + LSI_STARTUP;
            }
            self.csr = self.csr & !LSION | u32::from(on);
        }
    }

    /// The six registers from `first` on; offset +0x0C has none.
    fn bank(offset: u32, first: u32) -> Option<usize> {
        let index = offset.checked_sub(first)? / 4;
        matches!(index, 0..=2 | 4 | 5).then_some(index as usize)
    }
}

impl Registers for Rcc {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32> {
        self.switch(context.now);
        let bank = |first, values: &[u32; 6]| {
            Self::bank(offset, first).and_then(|i| values.get(i).copied())
        };
        Ok(match offset {
            CR => self.control(context.now),
            PLLCFGR => self.pllcfgr,
            CFGR => self.cfgr & !0xC | (self.source as u32) << 2,
            CIR => self.interrupt_flags(),
            AHB1RSTR..AHB1ENR => bank(AHB1RSTR, &self.resets).ok_or(Refusal::NotModelled)?,
            AHB1ENR..AHB1LPENR => bank(AHB1ENR, &self.enables).ok_or(Refusal::NotModelled)?,
            AHB1LPENR..BDCR => bank(AHB1LPENR, &self.low_power).ok_or(Refusal::NotModelled)?,
            BDCR => self.bdcr,
            CSR if self.csr & LSION != 0 && self.lsi_ready_at <= context.now => self.csr | LSIRDY,
            CSR => self.csr,
            SSCGR => self.plain[0],
            PLLI2SCFGR => self.plain[1],
            // PLLSAICFGR and DCKCFGR of bigger parts; drivers for the whole family look at them.
            RESERVED..=RESERVED_LAST => 0,
            _ => return Err(Refusal::NotModelled),
        })
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        self.switch(context.now);
        let bank = |first, values: &mut [u32; 6]| {
            let slot = Self::bank(offset, first).and_then(|i| values.get_mut(i));
            slot.map(|slot| *slot = write.over(*slot))
                .ok_or(Refusal::NotModelled)
        };
        match offset {
            CR => return self.write_control(write, context),
            PLLCFGR => {
                if self.cr & PLLON != 0 {
                    context.guest_error(
                        "RCC_PLLCFGR is written while the PLL is on (RM0090 section 7.3.2)",
                    );
                }
                self.pllcfgr = write.over(self.pllcfgr);
            }
            CFGR => self.cfgr = write.over(self.cfgr) & !0xC,
            CIR if write.ones() & 0x7F00 == 0 => self.clear_interrupts(write.ones()),
            AHB1RSTR..AHB1ENR => return bank(AHB1RSTR, &mut self.resets),
            AHB1ENR..AHB1LPENR => return bank(AHB1ENR, &mut self.enables),
            AHB1LPENR..BDCR => return bank(AHB1LPENR, &mut self.low_power),
            BDCR if !context.wires.backup_writable => {
                context.guest_error(
                    "RCC_BDCR is written while PWR_CR.DBP is 0: ignored (RM0090 section 7.3.20)",
                );
            }
            BDCR if write.ones() & 1 != 0 => return Err(Refusal::NotModelled), // LSEON
            BDCR => self.bdcr = write.over(self.bdcr),
            CSR => self.write_csr(write, context.now),
            SSCGR if write.ones() >> 31 == 0 => self.plain[0] = write.over(self.plain[0]),
            PLLI2SCFGR => self.plain[1] = write.over(self.plain[1]),
            RESERVED..=RESERVED_LAST if write.ones() == 0 => {}
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}
