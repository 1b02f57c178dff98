//! Transfers that leave out sectors the board already has: what may be left out, and what is refused before anything is written.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Board, Pushed, begin_with, header, iap, in_one_session, payload, real_map, refusal};
use iap_core::boot::Decision;
use iap_core::intake::{Intake, Outcome};
use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::header::{HEADER_LEN, ImageHeader, PREFIX_LEN, Prefix};
use iap_protocol::memory::SectorSet;
use iap_protocol::version::Version;
use iap_sim::bench::feed;
use iap_sim::nor::{Cut, Moment};

const SECTOR: usize = 128 * 1024;
/// Sectors 5, 6 and a part of 7.
const LEN: usize = 2 * SECTOR + 40_001;

/// An application with one byte changed in each of these sectors.
fn changed(sectors: &[u8]) -> Vec<u8> {
    let mut bytes = payload(LEN, 1);
    for sector in sectors {
        bytes[(usize::from(*sector) - 5) * SECTOR + 30_000] ^= 0x55;
    }
    bytes
}

fn set(sectors: &[u8]) -> SectorSet {
    sectors.iter().copied().collect()
}

/// A transfer of nothing but these sectors.
fn partial(bytes: &[u8], version: u16, sectors: &[u8]) -> Vec<u8> {
    let header = header(bytes, Version::new(version, 0, 0), &real_map());
    let mut file = Prefix {
        sectors: set(sectors),
    }
    .encode()
    .to_vec();
    file.extend(header.encode());
    for (sector, part) in (5..).zip(bytes.chunks(SECTOR)) {
        if sectors.contains(&sector) {
            file.extend(part);
        }
    }
    file
}

fn board() -> Board {
    Board::with_application(real_map(), &payload(LEN, 1), 1)
}

fn starts(board: &mut Board, version: u16) -> bool {
    match board.boot() {
        Some(Decision::Start(start)) => start.image.is_some_and(|image| {
            let image = ImageHeader::decode_recorded(&image.0).unwrap();
            image.version == Version::new(version, 0, 0)
        }),
        _ => false,
    }
}

#[track_caller]
fn is_refused(board: &mut Board, file: &[u8], code: ErrorCode) {
    let refusal = refusal(board, file);
    assert_eq!(refusal.code, code, "{refusal}");
}

#[test]
fn only_the_sectors_that_changed_are_sent_and_written() {
    for sectors in [&[5][..], &[6], &[7], &[5, 7], &[5, 6, 7]] {
        let (mut board, bytes) = (board(), changed(sectors));
        let before = board.nor.counters().erases.clone();
        assert_eq!(board.push(&partial(&bytes, 2, sectors)), Pushed::Committed);
        assert_eq!(board.application_bytes(LEN), bytes);
        let erases = &board.nor.counters().erases;
        for sector in 5..=11 {
            let erased = erases[usize::from(sector)] - before[usize::from(sector)];
            assert_eq!(erased == 1, sectors.contains(&sector), "{sectors:?}");
        }
        assert!(starts(&mut board, 2));
    }
}

#[test]
fn more_than_what_changed_may_be_sent_and_is_not_written() {
    let (mut board, bytes) = (board(), changed(&[6]));
    let before = board.nor.counters().erased();
    assert_eq!(board.push(&partial(&bytes, 2, &[5, 6])), Pushed::Committed);
    assert_eq!(board.nor.counters().erased(), before + 1);
    assert!(starts(&mut board, 2));
}

#[test]
fn the_same_image_again_is_a_prefix_and_a_header_and_costs_nothing() {
    let mut board = board();
    let before = board.nor.counters().operations();
    let file = partial(&payload(LEN, 1), 1, &[]);
    assert_eq!(file.len(), PREFIX_LEN + HEADER_LEN);
    assert_eq!(board.push(&file), Pushed::Committed);
    assert_eq!(board.nor.counters().operations(), before);
    // Another version of the same bytes is an entry of the record.
    assert_eq!(
        board.push(&partial(&payload(LEN, 1), 3, &[])),
        Pushed::Committed
    );
    assert!(starts(&mut board, 3));
}

#[test]
fn a_sector_that_is_left_out_must_hold_the_right_bytes() {
    let (mut board, bytes) = (board(), changed(&[5, 6]));
    is_refused(
        &mut board,
        &partial(&bytes, 2, &[5]),
        ErrorCode::PartialTransfer,
    );
    is_refused(
        &mut board,
        &partial(&bytes, 2, &[]),
        ErrorCode::PartialTransfer,
    );
    is_refused(
        &mut Board::new(real_map(), 1),
        &partial(&bytes, 2, &[5]),
        ErrorCode::PartialTransfer,
    );
    assert!(starts(&mut board, 1));
    let whole = iap(&bytes, (2, 0, 0), &real_map());
    assert_eq!(board.push(&whole), Pushed::Committed);
    assert!(starts(&mut board, 2));
}

#[test]
fn sectors_that_the_image_has_not_cannot_be_sent() {
    let bytes = changed(&[6]);
    for beyond in [0, 3, 4, 8, 11, 12, 23] {
        let mut file = partial(&bytes, 2, &[6]);
        let prefix = Prefix {
            sectors: set(&[6, beyond]),
        };
        file[..PREFIX_LEN].copy_from_slice(&prefix.encode());
        is_refused(&mut board(), &file, ErrorCode::PartialTransfer);
    }
}

