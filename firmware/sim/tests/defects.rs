//! Proof that the sweep can fail: every deliberate defect of the core is found. `cargo test -p iap-sim --features defects --test defects`.
#![allow(clippy::unwrap_used)] // helpers of tests count as code to clippy

use iap_core::defect::{self, Defect};
use iap_core::flash::Window;
use iap_sim::bench::{APPLICATION, Bench, Pushed, iap, payload, real_map, scaled_map};
use iap_sim::nor::Fault;
use iap_sim::sweep::brown_out;
use iap_sim::sweep::parts::{Depth, First, Part};
use iap_sim::sweep::rules::Rules;
use iap_sim::sweep::served::{self, Plan};
use iap_sim::sweep::start::{Kind, Sizes};

/// Bytes of the application before and after the update, on the scaled map.
const SIZES: Sizes = Sizes {
    old: 2_200,
    new: 2_116,
};

/// What `run` gives with `defect` switched on. In this thread only: a defect is the thread's own.
fn under<T>(defect: Option<Defect>, run: impl FnOnce() -> T) -> T {
    defect::select(defect);
    let result = run();
    defect::select(None);
    result
}

/// What a sweep finds with `defect` switched on.
fn found(defect: Option<Defect>, part: &Part) -> Vec<String> {
    let tally = under(defect, || part.run(1));
    assert_eq!(tally.planned, tally.fired);
    tally.first
}

fn part(kind: Kind, seed: u64) -> Part {
    Part {
        map: scaled_map(),
        sizes: SIZES,
        kinds: vec![kind],
        rules: vec![Rules::Open],
        first: First::All,
        depth: Depth::One,
        seed,
    }
}

fn is_found(defect: Defect, kind: Kind) {
    let part = Part {
        depth: Depth::Some {
            second: 2,
            third: 0,
        },
        ..part(kind, 3)
    };
    assert_eq!(found(None, &part), [""; 0], "without a defect");
    let found = found(Some(defect), &part);
    assert!(!found.is_empty(), "{defect:?} is not found from {kind:?}");
    println!("{defect:?}: {}", found[0]);
    let by_cut = found.iter().any(|what| what.contains(", cut "));
    assert!(by_cut, "{defect:?} breaks more than cuts: {found:?}");
}

#[test]
fn an_entry_without_its_check_is_found() {
    // Under a sudden cut the seal alone is enough: the check is for brown-outs, in which a seal follows a torn body.
    let run = || brown_out::run(1, (&brown_out::KINDS, Rules::Open), &[4, 8], 3, 2, 1);
    assert_eq!(under(None, run).violations, 0);
    assert!(under(Some(Defect::EntryWithoutCheck), run).violations > 0);
}

#[test]
fn an_unsealed_entry_that_is_acted_on_is_found() {
    is_found(Defect::UnsealedEntry, Kind::Application);
}

#[test]
fn begun_after_the_erase_is_found() {
    is_found(Defect::BegunAfterErase, Kind::Application);
}

#[test]
fn a_touched_sector_skipped_for_its_crc_is_found() {
    // It takes a cut in the last word of a sector that reads right when the update is resumed: that word alone, and many draws.
    assert_eq!(draws(None, Kind::Application, 40), 0);
    assert!(draws(Some(Defect::SkipTouched), Kind::Application, 40) > 0);
}

#[test]
fn a_touched_sector_left_out_of_a_transfer_for_its_crc_is_found() {
    // Fewer: after a cut these clients leave out whatever reads right.
    assert_eq!(draws(None, Kind::Partial, 6), 0);
    assert!(draws(Some(Defect::SkipTouched), Kind::Partial, 6) > 0);
}

/// What so many draws of the chosen cuts find with `defect` switched on.
fn draws(defect: Option<Defect>, kind: Kind, count: u64) -> u64 {
    let part = |seed| Part {
        first: First::Chosen(1),
        ..part(kind, seed)
    };
    let violations = |seed| part(seed).run(1).violations;
    under(defect, || (0..count).map(violations).sum())
}

#[test]
fn done_before_verify_is_found() {
    is_found(Defect::DoneBeforeVerify, Kind::Application);
}

