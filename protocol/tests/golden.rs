//! Golden bytes of every format (`golden/v01.rs`, `golden/v01_wire.rs`), and what must hold for all bytes: damage is refused, and what was encoded decodes
//! to the same.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;
#[path = "golden/v01.rs"]
mod v01;
#[path = "golden/v01_wire.rs"]
mod v01_wire;

use common::{Rng, with_crc};
use iap_protocol::header::{Flags, HEADER_LEN, HeaderError, ImageHeader, PREFIX_LEN, Prefix};
use iap_protocol::info::ImageInfo;
use iap_protocol::memory::SectorSet;
use iap_protocol::record::{ENTRY_LEN, Entry, Seal, SectorHeader, Slot};
use iap_protocol::tftp::Packet;
use v01::hex;

/// Every value one bit away from `bytes`.
fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..8 * bytes.len()).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit / 8, flipped)
    })
}

#[test]
fn every_bit_flip_of_a_header_is_refused() {
    for golden in [
        v01::HEADER_FULL,
        v01::HEADER_SIGNED,
        v01::HEADER_MINIMAL,
        v01::RECORDED_RAW,
    ] {
        for (at, flipped) in flips(&hex(golden)) {
            // decode_recorded takes all that decode takes.
            let error = ImageHeader::decode_recorded(&flipped).unwrap_err();
            assert!(ImageHeader::decode(&flipped).is_err());
            let as_expected = match at {
                0..4 => error == HeaderError::Magic,
                4..6 => matches!(error, HeaderError::FormatVersion(_)),
                6..8 => matches!(error, HeaderError::HeaderSize(_)),
                _ => matches!(error, HeaderError::Crc { .. }),
            };
            assert!(as_expected, "byte {at}: {error}");
        }
    }
}

#[test]
fn every_bit_flip_of_a_prefix_or_sector_header_is_refused() {
    let prefix = Prefix {
        sectors: SectorSet(0xE0),
    };
    for (at, flipped) in flips(&prefix.encode()) {
        assert!(Prefix::decode(&flipped).is_err(), "byte {at}");
    }
    for (at, flipped) in flips(&SectorHeader { generation: 7 }.encode()) {
        assert_eq!(SectorHeader::decode(&flipped), None, "byte {at}");
    }
}

