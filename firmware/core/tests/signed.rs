//! Policy `signed`: only what one of the board's keys has signed is ever installed, and what is refused costs nothing.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Board, Pushed, header, major, payload, real_map, refusal, scaled_map, state};
use iap_core::boot::Decision;
use iap_core::record::Last;
use iap_protocol::ErrorCode;
use iap_protocol::crc::crc32;
use iap_protocol::error::Refusal;
use iap_protocol::header::{Flags, HEADER_LEN, ImageHeader, PayloadDigest, Prefix, SIGNED_LEN};
use iap_protocol::memory::SectorSet;
use iap_protocol::status::{IapReason, Policy};
use iap_protocol::version::Version;
use iap_sim::bench::push_with_ring;
use iap_sim::nor::{Cut, Moment};
use iap_sim::rng::Rng;
use iap_sim::signer::{require_signatures, sign, signed_file};

/// Fits the ring of 96 KiB.
const SMALL: usize = 5_001;
/// Does not fit the ring of [`push_with_small_ring`].
const LARGE: usize = 27_003;
/// The first key, which can never be revoked, and the last.
const FIRST: u8 = 0;
const LAST: u8 = 2;
/// Nobody the board knows.
const STRANGER: u8 = 3;

/// A board that takes signed images and has version 1.0.0.
fn board() -> Board {
    let mut board = Board::new(real_map(), 1);
    require_signatures(&mut board.config);
    let file = image(&board, SMALL, 1, FIRST, |_| {});
    assert_eq!(board.push(&file), Pushed::Committed);
    board
}

/// Version `major`.0.0, signed as key `id` after `change`.
fn image(
    board: &Board,
    len: usize,
    major: u8,
    id: u8,
    change: impl FnOnce(&mut ImageHeader),
) -> Vec<u8> {
    let bytes = payload(len, major);
    let version = Version::new(major.into(), 0, 0);
    signed_file(
        header(&bytes, version, &board.config.map),
        &bytes,
        id,
        change,
    )
}