#[test]
fn every_bit_of_a_prefix_counts() {
    let file = partial(&changed(&[6]), 2, &[6]);
    let mut board = board();
    let before = board.nor.counters().operations();
    for bit in 0..8 * PREFIX_LEN {
        let mut file = file.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(board.push(&file), Pushed::Refused(_)), "bit {bit}");
    }
    assert_eq!(board.nor.counters().operations(), before);
    // Behind a prefix comes a header, not another prefix and not a raw image.
    let twice = [&file[..PREFIX_LEN], &file[..]].concat();
    is_refused(&mut board, &twice, ErrorCode::HeaderField);
    let raw = [&file[..PREFIX_LEN], &payload(LEN, 1)[..]].concat();
    is_refused(&mut board, &raw, ErrorCode::HeaderField);
    assert!(starts(&mut board, 1));
}

#[test]
fn a_transfer_must_have_the_length_that_prefix_and_header_say() {
    // The last sector fits the ring, so all of it is judged before the flash is touched.
    let file = partial(&changed(&[7]), 2, &[7]);
    let mut board = board();
    for len in [0, 3, 31, 32, 100, 543, 544, 545, file.len() - 1] {
        let before = board.nor.counters().operations();
        for declared in [Some(len as u32), None] {
            let pushed = board.push_declared(&file[..len], declared);
            assert!(matches!(pushed, Pushed::Refused(_)), "{len}: {pushed:?}");
        }
        assert_eq!(board.nor.counters().operations(), before);
    }
    let longer = [&file[..], &[0]].concat();
    for declared in [Some(longer.len() as u32), None] {
        let pushed = board.push_declared(&longer, declared);
        assert!(
            matches!(pushed, Pushed::Refused(refusal) if refusal.code == ErrorCode::TrailingBytes)
        );
    }
    let mut damaged = file.clone();
    damaged[PREFIX_LEN + HEADER_LEN + 9] ^= 1;
    is_refused(&mut board, &damaged, ErrorCode::PayloadCrc);
    assert!(starts(&mut board, 1));
    assert_eq!(board.push_declared(&file, None), Pushed::Committed);
}

#[test]
fn a_sector_that_is_larger_than_the_ring_and_turns_out_bad_is_never_committed() {
    let mut file = partial(&changed(&[6]), 2, &[6]);
    file[PREFIX_LEN + HEADER_LEN + 100_000] ^= 1;
    let mut board = board();
    let pushed = board.push(&file);
    assert!(
        matches!(&pushed, Pushed::Refused(refusal) if refusal.code == ErrorCode::SectorCrc),
        "{pushed:?}"
    );
    assert!(matches!(board.boot(), Some(Decision::Stay(_))));
    // What was left out is in doubt by now, as after every update that did not end: the whole image is asked for.
    let good = partial(&changed(&[6]), 2, &[6]);
    assert!(matches!(board.push(&good), Pushed::Refused(_)));
    assert_eq!(
        board.push(&iap(&changed(&[6]), (2, 0, 0), &real_map())),
        Pushed::Committed
    );
    assert!(starts(&mut board, 2));
}

/// Found by the fuzz target: nobody judged its vectors, and the board waited for ever.
#[test]
fn an_image_shorter_than_its_vectors_is_refused() {
    let bytes = payload(60, 1);
    is_refused(
        &mut board(),
        &partial(&bytes, 2, &[5]),
        ErrorCode::VectorTable,
    );
}

/// The content is right, but a cut may have left cells that read differently at the next boot.
#[test]
fn a_sector_in_doubt_cannot_be_left_out() {
    let mut board = board();
    let other = iap(&changed(&[5, 6, 7]), (2, 0, 0), &real_map());
    // BEGUN, TOUCHED and the erase of sector 5 take some hundred operations.
    board.nor.plan_cut(Cut::new(1000, Moment::Before));
    assert_eq!(board.push(&other), Pushed::PowerLost);
    board.boot();
    // As a probe would put it back.
    let bytes = payload(LEN, 1);
    board.nor.load(0x0802_0000, &bytes);
    let pushed = board.push(&partial(&bytes, 1, &[6, 7]));
    assert!(
        matches!(&pushed, Pushed::Refused(refusal) if refusal.code == ErrorCode::PartialTransfer),
        "{pushed:?}"
    );
}

#[test]
fn a_sector_that_changes_behind_the_board_s_back_is_noticed_before_the_commit() {
    let bytes = changed(&[6]);
    let file = partial(&bytes, 2, &[6]);
    // Before the header came, after it was judged, and while the last sector waits.
    for (fed, code) in [
        (0, ErrorCode::PartialTransfer),
        (PREFIX_LEN + HEADER_LEN, ErrorCode::PartialTransfer),
        (
            PREFIX_LEN + HEADER_LEN + SECTOR - 1,
            ErrorCode::PartialTransfer,
        ),
    ] {
        let mut board = board();
        in_one_session(&mut board, |updater| {
            let ticket = begin_with(updater, Some(file.len() as u32), &file[..fed]);
            // Sector 7, which comes last.
            updater.flash_mut().load(0x0806_0000, &[0; 64]);
            let why = &mut Refusal::unsaid();
            let verdict =
                feed(updater, ticket, &file[fed..], why).and_then(|()| updater.finish(ticket, why));
            for _ in 0..100_000 {
                if *updater.outcome(ticket) != Outcome::Running {
                    break;
                }
                updater.step();
            }
            let Outcome::Failed(refusal) = updater.outcome(ticket) else {
                panic!("{verdict:?}, {:?}", updater.outcome(ticket));
            };
            assert_eq!(refusal.code, code, "{refusal}");
        });
        assert!(matches!(board.boot(), Some(Decision::Stay(_))));
    }
}
