//! Policy `signed` against whoever has a signed image and no key: its header with other bytes of the same CRCs behind it. What that costs is
//! written in `protocol/SECURITY.md`; it must never cost more than one push of the genuine image.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{
    Board, Pushed, begin_with, header, in_one_session, major, payload, real_map, refusal,
    scaled_map, state,
};
use iap_core::boot::Decision;
use iap_core::intake::Intake;
use iap_core::record::Last;
use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::header::{HEADER_LEN, ImageHeader, PayloadDigest, Prefix};
use iap_protocol::memory::{MemoryMap, SectorSet};
use iap_protocol::status::IapReason;
use iap_protocol::version::Version;
use iap_sim::bench::{push_with_ring, transfer};
use iap_sim::nor::{Cut, Moment};
use iap_sim::signer::{forge, require_signatures, signed_file};

/// Three sectors of the real map, and more than the ring of 96 KiB.
const LARGE: usize = 290_003;
/// Fits the ring.
const SMALL: usize = 5_001;
/// A ring that no image of these tests fits.
const TINY: [usize; 2] = [1024; 2];

/// A board that takes signed images and has version 1.0.0.
fn board(map: MemoryMap) -> Board {
    let mut board = Board::new(map, 1);
    require_signatures(&mut board.config);
    let file = image(&board, &payload(SMALL, 1), 1);
    assert_eq!(board.push(&file), Pushed::Committed);
    board
}

/// The same, and a genuine image of version 2.0.0: its payload and its file.
fn board_and_image(map: MemoryMap, len: usize) -> (Board, Vec<u8>, Vec<u8>) {
    let (board, bytes) = (board(map), payload(len, 2));
    let file = image(&board, &bytes, 2);
    (board, bytes, file)
}

/// Version `major`.0.0, signed.
fn image(board: &Board, payload: &[u8], major: u16) -> Vec<u8> {
    let header = header(payload, Version::new(major, 0, 0), &board.config.map);
    signed_file(header, payload, 0, |_| {})
}

/// `file` with five bytes of its payload changed from `at` on: all CRCs as the header says them, and not the digest.
fn forged(board: &Board, file: &[u8], at: usize) -> Vec<u8> {
    let mut forged = file.to_vec();
    forge(&mut forged[HEADER_LEN..], at);
    let made_of = |file: &[u8]| {
        let version = ImageHeader::decode(file).unwrap().version;
        header(&file[HEADER_LEN..], version, &board.config.map)
    };
    let (right, wrong) = (made_of(file), made_of(&forged));
    assert_eq!(right.sector_crc32, wrong.sector_crc32);
    assert_eq!(right.payload_crc32, wrong.payload_crc32);
    assert!(matches!(right.digest, PayloadDigest::Sha256(_)));
    assert_ne!(right.digest, wrong.digest);
    forged
}

/// Version 2.0.0 starts, byte for byte.
fn runs(board: &mut Board, payload: &[u8], at: &str) {
    assert_eq!(major(board.boot()), Some(2), "{at}");
    assert_eq!(board.application_bytes(payload.len()), payload, "{at}");
}

/// A push that the digest refuses after all of it was written.
fn is_refused_in_flash(pushed: &Pushed) {
    let Pushed::Refused(why) = pushed else {
        panic!("the board took it: {pushed:?}");
    };
    assert_eq!(why.code, ErrorCode::PayloadDigest);
    assert!(why.to_string().contains("push again"), "{why}");
}

/// The sectors of the real map in which the large image is forged: their beginnings, behind the vector table, and its end.
const PLACES: [usize; 4] = [64, 128 * 1024, 256 * 1024, LARGE - 5];

#[test]
fn a_forged_image_costs_the_genuine_one_nothing_after_a_reset() {
    let (original, bytes, file) = board_and_image(real_map(), LARGE);
    for at in PLACES {
        let mut board = original.clone();
        for _ in 0..2 {
            let pushed = board.push(&forged(&board, &file, at));
            is_refused_in_flash(&pushed);
            let stays = Decision::Stay(IapReason::UpdateUnfinished);
            assert_eq!(board.boot(), Some(stays), "forged at {at}");
            let state = state(&mut board);
            assert_eq!(state.last, Last::Begun);
            assert_eq!(state.done, (5..=7).collect::<SectorSet>());
        }
        assert_eq!(board.push(&file), Pushed::Committed, "forged at {at}");
        runs(&mut board, &bytes, &format!("forged at {at}"));
    }
}

#[test]
fn a_forged_image_costs_the_genuine_one_nothing_in_the_same_session() {
    let (mut board, bytes, file) = board_and_image(real_map(), LARGE);
    let wrong = forged(&board, &file, 128 * 1024);
    let declared = Some(file.len() as u32);
    in_one_session(&mut board, |updater| {
        for _ in 0..2 {
            is_refused_in_flash(&transfer(updater, &wrong, declared));
        }
        assert_eq!(transfer(updater, &file, declared), Pushed::Committed);
    });
    runs(&mut board, &bytes, "in one session");
}

