//! A sample of what `cargo xtask bench device` measures: the shipped firmware, iapctl's clients, virtual time.

#![allow(clippy::unwrap_used, dead_code)] // a test; the tables are the bench's

#[path = "../common/mod.rs"]
mod common;

mod cases;
mod errand;
mod host;
mod scheme;
mod table;
mod trial;

use cases::{Case, Kind, SMALL};
use common::built;
use common::iap::MII;
use errand::Transport;
use iap_emulator::Time;
use trial::{Firmware, run};

fn firmware() -> Firmware {
    Firmware::load(MII, &built::firmware(MII))
}

fn small_push() -> Case {
    Case {
        kind: Kind::Full(SMALL),
        transport: Transport::Tftp,
        round_trip: Time::from_micros(200),
    }
}

#[test]
fn a_small_push_takes_little_more_than_its_flash_and_repeats_exactly() {
    let (firmware, case) = (firmware(), small_push());
    let first = run(&firmware, &case, 100);
    assert!(first.is_good(), "{first:?}");
    assert_eq!(run(&firmware, &case, 100), first);
}

#[test]
fn a_core_with_half_as_many_cycles_again_takes_half_as_long_again() {
    let (firmware, case) = (firmware(), small_push());
    let [once, half_more] = [100, 150].map(|percent| run(&firmware, &case, percent));
    assert!(half_more.is_good(), "{half_more:?}");
    // The time of the cycles that were counted, at 168 MHz.
    let time = |cycles: u64, percent: u64| cycles * percent / 100 * 1000 / 168;
    for (outcome, percent) in [(&once, 100), (&half_more, 150)] {
        let expected = time(outcome.cycles, percent);
        let found = outcome.processor.picos() / 1000;
        assert!(
            found.abs_diff(expected) <= 1000,
            "{found} ns, {expected} ns"
        );
    }
    assert!(half_more.took > once.took);
}

#[test]
fn an3968_s_scheme_is_its_erases_its_words_and_a_round_trip_for_each_block() {
    let times = scheme::Times {
        way: std::time::Duration::from_millis(5),
        bits_per_s: 100_000_000,
        erase: std::time::Duration::from_secs(7),
        word: std::time::Duration::from_micros(16),
    };
    let took = scheme::push(&vec![0; 102_400], &times);
    // 200 blocks of 512 bytes and an empty one, and the request: 202 round trips; 25,600 words; 7 s.
    let least = 202 * 10_000 + 25_600 * 16 + 7_000_000;
    let line = 202 * 60;
    assert!(
        (least..least + line).contains(&took.as_micros()),
        "{took:?}"
    );
}
