//! The independent watchdog (RM0090 section 21) and the window watchdog (section 22).
//!
//! Both say when they expire; the board turns that into a reset of the whole chip. LSI runs at its nominal 32 kHz; the chip's may be
//! anything from 17 to 47 kHz (DS8626 section 5.3.9), so a refresh should come three times as often as this model asks for.

use crate::register::{Context, Refusal, Registers, Result, Write};
use crate::time::Time;

const LSI_HZ: u64 = 32_000;

/// IWDG.
#[derive(Debug)]
pub(crate) struct Independent {
    prescaler: u32,
    reload: u32,
    unlocked: bool,
    /// When the counter was loaded, and with what; none while it does not run.
    loaded: Option<(Time, u32)>,
    /// Until when PVU and RVU show that a new value is on its way.
    updating_until: [Time; 2],
}

impl Independent {
    pub(crate) const fn new() -> Self {
        Self {
            prescaler: 0,
            reload: 0xFFF,
            unlocked: false,
            loaded: None,
            updating_until: [Time::ZERO; 2],
        }
    }

    /// When it resets the chip.
    pub(crate) fn expiry(&self) -> Time {
        let Some((at, reload)) = self.loaded else {
            return Time::NEVER;
        };
        let divider = 4u64 << self.prescaler.min(6);
        at + Time::of_cycles((u64::from(reload) + 1) * divider, LSI_HZ)
    }

    /// Started by the option byte (RM0090 section 21.3.1, hardware watchdog).
    pub(crate) fn start(&mut self, now: Time) {
        self.loaded = Some((now, 0xFFF));
    }

    fn key(&mut self, key: u32, now: Time) {
        self.unlocked = key == 0x5555;
        match key {
            0xCCCC if self.loaded.is_none() => self.start(now),
            0xAAAA if self.loaded.is_some() => self.loaded = Some((now, self.reload)),
            _ => {}
        }
    }
}

impl Registers for Independent {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32> {
        match offset {
            0 => Ok(0),
            4 => Ok(self.prescaler),
            8 => Ok(self.reload),
            0xC => {
                let flag =
                    |index: usize| u32::from(context.now < self.updating_until[index]) << index;
                Ok(flag(0) | flag(1))
            }
            _ => Err(Refusal::NotModelled),
        }
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        match offset {
            0 => self.key(write.value & 0xFFFF, context.now),
            4 | 8 if !self.unlocked => {
                context.guest_error("IWDG_PR or IWDG_RLR is written without the key 0x5555: ignored (RM0090 section 21.3.2)");
            }
            4 | 8 if context.now < self.updating_until[(offset / 8) as usize] => {
                context.guest_error("IWDG_PR or IWDG_RLR is written while IWDG_SR shows an update in progress (RM0090 section 21.4.4)");
            }
            4 | 8 => {
                self.updating_until[(offset / 8) as usize] =
                    context.now + Time::of_cycles(5, LSI_HZ);
                let slot = if offset == 4 {
                    &mut self.prescaler
                } else {
                    &mut self.reload
                };
                *slot = write.over(*slot) & if offset == 4 { 7 } else { 0xFFF };
            }
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}

/// WWDG.
#[derive(Debug)]
pub(crate) struct Window {
    active: bool,
    /// The 7-bit counter when it was written.
    count: u32,
    config: u32,
    written: Time,
    hz: u64,
    /// A refresh came too early, or cleared T6.
    violated: bool,
    early_wakeup: bool,
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self {
            active: false,
            count: 0x7F,
            config: 0x7F,
            written: Time::ZERO,
            hz: 0,
            violated: false,
            early_wakeup: false,
        }
    }

    fn step(&self) -> u64 {
        4096 << (self.config >> 7 & 3)
    }

    fn count(&self, now: Time) -> u32 {
        let passed = now.since(self.written).cycles(self.hz) / self.step();
        self.count
            .saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX))
    }

    /// When it resets the chip: as the counter goes from 0x40 to 0x3F.
    pub(crate) fn expiry(&self) -> Time {
        match (self.active, self.violated) {
            (false, _) => Time::NEVER,
            (true, true) => self.written,
            (true, false) => {
                let ticks = u64::from(self.count.saturating_sub(0x3F));
                self.written + Time::of_cycles(ticks * self.step(), self.hz)
            }
        }
    }
}

impl Registers for Window {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32> {
        match offset {
            0 => Ok(self.count(context.now) | u32::from(self.active) << 7),
            4 => Ok(self.config),
            8 => Ok(self.early_wakeup.into()),
            _ => Err(Refusal::NotModelled),
        }
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        match offset {
            0 => {
                let early = self.active && self.count(context.now) > self.config & 0x7F;
                self.active |= write.ones() & 0x80 != 0;
                self.count = write.value & 0x7F;
                self.violated |= self.active && (early || self.count < 0x40);
                self.written = context.now;
                self.hz = context.wires.clocks.pclk1_hz;
            }
            4 if write.ones() & 0x200 != 0 => return Err(Refusal::NotModelled), // EWI
            4 => self.config = write.over(self.config) & 0x1FF,
            8 => self.early_wakeup = false,
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Reports;
    use crate::wires::Wires;

    fn write(registers: &mut dyn Registers, at: Time, offset: u32, value: u32) -> usize {
        let (wires, mut reports) = (Wires::new(3300), Reports::default());
        let mut context = Context::new(at, 0, &wires, &mut reports);
        registers
            .write(offset, Write::word(value), &mut context)
            .unwrap();
        reports.list().len()
    }

    #[test]
    fn the_independent_watchdog_runs_from_its_key_with_512_ms() {
        let mut iwdg = Independent::new();
        write(&mut iwdg, Time::ZERO, 0, 0xAAAA);
        assert_eq!(iwdg.expiry(), Time::NEVER, "a reload does not start it");
        write(&mut iwdg, Time::ZERO, 0, 0xCCCC);
        assert_eq!(iwdg.expiry(), Time::from_millis(512)); // RM0090 table 107: 4 * 4096 / 32 kHz
    }

    #[test]
    fn prescaler_and_reload_need_the_key_and_take_effect_with_the_next_refresh() {
        let mut iwdg = Independent::new();
        assert_eq!(write(&mut iwdg, Time::ZERO, 4, 6), 1, "a guest error");
        write(&mut iwdg, Time::ZERO, 0, 0xCCCC);
        write(&mut iwdg, Time::ZERO, 0, 0x5555);
        assert_eq!(write(&mut iwdg, Time::ZERO, 8, 999), 0);
        assert_eq!(iwdg.expiry(), Time::from_millis(512));
        write(&mut iwdg, Time::from_millis(100), 0, 0xAAAA);
        assert_eq!(iwdg.expiry(), Time::from_millis(100 + 125));
    }

    #[test]
    fn the_window_watchdog_fires_when_late_and_when_early() {
        let mut wwdg = Window::new();
        write(&mut wwdg, Time::ZERO, 4, 0x50);
        write(&mut wwdg, Time::ZERO, 0, 0x80 | 0x7F);
        // 64 steps of 4096 cycles of 16 MHz (RM0090 section 22.4).
        assert_eq!(wwdg.expiry(), Time::from_micros(64 * 256));
        write(&mut wwdg, Time::from_micros(256 * 10), 0, 0x7F);
        assert_eq!(
            wwdg.expiry(),
            Time::from_micros(256 * 10),
            "refreshed above the window: reset at once"
        );
    }
}
