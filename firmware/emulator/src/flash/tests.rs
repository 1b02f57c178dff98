//! The interface as a driver writes it, without a core.

use super::registers::WDG_SW;
use super::*;
use crate::register::{Registers, Write};
use crate::report::Reports;
use crate::wires::Wires;

const KEYR: u32 = 0x04;
const SR: u32 = 0x0C;
const CR: u32 = 0x10;
const OPTCR: u32 = 0x14;
const SER: u32 = 1 << 1;
const MER: u32 = 1 << 2;
const X32: u32 = 2 << 8;
const STRT: u32 = 1 << 16;

struct Bench {
    flash: Flash,
    reports: Reports,
    wires: Wires,
    now: Time,
}

impl Bench {
    /// A flash full of zeros, unlocked.
    fn new() -> Self {
        let profile = Profile::load("stm324xg-eval").unwrap();
        let content = vec![0; 1024 * 1024];
        let mut bench = Self {
            flash: Flash::new(&profile, &BoardOptions::default(), &content),
            reports: Reports::default(),
            wires: Wires::new(3300),
            now: Time::ZERO,
        };
        bench.write(KEYR, 0x4567_0123);
        bench.write(KEYR, 0xCDEF_89AB);
        bench
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut Flash, &mut Context<'_>) -> T) -> T {
        let mut context = Context::new(self.now, 0, &self.wires, &mut self.reports);
        f(&mut self.flash, &mut context)
    }

    fn write(&mut self, offset: u32, value: u32) {
        self.with(|flash, context| flash.write(offset, Write::word(value), context))
            .unwrap();
    }

    fn read(&mut self, offset: u32) -> u32 {
        self.with(|flash, context| Registers::read(flash, offset, context))
            .unwrap()
    }

    fn erased(&self) -> usize {
        let content = self.flash.nor().content();
        content.iter().filter(|byte| **byte == 0xFF).count()
    }
}

/// RM0090 section 3.6.4: sector numbers by SNB, all of them by MER; DS8626 section 5.3.12 gives 8 s, the sum of the sectors' times is 8.55 s.
#[test]
fn a_mass_erase_takes_all_sectors_and_their_time() {
    let mut bench = Bench::new();
    bench.write(CR, MER | X32);
    bench.write(CR, MER | X32 | STRT);
    assert_eq!(bench.flash.busy_until(), Time::from_millis(8550));
    assert_eq!(bench.read(SR) & 1 << 16, 1 << 16, "BSY");
    bench.now = Time::from_millis(8551);
    assert_eq!(bench.read(SR), 0);
    assert_eq!(bench.erased(), 1024 * 1024);
}

/// Section 3.9.5: WRPERR, and nothing is erased; a mass erase stops at one protected sector.
#[test]
fn a_protected_sector_is_not_erased_and_says_so() {
    for erase in [SER | 5 << 3, MER] {
        let mut bench = Bench::new();
        bench.flash.protect(5);
        assert_eq!(bench.read(OPTCR) >> 21 & 1, 0, "nWRP5");
        bench.write(CR, erase | X32 | STRT);
        assert_eq!(bench.read(SR), Status::PROTECTION_ERROR);
        assert_eq!(bench.erased(), 0);
        bench.write(SR, Status::PROTECTION_ERROR);
        assert_eq!(bench.read(SR), 0, "cleared by a 1");
    }
}

#[test]
fn a_wrong_key_closes_the_control_register_until_the_next_reset() {
    let mut bench = Bench::new();
    bench.write(CR, 1 << 31);
    let refused = bench.with(|flash, context| flash.write(KEYR, Write::word(1), context));
    assert_eq!(refused, Err(Refusal::BusError));
    let again = bench.with(|flash, context| flash.write(KEYR, Write::word(0x4567_0123), context));
    assert_eq!(again, Err(Refusal::BusError));
    bench.flash.reset(Time::ZERO);
    bench.write(KEYR, 0x4567_0123);
    bench.write(KEYR, 0xCDEF_89AB);
    assert_eq!(bench.read(CR), 0);
}

/// RM0090 table 7: x32 from 2.7 V on.
#[test]
fn a_supply_too_low_for_the_width_is_a_guest_error() {
    let mut bench = Bench::new();
    bench.wires.supply_mv = 2600;
    bench.write(CR, SER | 5 << 3 | X32 | STRT);
    let reports = bench.reports.list();
    assert!(
        reports[0]
            .text
            .contains("2600 mV with a width that needs 2700 mV"),
        "{reports:?}"
    );
}

#[test]
fn option_bytes_survive_a_reset() {
    let mut bench = Bench::new();
    bench.flash.use_hardware_watchdog();
    bench.flash.protect(3);
    bench.flash.reset(Time::ZERO);
    assert_eq!(bench.read(OPTCR) & (WDG_SW | 1 << 19), 0);
    assert!(bench.flash.has_hardware_watchdog());
}