#[test]
fn a_forged_transfer_that_never_ends_costs_the_genuine_one_nothing() {
    // Its first sector is DONE, and no digest was looked at.
    let (original, bytes, file) = board_and_image(real_map(), LARGE);
    let wrong = forged(&original, &file, 64);
    for same_session in [false, true] {
        let mut board = original.clone();
        in_one_session(&mut board, |updater| {
            let ticket = begin_with(updater, None, &wrong[..HEADER_LEN + 270_000]);
            assert!(updater.record().done.contains(5));
            updater.abort(ticket, &Refusal::new(ErrorCode::ClientSilent));
            if same_session {
                let pushed = transfer(updater, &file, Some(file.len() as u32));
                assert_eq!(pushed, Pushed::Committed);
            }
        });
        if !same_session {
            assert_eq!(board.push(&file), Pushed::Committed);
        }
        runs(&mut board, &bytes, "after a client that vanished");
    }
}

#[test]
fn nothing_of_an_unfinished_update_may_be_left_out_of_a_transfer() {
    let (mut board, _, file) = board_and_image(real_map(), LARGE);
    is_refused_in_flash(&board.push(&forged(&board, &file, 64)));
    let sectors = [6, 7].into_iter().collect();
    let rest = &file[HEADER_LEN + 128 * 1024..];
    let partial = [&Prefix { sectors }.encode()[..], &file[..HEADER_LEN], rest].concat();
    let why = refusal(&mut board, &partial);
    assert_eq!(why.code, ErrorCode::PartialTransfer);
}

#[test]
fn an_image_that_fits_the_ring_is_judged_by_its_digest_behind_a_prefix_too() {
    let (mut board, bytes, file) = board_and_image(real_map(), SMALL);
    let wrong = forged(&board, &file, 64);
    let sectors = [5].into_iter().collect();
    let behind = |file: &[u8]| [&Prefix { sectors }.encode()[..], file].concat();
    for file in [wrong.clone(), behind(&wrong)] {
        let why = refusal(&mut board, &file);
        assert_eq!(why.code, ErrorCode::PayloadDigest);
        assert_eq!(major(board.boot()), Some(1), "the old application runs");
    }
    assert_eq!(board.push(&behind(&file)), Pushed::Committed);
    runs(&mut board, &bytes, "all of it behind a prefix");
}

#[test]
fn without_signatures_too_a_wrong_digest_in_flash_is_mended_by_the_next_push() {
    let (mut board, bytes, file) = board_and_image(real_map(), LARGE);
    board.config = Board::new(real_map(), 1).config;
    is_refused_in_flash(&board.push(&forged(&board, &file, 64)));
    // What a session has learnt it forgets with the power: here one more push is refused.
    in_one_session(&mut board, |updater| {
        let declared = Some(file.len() as u32);
        is_refused_in_flash(&transfer(updater, &file, declared));
        assert_eq!(transfer(updater, &file, declared), Pushed::Committed);
    });
    runs(&mut board, &bytes, "policy open");
}

#[test]
fn the_genuine_image_follows_a_forged_one_whatever_power_cuts_do_between() {
    // The forged push is cut, and in some cases the genuine one after it as well. The sweep cuts that one at every operation.
    let (original, bytes, file) = board_and_image(scaled_map(), 2_300);
    let mut wrong = forged(&original, &file, 64);
    forge(&mut wrong[HEADER_LEN..], 2_100);
    let push_forged = |board: &mut Board| {
        let declared = Some(wrong.len() as u32);
        push_with_ring(TINY, &mut board.nor, &board.config, &wrong, declared)
    };
    let mut whole = original.clone();
    is_refused_in_flash(&push_forged(&mut whole).unwrap());
    let operations = whole.nor.counters().operations() - original.nor.counters().operations();
    let mut twice = 0;
    for index in (0..operations).filter(|index| index % 7 == 0 || index + 40 > operations) {
        for moment in Moment::ALL {
            let at = format!("operation {index} of {operations}, {moment:?}");
            let mut board = original.clone();
            board.nor.plan_cut(Cut::new(index, moment));
            let _ = push_forged(&mut board);
            assert!(board.nor.is_off(), "{at}");
            let is_old = match board.boot() {
                Some(Decision::Stay(IapReason::UpdateUnfinished)) => false,
                decision => {
                    assert_eq!(major(decision), Some(1), "{at}");
                    true
                }
            };
            if index % 2 == 0 && !is_old {
                let mut cut = board.clone();
                cut.nor.plan_cut(Cut::new(index / 2, moment));
                assert_eq!(cut.push(&file), Pushed::PowerLost, "{at}");
                cut.boot().unwrap();
                assert_eq!(cut.push(&file), Pushed::Committed, "{at}");
                runs(&mut cut, &bytes, &at);
                twice += 1;
            }
            assert_eq!(board.push(&file), Pushed::Committed, "{at}");
            runs(&mut board, &bytes, &at);
        }
    }
    assert!(twice > 150, "{twice} of {operations}");
}
