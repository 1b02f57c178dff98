//! The update machine on the strict flash: what is refused costs nothing, what is committed starts.

mod common;

use common::{APPLICATION, Board, Pushed, header, iap, payload, real_map};
use iap_core::boot::{BootInputs, Decision};
use iap_protocol::ErrorCode;
use iap_protocol::header::{Flags, ImageHeader};
use iap_protocol::record::{Entry, SEAL, SEAL_RUN_LEN, SectorHeader, log_offset};
use iap_protocol::status::{IapReason, Policy};
use iap_protocol::version::Version;

/// Fits the 96 KiB ring.
const SMALL: usize = 50_001;
/// Does not.
const LARGE: usize = 300_003;

fn started(decision: Option<Decision>) -> ImageHeader {
    match decision {
        Some(Decision::Start(start)) => {
            let image = start.image.expect("a committed image");
            ImageHeader::decode_recorded(&image.0).expect("a header")
        }
        other => panic!("expected a start, got {other:?}"),
    }
}

#[test]
fn committed_images_of_every_length_are_in_flash_byte_for_byte_and_start() {
    for len in [
        64,
        65,
        66,
        67,
        3464,
        98_303,
        98_304,
        98_305,
        131_072,
        131_073,
        LARGE,
        896 * 1024,
    ] {
        let mut board = Board::new(real_map(), 1);
        let bytes = payload(len, 7);
        assert_eq!(
            board.push(&iap(&bytes, (1, 2, 3), &board.config.map.clone())),
            Pushed::Committed,
            "{len}"
        );
        assert_eq!(board.application_bytes(len), bytes, "{len}");
        assert_eq!(started(board.boot()).version, Version::new(1, 2, 3));
        let sectors = len.div_ceil(128 * 1024) as u64;
        assert_eq!(
            board.nor.counters().erased(),
            sectors + 1,
            "the sectors the image needs, and a new record"
        );
    }
}

#[test]
fn raw_images_are_committed_with_and_without_a_declared_size() {
    for len in [64, 3464, SMALL, LARGE] {
        for declared in [Some(len as u32), None] {
            let mut board = Board::new(real_map(), 2);
            let bytes = payload(len, 9);
            assert_eq!(board.push_declared(&bytes, declared), Pushed::Committed);
            assert_eq!(board.application_bytes(len), bytes);
            let image = started(board.boot());
            assert!(image.flags.contains(Flags::RAW));
            assert_eq!(image.payload_size as usize, len);
        }
    }
}

#[test]
fn the_same_image_again_touches_no_flash() {
    for len in [SMALL, LARGE] {
        let mut board = Board::new(real_map(), 3);
        let file = iap(&payload(len, 1), (1, 0, 0), &board.config.map.clone());
        assert_eq!(board.push(&file), Pushed::Committed);
        let before = board.nor.counters().operations();
        assert_eq!(board.push(&file), Pushed::Committed);
        assert_eq!(board.nor.counters().operations(), before);
    }
    let mut board = Board::new(real_map(), 3);
    let raw = payload(SMALL, 1);
    assert_eq!(board.push(&raw), Pushed::Committed);
    let before = board.nor.counters().operations();
    assert_eq!(board.push(&raw), Pushed::Committed);
    assert_eq!(
        board.nor.counters().operations(),
        before,
        "a raw image that fits the ring is skipped as well"
    );
}

#[test]
fn a_new_version_writes_only_the_sectors_that_differ() {
    let old = payload(LARGE, 1);
    let mut board = Board::with_application(real_map(), &old, 4);
    let mut new = old.clone();
    new[200_000] ^= 1;
    let before = board.nor.counters().erases.clone();
    assert_eq!(
        board.push(&iap(&new, (1, 1, 0), &board.config.map.clone())),
        Pushed::Committed
    );
    let erased: Vec<_> = (0..12)
        .filter(|&i| board.nor.counters().erases[i] != before[i])
        .collect();
    assert_eq!(erased, [6]);
    assert_eq!(board.application_bytes(LARGE), new);
}

#[test]
fn another_version_number_on_the_same_bytes_is_recorded_without_an_erase() {
    let bytes = payload(SMALL, 1);
    let mut board = Board::with_application(real_map(), &bytes, 4);
    let erased = board.nor.counters().erased();
    assert_eq!(
        board.push(&iap(&bytes, (2, 0, 0), &board.config.map.clone())),
        Pushed::Committed
    );
    assert_eq!(board.nor.counters().erased(), erased);
    assert_eq!(started(board.boot()).version, Version::new(2, 0, 0));
}

