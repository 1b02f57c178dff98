//! The exact accesses, in order, with the numbers of the manuals.

mod common;

use common::Recorder;
use iap_app::registers::{feed_watchdog_with, reset};
use iap_app::{Iap, ResetCause};
use iap_protocol::mailbox::{REQUEST_UPDATE, reset_cause, unconfirmed};

const APB1ENR: u32 = 0x4002_3840;
const PWR_CR: u32 = 0x4000_7000;
const BKP18R: u32 = 0x4000_2898;
const BKP19R: u32 = 0x4000_289C;
const AIRCR: u32 = 0xE000_ED0C;

#[test]
fn a_request_lifts_the_write_protection_and_puts_everything_back() {
    // As an application may have left them: TIM2 and SPI2 clocked, the regulator's VOS at its reset value (RM0090 section 5.4.1).
    let mut chip = Recorder::holding(&[(APB1ENR, 0x0000_4001), (PWR_CR, 0x0000_4000)]);
    Iap::DEFAULT.leave_request(&mut chip);
    assert_eq!(
        chip.accesses,
        [
            "read 0x40023840 0x00004001",
            "write 0x40023840 0x10004001",
            "read 0x40023840 0x10004001",
            "read 0x40007000 0x00004000",
            "write 0x40007000 0x00004100",
            "read 0x40007000 0x00004100",
            "write 0x4000289c 0x49415055",
            "read 0x4000289c 0x49415055",
            "write 0x40007000 0x00004000",
            "write 0x40023840 0x00004001",
        ]
    );
}

#[test]
fn the_reset_keeps_the_priority_grouping_and_waits_for_the_writes_before_it() {
    let mut chip = Recorder::holding(&[(AIRCR, 0xFA05_0300)]); // reads back with VECTKEYSTAT
    reset(&mut chip);
    assert_eq!(
        chip.accesses,
        [
            "barrier",
            "read 0xe000ed0c 0xfa050300",
            "write 0xe000ed0c 0x05fa0304",
            "barrier",
        ]
    );
}

#[test]
fn a_confirmation_takes_away_the_count_of_starts() {
    let mut chip = Recorder::holding(&[(BKP19R, unconfirmed(2))]);
    assert_eq!(Iap::DEFAULT.unconfirmed_starts_with(&mut chip), 2);
    Iap::DEFAULT.confirm_with(&mut chip);
    assert_eq!(chip.content.get(&BKP19R), Some(&0));
    assert_eq!(Iap::DEFAULT.unconfirmed_starts_with(&mut chip), 0);
}

#[test]
fn a_confirmation_writes_nothing_where_nothing_is_to_be_confirmed() {
    for word in [0, REQUEST_UPDATE, 0x32F2] {
        let mut chip = Recorder::holding(&[(BKP19R, word)]);
        Iap::DEFAULT.confirm_with(&mut chip);
        assert_eq!(chip.accesses.len(), 1, "{word:#x}: {:?}", chip.accesses);
        assert_eq!(chip.content.get(&BKP19R), Some(&word));
    }
}

#[test]
fn the_boot_reason_is_the_firmware_s_word_or_none() {
    let mut chip = Recorder::holding(&[(BKP18R, reset_cause(0x24))]);
    let reason = Iap::DEFAULT.boot_reason_with(&mut chip).unwrap();
    assert_eq!(reason.cause(), ResetCause::IndependentWatchdog);
    assert_eq!(reason.flags(), 0x24);
    let mut chip = Recorder::holding(&[(BKP18R, 0x32F2)]);
    assert_eq!(Iap::DEFAULT.boot_reason_with(&mut chip), None);
}

#[test]
fn a_board_may_use_other_backup_registers() {
    let mut chip = Recorder::default();
    Iap::new(1, 2).leave_request(&mut chip);
    assert_eq!(chip.content.get(&0x4000_2854), Some(&REQUEST_UPDATE));
    assert_eq!(chip.content.get(&BKP19R), None);
}

#[test]
fn feeding_is_one_write() {
    let mut chip = Recorder::default();
    feed_watchdog_with(&mut chip);
    assert_eq!(chip.accesses, ["write 0x40003000 0x0000aaaa"]);
}
