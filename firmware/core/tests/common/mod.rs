//! A board reduced to its flash: pushes images through the update machine and boots, without a network.
#![allow(dead_code, unused_imports, clippy::unwrap_used)] // each test file uses its own part of this

use iap_core::boot::Decision;
use iap_core::intake::{Intake, Ticket};
use iap_core::record::{Record, RecordState};
use iap_core::update::{Ring, Updater};
use iap_protocol::error::Refusal;
use iap_sim::bench::{RING, feed, source};
use iap_sim::nor::Nor;
use smoltcp::time::Instant;

pub(crate) use iap_sim::bench::{
    APPLICATION, Bench as Board, Pushed, header, iap, payload, real_map, scaled_map,
};

/// What the board's record says.
pub(crate) fn state(board: &mut Board) -> RecordState {
    let record = Record::load(&mut board.nor, &board.config.map).unwrap();
    record.state().clone()
}

/// The first number of the version that starts.
pub(crate) fn major(decision: Option<Decision>) -> Option<u16> {
    match decision {
        Some(Decision::Start(start)) => start.image.map(|image| image.version().numbers[0]),
        _ => None,
    }
}

/// What the board says to `file`, which must not cost a flash operation.
#[track_caller]
pub(crate) fn refusal(board: &mut Board, file: &[u8]) -> Refusal {
    let before = board.nor.counters().operations();
    let refusal = match board.push(file) {
        Pushed::Refused(refusal) => refusal,
        other => panic!("the board took it: {other:?}"),
    };
    let cost = board.nor.counters().operations() - before;
    assert_eq!(cost, 0, "operations, though it says: {refusal}");
    refusal
}

/// What several clients do with a board between two resets.
pub(crate) fn in_one_session<T>(
    board: &mut Board,
    clients: impl FnOnce(&mut Updater<'_, &mut Nor>) -> T,
) -> T {
    let [mut sram, mut ccm] = RING.map(|len| vec![0; len]);
    let ring = Ring::new([&mut sram, &mut ccm]);
    clients(&mut Updater::new(&mut board.nor, &board.config, ring).unwrap())
}

/// Begins an update and hands over these bytes, which are taken.
pub(crate) fn begin_with(
    updater: &mut Updater<'_, &mut Nor>,
    declared: Option<u32>,
    bytes: &[u8],
) -> Ticket {
    let why = &mut Refusal::unsaid();
    let ticket = updater
        .begin(Instant::ZERO, source(), declared, why)
        .unwrap();
    feed(updater, ticket, bytes, why).unwrap();
    ticket
}
