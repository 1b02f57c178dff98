//! The sample application, instruction by instruction: what it and `iap-app` do to the registers of a chip that checks every access.
//!
//! A guest plays the IAP firmware's part, so that the applications' side is tested by itself.

use std::path::Path;

use crate::common::built::{application, confirming_application};
use crate::common::{ARGUMENT, DONE, guest_errors, image, result};
use iap_emulator::{Board, BoardOptions, Image, ResetCause, Stop, Time};
use iap_profile::Profile;
use iap_protocol::mailbox::{NOTHING, REQUEST_UPDATE, reset_cause, unconfirmed};

const PROFILE: &str = "stm324xg-eval";
const FLASH: u32 = 0x0800_0000;
const REQUEST: usize = 19;
const CAUSE: usize = 18;
/// The argument of the guest: starts are to be confirmed, the watchdog runs with 512 ms.
const CONFIRM: u32 = 1;

/// A board with the guest and one of the applications.
fn board(application: &Path, argument: u32) -> Board {
    let mut content = vec![0xFF; 1024 * 1024];
    let guest = image("boot_app");
    let application = Image::load(application, FLASH).expect("an ELF file");
    guest.place(FLASH, &mut content).expect("the guest fits");
    application
        .place(FLASH, &mut content)
        .expect("the application fits");
    let mut symbols = application.symbols;
    symbols.extend(guest.symbols);
    let profile = Profile::load(PROFILE).expect("a shipped profile");
    let mut board =
        Board::new(&profile, &BoardOptions::default(), &content, symbols).expect("a board");
    board.set_word(ARGUMENT, argument);
    board
}

/// Runs for so long; nothing may happen meanwhile.
#[track_caller]
fn runs(board: &mut Board, time: Time) {
    let limit = board.now() + time;
    assert_eq!(board.run(limit), Stop::Limit, "{:?}", board.pc());
}

#[test]
fn it_counts_on_the_leds_four_times_a_second() {
    let application = &application(PROFILE);
    let mut board = board(application, 0);
    runs(&mut board, Time::from_millis(1_130));
    assert_eq!(
        board.leds(),
        [false, false, true, false],
        "4 after a second"
    );
    runs(&mut board, Time::from_millis(750));
    assert_eq!(
        board.leds(),
        [true, true, true, false],
        "7 after 1.75 seconds"
    );
    assert_eq!(guest_errors(&board), [""; 0]);
}

#[test]
fn the_key_asks_for_an_update_and_resets() {
    let application = &application(PROFILE);
    let mut board = board(application, 0);
    runs(&mut board, Time::from_millis(200));
    board.press_key(true);
    runs(&mut board, Time::from_millis(30));
    board.press_key(false); // too short: a bounce
    runs(&mut board, Time::from_millis(200));
    board.press_key(true);
    let limit = board.now() + Time::from_millis(100);
    assert_eq!(board.run(limit), Stop::Reset(ResetCause::Software));
    assert_eq!(board.backup_register(REQUEST), Some(REQUEST_UPDATE));
    runs(&mut board, Time::from_millis(5));
    assert_eq!(
        (result(&board, 0), result(&board, 1)),
        (DONE, REQUEST_UPDATE)
    );
    assert_eq!(guest_errors(&board), [""; 0]);
}

#[test]
fn it_confirms_its_start_after_a_second_and_feeds_the_watchdog() {
    let application = &confirming_application(PROFILE);
    let mut board = board(application, CONFIRM);
    runs(&mut board, Time::from_millis(900));
    assert_eq!(board.backup_register(REQUEST), Some(unconfirmed(1)));
    runs(&mut board, Time::from_millis(200));
    assert_eq!(board.backup_register(REQUEST), Some(NOTHING));
    assert_eq!(
        board.backup_register(CAUSE),
        Some(reset_cause(0x0E)),
        "power-on"
    );
    runs(&mut board, Time::from_millis(5_000));
    assert_eq!(guest_errors(&board), [""; 0]);
}

#[test]
fn an_application_that_never_confirms_is_started_three_times() {
    let application = &application(PROFILE);
    let mut board = board(application, CONFIRM);
    for starts in 1..=3 {
        let limit = board.now() + Time::from_millis(600);
        assert_eq!(
            board.run(limit),
            Stop::Reset(ResetCause::IndependentWatchdog)
        );
        assert_eq!(board.backup_register(REQUEST), Some(unconfirmed(starts)));
    }
    runs(&mut board, Time::from_millis(5));
    assert_eq!(
        (result(&board, 0), result(&board, 1)),
        (DONE, unconfirmed(3))
    );
}
