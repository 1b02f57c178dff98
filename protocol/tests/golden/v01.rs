//! If a test in this module fails, do not change the test. (Images and records; `v01_wire.rs` has what crosses the network.)
//!
//! Boards in the field and files on disks hold these bytes: a change of the code that breaks a test here breaks them. What is new gets a
//! new format version, entry kind, code or field, and new tests beside these. The literals were made with a program of its own from
//! README's tables, not with the code under test; each stands in a file beside this one, too, for `decode.py`.

use iap_protocol::crc::crc32;
use iap_protocol::header::{Flags, HeaderError, ImageHeader, PayloadDigest, Prefix};
use iap_protocol::info::ImageInfo;
use iap_protocol::memory::{MAX_SECTORS, SectorSet};
use iap_protocol::record::{self, Entry, Seal, SectorHeader, Slot};
use iap_protocol::version::Version;
use iap_protocol::{header, info};

/// The bytes that lines of hexadecimal digits spell.
pub(crate) fn hex(lines: &[&str]) -> Vec<u8> {
    let digits = lines.concat();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn text<const N: usize>(text: &str) -> heapless::String<N> {
    text.try_into().unwrap()
}

/// Offsets as in README.
pub(crate) const HEADER_FULL: &[&str] = &[
    "49415048",                                                         // magic "IAPH"
    "01000002", // format version 1, header size 512
    "03000000", // flags
    "73746d33323478672d6576616c00000000000000000000000000000000000000", // board "stm324xg-eval"
    "0100020003000000", // version 1.2.3, reserved
    "2d72632e312b673161326233633400000000000000000000", // version suffix "-rc.1+g1a2b3c4"
    "04030201", // security counter
    "0400050006000000", // minimum IAP version 4.5.6, reserved
    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3", // build id
    "00000208", // load address
    "880d0000", // payload size
    "3412ed5e", // payload CRC-32
    "01000000", // digest algorithm
    "404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f", // digest
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000c0010000c0020000c0030000c0040000c0050000c0060000c0070000c0", // sector CRC-32, sectors 0 to 23
    "080000c0090000c00a0000c00b0000c00c0000c00d0000c00e0000c00f0000c0",
    "100000c0110000c0120000c0130000c0140000c0150000c0160000c0170000c0",
    "02000000",                                                         // key id
    "11000000",                                                         // revoked keys
    "0000000000000000000000000000000000000000000000000000000000000000", // reserved
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000", // signature
    "0000000000000000000000000000000000000000000000000000000000000000",
    "19daf949", // CRC-32
];

pub(crate) const HEADER_SIGNED: &[&str] = &[
    "49415048",                                                         // magic "IAPH"
    "01000002", // format version 1, header size 512
    "01000000", // flags
    "612d626f6172642e776974685f33322d636861726163746572732d696e2d4944", // board "a-board.with_32-characters-in-ID"
    "ffff000002010000", // version 65535.0.258, reserved
    "2b303132333435363738392e6162636465666768696a6b6c", // version suffix "+0123456789.abcdefghijkl"
    "ffffffff",         // security counter
    "00000100ffff0000", // minimum IAP version 0.1.65535, reserved
    "ffffffffffffffffffffffffffffffffffffffff", // build id
    "00000108",         // load address
    "00000f00",         // payload size
    "ffffffff",         // payload CRC-32
    "01000000",         // digest algorithm
    "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", // digest
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000001111111122222222333333334444444455555555", // sector CRC-32, sectors 0 to 23
    "66666666777777778888888899999999aaaaaaaabbbbbbbbccccccccdddddddd",
    "eeeeeeeeffffffff111111112222222233333333444444445555555566666666",
    "01000080",                                                         // key id
    "00000080",                                                         // revoked keys
    "0000000000000000000000000000000000000000000000000000000000000000", // reserved
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000000000000",
    "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20", // signature
    "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40",
    "2266f7fe", // CRC-32
];

pub(crate) const HEADER_MINIMAL: &[&str] = &[
    "49415048",                                                         // magic "IAPH"
    "01000002", // format version 1, header size 512
    "00000000", // flags
    "616e790000000000000000000000000000000000000000000000000000000000", // board "any"
    "0000000000000000", // version 0.0.0, reserved
    "000000000000000000000000000000000000000000000000", // version suffix ""
    "00000000", // security counter
    "0000000000000000", // minimum IAP version 0.0.0, reserved
    "0000000000000000000000000000000000000000", // build id
    "00000208", // load address
    "40000000", // payload size
    "36638d75", // payload CRC-32
    "00000000", // digest algorithm
    "0000000000000000000000000000000000000000000000000000000000000000", // digest
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000036638d750000000000000000", // sector CRC-32, sectors 0 to 23
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "00000000",                                                         // key id
    "00000000",                                                         // revoked keys
    "0000000000000000000000000000000000000000000000000000000000000000", // reserved
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000", // signature
    "0000000000000000000000000000000000000000000000000000000000000000",
    "5dd73489", // CRC-32
];

pub(crate) const RECORDED_RAW: &[&str] = &[
    "49415048",                                                         // magic "IAPH"
    "01000002", // format version 1, header size 512
    "00000080", // flags
    "73696d0000000000000000000000000000000000000000000000000000000000", // board "sim"
    "0000000000000000", // version 0.0.0, reserved
    "000000000000000000000000000000000000000000000000", // version suffix ""
    "00000000", // security counter
    "0000000000000000", // minimum IAP version 0.0.0, reserved
    "0000000000000000000000000000000000000000", // build id
    "00000208", // load address
    "40000000", // payload size
    "36638d75", // payload CRC-32
    "00000000", // digest algorithm
    "0000000000000000000000000000000000000000000000000000000000000000", // digest
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000036638d750000000000000000", // sector CRC-32, sectors 0 to 23
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "00000000",                                                         // key id
    "00000000",                                                         // revoked keys
    "0000000000000000000000000000000000000000000000000000000000000000", // reserved
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000", // signature
    "0000000000000000000000000000000000000000000000000000000000000000",
    "8aea2316", // CRC-32
];

pub(crate) fn full() -> ImageHeader {
    ImageHeader {
        flags: Flags(3),
        board: text("stm324xg-eval"),
        version: "1.2.3-rc.1+g1a2b3c4".parse().unwrap(),
        security_counter: 0x0102_0304,
        min_iap_version: (4, 5, 6),
        build_id: core::array::from_fn(|i| 0xA0 + i as u8),
        load_address: 0x0802_0000,
        payload_size: 3464,
        payload_crc32: 0x5EED_1234,
        digest: PayloadDigest::Sha256(core::array::from_fn(|i| 0x40 + i as u8)),
        sector_crc32: core::array::from_fn(|i| 0xC000_0000 + i as u32),
        key_id: 2,
        revoked_keys: 0x11,
        signature: [0; 64],
    }
}

/// Every text fills its field.
fn signed() -> ImageHeader {
    ImageHeader {
        flags: Flags::CONFIRM,
        board: text("a-board.with_32-characters-in-ID"),
        version: Version {
            suffix: text("+0123456789.abcdefghijkl"),
            ..Version::new(65535, 0, 258)
        },
        security_counter: u32::MAX,
        min_iap_version: (0, 1, 65535),
        build_id: [0xFF; 20],
        load_address: 0x0801_0000,
        payload_size: 0x000F_0000,
        payload_crc32: u32::MAX,
        digest: PayloadDigest::Sha256(core::array::from_fn(|i| 0xE0 + i as u8)),
        sector_crc32: core::array::from_fn(|i| match i {
            0..3 => 0,
            _ => 0x1111_1111 * ((i as u32 - 3) % 15 + 1),
        }),
        key_id: 0x8000_0001,
        revoked_keys: 0x8000_0000,
        signature: core::array::from_fn(|i| 1 + i as u8),
    }
}

/// 64 zero bytes for any board.
fn minimal() -> ImageHeader {
    let mut sector_crc32 = [0; MAX_SECTORS];
    sector_crc32[5] = 0x758D_6336;
    ImageHeader {
        load_address: 0x0802_0000,
        payload_size: 64,
        payload_crc32: 0x758D_6336,
        sector_crc32,
        ..ImageHeader::default()
    }
}

fn raw() -> ImageHeader {
    ImageHeader {
        flags: Flags::RAW,
        board: text("sim"),
        ..minimal()
    }
}

#[test]
fn transmitted_headers_keep_their_bytes() {
    for (header, golden, file) in [
        (full(), HEADER_FULL, include_bytes!("header-full.bin")),
        (signed(), HEADER_SIGNED, include_bytes!("header-signed.bin")),
        (
            minimal(),
            HEADER_MINIMAL,
            include_bytes!("header-minimal.bin"),
        ),
    ] {
        let golden = hex(golden);
        assert_eq!(golden, file);
        assert_eq!(header.encode().as_slice(), golden);
        assert_eq!(ImageHeader::decode(&golden), Ok(header.clone()));
        assert_eq!(ImageHeader::decode_recorded(&golden), Ok(header));
    }
    assert!(signed().is_signed() && !full().is_signed());
}

#[test]
fn a_recorded_raw_header_keeps_its_bytes_and_is_refused_on_the_wire() {
    let golden = hex(RECORDED_RAW);
    assert_eq!(golden, include_bytes!("recorded-raw.bin"));
    assert_eq!(raw().encode().as_slice(), golden);
    assert_eq!(ImageHeader::decode_recorded(&golden), Ok(raw()));
    assert_eq!(ImageHeader::decode(&golden), Err(HeaderError::Field(8)));
}

#[test]
fn numbers_of_the_image_formats_stay() {
    assert_eq!(header::MAGIC, [0x49, 0x41, 0x50, 0x48]);
    assert_eq!(header::PREFIX_MAGIC, [0x49, 0x41, 0x50, 0x50]);
    assert_eq!((header::HEADER_LEN, header::PREFIX_LEN), (512, 32));
    assert_eq!(header::SIGNED_LEN, 444);
    assert_eq!((header::BOARD_LEN, header::ANY_BOARD), (32, "any"));
    assert_eq!(
        (Flags::CONFIRM.0, Flags::DATA.0, Flags::RAW.0),
        (1, 2, 0x8000_0000)
    );
    assert_eq!((info::INFO_LEN, info::SECTION_NAME), (64, ".iap_info"));
}

#[test]
fn a_prefix_keeps_its_bytes() {
    let golden = hex(&["4941505001002000a00080000000000000000000000000000000000086145476"]);
    assert_eq!(golden, include_bytes!("prefix-sectors-5-7-23.bin"));
    let prefix = Prefix {
        sectors: SectorSet(1 << 5 | 1 << 7 | 1 << 23),
    };
    assert_eq!(prefix.encode().as_slice(), golden);
    assert_eq!(Prefix::decode(&golden), Ok(prefix));
}

#[test]
fn descriptors_keep_their_bytes() {
    let full = hex(&[
        "4941504401004000010002000300030073746d333266342d646973636f766572",
        "790000000000000000000000000000002d72632e312b67316132623344504149",
    ]);
    let minimal = hex(&[
        "49415044010040000000000000000000616e7900000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000044504149",
    ]);
    assert_eq!(full, include_bytes!("info-full.bin"));
    assert_eq!(minimal, include_bytes!("info-minimal.bin"));
    let flags = Flags(3);
    let encoded = ImageInfo::encode((1, 2, 3), "-rc.1+g1a2b3", "stm32f4-discovery", flags);
    assert_eq!(encoded.as_slice(), full);
    assert_eq!(
        ImageInfo::encode((0, 0, 0), "", "any", Flags(0)).as_slice(),
        minimal
    );
    let decoded = ImageInfo {
        version: "1.2.3-rc.1+g1a2b3".parse().unwrap(),
        flags,
        board: text("stm32f4-discovery"),
    };
    assert_eq!(ImageInfo::decode(&full), Some(decoded));
}

#[test]
fn record_sector_headers_keep_their_bytes() {
    for (generation, golden, file) in [
        (
            1,
            "494150520100200001000000000000000000000000000000000000003bff335c",
            include_bytes!("record-header-first.bin"),
        ),
        (
            0x1122_3344,
            "4941505201002000443322110000000000000000000000000000000008c5b41c",
            include_bytes!("record-header-late.bin"),
        ),
    ] {
        let (golden, header) = (hex(&[golden]), SectorHeader { generation });
        assert_eq!(golden, file);
        assert_eq!(header.encode().as_slice(), golden);
        assert_eq!(SectorHeader::decode(&golden), Some(header));
    }
}

#[test]
fn the_layout_of_a_record_sector_stays() {
    assert_eq!(record::SECTOR_SIZE_BYTES, 0x4000);
    assert_eq!(
        (
            record::SECTOR_HEADER_LEN,
            record::SEAL_RUN_OFFSET,
            record::SEAL_RUN_LEN
        ),
        (32, 32, 32)
    );
    assert_eq!((record::IMAGES_OFFSET, record::IMAGE_SLOTS), (512, 11));
    assert_eq!((record::LOG_OFFSET, record::LOG_SLOTS), (6144, 320));
    assert_eq!(
        (record::ENTRY_LEN, record::ENTRY_BODY_LEN, record::SEAL),
        (32, 28, [0; 4])
    );
    assert_eq!(
        (record::image_offset(0), record::image_offset(10)),
        (512, 5632)
    );
    assert_eq!(
        (record::log_offset(0), record::log_offset(319)),
        (6144, 16352)
    );
}

struct Written {
    entry: Entry,
    body: &'static str,
    unsealed: &'static [u8; 32],
    sealed: &'static [u8; 32],
}

fn entries() -> [Written; 8] {
    [
        Written {
            entry: Entry::Claimed { slot: 10 },
            body: "010a00000000000000000000000000000000000000000000c83fcbcf",
            unsealed: include_bytes!("entry-claimed.bin"),
            sealed: include_bytes!("entry-claimed-sealed.bin"),
        },
        Written {
            entry: Entry::Begun {
                slot: 1,
                header_crc32: 0x1122_3344,
            },
            body: "0201000044332211000000000000000000000000000000008eed69c4",
            unsealed: include_bytes!("entry-begun.bin"),
            sealed: include_bytes!("entry-begun-sealed.bin"),
        },
        Written {
            entry: Entry::Touched { sector: 5 },
            body: "0305000000000000000000000000000000000000000000004f28f060",
            unsealed: include_bytes!("entry-touched.bin"),
            sealed: include_bytes!("entry-touched-sealed.bin"),
        },
        Written {
            entry: Entry::Done { sector: 23 },
            body: "0417000000000000000000000000000000000000000000009d4a0cbd",
            unsealed: include_bytes!("entry-done.bin"),
            sealed: include_bytes!("entry-done-sealed.bin"),
        },
        Written {
            entry: Entry::Committed {
                slot: 0,
                header_crc32: 0xAABB_CCDD,
            },
            body: "05000000ddccbbaa00000000000000000000000000000000790ff6f2",
            unsealed: include_bytes!("entry-committed.bin"),
            sealed: include_bytes!("entry-committed-sealed.bin"),
        },
        Written {
            entry: Entry::Counter { value: 7 },
            body: "060000000700000000000000000000000000000000000000e33eb8f2",
            unsealed: include_bytes!("entry-counter.bin"),
            sealed: include_bytes!("entry-counter-sealed.bin"),
        },
        Written {
            entry: Entry::Revoked { keys: 0x8000_0001 },
            body: "070000000100008000000000000000000000000000000000f90d324d",
            unsealed: include_bytes!("entry-revoked.bin"),
            sealed: include_bytes!("entry-revoked-sealed.bin"),
        },
        Written {
            entry: Entry::Setting {
                key: 0xEE,
                value: *b"0123456789:;<=>?@ABC",
            },
            body: "08ee0000303132333435363738393a3b3c3d3e3f40414243516be234",
            unsealed: include_bytes!("entry-setting.bin"),
            sealed: include_bytes!("entry-setting-sealed.bin"),
        },
    ]
}

#[test]
fn every_kind_of_log_entry_keeps_its_bytes() {
    for Written {
        entry,
        body,
        unsealed,
        sealed,
    } in entries()
    {
        let body = hex(&[body]);
        assert_eq!(entry.encode().as_slice(), body);
        assert_eq!(unsealed.as_slice(), [body.as_slice(), &[0xFF; 4]].concat());
        assert_eq!(sealed.as_slice(), [body.as_slice(), &[0; 4]].concat());
        assert_eq!(Entry::decode(unsealed), Slot::Valid(entry, Seal::Blank));
        assert_eq!(Entry::decode(sealed), Slot::Valid(entry, Seal::Sealed));
    }
}

#[test]
fn blank_burned_unknown_and_half_sealed_log_slots_are_told_apart() {
    let torn = Entry::decode(include_bytes!("entry-done-torn-seal.bin"));
    assert_eq!(torn, Slot::Valid(Entry::Done { sector: 23 }, Seal::Torn));
    assert_eq!(
        Entry::decode(include_bytes!("entry-blank.bin")),
        Slot::Blank
    );
    assert_eq!(
        Entry::decode(include_bytes!("entry-burned.bin")),
        Slot::Dead
    );
    assert_eq!(
        Entry::decode(include_bytes!("entry-unknown-kind.bin")),
        Slot::Dead
    );
    assert_eq!(include_bytes!("entry-blank.bin"), &[0xFF; 32]);
    assert_eq!(include_bytes!("entry-burned.bin"), &[0; 32]);
}

#[test]
fn crc32_stays_that_of_zlib() {
    let counting: Vec<u8> = (0..4095).map(|i| i as u8).collect();
    for (len, crc) in [
        (0, 0x0000_0000),
        (1, 0xD202_EF8D),
        (2, 0x36DE_2269),
        (3, 0x0854_897F),
        (4, 0x8BB9_8613),
        (5, 0x515A_D3CC),
        (4095, 0xF93B_80FA),
    ] {
        assert_eq!(crc32(&counting[..len]), crc, "{len} bytes");
    }
}