/// Pushes what `change` makes of a good file; asserts the refusal, that no flash operation was done and that the old application
/// starts.
fn refused_without_an_operation(
    len: usize,
    code: ErrorCode,
    change: impl Fn(&mut ImageHeader, &mut Vec<u8>),
) {
    let old = payload(SMALL, 1);
    let mut board = Board::with_application(real_map(), &old, 5);
    let mut bytes = payload(len, 2);
    let mut image = header(&bytes, Version::new(3, 0, 0), &board.config.map);
    change(&mut image, &mut bytes);
    let file = [&image.encode()[..], &bytes].concat();
    let before = board.nor.counters().operations();
    for declared in [Some(file.len() as u32), None] {
        match board.push_declared(&file, declared) {
            Pushed::Refused(refusal) => assert_eq!(refusal.code, code, "{refusal}"),
            other => panic!("{other:?} instead of {code:?}"),
        }
        assert_eq!(board.nor.counters().operations(), before, "{code:?}");
        assert_eq!(started(board.boot()).version, Version::new(1, 0, 0));
    }
}

#[test]
fn what_the_header_gives_away_is_refused_without_a_flash_operation() {
    for len in [SMALL, LARGE] {
        refused_without_an_operation(len, ErrorCode::WrongBoard, |image, _| {
            image.board = "other".try_into().unwrap()
        });
        refused_without_an_operation(len, ErrorCode::WrongLoadAddress, |image, _| {
            image.load_address = 0x0800_0000
        });
        refused_without_an_operation(len, ErrorCode::TooLarge, |image, _| {
            image.payload_size = 896 * 1024 + 1
        });
        refused_without_an_operation(len, ErrorCode::IapTooOld, |image, _| {
            image.min_iap_version = (99, 0, 0)
        });
        refused_without_an_operation(len, ErrorCode::VectorTable, |_, bytes| bytes[7] = 0x20);
        refused_without_an_operation(len, ErrorCode::Empty, |image, _| image.payload_size = 0);
    }
}

#[test]
fn an_image_that_fits_the_ring_is_judged_whole_before_the_old_application_is_touched() {
    refused_without_an_operation(SMALL, ErrorCode::PayloadCrc, |_, bytes| {
        bytes[SMALL - 1] ^= 1
    });
    refused_without_an_operation(SMALL, ErrorCode::PayloadDigest, |image, _| {
        image.digest = iap_protocol::header::PayloadDigest::Sha256([1; 32]);
    });
    refused_without_an_operation(SMALL, ErrorCode::SectorCrc, |image, _| {
        image.sector_crc32[5] ^= 1
    });
    refused_without_an_operation(SMALL, ErrorCode::Truncated, |_, bytes| {
        bytes.truncate(SMALL - 1)
    });
    refused_without_an_operation(SMALL, ErrorCode::TrailingBytes, |_, bytes| bytes.push(0));
}

#[test]
fn header_bytes_that_were_damaged_are_refused_without_a_flash_operation() {
    let mut board = Board::with_application(real_map(), &payload(SMALL, 1), 6);
    let good = iap(&payload(SMALL, 2), (2, 0, 0), &board.config.map.clone());
    let before = board.nor.counters().operations();
    for (at, code) in [
        (0, ErrorCode::VectorTable),
        (4, ErrorCode::HeaderVersion),
        (200, ErrorCode::HeaderCrc),
    ] {
        let mut file = good.clone();
        file[at] ^= 0x40;
        assert!(
            matches!(board.push(&file), Pushed::Refused(refusal) if refusal.code == code),
            "{at}"
        );
    }
    assert_eq!(board.nor.counters().operations(), before);
}

#[test]
fn files_of_other_formats_are_refused_with_what_to_do() {
    let mut board = Board::new(real_map(), 7);
    for (bytes, code) in [
        (&b""[..], ErrorCode::Empty),
        (b"abc", ErrorCode::VectorTable),
        (b"\x7FELF\x01\x01\x01", ErrorCode::ElfFile),
        (b":020000040802F0\r\n", ErrorCode::HexFile),
        (b"S00600004844521B\r\n", ErrorCode::SrecFile),
        (b"IAPP", ErrorCode::HeaderTruncated),
        (b"IAPH\x01\x00\x00\x02", ErrorCode::HeaderTruncated),
        (&[0xFF; 4096], ErrorCode::VectorTable),
        (&[0; 40], ErrorCode::VectorTable),
    ] {
        match board.push(bytes) {
            Pushed::Refused(refusal) => assert_eq!(refusal.code, code, "{refusal}"),
            other => panic!("{other:?} for {bytes:?}"),
        }
    }
    assert_eq!(board.nor.counters().operations(), 0);
}

