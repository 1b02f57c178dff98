//! When things happen: a device's events between two instructions, replies without a time slice's delay, sleep, and what a peer's timers see.

use crate::common::capture::Capture;
use crate::common::host::Lan;
use crate::common::iap::{Bench, MII, RMII, Setup};
use crate::common::{board_of, finish, guest_errors, result};
use iap_emulator::{Time, Wear};

/// 8 + 1000 + 4 bytes at 100 Mbit/s are 80.96 us, 1295 ticks of 16 MHz.
#[test]
fn a_core_that_spins_on_a_descriptor_in_sram_sees_it_come_back_when_the_last_bit_has_left() {
    let mut board = board_of(RMII, "own", 0);
    finish(&mut board, Time::from_millis(5));
    let (ticks, looks) = (result(&board, 1), result(&board, 2));
    assert!((1280..1320).contains(&ticks), "{ticks} ticks");
    assert!(looks > 50, "it looked {looks} times");
    assert_eq!(result(&board, 3) & 1, 0, "without IC no TS");
    assert_eq!(guest_errors(&board), [""; 0]);
}

/// An ARP request at any time is answered when the processor has done so: some 10 us, not the end of a slice of 1 ms.
#[test]
fn a_reply_takes_no_longer_than_the_processor_needs() {
    let mut lan = Lan::new(MII, Setup::default());
    let took: Vec<_> = (0..10)
        .map(|index| {
            lan.runs(Time::from_micros(1000 + 97 * index));
            lan.reply_to_arp().micros()
        })
        .collect();
    println!("{took:?} us");
    assert!(took.iter().all(|took| (10..200).contains(took)), "{took:?}");
}

#[test]
fn firmware_that_has_nothing_to_do_sleeps() {
    let mut lan = Lan::new(MII, Setup::default());
    let before = lan.board().cpu_time();
    lan.runs(Time::from_millis(10_000));
    let busy = lan.board().cpu_time() - before;
    println!("{busy} in 10 s");
    assert!(busy < Time::from_millis(50), "{busy}");
}

/// The gateway is a host like others: its TCP waits at least 200 ms before it sends a segment again, also while the board erases.
#[test]
fn the_gateways_tcp_is_as_patient_as_a_kernels() {
    let mut setup = Setup::default();
    setup.board.wear = Wear::Maximum; // 2 s of silence
    let mut bench = Bench::ready_with(RMII, setup);
    let capture = Capture::of(&bench.session);
    // Three sectors: at one erase or another a segment is under way that the board does not hear.
    let (file, _) = bench.image((1, 2, 3), 300_000);
    bench.push("http", &file);
    let repeated = capture.repeated_segments();
    println!("{repeated:?}");
    // Those at once are no timer's: an acknowledgement asked for them (RFC 5681 section 3.2).
    let by_timer = |after: &&Time| **after > Time::from_millis(1);
    let by_timer: Vec<_> = repeated.iter().filter(by_timer).collect();
    assert!(!by_timer.is_empty(), "the erase is longer than its timer");
    let patient = |after: &&Time| **after >= Time::from_millis(200);
    assert!(by_timer.iter().all(patient), "{repeated:?}");
}
