//! A virtual board with policy `signed`, through its own servers: what nobody vouches for costs no flash operation over either transport, and
//! the client hears why. Every bit and every damage is tried without the servers, in `firmware/core/tests/signed.rs`.
#![allow(clippy::unwrap_used)] // tests

mod common;

use common::application;
use common::clients::{TRANSPORTS, costs_nothing, operations, starts};
use iap_profile::Profile;
use iap_protocol::ErrorCode;
use iap_protocol::crc::crc32;
use iap_protocol::header::{HEADER_LEN, ImageHeader, SIGNED_LEN};
use iap_sim::signer::{KEYS, forge, public_keys, sign, signed_file};
use iap_sim::sim::{Sim, SimOptions};

/// Fits the 96 KiB ring.
const SMALL: usize = 20_001;
/// Does not.
const LARGE: usize = 120_003;

/// A board with version 1.0.0 on it.
fn board() -> Sim {
    let keys: Vec<String> = (public_keys().iter())
        .map(|key| key.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let text = format!(
        "inherits = \"sim\"\n[iap]\npolicy = \"signed\"\nbare-rule = false\nboot-check = \"signature\"\npublic-keys = {keys:?}\n"
    );
    let mut options = SimOptions::fast("sim").unwrap();
    options.profile = Profile::from_toml(&text, "signed.toml").unwrap();
    let sim = Sim::start(options).unwrap();
    let (_, push) = TRANSPORTS[0];
    push(&sim, &image((1, 0, 0), SMALL, 0, |_| {})).unwrap();
    sim
}

/// A `.iap` file, signed as key `id` after `change`.
fn image(
    version: (u16, u16, u16),
    size: usize,
    id: u8,
    change: impl FnOnce(&mut ImageHeader),
) -> Vec<u8> {
    let (payload, file) = application(version, size);
    signed_file(ImageHeader::decode(&file).unwrap(), &payload, id, change)
}

fn mend_crc(file: &mut [u8]) {
    let crc = crc32(&file[..HEADER_LEN - 4]);
    file[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn images_that_nobody_vouches_for_cost_nothing_over_either_transport() {
    let sim = board();
    for size in [SMALL, LARGE] {
        let version = (2, 0, 0);
        let (payload, unsigned) = application(version, size);
        let plain = ImageHeader::decode(&unsigned).unwrap();
        let mut disguised = plain.clone();
        sign(&mut disguised, KEYS);
        disguised.key_id = 0;
        let with = |header: &ImageHeader| [&header.encode()[..], &payload].concat();
        let good = image(version, size, 0, |_| {});
        let cases = [
            ("raw", payload.clone(), ErrorCode::RawNotAllowed),
            ("unsigned", unsigned, ErrorCode::NotSigned),
            ("another key", with(&disguised), ErrorCode::BadSignature),
            (
                "an unknown key",
                image(version, size, KEYS, |_| {}),
                ErrorCode::UnknownKey,
            ),
            (
                "another board",
                image(version, size, 0, |header| {
                    header.board = "other".try_into().unwrap()
                }),
                ErrorCode::WrongBoard,
            ),
        ];
        for (name, file, code) in cases {
            costs_nothing(&sim, name, code, &file);
        }
        // A bit here and there of what is signed and of the signature; the last one is the top bit of S.
        for byte in [
            76,
            112,
            284,
            300,
            SIGNED_LEN,
            SIGNED_LEN + 40,
            SIGNED_LEN + 63,
        ] {
            let mut file = good.clone();
            file[byte] ^= 0x80;
            costs_nothing(&sim, &format!("byte {byte}"), ErrorCode::HeaderCrc, &file);
            mend_crc(&mut file);
            for (transport, push) in TRANSPORTS {
                let before = operations(&sim);
                let told = push(&sim, &file).unwrap_err();
                assert_eq!(
                    operations(&sim),
                    before,
                    "byte {byte} over {transport}: {told}"
                );
            }
        }
    }
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
}

#[test]
fn what_a_revoked_key_has_signed_costs_nothing_over_either_transport() {
    let sim = board();
    let (_, push) = TRANSPORTS[0];
    let revoking = |header: &mut ImageHeader| header.revoked_keys = 1 << 2;
    push(&sim, &image((2, 0, 0), SMALL, 0, revoking)).unwrap();
    let late = image((3, 0, 0), SMALL, 2, |_| {});
    costs_nothing(&sim, "a revoked key", ErrorCode::KeyRevoked, &late);
    assert_eq!(starts(&sim).as_deref(), Some("2.0.0"));
}

#[test]
fn a_spliced_cut_or_longer_image_costs_nothing_if_it_fits_the_ring() {
    let sim = board();
    let a = image((3, 0, 0), SMALL, 1, |_| {});
    let (b, _) = application((4, 0, 0), SMALL);
    let spliced = [&a[..HEADER_LEN], &b].concat();
    costs_nothing(
        &sim,
        "header of A, payload of B",
        ErrorCode::PayloadCrc,
        &spliced,
    );
    costs_nothing(&sim, "truncated", ErrorCode::Truncated, &a[..a.len() - 1]);
    let longer = [&a[..], &[0]].concat();
    costs_nothing(&sim, "extended", ErrorCode::TrailingBytes, &longer);
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
}

#[test]
fn a_spliced_image_larger_than_the_ring_is_never_started() {
    for (transport, push) in TRANSPORTS {
        let sim = board();
        let a = image((3, 0, 0), LARGE, 1, |_| {});
        let (b, _) = application((4, 0, 0), LARGE);
        let told = push(&sim, &[&a[..HEADER_LEN], &b].concat()).unwrap_err();
        let codes = [ErrorCode::PayloadCrc, ErrorCode::SectorCrc];
        let is_reason = codes.iter().any(|code| told.contains(code.sentence()));
        assert!(is_reason, "{transport}: {told}");
        assert_eq!(starts(&sim), None, "{transport}");
        push(&sim, &a).unwrap();
        assert_eq!(starts(&sim).as_deref(), Some("3.0.0"), "{transport}");
    }
}

#[test]
fn a_forged_image_costs_the_old_one_only_if_it_is_larger_than_the_ring_and_the_genuine_one_follows()
{
    for (transport, push) in TRANSPORTS {
        let sim = board();
        for (size, starts_after) in [(SMALL, Some("1.0.0")), (LARGE, None)] {
            let genuine = image((3, 0, 0), size, 1, |_| {});
            let mut forged = genuine.clone();
            forge(&mut forged[HEADER_LEN..], size / 2);
            assert_ne!(forged, genuine);
            assert_eq!(crc32(&forged[HEADER_LEN..]), crc32(&genuine[HEADER_LEN..]));
            for _ in 0..2 {
                let told = push(&sim, &forged).unwrap_err();
                let sentence = ErrorCode::PayloadDigest.sentence();
                assert!(told.contains(sentence), "{transport}: {told}");
                let what_next = told.contains("push again");
                assert_eq!(what_next, starts_after.is_none(), "{transport}: {told}");
                assert_eq!(starts(&sim).as_deref(), starts_after, "{transport}");
            }
            if size == LARGE {
                push(&sim, &genuine).unwrap();
                assert_eq!(starts(&sim).as_deref(), Some("3.0.0"), "{transport}");
            }
        }
    }
}

#[test]
fn signed_images_raise_the_counter_and_revoke_keys_over_either_transport() {
    for (transport, push) in TRANSPORTS {
        let sim = board();
        let raising = |header: &mut ImageHeader| {
            (header.security_counter, header.revoked_keys) = (7, 1 << 2);
        };
        push(&sim, &image((2, 0, 0), SMALL, 1, raising)).unwrap();
        let low = image((3, 0, 0), SMALL, 1, |header| header.security_counter = 6);
        costs_nothing(&sim, "lower counter", ErrorCode::CounterTooLow, &low);
        let revoked = image((3, 0, 0), SMALL, 2, |header| header.security_counter = 7);
        costs_nothing(&sim, "revoked key", ErrorCode::KeyRevoked, &revoked);
        // A reset forgets neither.
        assert_eq!(starts(&sim).as_deref(), Some("2.0.0"), "{transport}");
        costs_nothing(&sim, "lower counter", ErrorCode::CounterTooLow, &low);
        costs_nothing(&sim, "revoked key", ErrorCode::KeyRevoked, &revoked);
    }
}
