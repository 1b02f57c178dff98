//! Flash that lies, and the old application that lives as long as it can.

#![allow(clippy::unwrap_used)] // helpers of tests count as code to clippy

mod common;

use common::{APPLICATION, Board, Pushed, begin_with, iap, in_one_session, payload, real_map};
use iap_core::boot::Decision;
use iap_core::flash::{Flash, FlashError, FlashFault};
use iap_core::intake::{Intake, Outcome};
use iap_core::update::Step;
use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::memory::{Region, Sector};
use iap_protocol::status::IapReason;
use iap_sim::bench::push;
use iap_sim::nor::{Cut, Fault, Moment, Nor};

/// Fits the ring.
const SMALL: usize = 50_001;
/// Three sectors, and does not fit.
const LARGE: usize = 300_003;

fn with_old(len: usize) -> (Board, Vec<u8>) {
    let board = Board::with_application(real_map(), &payload(len, 1), 31);
    let file = iap(&payload(len, 2), (2, 0, 0), &board.config.map);
    (board, file)
}

fn starts(board: &mut Board, expected: &str) -> bool {
    matches!(board.boot(), Some(Decision::Start(start)) if start.image.as_ref().unwrap().version().to_string() == expected)
}

/// Pushes to a flash with this fault: refused with this code and address; the board stays in IAP mode; a push after the fault has gone
/// succeeds.
fn fails_and_recovers(fault: Fault, code: ErrorCode, address: &str) {
    for len in [SMALL, LARGE] {
        let (mut board, file) = with_old(len);
        board.nor.inject(fault);
        let Pushed::Refused(refusal) = board.push(&file) else {
            panic!("{fault:?} was not noticed");
        };
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(refusal.to_string().contains(address), "{refusal}");
        assert_eq!(
            board.boot(),
            Some(Decision::Stay(IapReason::UpdateUnfinished)),
            "{fault:?}"
        );
        board.nor.clear_faults();
        assert_eq!(board.push(&file), Pushed::Committed, "{fault:?}");
        assert!(starts(&mut board, "2.0.0"), "{fault:?}");
    }
}

#[test]
fn an_operation_that_reports_an_error_fails_the_update_with_its_address() {
    fails_and_recovers(
        Fault::ProgramFails(APPLICATION + 0x1234),
        ErrorCode::FlashProgram,
        "0x08021234",
    );
    fails_and_recovers(Fault::EraseFails(5), ErrorCode::FlashErase, "0x08020000");
}

#[test]
fn a_word_that_reads_back_wrong_fails_the_update_with_its_sector() {
    let fault = Fault::ReadsWrong {
        address: APPLICATION + 0x400,
        bits: 0x10,
    };
    fails_and_recovers(fault, ErrorCode::FlashVerify, "0x08020000");
}

#[test]
fn a_sector_that_does_not_erase_fails_the_update_with_its_address() {
    for len in [SMALL, LARGE] {
        let (mut board, file) = with_old(len);
        board.nor.forgive_violations();
        board.nor.inject(Fault::EraseDoesNothing(5));
        let Pushed::Refused(refusal) = board.push(&file) else {
            panic!("the update believed the erase");
        };
        assert!(refusal.to_string().contains("0x0802"), "{refusal}");
        assert_eq!(
            board.boot(),
            Some(Decision::Stay(IapReason::UpdateUnfinished))
        );
        board.nor.clear_faults();
        assert_eq!(board.push(&file), Pushed::Committed);
        assert!(starts(&mut board, "2.0.0"));
    }
}

#[test]
fn a_read_only_sector_fails_the_update_with_its_address() {
    fails_and_recovers(
        Fault::WriteProtected(5),
        ErrorCode::WriteProtected,
        "0x08020000",
    );
}

#[test]
fn a_record_that_cannot_be_written_leaves_the_old_application_alone() {
    let (mut board, file) = with_old(SMALL);
    board.nor.inject(Fault::WriteProtected(1));
    let Pushed::Refused(refusal) = board.push(&file) else {
        panic!("nobody noticed");
    };
    assert!(refusal.to_string().contains("0x08005"), "{refusal}");
    board.nor.clear_faults();
    assert!(starts(&mut board, "1.0.0"));
    assert_eq!(board.push(&file), Pushed::Committed);
    assert!(starts(&mut board, "2.0.0"));
}

#[test]
fn a_low_supply_pauses_the_update_without_an_operation() {
    let (mut board, file) = with_old(SMALL);
    in_one_session(&mut board, |updater| {
        let ticket = begin_with(updater, Some(file.len() as u32), &file);
        updater.finish(ticket, &mut Refusal::unsaid()).unwrap();
        let (mut steps, mut low) = (0, 0);
        while *updater.outcome(ticket) == Outcome::Running {
            steps += 1;
            assert!(steps < 100_000, "the update never ends");
            if steps % 10 == 0 {
                let fault = Fault::SupplyLow { operations: 3 };
                updater.flash_mut().inject(fault);
            }
            let before = updater.flash().counters().operations();
            if updater.step() == Step::SupplyLow {
                low += 1;
                assert_eq!(updater.flash().counters().operations(), before);
            }
        }
        assert!(low > 9, "{low} steps found the supply low");
        assert_eq!(updater.outcome(ticket), &Outcome::Committed);
    });
    assert!(starts(&mut board, "2.0.0"));
}