#[test]
fn a_larger_image_that_turns_out_bad_leaves_the_board_in_iap_mode() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, ErrorCode); 3] = [
        (|file| file[LARGE] ^= 1, ErrorCode::PayloadCrc),
        (|file| file.truncate(LARGE), ErrorCode::Truncated),
        (|file| file.push(1), ErrorCode::TrailingBytes),
    ];
    for (change, code) in changes {
        let mut board = Board::with_application(real_map(), &payload(LARGE, 1), 8);
        let good = iap(&payload(LARGE, 2), (2, 0, 0), &board.config.map.clone());
        let mut bad = good.clone();
        change(&mut bad);
        // Without a declared length the board learns of the damage only at the end.
        assert!(
            matches!(board.push_declared(&bad, None), Pushed::Refused(refusal) if refusal.code == code),
            "{code:?}"
        );
        assert_eq!(
            board.boot(),
            Some(Decision::Stay(IapReason::UpdateUnfinished)),
            "{code:?}"
        );
        assert_eq!(board.push(&good), Pushed::Committed);
        assert_eq!(started(board.boot()).version, Version::new(2, 0, 0));
    }
}

#[test]
fn an_interrupted_update_resumes_and_writes_only_what_is_missing() {
    let mut board = Board::with_application(real_map(), &payload(LARGE, 1), 9);
    let file = iap(&payload(LARGE, 2), (2, 0, 0), &board.config.map.clone());
    assert!(matches!(
        board.push_declared(&file[..290_000], None),
        Pushed::Refused(_)
    ));
    board.nor.power_on();
    let before = board.nor.counters().erases.clone();
    assert_eq!(board.push(&file), Pushed::Committed);
    let erased: Vec<_> = (0..12)
        .filter(|&i| board.nor.counters().erases[i] != before[i])
        .collect();
    assert_eq!(erased, [6, 7], "sector 5 was done");
}

#[test]
fn policy_signed_refuses_raw_and_unsigned_images() {
    let mut board = Board::new(real_map(), 10);
    board.config.policy = Policy::Signed;
    let bytes = payload(SMALL, 1);
    let unsigned = iap(&bytes, (1, 0, 0), &board.config.map.clone());
    assert!(
        matches!(board.push(&bytes), Pushed::Refused(refusal) if refusal.code == ErrorCode::RawNotAllowed)
    );
    assert!(
        matches!(board.push(&unsigned), Pushed::Refused(refusal) if refusal.code == ErrorCode::NotSigned)
    );
    assert_eq!(board.nor.counters().operations(), 0);
}

#[test]
fn data_sectors_are_written_only_by_images_that_say_so() {
    let mut board = Board::new(real_map(), 11);
    board.config.map.data_sectors.insert(6);
    let bytes = payload(LARGE, 1);
    let mut image = header(&bytes, Version::new(1, 0, 0), &board.config.map);
    let file = [&image.encode()[..], &bytes].concat();
    assert!(
        matches!(board.push(&file), Pushed::Refused(refusal) if refusal.code == ErrorCode::DataSectors)
    );
    assert_eq!(board.nor.counters().operations(), 0);
    image.flags = Flags::DATA;
    let file = [&image.encode()[..], &bytes].concat();
    assert_eq!(board.push(&file), Pushed::Committed);
}

/// A record that says nothing but the security counter, as a production line may write it.
fn with_security_counter(value: u32) -> Board {
    let mut board = Board::new(real_map(), 12);
    let sector = 0x0800_4000;
    let header = [
        &SectorHeader { generation: 1 }.encode()[..],
        &[0; SEAL_RUN_LEN],
    ]
    .concat();
    board.nor.load(sector, &header);
    let entry = [&Entry::Counter { value }.encode()[..], &SEAL].concat();
    board.nor.load(sector + log_offset(0), &entry);
    board
}

fn with_counter(counter: u32, seed: u8, board: &Board) -> Vec<u8> {
    let bytes = payload(3464, seed);
    let mut image = header(
        &bytes,
        Version::new(1, 0, u16::from(seed)),
        &board.config.map,
    );
    image.security_counter = counter;
    [&image.encode()[..], &bytes].concat()
}