#[test]
fn a_record_sector_erased_before_the_copy_is_found() {
    is_found(Defect::RecordErasedBeforeCopy, Kind::RecordFull);
}

#[test]
fn a_record_header_written_first_is_found() {
    is_found(Defect::RecordHeaderFirst, Kind::RecordFull);
}

#[test]
fn a_counter_copied_after_the_header_is_found() {
    is_found(Defect::CounterAfterHeader, Kind::RecordFull);
}

#[test]
fn a_counter_recorded_after_the_commit_is_found() {
    let part = Part {
        rules: vec![Rules::Signed],
        // A third of the operations: each cut costs seven real signatures.
        first: First::Some(300),
        ..part(Kind::Application, 3)
    };
    assert_eq!(found(None, &part), [""; 0], "without a defect");
    let found = found(Some(Defect::CounterAfterCommit), &part);
    let told = |what: &String| what.contains(", cut ") && what.contains("is committed, counter");
    assert!(found.iter().any(told), "{found:#?}");
}

#[test]
fn an_earlier_transfer_s_done_that_is_believed_is_found() {
    // Not by a cut: the genuine image itself is refused.
    let part = Part {
        rules: vec![Rules::Signed],
        first: First::Some(60),
        ..part(Kind::Forged, 3)
    };
    assert_eq!(found(None, &part), [""; 0], "without a defect");
    let found = found(Some(Defect::DoneBelieved), &part);
    let told = |what: &String| what.contains("PayloadDigest") && what.contains("Forged");
    assert!(found.iter().any(told), "{found:#?}");
}

#[test]
fn a_torn_slot_that_is_used_again_is_found() {
    is_found(Defect::TornSlotReused, Kind::InterruptedSame);
}

#[test]
fn a_seal_believed_because_it_reads_complete_is_found() {
    is_found(Defect::SealBelieved, Kind::Application);
}

#[test]
fn a_last_block_acknowledged_before_the_commit_is_found_over_both_transports() {
    let found = |defect| {
        let plan = Plan {
            stride: 201,
            last: 20,
            seed: 3,
        };
        let run = || served::run(1, &[Kind::Application], &[Rules::Open], SIZES, plan);
        let tally = under(defect, run);
        assert_eq!(tally.planned, tally.fired);
        tally.first
    };
    assert_eq!(found(None), [""; 0], "without a defect");
    let found = found(Some(Defect::AckBeforeCommit));
    println!("{}", found[0]);
    for transport in ["over tftp", "over http"] {
        let told = |what: &&String| what.contains(transport) && what.contains("was told");
        assert!(found.iter().any(|what| told(&what)), "{found:#?}");
    }
}

#[test]
fn a_commit_before_the_verification_is_found_on_a_flash_that_lies() {
    let push = |defect| {
        let mut board = Bench::with_application(real_map(), &payload(9_000, 1), 1);
        let file = iap(&payload(9_000, 2), (2, 0, 0), &board.config.map);
        board.nor.inject(Fault::ReadsWrong {
            address: APPLICATION + 0x400,
            bits: 1,
        });
        under(defect, || board.push(&file))
    };
    assert!(matches!(push(None), Pushed::Refused(_)));
    assert_eq!(push(Some(Defect::CommitBeforeVerify)), Pushed::Committed);
}

#[test]
fn a_window_that_is_not_enforced_is_found() {
    let operations = |defect| {
        let mut board = Bench::new(real_map(), 1);
        let map = board.config.map.clone();
        let mut window = Window::new(&mut board.nor, &map.flash, map.application_sectors());
        under(defect, || {
            for index in map.iap_sectors.iter().chain(map.record_sectors) {
                let start = map.flash.sector(index).unwrap().region.start;
                let _ = window.erase(index);
                let _ = window.program(start, &[0; 4]);
            }
            // Across the boundary.
            let _ = window.program(APPLICATION - 4, &[0; 8]);
        });
        board.nor.counters().operations()
    };
    assert_eq!(operations(None), 0);
    assert_eq!(operations(Some(Defect::WindowNotEnforced)), 12);
}
