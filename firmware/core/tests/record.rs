//! The boot record over its whole life: generations that come round, and entries whose image is lost.

#![allow(clippy::unwrap_used)] // helpers of tests count as code to clippy

mod common;

use common::{APPLICATION, Board, Pushed, iap, payload, real_map};
use iap_core::boot::Decision;
use iap_protocol::record::{Entry, SEAL, SEAL_RUN_LEN, SectorHeader, log_offset};
use iap_protocol::status::IapReason;

/// The two record sectors.
const SECTORS: [u32; 2] = [0x0800_4000, 0x0800_8000];

fn head(generation: u32) -> Vec<u8> {
    [
        &SectorHeader { generation }.encode()[..],
        &[0; SEAL_RUN_LEN],
    ]
    .concat()
}

/// A board whose record says `entry` and nothing else.
fn with_record(generation: u32, entry: Entry) -> Board {
    let mut board = Board::new(real_map(), 21);
    board.nor.load(SECTORS[0], &head(generation));
    let bytes = [&entry.encode()[..], &SEAL].concat();
    board.nor.load(SECTORS[0] + log_offset(0), &bytes);
    board
}

fn generations(board: &Board) -> [Option<u32>; 2] {
    SECTORS.map(|start| {
        let head = board.nor.content_of(start..start + 32);
        SectorHeader::decode(&head).map(|header| header.generation)
    })
}

#[test]
fn the_record_goes_on_when_its_generations_come_round() {
    let mut board = with_record(u32::MAX - 1, Entry::Counter { value: 0 });
    let mut seen = Vec::new();
    for round in 0..80 {
        let file = iap(&payload(3464, round), (1, 0, round.into()), &real_map());
        assert_eq!(board.push(&file), Pushed::Committed, "{round}");
        board.nor.power_on();
        let Some(Decision::Start(start)) = board.boot() else {
            panic!("update {round} does not start");
        };
        let version = start.image.unwrap().version().to_string();
        assert_eq!(version, format!("1.0.{round}"));
        for generation in generations(&board).into_iter().flatten() {
            if !seen.contains(&generation) {
                seen.push(generation);
            }
        }
    }
    assert_eq!(seen[..5], [u32::MAX - 1, u32::MAX, 0, 1, 2]);
}

#[test]
fn what_looks_like_a_newer_header_without_a_seal_is_erased_on_either_side_of_zero() {
    for (ours, rival, is_erased) in [
        (5, 6, true),
        (u32::MAX, 0, true),
        (u32::MAX, 7, true),
        (5, 5 + (1 << 31), true),
        (5, 5, true),
        (5, 4, false),
        (0, u32::MAX, false),
    ] {
        let mut board = with_record(ours, Entry::Counter { value: 0 });
        // Proves the head of the active sector: something was appended.
        board.nor.load(SECTORS[0] + log_offset(1), &[0; 32]);
        let header = SectorHeader { generation: rival };
        board.nor.load(SECTORS[1], &header.encode());
        let file = iap(&payload(3464, 1), (1, 0, 0), &real_map());
        assert_eq!(board.push(&file), Pushed::Committed);
        let erases = board.nor.counters().erases[2];
        assert_eq!(erases, u32::from(is_erased), "{ours} and {rival}");
    }
}

#[test]
fn an_update_that_began_is_remembered_although_its_image_cannot_be_read() {
    let begun = Entry::Begun {
        slot: 3,
        header_crc32: 0x1234_5678,
    };
    let mut board = with_record(1, begun);
    board.config.bare_rule = true;
    board.nor.load(APPLICATION, &payload(3464, 1));
    for boot in 0..3 {
        let stays = Some(Decision::Stay(IapReason::UpdateUnfinished));
        assert_eq!(board.boot(), stays, "boot {boot}");
    }
    // The record has moved, which is where it was forgotten.
    assert_eq!(generations(&board)[1], Some(2));
    let file = iap(&payload(3464, 2), (2, 0, 0), &real_map());
    assert_eq!(board.push(&file), Pushed::Committed);
    assert!(matches!(board.boot(), Some(Decision::Start(start)) if start.image.is_some()));
}

#[test]
fn a_commit_is_remembered_although_its_image_cannot_be_read() {
    let committed = Entry::Committed {
        slot: 3,
        header_crc32: 0x1234_5678,
    };
    let mut board = with_record(1, committed);
    board.nor.load(APPLICATION, &payload(3464, 1));
    for boot in 0..3 {
        let stays = Some(Decision::Stay(IapReason::ApplicationDamaged));
        assert_eq!(board.boot(), stays, "boot {boot}");
    }
    assert_eq!(generations(&board)[1], Some(2));
}