#[test]
fn images_below_the_security_counter_are_refused_through_every_change_of_the_record_sector() {
    let mut board = with_security_counter(7);
    for round in 0..60 {
        assert_eq!(
            board.push(&with_counter(7, round, &board)),
            Pushed::Committed
        );
        assert_eq!(
            started(board.boot()).version,
            Version::new(1, 0, u16::from(round))
        );
    }
    let erases = &board.nor.counters().erases;
    assert!(
        erases[1] > 1 && erases[2] > 1,
        "both record sectors took turns: {erases:?}"
    );
    let low = with_counter(6, 99, &board);
    let raw = payload(3464, 1);
    for file in [low, raw] {
        assert!(
            matches!(board.push(&file), Pushed::Refused(refusal) if refusal.code == ErrorCode::CounterTooLow)
        );
    }
}

#[test]
fn an_image_that_nobody_signed_cannot_raise_the_security_counter() {
    let mut board = Board::new(real_map(), 13);
    assert_eq!(
        board.push(&with_counter(u32::MAX, 1, &board)),
        Pushed::Committed
    );
    assert_eq!(board.push(&with_counter(0, 2, &board)), Pushed::Committed);
}

#[test]
fn boot_stays_in_iap_mode_for_the_key_a_request_and_an_empty_board() {
    let mut board = Board::new(real_map(), 14);
    assert_eq!(board.boot(), Some(Decision::Stay(IapReason::NoApplication)));
    let mut board = Board::with_application(real_map(), &payload(SMALL, 1), 14);
    let with = |inputs| move |board: &mut Board| board.decide(inputs);
    let key = BootInputs {
        key_held: true,
        ..BootInputs::default()
    };
    let request = BootInputs {
        requested: true,
        ..BootInputs::default()
    };
    assert_eq!(
        with(key)(&mut board),
        Some(Decision::Stay(IapReason::KeyHeld))
    );
    assert_eq!(
        with(request)(&mut board),
        Some(Decision::Stay(IapReason::Requested))
    );
    board.config.power_on_window_s = 3;
    let power_on = BootInputs {
        power_on: true,
        ..BootInputs::default()
    };
    assert_eq!(
        with(power_on)(&mut board),
        Some(Decision::Stay(IapReason::PowerOnWindow))
    );
}

#[test]
fn an_image_that_must_confirm_is_given_three_starts() {
    let mut board = Board::new(real_map(), 15);
    let bytes = payload(SMALL, 1);
    let mut image = header(&bytes, Version::new(1, 0, 0), &board.config.map);
    image.flags = Flags::CONFIRM;
    assert_eq!(
        board.push(&[&image.encode()[..], &bytes].concat()),
        Pushed::Committed
    );
    for (unconfirmed_starts, starts) in [(0, true), (2, true), (3, false), (200, false)] {
        let decision = board
            .decide(BootInputs {
                unconfirmed_starts,
                ..BootInputs::default()
            })
            .unwrap();
        match decision {
            Decision::Start(start) => assert!(starts && start.must_confirm()),
            Decision::Stay(reason) => {
                assert_eq!((reason, starts), (IapReason::NotConfirmed, false))
            }
        }
    }
}

#[test]
fn an_application_that_was_changed_behind_the_record_s_back_does_not_start() {
    let mut board = Board::with_application(real_map(), &payload(SMALL, 1), 16);
    board.nor.load(APPLICATION + 1000, &[0x55; 4]);
    assert_eq!(
        board.boot(),
        Some(Decision::Stay(IapReason::ApplicationDamaged))
    );
    board.config.bare_rule = true;
    assert!(
        matches!(board.boot(), Some(Decision::Start(start)) if start.image.is_none()),
        "the bare rule lets the vectors decide"
    );
    board.config.policy = Policy::Signed;
    assert_eq!(
        board.boot(),
        Some(Decision::Stay(IapReason::ApplicationDamaged)),
        "but never with policy signed"
    );
}

#[test]
fn the_bare_rule_starts_an_application_from_a_probe_but_never_an_unfinished_update() {
    let mut board = Board::new(real_map(), 17);
    board.config.bare_rule = true;
    assert_eq!(board.boot(), Some(Decision::Stay(IapReason::NoApplication)));
    board.nor.load(APPLICATION, &payload(SMALL, 1));
    assert!(matches!(board.boot(), Some(Decision::Start(_))));
    let file = iap(&payload(LARGE, 2), (2, 0, 0), &board.config.map.clone());
    assert!(matches!(
        board.push_declared(&file[..290_000], None),
        Pushed::Refused(_)
    ));
    assert_eq!(
        board.boot(),
        Some(Decision::Stay(IapReason::UpdateUnfinished))
    );
}