/// The header's CRC made right again: only the signature can notice the change.
fn mend_crc(file: &mut [u8]) {
    let crc = crc32(&file[..HEADER_LEN - 4]);
    file[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn every_bit_of_a_signed_header_counts() {
    let mut board = board();
    let good = image(&board, SMALL, 2, LAST, |_| {});
    let mut by_signature = 0;
    for bit in 0..8 * HEADER_LEN {
        let mut file = good.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        refusal(&mut board, &file);
        // An attacker makes the CRC right again. That of a CRC which was flipped itself is then as it was.
        mend_crc(&mut file);
        if bit / 8 < HEADER_LEN - 4 {
            let code = refusal(&mut board, &file).code;
            by_signature += u32::from(code == ErrorCode::BadSignature);
            assert!(
                bit / 8 < SIGNED_LEN || code == ErrorCode::BadSignature,
                "bit {bit}: {code:?}"
            );
        }
    }
    // The others change a field whose value is refused before the signature is looked at.
    assert!(by_signature > 1800, "only {by_signature} met the signature");
    assert_eq!(major(board.boot()), Some(1));
    assert_eq!(board.push(&good), Pushed::Committed);
    assert_eq!(major(board.boot()), Some(2));
}

#[test]
fn five_thousand_damaged_payloads_that_fit_the_ring_cost_nothing() {
    let mut board = board();
    let good = image(&board, SMALL, 2, FIRST, |_| {});
    let mut random = Rng::new(0x5167);
    for _ in 0..5_000 {
        let mut file = good.clone();
        let bit = random.below(8 * SMALL as u64) as usize;
        file[HEADER_LEN + bit / 8] ^= 1 << (bit % 8);
        let code = refusal(&mut board, &file).code;
        assert!(
            matches!(code, ErrorCode::PayloadCrc | ErrorCode::VectorTable),
            "bit {bit}: {code:?}"
        );
    }
    assert_eq!(major(board.boot()), Some(1));
}

/// A push to a board with a ring of 26 KiB, of which [`iap_core::update::RING_RESERVE`] are spare: the first erase comes early.
fn push_with_small_ring(board: &mut Board, file: &[u8]) -> Result<(), Refusal> {
    let (ring, declared) = ([16 * 1024, 10 * 1024], Some(file.len() as u32));
    match push_with_ring(ring, &mut board.nor, &board.config, file, declared).unwrap() {
        Pushed::Committed => Ok(()),
        Pushed::Refused(why) => Err(why),
        Pushed::PowerLost => panic!("nobody cut it"),
    }
}

#[test]
fn five_thousand_damaged_payloads_that_do_not_fit_the_ring_are_never_started() {
    let original = board();
    let good = image(&original, LARGE, 2, FIRST, |_| {});
    let mut random = Rng::new(0x1A56E);
    let mut cost_the_old_one = 0;
    for round in 0..5_000 {
        let mut board = original.clone();
        let mut file = good.clone();
        let bit = random.below(8 * LARGE as u64) as usize;
        file[HEADER_LEN + bit / 8] ^= 1 << (bit % 8);
        let refusal = push_with_small_ring(&mut board, &file).unwrap_err();
        let decision = board.boot();
        match refusal.code {
            // In the first 64 bytes: seen before the first erase.
            ErrorCode::VectorTable => assert_eq!(major(decision), Some(1), "bit {bit}"),
            ErrorCode::PayloadCrc | ErrorCode::SectorCrc => {
                cost_the_old_one += 1;
                let stays = Decision::Stay(IapReason::UpdateUnfinished);
                assert_eq!(decision, Some(stays), "bit {bit}");
            }
            code => panic!("bit {bit}: {code:?}"),
        }
        if round % 500 == 0 {
            push_with_small_ring(&mut board, &good).unwrap();
            assert_eq!(major(board.boot()), Some(2));
        }
    }
    assert!(cost_the_old_one > 4_900, "{cost_the_old_one}");
}

#[test]
fn a_payload_with_right_crcs_but_another_digest_is_refused() {
    // CRCs are no secret: whoever has no key can make a payload to any of them. Here the header is signed with a digest of something else,
    // which shows the same thing without the search.
    let other = PayloadDigest::Sha256([0x5A; 32]);
    let mut board = board();
    let small = image(&board, SMALL, 2, FIRST, |header| header.digest = other);
    assert_eq!(refusal(&mut board, &small).code, ErrorCode::PayloadDigest);
    assert_eq!(major(board.boot()), Some(1));
    let large = image(&board, LARGE, 2, FIRST, |header| header.digest = other);
    let refused = push_with_small_ring(&mut board, &large).unwrap_err();
    assert_eq!(refused.code, ErrorCode::PayloadDigest);
    let stays = Decision::Stay(IapReason::UpdateUnfinished);
    assert_eq!(board.boot(), Some(stays));
}

#[test]
fn what_is_in_flash_is_compared_with_the_digest_before_the_commit() {
    // Sector 5 holds other bytes than the image's with the same CRC: a CRC alone would skip it. An image that fits the ring does not come
    // so far, as its sectors are judged there.
    let mut board = board();
    let old = image(&board, LARGE, 1, FIRST, |_| {});
    push_with_small_ring(&mut board, &old).unwrap();
    let bytes = payload(LARGE, 2);
    let wanted = header(&bytes, Version::new(2, 0, 0), &board.config.map);
    let held = payload(LARGE, 1);
    let file = signed_file(wanted, &bytes, FIRST, |header| {
        header.sector_crc32[5] = crc32(&held);
        header.payload_crc32 = crc32(&bytes);
    });
    let before = board.nor.counters().operations();
    let refused = push_with_small_ring(&mut board, &file).unwrap_err();
    assert_eq!(refused.code, ErrorCode::SectorCrc);
    assert_eq!(board.nor.counters().operations(), before);
    assert_eq!(major(board.boot()), Some(1));
}

#[test]
fn a_partial_transfer_is_held_to_the_signature_and_the_digest() {
    let mut board = board();
    let (bytes, map) = (payload(SMALL, 1), board.config.map.clone());
    let nothing = Prefix {
        sectors: SectorSet::EMPTY,
    };
    let transfer = |id, change: fn(&mut ImageHeader)| {
        let file = signed_file(
            header(&bytes, Version::new(2, 0, 0), &map),
            &bytes,
            id,
            change,
        );
        [&nothing.encode()[..], &file[..HEADER_LEN]].concat()
    };
    let before = board.nor.counters().operations();
    let stranger_s = transfer(STRANGER, |_| {});
    assert_eq!(refusal(&mut board, &stranger_s).code, ErrorCode::UnknownKey);
    // All CRCs are right, and what is in flash is not what was signed.
    let another_s = transfer(FIRST, |header| {
        header.digest = PayloadDigest::Sha256([0x5A; 32]);
    });
    assert_eq!(
        refusal(&mut board, &another_s).code,
        ErrorCode::PayloadDigest
    );
    assert_eq!(board.nor.counters().operations(), before);
    assert_eq!(major(board.boot()), Some(1));
    assert_eq!(board.push(&transfer(FIRST, |_| {})), Pushed::Committed);
    assert_eq!(major(board.boot()), Some(2));
}

#[allow(clippy::too_many_lines, reason = "a table of refusals")]
#[test]
fn images_that_nobody_vouches_for_are_refused() {
    let mut board = board();
    let map = board.config.map.clone();
    let bytes = payload(SMALL, 2);
    let plain = header(&bytes, Version::new(2, 0, 0), &map);
    let with = |header: &ImageHeader| [&header.encode()[..], &bytes].concat();
    let unsigned = with(&plain);
    let mut disguised = plain.clone();
    sign(&mut disguised, STRANGER);
    disguised.key_id = FIRST.into();
    let a = image(&board, SMALL, 3, FIRST, |_| {});
    let spliced = [&a[..HEADER_LEN], &bytes].concat();
    let elsewhere = |header: &mut ImageHeader| header.board = "other".try_into().unwrap();
    let mut longer = image(&board, SMALL, 2, FIRST, |_| {});
    let shorter = longer[..longer.len() - 1].to_vec();
    longer.push(0);
    let cases = [
        ("raw", bytes.clone(), ErrorCode::RawNotAllowed),
        ("unsigned", unsigned, ErrorCode::NotSigned),
        ("another key", with(&disguised), ErrorCode::BadSignature),
        (
            "an unknown key",
            image(&board, SMALL, 2, STRANGER, |_| {}),
            ErrorCode::UnknownKey,
        ),
        (
            "a key id that wraps",
            with(&ImageHeader {
                key_id: 256,
                ..disguised.clone()
            }),
            ErrorCode::UnknownKey,
        ),
        ("header of A, payload of B", spliced, ErrorCode::PayloadCrc),
        (
            "another board",
            image(&board, SMALL, 2, FIRST, elsewhere),
            ErrorCode::WrongBoard,
        ),
        ("truncated", shorter, ErrorCode::Truncated),
        ("extended", longer, ErrorCode::TrailingBytes),
        (
            "no digest",
            image(&board, SMALL, 2, FIRST, |header| {
                header.digest = PayloadDigest::None
            }),
            ErrorCode::BadSignature,
        ),
        (
            "revokes its own key",
            image(&board, SMALL, 2, 1, |header| header.revoked_keys = 1 << 1),
            ErrorCode::HeaderField,
        ),
        (
            "revokes the first key",
            image(&board, SMALL, 2, LAST, |header| header.revoked_keys = 1),
            ErrorCode::HeaderField,
        ),
    ];
    for (name, file, code) in cases {
        assert_eq!(refusal(&mut board, &file).code, code, "{name}");
    }
    let told = refusal(&mut board, &bytes).to_string();
    assert!(told.contains("iapctl sign"), "{told}");
    assert_eq!(major(board.boot()), Some(1));
}

/// The order of the group of Ed25519 (RFC 8032 section 5.1), little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn a_second_form_of_a_right_signature_is_refused() {
    // RFC 8032 section 5.1.7: S is below the order of the group, or there would be several signatures for one message.
    let mut board = board();
    let mut file = image(&board, SMALL, 2, FIRST, |_| {});
    let mut carry = 0;
    for (byte, order) in file[SIGNED_LEN + 32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    mend_crc(&mut file);
    assert_eq!(refusal(&mut board, &file).code, ErrorCode::BadSignature);
}

#[test]
fn a_revoked_key_signs_nothing_more_and_the_first_key_stays() {
    let mut board = board();
    let revoking = |header: &mut ImageHeader| header.revoked_keys = 1 << 1 | 1 << LAST;
    let revokes = image(&board, SMALL, 2, FIRST, revoking);
    let by_last = image(&board, SMALL, 3, LAST, |_| {});
    assert_eq!(board.push(&by_last), Pushed::Committed);
    assert_eq!(board.push(&revokes), Pushed::Committed);
    assert_eq!(state(&mut board).revoked, 1 << 1 | 1 << LAST);
    for id in [1, LAST] {
        let file = image(&board, SMALL, 4, id, |_| {});
        let refused = refusal(&mut board, &file);
        assert_eq!(refused.code, ErrorCode::KeyRevoked);
        assert!(refused.to_string().contains(&format!("(key {id})")));
    }
    let by_first = image(&board, SMALL, 5, FIRST, |_| {});
    assert_eq!(board.push(&by_first), Pushed::Committed);
    assert_eq!(major(board.boot()), Some(5));
}

#[test]
fn the_security_counter_rises_with_the_commit_and_never_falls() {
    let mut board = board();
    let counter = |value: u32| move |header: &mut ImageHeader| header.security_counter = value;
    let newer = image(&board, SMALL, 2, FIRST, counter(7));
    assert_eq!(board.push(&newer), Pushed::Committed);
    assert_eq!(state(&mut board).counter, 7);
    let older = image(&board, SMALL, 1, FIRST, counter(6));
    assert_eq!(refusal(&mut board, &older).code, ErrorCode::CounterTooLow);
    // An image that is refused raises nothing.
    let mut bad = image(&board, SMALL, 3, FIRST, counter(9));
    *bad.last_mut().unwrap() ^= 1;
    refusal(&mut board, &bad);
    assert_eq!(state(&mut board).counter, 7);
    // The same one again costs nothing.
    let before = board.nor.counters().operations();
    assert_eq!(board.push(&newer), Pushed::Committed);
    assert_eq!(board.nor.counters().operations(), before);
}

#[test]
fn the_profile_s_counter_holds_whatever_the_record_says() {
    let mut board = board();
    board.config.security_counter = 3;
    let counter = |value: u32| move |header: &mut ImageHeader| header.security_counter = value;
    let low = image(&board, SMALL, 2, FIRST, counter(2));
    let refused = refusal(&mut board, &low);
    assert_eq!(refused.code, ErrorCode::CounterTooLow);
    assert!(
        refused
            .to_string()
            .contains("expected at least 3, image says 2")
    );
    let enough = image(&board, SMALL, 2, FIRST, counter(3));
    assert_eq!(board.push(&enough), Pushed::Committed);
}

#[test]
fn an_image_that_was_committed_before_its_signature_counted_raises_the_counter_when_it_comes_again()
{
    let mut board = board();
    let counter =
        |header: &mut ImageHeader| (header.security_counter, header.revoked_keys) = (4, 4);
    let file = image(&board, SMALL, 2, FIRST, counter);
    board.config.policy = Policy::Open;
    assert_eq!(board.push(&file), Pushed::Committed);
    assert_eq!(
        (state(&mut board).counter, state(&mut board).revoked),
        (0, 0)
    );
    board.config.policy = Policy::Signed;
    assert_eq!(board.push(&file), Pushed::Committed);
    assert_eq!(
        (state(&mut board).counter, state(&mut board).revoked),
        (4, 4)
    );
}

#[test]
fn counter_and_revoked_keys_survive_changes_of_the_record_sector() {
    let mut board = board();
    let change = |header: &mut ImageHeader| (header.security_counter, header.revoked_keys) = (5, 2);
    let file = image(&board, SMALL, 2, FIRST, change);
    assert_eq!(board.push(&file), Pushed::Committed);
    for round in 0..40 {
        let change = |header: &mut ImageHeader| header.security_counter = 5;
        let file = image(&board, SMALL, 3 + round % 2, FIRST, change);
        assert_eq!(board.push(&file), Pushed::Committed);
    }
    let erases = board.nor.counters().erases.clone();
    assert!(erases[1] > 1 && erases[2] > 1, "{erases:?}");
    assert_eq!(
        (state(&mut board).counter, state(&mut board).revoked),
        (5, 2)
    );
}

/// A board with so much in its record that the next update moves it to the other sector, or not.
fn before_update(moves: bool) -> Board {
    let mut board = Board::new(scaled_map(), 3);
    require_signatures(&mut board.config);
    let rounds = if moves { 10 } else { 1 };
    for round in 0..rounds {
        let file = image(&board, 3464, 10 + round, FIRST, |header| {
            header.security_counter = 1
        });
        assert_eq!(board.push(&file), Pushed::Committed);
    }
    board
}

#[test]
fn no_power_cut_lowers_the_counter_or_commits_an_image_without_it() {
    let change = |header: &mut ImageHeader| (header.security_counter, header.revoked_keys) = (2, 6);
    let (mut cuts, mut moved) = (0, 0);
    for moves in [false, true] {
        let start = before_update(moves);
        let file = image(&start, 3464, 2, FIRST, change);
        let mut whole = start.clone();
        assert_eq!(whole.push(&file), Pushed::Committed);
        let record_erases = |board: &Board| board.nor.counters().erases[1..3].iter().sum::<u32>();
        moved += u32::from(record_erases(&whole) > record_erases(&start));
        let operations = whole.nor.counters().operations() - start.nor.counters().operations();
        for index in (0..operations).filter(|index| index % 7 == 0 || index + 60 > operations) {
            for moment in Moment::ALL {
                let mut board = start.clone();
                board.nor.plan_cut(Cut::new(index, moment));
                assert_eq!(board.push(&file), Pushed::PowerLost);
                cuts += 1;
                let decision = board.boot();
                let state = state(&mut board);
                let at = format!("operation {index} of {operations}, {moment:?}");
                assert!(
                    [(1, 0), (2, 0), (2, 6)].contains(&(state.counter, state.revoked)),
                    "{at}"
                );
                if state.last == Last::Committed && major(decision) == Some(2) {
                    assert_eq!((state.counter, state.revoked), (2, 6), "{at}");
                }
                assert_eq!(board.push(&file), Pushed::Committed, "{at}");
                assert_eq!(major(board.boot()), Some(2), "{at}");
                let low = image(&board, 3464, 3, FIRST, |header| header.security_counter = 1);
                assert_eq!(
                    refusal(&mut board, &low).code,
                    ErrorCode::CounterTooLow,
                    "{at}"
                );
            }
        }
    }
    assert!(cuts > 400 && moved == 1, "{cuts} cuts, {moved} moves");
}

#[test]
fn boot_check_signature_starts_only_what_a_key_vouches_for() {
    let mut board = board();
    board.config.boot_signature = true;
    assert_eq!(major(board.boot()), Some(1));
    let damaged = Some(Decision::Stay(IapReason::ApplicationDamaged));
    // Another build's keys, and a build that asks for a higher counter.
    let other = Board {
        nor: board.nor.clone(),
        config: board.config.clone(),
    };
    let mut without_key = other.clone();
    without_key.config.public_keys = &[];
    assert_eq!(without_key.boot(), damaged);
    let mut higher = other.clone();
    higher.config.security_counter = 1;
    assert_eq!(higher.boot(), damaged);
    // An application that got there with its CRCs right, but without a signature, as whoever can write the flash may do it.
    let mut forged = Board::new(real_map(), 2);
    let bytes = payload(SMALL, 9);
    let map = forged.config.map.clone();
    let unsigned = header(&bytes, Version::new(9, 0, 0), &map);
    assert_eq!(
        forged.push(&[&unsigned.encode()[..], &bytes].concat()),
        Pushed::Committed
    );
    require_signatures(&mut forged.config);
    assert_eq!(
        major(forged.boot()),
        Some(9),
        "boot-check = crc does not look"
    );
    forged.config.boot_signature = true;
    assert_eq!(forged.boot(), damaged);
    // A signed header over other bytes with the same CRC.
    let mut swapped = Board::new(real_map(), 2);
    let file = signed_file(
        header(&bytes, Version::new(9, 0, 0), &map),
        &bytes,
        FIRST,
        |header| {
            header.digest = PayloadDigest::None;
        },
    );
    assert_eq!(swapped.push(&file), Pushed::Committed);
    require_signatures(&mut swapped.config);
    swapped.config.boot_signature = true;
    assert_eq!(swapped.boot(), damaged);
}

#[test]
fn flags_are_part_of_what_is_signed() {
    let mut board = board();
    let confirmed = image(&board, SMALL, 2, FIRST, |header| {
        header.flags = Flags::CONFIRM
    });
    let mut header = ImageHeader::decode(&confirmed).unwrap();
    header.flags = Flags::default();
    let file = [&header.encode()[..], &confirmed[HEADER_LEN..]].concat();
    assert_eq!(refusal(&mut board, &file).code, ErrorCode::BadSignature);
}
