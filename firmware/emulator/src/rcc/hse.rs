//! HSE: what the board gives to OSC_IN, how it starts, and what happens when it stops (RM0090 sections 7.2.1 and 7.2.7).

use super::{CSSON, HSEBYP, HSEON, PLLON, Rcc, Source};
use crate::register::Context;
use crate::time::Time;

/// DS8626 section 5.3.8: a crystal's start-up time, typical.
const CRYSTAL_STARTUP: Time = Time::from_millis(2);
/// CIR.CSSF and CSSC (RM0090 section 7.3.4).
const CSSF: u32 = 1 << 7;
const CSSC: u32 = 1 << 23;
const PLLSRC: u32 = 1 << 22;

/// What the board gives to OSC_IN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Oscillator {
    pub(crate) hz: u64,
    pub(crate) is_crystal: bool,
    /// Whether it oscillates at all.
    pub(crate) works: bool,
}

impl Rcc {
    /// When HSE, switched on now, is ready.
    pub(super) fn hse_ready_at(&self, cr: u32, context: &mut Context<'_>) -> Time {
        let bypass = cr & HSEBYP != 0;
        match (self.hse.works, self.hse.is_crystal, bypass) {
            (false, ..) => Time::NEVER,
            (_, true, true) => {
                context.guest_error("RCC_CR.HSEBYP is set, but the board has a crystal: HSE never starts (RM0090 section 7.2.1)");
                Time::NEVER
            }
            (_, true, false) => context.now + CRYSTAL_STARTUP,
            (_, false, _) => context.now + Time::from_micros(1),
        }
    }

    /// The oscillator breaks. Where it drives the system, the clock security system, if it is on, goes over to HSI and raises NMI; without it
    /// the core stands still. Whether it goes on.
    pub(crate) fn break_hse(&mut self, now: Time) -> bool {
        let was_ready = self.hse_ready_at <= now;
        self.hse.works = false;
        self.hse_ready_at = Time::NEVER;
        let feeds_pll = self.pllcfgr & PLLSRC != 0 && self.cr & PLLON != 0;
        let drives = match self.source {
            Source::Hsi => false,
            Source::Hse => true,
            Source::Pll => feeds_pll,
        };
        if self.cr & CSSON == 0 {
            return !drives;
        }
        self.hse_failed = was_ready;
        self.cr &= !(HSEON | CSSON);
        if feeds_pll {
            self.cr &= !PLLON;
            self.pll_ready_at = Time::NEVER;
        }
        if drives {
            self.cfgr &= !3;
            self.source = Source::Hsi;
        }
        true
    }

    /// NMI is raised until CSSC is written.
    pub(crate) fn nmi(&self) -> bool {
        self.hse_failed
    }

    pub(super) fn interrupt_flags(&self) -> u32 {
        if self.hse_failed { CSSF } else { 0 }
    }

    pub(super) fn clear_interrupts(&mut self, ones: u32) {
        self.hse_failed &= ones & CSSC == 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rcc::{CFGR, CIR, CR, HSI_HZ};
    use crate::register::{Registers, Write};
    use crate::report::Reports;
    use crate::wires::Wires;

    const CRYSTAL: Oscillator = Oscillator {
        hz: 25_000_000,
        is_crystal: true,
        works: true,
    };

    fn write(rcc: &mut Rcc, now: Time, offset: u32, value: u32) {
        let (wires, mut reports) = (Wires::new(3300), Reports::default());
        let mut context = Context::new(now, 0, &wires, &mut reports);
        rcc.write(offset, Write::word(value), &mut context).unwrap();
    }

    /// Runs from HSE, with or without the clock security system.
    fn running_from_hse(css: u32) -> Rcc {
        let mut rcc = Rcc::new(CRYSTAL);
        write(&mut rcc, Time::ZERO, CR, 0x83 | HSEON);
        let ready = Time::from_millis(3);
        write(&mut rcc, ready, CR, 0x83 | HSEON | css);
        write(&mut rcc, ready, CFGR, 1);
        assert_eq!(rcc.clocks(ready).sysclk_hz, 25_000_000);
        rcc
    }

    #[test]
    fn a_crystal_that_does_not_oscillate_is_never_ready() {
        let mut rcc = Rcc::new(Oscillator {
            works: false,
            ..CRYSTAL
        });
        write(&mut rcc, Time::ZERO, CR, 0x83 | HSEON);
        write(&mut rcc, Time::ZERO, CFGR, 1);
        let later = Time::from_millis(10_000);
        assert_eq!(rcc.clocks(later).sysclk_hz, HSI_HZ);
    }

    #[test]
    fn with_css_the_chip_goes_on_with_hsi_and_raises_nmi_until_it_is_cleared() {
        let mut rcc = running_from_hse(CSSON);
        let later = Time::from_millis(10);
        assert!(rcc.break_hse(later));
        assert_eq!(rcc.clocks(later).sysclk_hz, HSI_HZ);
        assert!(rcc.nmi());
        write(&mut rcc, later, CIR, CSSC);
        assert!(!rcc.nmi());
    }

    #[test]
    fn without_css_the_core_has_no_clock() {
        assert!(!running_from_hse(0).break_hse(Time::from_millis(10)));
    }
}
