//! Guest programs: built once per test run, loaded into a board.

#![allow(dead_code, clippy::unwrap_used)] // a test: no test file uses all of it

pub(crate) mod built;
pub(crate) mod capture;
pub(crate) mod host;
pub(crate) mod iap;
pub(crate) mod netns;
pub(crate) mod udp;

use std::path::PathBuf;
use std::sync::OnceLock;

use iap_emulator::{Board, BoardOptions, Image, Kind, Stop, Time};
use iap_profile::Profile;

/// Where guests leave results; see `guests/src/lib.rs`.
pub(crate) const RESULTS: u32 = 0x2001_F000;
pub(crate) const ARGUMENT: u32 = 0x2001_E000;
pub(crate) const DONE: u32 = 0xD00D_D00D;
const FLASH: u32 = 0x0800_0000;

/// Firmware on somebody else's driver, as a file.
pub(crate) fn driver(name: &str) -> Image {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| built::workspace("drivers"));
    Image::load(&folder.join(name), FLASH).unwrap()
}

/// A guest as a file.
pub(crate) fn image(name: &str) -> Image {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| built::workspace("guests"));
    Image::load(&folder.join(name), FLASH).unwrap()
}

/// A board of `profile` with a guest in its flash; sector 5 begins with a word that is not erased.
pub(crate) fn board_of(profile: &str, name: &str, argument: u32) -> Board {
    let image = image(name);
    let mut content = vec![0xFF; 1024 * 1024];
    image.place(FLASH, &mut content).unwrap();
    content[0x2_0000..0x2_0004].copy_from_slice(&0x1234_5678u32.to_le_bytes());
    let profile = Profile::load(profile).unwrap();
    let mut board =
        Board::new(&profile, &BoardOptions::default(), &content, image.symbols).unwrap();
    board.set_word(ARGUMENT, argument);
    board
}

pub(crate) fn board(name: &str, argument: u32) -> Board {
    board_of("stm324xg-eval", name, argument)
}

/// A result of the guest.
pub(crate) fn result(board: &Board, index: u32) -> u32 {
    board.word(RESULTS + 4 * index).unwrap()
}

/// Runs until the guest has finished.
pub(crate) fn finish(board: &mut Board, limit: Time) {
    let end = board.now() + limit;
    while result(board, 0) != DONE {
        let step = (board.now() + Time::from_micros(500)).min(end);
        match board.run(step) {
            Stop::Limit | Stop::Sent | Stop::Reset(_) => {}
            other => panic!("{other:?}"),
        }
        assert!(
            board.now() < end,
            "not finished after {limit}: {:?}",
            board.pc()
        );
    }
}

/// The guest errors, without their times.
pub(crate) fn guest_errors(board: &Board) -> Vec<String> {
    let reports = board.reports().into_iter();
    reports
        .filter(|report| report.kind == Kind::GuestError)
        .map(|report| report.text)
        .collect()
}