#[test]
fn a_bit_flip_of_a_log_slot_kills_it_or_tears_its_seal() {
    let entry = Entry::Begun {
        slot: 1,
        header_crc32: 0x1122_3344,
    };
    for seal in [[0; 4], [0xFF; 4]] {
        let slot = [entry.encode().as_slice(), &seal].concat();
        for (at, flipped) in flips(&slot) {
            let expected = match at {
                0..28 => Slot::Dead,
                _ => Slot::Valid(entry, Seal::Torn),
            };
            assert_eq!(
                Entry::decode(&flipped.try_into().unwrap()),
                expected,
                "byte {at}"
            );
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let header = hex(v01::HEADER_FULL);
    for len in 0..HEADER_LEN {
        assert_eq!(
            ImageHeader::decode(&header[..len]),
            Err(HeaderError::Truncated)
        );
        assert_eq!(
            ImageHeader::decode_recorded(&header[..len]),
            Err(HeaderError::Truncated)
        );
    }
    let prefix = Prefix {
        sectors: SectorSet(1),
    }
    .encode();
    for len in 0..PREFIX_LEN {
        assert_eq!(Prefix::decode(&prefix[..len]), Err(HeaderError::Truncated));
        assert_eq!(
            SectorHeader::decode(&SectorHeader { generation: 1 }.encode()[..len]),
            None
        );
    }
    let info = include_bytes!("golden/info-full.bin");
    for len in 0..info.len() {
        assert_eq!(ImageInfo::decode(&info[..len]), None);
    }
}

#[test]
fn bytes_after_a_header_are_not_looked_at() {
    let long = [hex(v01::HEADER_FULL), vec![0xA5; 100]].concat();
    assert_eq!(ImageHeader::decode(&long), Ok(v01::full()));
}

/// The golden header with `value` at `at` and the CRC right.
fn header_with(at: usize, value: &[u8]) -> Result<ImageHeader, HeaderError> {
    let mut bytes = hex(v01::HEADER_FULL);
    bytes[at..at + value.len()].copy_from_slice(value);
    ImageHeader::decode(&with_crc(bytes))
}

#[test]
fn each_kind_of_header_error_has_its_cause() {
    assert_eq!(header_with(0, b"IAPX"), Err(HeaderError::Magic));
    assert_eq!(header_with(4, &[0, 0]), Err(HeaderError::FormatVersion(0)));
    assert_eq!(header_with(4, &[2, 0]), Err(HeaderError::FormatVersion(2)));
    assert_eq!(header_with(6, &[1, 2]), Err(HeaderError::HeaderSize(513)));
    let mut bytes = hex(v01::HEADER_FULL);
    bytes[508..].copy_from_slice(&[0; 4]);
    let crc = HeaderError::Crc {
        computed: 0x49F9_DA19,
        stored: 0,
    };
    assert_eq!(ImageHeader::decode(&bytes), Err(crc));
    assert_eq!(ImageHeader::decode(&[]), Err(HeaderError::Truncated));
}

#[test]
fn values_that_version_1_does_not_define_are_refused_by_their_offset() {
    let cases: [(usize, &[u8], u16); 20] = [
        (8, &[4], 8),
        (11, &[0x80], 8),
        (12, &[0], 12),
        (12, b"<", 12),
        (12, b"\"", 12),
        (12, b" ", 12),
        (12, &[0xC3], 12),
        (43, b"x", 12),
        (50, &[1], 50),
        (51, &[1], 50),
        (52, b"x", 52),
        (52, b"-\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 52),
        (53, b"_", 52),
        (75, b"x", 52),
        (87, &[1], 86),
        (120, &[2], 120),
        (120, &[0], 124),
        (156, &[1], 124),
        (292, &[1], 292),
        (443, &[0x80], 292),
    ];
    for (at, value, offset) in cases {
        assert_eq!(
            header_with(at, value),
            Err(HeaderError::Field(offset)),
            "{value:?} at {at}"
        );
    }
}

#[test]
fn a_prefix_with_undefined_values_is_refused() {
    let prefix_with = |at: usize, value: u8| {
        let mut bytes = Prefix {
            sectors: SectorSet(1),
        }
        .encode()
        .to_vec();
        bytes[at] = value;
        Prefix::decode(&with_crc(bytes))
    };
    assert_eq!(prefix_with(3, b'H'), Err(HeaderError::Magic));
    assert_eq!(prefix_with(4, 2), Err(HeaderError::FormatVersion(2)));
    assert_eq!(prefix_with(6, 33), Err(HeaderError::HeaderSize(33)));
    assert_eq!(prefix_with(11, 1), Err(HeaderError::Field(8)));
    assert_eq!(prefix_with(12, 1), Err(HeaderError::Field(12)));
    assert_eq!(prefix_with(27, 1), Err(HeaderError::Field(12)));
    assert_eq!(
        prefix_with(10, 0x80).unwrap().sectors,
        SectorSet(0x0080_0001)
    );
}

#[test]
fn a_log_entry_that_names_what_cannot_exist_is_dead() {
    for (kind, limit) in [(1, 11), (2, 11), (3, 24), (4, 24), (5, 11)] {
        for argument in 0..=255 {
            let mut body = [0; 28];
            (body[0], body[1]) = (kind, argument);
            let slot = [with_crc(body.to_vec()), vec![0; 4]].concat();
            let valid = matches!(Entry::decode(&slot.try_into().unwrap()), Slot::Valid(..));
            assert_eq!(valid, argument < limit, "kind {kind}, argument {argument}");
        }
    }
}

#[test]
fn a_descriptor_is_found_at_multiples_of_four_only() {
    let info = include_bytes!("golden/info-full.bin");
    let found = |offset: usize| ImageInfo::find(&[vec![0xA5; offset], info.to_vec()].concat());
    assert_eq!(found(0), ImageInfo::decode(info));
    assert_eq!(found(1024), ImageInfo::decode(info));
    assert_eq!(found(1022), None);
    assert_eq!(ImageInfo::find(&[]), None);
}

#[test]
fn every_random_header_decodes_to_what_was_encoded() {
    let mut rng = Rng(0x1A9);
    for i in 0..2000 {
        let mut header = rng.header();
        let bytes = header.encode();
        assert_eq!(
            ImageHeader::decode(&bytes),
            Ok(header.clone()),
            "header {i}"
        );
        header.flags = header.flags.union(Flags::RAW);
        assert_eq!(
            ImageHeader::decode_recorded(&header.encode()),
            Ok(header),
            "header {i}"
        );
    }
}

#[test]
fn every_random_entry_decodes_to_what_was_encoded() {
    let mut rng = Rng(0xE1);
    for i in 0..4000 {
        let (slot, sector) = (rng.below(11) as u8, rng.below(24) as u8);
        let word = rng.number();
        let entry = match i % 8 {
            0 => Entry::Claimed { slot },
            1 => Entry::Begun {
                slot,
                header_crc32: word,
            },
            2 => Entry::Touched { sector },
            3 => Entry::Done { sector },
            4 => Entry::Committed {
                slot,
                header_crc32: word,
            },
            5 => Entry::Counter { value: word },
            6 => Entry::Revoked { keys: word },
            _ => Entry::Setting {
                key: word as u8,
                value: rng.bytes(),
            },
        };
        let slot = [entry.encode().as_slice(), &[0; 4]]
            .concat()
            .try_into()
            .unwrap();
        assert_eq!(Entry::decode(&slot), Slot::Valid(entry, Seal::Sealed));
    }
}

#[test]
fn random_bytes_panic_no_decoder() {
    let mut rng = Rng(0xF);
    for _ in 0..20_000 {
        let mut bytes = rng.bytes::<HEADER_LEN>();
        let kind = rng.below(7);
        let magic: &[u8] = [
            &b"IAPH\x01\0\0\x02"[..],
            b"IAPP\x01\0\x20\0",
            b"IAPD\x01\0\x40\0",
            b"\0\x01",
            b"\0\x02",
            b"\0\x06",
            b"",
        ][kind];
        bytes[..magic.len()].copy_from_slice(magic);
        let len = rng.below(HEADER_LEN + 1);
        let (start, whole) = (&bytes[..len], with_crc(bytes.to_vec()));
        // Only that they return is asserted: what they return is the business of the other tests.
        let _ = (
            ImageHeader::decode(start),
            ImageHeader::decode(&whole),
            Prefix::decode(start),
        );
        let _ = (
            ImageInfo::find(start),
            SectorHeader::decode(start),
            Packet::decode(start),
        );
        let _ = bytes.first_chunk::<ENTRY_LEN>().map(Entry::decode);
    }
}

#[test]
fn no_golden_file_is_left_untested() {
    let tests = concat!(
        include_str!("golden/v01.rs"),
        include_str!("golden/v01_wire.rs")
    );
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let included = tests.contains(&format!("!(\"{name}\")"));
        assert!(included || name.ends_with(".rs"), "{name}");
    }
}