/// A flash whose supply sinks once, after so many words: the driver looks at it before every word.
struct Sinking<'a> {
    nor: &'a mut Nor,
    good_words: Option<u32>,
}

impl Flash for Sinking<'_> {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.nor.read(address, bytes)
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        self.nor.erase(sector)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        for (address, word) in (address..).step_by(4).zip(bytes.chunks(4)) {
            match &mut self.good_words {
                Some(0) => {
                    self.good_words = None;
                    return Err(FlashError::new(FlashFault::SupplyLow, address));
                }
                Some(left) => *left -= 1,
                None => {}
            }
            self.nor.program(address, word)?;
        }
        Ok(())
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        self.nor.crc32(resume, region)
    }
}

#[test]
fn a_supply_that_sinks_at_any_word_of_an_update_only_pauses_it() {
    // 164 words of the record before the image, its 100, DONE and COMMITTED behind it.
    let (old, new) = (payload(400, 1), payload(400, 2));
    for word in 0..290 {
        let mut board = Board::with_application(real_map(), &old, 31);
        let file = iap(&new, (2, 0, 0), &board.config.map);
        let sinking = Sinking {
            nor: &mut board.nor,
            good_words: Some(word),
        };
        let pushed = push(sinking, &board.config, &file, Some(file.len() as u32));
        assert_eq!(pushed, Ok(Pushed::Committed), "word {word}");
        assert!(starts(&mut board, "2.0.0"), "word {word}");
    }
}

#[test]
fn a_client_that_vanishes_before_the_ring_was_full_costs_nothing() {
    for len in [SMALL, LARGE] {
        let (mut board, file) = with_old(len);
        let before = board.nor.counters().operations();
        for sent in (0..file.len().min(72 * 1024)).step_by(1428) {
            in_one_session(&mut board, |updater| {
                let ticket = begin_with(updater, Some(file.len() as u32), &file[..sent]);
                assert_eq!(updater.step(), Step::Idle);
                updater.abort(ticket, &Refusal::from(ErrorCode::ClientSilent));
                assert_eq!(updater.step(), Step::Idle);
            });
        }
        assert_eq!(board.nor.counters().operations(), before);
        assert!(starts(&mut board, "1.0.0"));
    }
}

#[test]
fn an_update_resumed_after_a_power_cut_programs_only_what_is_missing() {
    const SECTOR: u64 = 128 * 1024;
    let (original, file) = with_old(LARGE);
    // Some 200 words of the record, then sector by sector.
    for sectors_done in [0, 1, 2] {
        let mut board = original.clone();
        let words = 300 + sectors_done * (SECTOR / 4 + 20);
        board.nor.plan_cut(Cut::new(words, Moment::Inside));
        assert_eq!(board.push(&file), Pushed::PowerLost);
        let stays = Decision::Stay(IapReason::UpdateUnfinished);
        assert_eq!(board.boot(), Some(stays));
        let before = board.nor.counters().clone();
        assert_eq!(board.push(&file), Pushed::Committed);
        let after = board.nor.counters();
        let missing = (LARGE as u64 - sectors_done * SECTOR).div_ceil(4);
        let entries = after.words - before.words - missing;
        assert!((5 * 8..=12 * 8).contains(&entries), "{entries}");
        for (index, sector) in (5..8).zip(0..) {
            let erased = after.erases[index] - before.erases[index];
            assert_eq!(erased, u32::from(sector >= sectors_done), "sector {index}");
        }
        assert!(starts(&mut board, "2.0.0"));
    }
}

#[test]
fn a_resumed_update_programs_only_what_is_missing() {
    let (mut board, file) = with_old(LARGE);
    let cut = board.push_declared(&file[..290_000], None);
    assert!(matches!(cut, Pushed::Refused(_)));
    board.boot();
    let before = board.nor.counters().clone();
    assert_eq!(board.push(&file), Pushed::Committed);
    let after = board.nor.counters();
    let missing = (LARGE - 128 * 1024).div_ceil(4) as u64;
    // Beside the payload: entries of eight words for two sectors, the commit, and what opens the session.
    let entries = after.words - before.words - missing;
    assert!((5 * 8..=10 * 8).contains(&entries), "{entries}");
    assert_eq!(after.erases[5], before.erases[5], "sector 5 was done");
    assert_eq!(
        after.erased() - before.erased(),
        2,
        "sectors 6 and 7 and nothing else"
    );
}
