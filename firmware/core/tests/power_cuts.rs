//! Power cuts before, inside and after every flash operation of an update on the scaled map; then the invariant: a board either starts
//! a complete application, the same at every boot, or stays in IAP mode, and a push succeeds.
#![allow(clippy::unwrap_used)] // helpers of tests count as code to clippy

mod common;

use common::{Board, Pushed, iap, payload, scaled_map};
use iap_core::boot::Decision;
use iap_protocol::status::IapReason;
use iap_protocol::version::Version;
use iap_sim::nor::{Cut, Moment};

const OLD: usize = 9_001;
const NEW: usize = 7_003;

/// What a sweep needs to know of its two images.
struct Images {
    old: Vec<u8>,
    new: Vec<u8>,
    new_file: Vec<u8>,
}

fn images() -> Images {
    let (old, mut new) = (payload(OLD, 1), payload(NEW, 2));
    // The third sector is the same in both, so that a skip is among what is cut.
    new[4096..6144].copy_from_slice(&old[4096..6144]);
    let new_file = iap(&new, (2, 0, 0), &scaled_map());
    Images { old, new, new_file }
}

/// Boots a few times; every boot must decide the same, and what starts must be complete.
fn check(board: &mut Board, images: &Images) -> Decision {
    let first = board.boot().expect("power is on");
    for _ in 0..3 {
        assert_eq!(
            board.boot().as_ref(),
            Some(&first),
            "a decision changed from one boot to the next"
        );
    }
    match &first {
        Decision::Start(start) => {
            let version = start.image.as_ref().unwrap().version.clone();
            let whole = if version == Version::new(2, 0, 0) {
                &images.new
            } else {
                &images.old
            };
            assert_eq!(
                &board.application_bytes(whole.len()),
                whole,
                "what starts is complete"
            );
        }
        Decision::Stay(reason) => assert_eq!(*reason, IapReason::UpdateUnfinished),
    }
    first
}

/// A push after whatever happened installs the new application for good.
fn recovers(board: &mut Board, images: &Images) {
    assert_eq!(board.push(&images.new_file), Pushed::Committed);
    let decision = check(board, images);
    assert!(
        matches!(decision, Decision::Start(start) if start.image.as_ref().unwrap().version == Version::new(2, 0, 0))
    );
}

fn operations_of_a_push(board: &Board, file: &[u8]) -> u64 {
    let mut trial = Board {
        nor: board.nor.clone(),
        config: board.config.clone(),
    };
    let before = trial.nor.counters().operations();
    assert_eq!(trial.push(file), Pushed::Committed);
    trial.nor.counters().operations() - before
}

fn cut_push(board: &Board, file: &[u8], operation: u64, moment: Moment) -> Board {
    let mut board = Board {
        nor: board.nor.clone(),
        config: board.config.clone(),
    };
    let fired = board.nor.cuts_fired();
    board.nor.plan_cut(Cut::new(operation, moment));
    assert_eq!(board.push(file), Pushed::PowerLost);
    assert_eq!(board.nor.cuts_fired(), fired + 1, "the planned cut fired");
    board
}

#[test]
fn a_cut_at_any_operation_of_an_update_loses_nothing() {
    let images = images();
    let base = Board::with_application(scaled_map(), &images.old, 21);
    let operations = operations_of_a_push(&base, &images.new_file);
    let mut cuts = 0;
    for operation in 0..operations {
        for moment in Moment::ALL {
            let mut board = cut_push(&base, &images.new_file, operation, moment);
            check(&mut board, &images);
            recovers(&mut board, &images);
            cuts += 1;
        }
    }
    assert!(cuts > 4000, "{cuts} cuts");
    println!("{cuts} cuts, each fired");
}

#[test]
fn a_cut_of_the_first_update_of_a_blank_board_loses_nothing() {
    let images = images();
    let base = Board::new(scaled_map(), 22);
    let operations = operations_of_a_push(&base, &images.new_file);
    for operation in (0..operations).filter(|n| *n < 400 || n % 7 == 0) {
        for moment in Moment::ALL {
            let mut board = cut_push(&base, &images.new_file, operation, moment);
            let decision = board.boot().unwrap();
            if !matches!(decision, Decision::Stay(IapReason::NoApplication)) {
                check(&mut board, &images);
            }
            recovers(&mut board, &images);
        }
    }
}

#[test]
fn a_cut_while_the_record_changes_its_sector_loses_nothing() {
    let images = images();
    let mut base = Board::with_application(scaled_map(), &images.old, 23);
    // Updates between two images until the next one finds the record full.
    let moves = |board: &Board| {
        let mut trial = Board {
            nor: board.nor.clone(),
            config: board.config.clone(),
        };
        let erases =
            |board: &Board| board.nor.counters().erases[1] + board.nor.counters().erases[2];
        let before = erases(&trial);
        trial.push(&images.new_file);
        erases(&trial) > before
    };
    let old_file = iap(&images.old, (1, 0, 0), &scaled_map());
    for round in 0..100 {
        assert!(round < 99, "the record is never full");
        if moves(&base) {
            break;
        }
        assert_eq!(base.push(&images.new_file), Pushed::Committed);
        assert_eq!(base.push(&old_file), Pushed::Committed);
    }
    let operations = operations_of_a_push(&base, &images.new_file);
    for operation in 0..operations.min(600) {
        for moment in Moment::ALL {
            let mut board = cut_push(&base, &images.new_file, operation, moment);
            check(&mut board, &images);
            recovers(&mut board, &images);
        }
    }
}

#[test]
fn a_second_cut_during_the_recovery_loses_nothing() {
    let images = images();
    let base = Board::with_application(scaled_map(), &images.old, 24);
    let operations = operations_of_a_push(&base, &images.new_file);
    let mut cuts = 0;
    for first in (0..operations).filter(|n| *n < 170 || n % 151 == 0) {
        for moment in [Moment::Inside, Moment::After] {
            let mut once = cut_push(&base, &images.new_file, first, moment);
            once.boot();
            let rest = operations_of_a_push(&once, &images.new_file);
            for second in (0..rest).filter(|n| *n < 20 || n % 211 == 0) {
                let mut twice = cut_push(&once, &images.new_file, second, Moment::Inside);
                check(&mut twice, &images);
                recovers(&mut twice, &images);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 4000, "{cuts} double cuts");
}
