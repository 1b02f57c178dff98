//! How long an update takes on the chip, and the way from a reset to the application.

#![allow(clippy::unwrap_used)] // a test

mod common;

use common::guest_errors;
use common::iap::{Bench, MII};
use iap_emulator::Time;

/// The longest application there is: how long it takes to install, and from a reset to its first instruction.
#[test]
fn an_application_of_896_kib_starts_within_15_ms_of_a_reset() {
    let mut bench = Bench::ready(MII);
    let len = bench.profile.memory_map().application.len as usize;
    let (file, payload) = bench.image((8, 9, 6), len);
    bench.push("tftp", &file);
    assert!(bench.board().flash_content()[0x2_0000..] == payload);
    bench.wait_for_start();
    let (_, took) = bench.starts[0];
    println!("reset to application: {} us", took.micros());
    assert!(took <= Time::from_millis(15), "{took}");
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}
