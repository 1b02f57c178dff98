//! What must not be installed, pushed to the virtual board over both transports: what is refused costs no flash operation, the old
//! application stays, and the client hears the sentence. Only an image that is larger than the RAM ring and turns out bad at its end
//! costs the old application; then the board says so and takes the next push.
#![allow(clippy::unwrap_used)] // tests

mod common;

use std::net::UdpSocket;
use std::time::Duration;

use common::clients::{
    LOGIN, TRANSPORTS, costs_nothing, http, operations, request, starts, upload,
};
use common::{PATIENCE, application, put, put_from};
use iap_profile::Profile;
use iap_protocol::ErrorCode;
use iap_protocol::crc::crc32;
use iap_protocol::header::{HEADER_LEN, ImageHeader, PayloadDigest, Prefix};
use iap_protocol::memory::SectorSet;
use iap_sim::image;
use iap_sim::sim::{Sim, SimOptions};

/// Fits the 96 KiB ring.
const SMALL: usize = 20_001;
/// Does not.
const LARGE: usize = 200_003;
/// A board with version 1.0.0 on it.
fn board() -> Sim {
    let sim = Sim::start(SimOptions::fast("sim").unwrap()).unwrap();
    put(sim.tftp(), &application((1, 0, 0), SMALL).1).unwrap();
    sim
}

/// A `.iap` of version 2.0.0 that `change` has spoilt; the header's CRC is made right again.
fn spoilt(size: usize, change: impl Fn(&mut ImageHeader, &mut Vec<u8>)) -> Vec<u8> {
    let (mut payload, file) = application((2, 0, 0), size);
    let mut header = ImageHeader::decode(&file).unwrap();
    change(&mut header, &mut payload);
    [&header.encode()[..], &payload].concat()
}

#[test]
fn what_a_header_shows_is_refused_without_a_flash_operation() {
    let sim = board();
    for size in [SMALL, LARGE] {
        let good = spoilt(size, |_, _| {});
        let flipped = |at: usize| {
            let mut file = good.clone();
            file[at] ^= 0x40;
            file
        };
        // Without its magic a header is no header: what comes is judged as a raw image, and has no vector table.
        costs_nothing(&sim, "bad magic", ErrorCode::VectorTable, &flipped(0));
        costs_nothing(
            &sim,
            "unknown version",
            ErrorCode::HeaderVersion,
            &flipped(4),
        );
        costs_nothing(&sim, "header CRC", ErrorCode::HeaderCrc, &flipped(300));
        let file = spoilt(size, |header, _| {
            header.board = "other-board".try_into().unwrap()
        });
        costs_nothing(&sim, "wrong board", ErrorCode::WrongBoard, &file);
        let file = spoilt(size, |header, _| header.payload_size = 896 * 1024 + 1);
        costs_nothing(&sim, "too large", ErrorCode::TooLarge, &file);
        let file = spoilt(size, |header, _| header.load_address = 0x0800_0000);
        costs_nothing(
            &sim,
            "wrong load address",
            ErrorCode::WrongLoadAddress,
            &file,
        );
    }
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
}

/// What only boards with policy `signed` say: `tests/signed.rs`.
const OF_SIGNED_BOARDS: [ErrorCode; 5] = [
    ErrorCode::NotSigned,
    ErrorCode::BadSignature,
    ErrorCode::UnknownKey,
    ErrorCode::RawNotAllowed,
    ErrorCode::KeyRevoked,
];

/// A small file whose counter [`strict_board`] takes, with a header that `change` has spoilt.
fn with(change: fn(&mut ImageHeader)) -> Vec<u8> {
    spoilt(SMALL, |header, _| {
        header.security_counter = 5;
        change(header);
    })
}

/// The same with a payload that `change` has spoilt.
fn with_payload(change: fn(&mut Vec<u8>)) -> Vec<u8> {
    spoilt(SMALL, |header, payload| {
        header.security_counter = 5;
        change(payload);
    })
}

/// A file for each reason to refuse one before its header is believed.
fn unreadable() -> Vec<(ErrorCode, Vec<u8>)> {
    let flipped = |at: usize| {
        let mut file = with(|_| {});
        file[at] ^= 0x40;
        file
    };
    let mut reserved = with(|_| {});
    reserved[300] = 1;
    let crc = crc32(&reserved[..HEADER_LEN - 4]);
    reserved[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    vec![
        (ErrorCode::ElfFile, b"\x7FELF\x01\x01\x01".to_vec()),
        (ErrorCode::HexFile, b":020000040802F0\r\n".to_vec()),
        (ErrorCode::SrecFile, b"S00600004844521B\r\n".to_vec()),
        (ErrorCode::Empty, Vec::new()),
        (ErrorCode::HeaderTruncated, with(|_| {})[..300].to_vec()),
        (ErrorCode::HeaderVersion, flipped(4)),
        (ErrorCode::HeaderCrc, flipped(200)),
        (ErrorCode::HeaderField, reserved),
    ]
}

/// A file for each reason to refuse one for what its header says.
fn misfits() -> Vec<(ErrorCode, Vec<u8>)> {
    let map = Profile::builtin("sim").unwrap().memory_map().clone();
    let into_data = image::application(&map, (2, 0, 0), 7 * 128 * 1024);
    let mut into_data_head = image::header(&map, "sim", &into_data);
    into_data_head.security_counter = 5;
    let nothing = Prefix {
        sectors: SectorSet::EMPTY,
    };
    let other_sector = with(|header| header.sector_crc32[5] ^= 1);
    vec![
        (
            ErrorCode::WrongBoard,
            with(|header| header.board = "other".try_into().unwrap()),
        ),
        (
            ErrorCode::TooLarge,
            with(|header| header.payload_size = 896 * 1024 + 1),
        ),
        (
            ErrorCode::WrongLoadAddress,
            with(|header| header.load_address = 0x0801_0000),
        ),
        (
            ErrorCode::IapTooOld,
            with(|header| header.min_iap_version = (99, 0, 0)),
        ),
        (
            ErrorCode::CounterTooLow,
            with(|header| header.security_counter = 4),
        ),
        (
            ErrorCode::DataSectors,
            [&into_data_head.encode()[..], &into_data].concat(),
        ),
        (
            ErrorCode::PartialTransfer,
            [&nothing.encode()[..], &other_sector[..HEADER_LEN]].concat(),
        ),
        (ErrorCode::SectorCrc, other_sector),
    ]
}

/// A file for each reason to refuse one for its payload.
fn damaged() -> Vec<(ErrorCode, Vec<u8>)> {
    vec![
        (
            ErrorCode::VectorTable,
            with_payload(|bytes| bytes[7] = 0x20),
        ),
        (
            ErrorCode::Truncated,
            with_payload(|bytes| bytes.truncate(SMALL - 1)),
        ),
        (
            ErrorCode::TrailingBytes,
            with_payload(|bytes| bytes.push(0)),
        ),
        (
            ErrorCode::PayloadCrc,
            with_payload(|bytes| bytes[SMALL - 1] ^= 1),
        ),
        (
            ErrorCode::PayloadDigest,
            with(|header| header.digest = PayloadDigest::Sha256([1; 32])),
        ),
    ]
}

/// A board with a security counter of 5 and data of its application in sector 11.
fn strict_board() -> Sim {
    let text = "inherits = \"sim\"\n[iap]\nsecurity-counter = 5\ndata-sectors = [11]\n";
    let mut options = SimOptions::fast("sim").unwrap();
    options.profile = Profile::from_toml(text, "strict.toml").unwrap();
    let sim = Sim::start(options).unwrap();
    let good = spoilt(SMALL, |header, _| header.security_counter = 5);
    put(sim.tftp(), &good).unwrap();
    sim
}

#[test]
fn every_reason_to_refuse_a_file_costs_no_flash_operation_over_either_transport() {
    let sim = strict_board();
    let files = [unreadable(), misfits(), damaged()].concat();
    for (code, file) in &files {
        costs_nothing(&sim, &format!("{code:?}"), *code, file);
    }
    // Codes 1 to 26 are those of files.
    for code in ErrorCode::ALL.iter().filter(|&&code| code as u16 <= 26) {
        let here = files.iter().any(|(known, _)| known == code);
        assert!(here || OF_SIGNED_BOARDS.contains(code), "{code:?}");
    }
    assert_eq!(starts(&sim).as_deref(), Some("2.0.0"));
}

#[test]
fn a_bad_image_that_fits_the_ring_is_refused_without_a_flash_operation() {
    let sim = board();
    let truncated = spoilt(SMALL, |_, payload| payload.truncate(SMALL - 1));
    costs_nothing(&sim, "truncated", ErrorCode::Truncated, &truncated);
    let trailing = spoilt(SMALL, |_, payload| payload.push(0));
    costs_nothing(&sim, "trailing bytes", ErrorCode::TrailingBytes, &trailing);
    let crc = spoilt(SMALL, |_, payload| payload[SMALL - 1] ^= 1);
    costs_nothing(&sim, "payload CRC", ErrorCode::PayloadCrc, &crc);
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
}

#[test]
fn a_raw_image_larger_than_user_flash_is_refused_in_a_form_without_a_flash_operation() {
    let sim = board();
    let user_flash = 896 * 1024;
    let (mut raw, _) = application((2, 0, 0), SMALL);
    for len in [user_flash + 1, user_flash + 511, user_flash + 20_000] {
        raw.resize(len, 0x5A);
        let before = operations(&sim);
        let told = http(&sim, &raw).unwrap_err();
        assert!(told.contains(ErrorCode::TooLarge.sentence()), "{told}");
        assert_eq!(operations(&sim), before);
    }
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
    raw.resize(user_flash, 0x5A);
    http(&sim, &raw).unwrap();
    assert_eq!(sim.flash_bytes()[0x2_0000..], raw);
}

/// What may follow a raw image in its form counts as image until it has come: an old application must not be erased for a new one that may
/// not fit. A header says how long its image is.
#[test]
fn a_full_raw_image_must_be_the_last_of_its_form_and_one_with_a_header_need_not_be() {
    let sim = board();
    let fields = format!("{LOGIN}content-type: multipart/form-data; boundary=B\r\n");
    let after = "\r\n--B\r\ncontent-disposition: form-data; name=comment\r\n\r\nhello\r\n--B--\r\n";
    let head = "--B\r\ncontent-disposition: form-data; name=datafile; filename=a\r\n\r\n";
    let post = |file: &[u8]| {
        let body = [head.as_bytes(), file, after.as_bytes()].concat();
        request(sim.http(), "/upload.cgi", &fields, &body)
    };
    let (raw, wrapped) = application((2, 0, 0), 896 * 1024);
    let before = operations(&sim);
    let (status, told) = post(&raw);
    assert_eq!(status, ErrorCode::TooLarge.http_status(), "{told}");
    assert_eq!(operations(&sim), before);
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
    let (status, told) = post(&wrapped);
    assert_eq!(status, 200, "{told}");
    assert_eq!(sim.flash_bytes()[0x2_0000..], raw);
}

/// A line end behind the last boundary may be there or not (RFC 2046 section 5.1.1), so the two bytes that nearly every client sends there
/// could be the image's as well. Until they have come, an image of all of user flash and one too long by them look the same, and the old
/// application is erased for either: a full image must not be refused because of clients that leave the line end out.
#[test]
fn only_a_form_without_its_last_line_end_hides_one_or_two_bytes_too_many_until_they_come() {
    let sim = board();
    let fields = format!("{LOGIN}content-type: multipart/form-data; boundary=B\r\n");
    let head = "--B\r\ncontent-disposition: form-data; name=datafile; filename=a\r\n\r\n";
    let post = |len: usize| {
        let (raw, _) = application((2, 0, 0), len);
        let body = [head.as_bytes(), &raw, b"\r\n--B--"].concat();
        request(sim.http(), "/upload.cgi", &fields, &body)
    };
    let user_flash = 896 * 1024;
    let before = operations(&sim);
    let (status, told) = post(user_flash + 3);
    assert_eq!(status, ErrorCode::TooLarge.http_status(), "{told}");
    assert_eq!(operations(&sim), before);
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
    for too_many in [1, 2] {
        let (status, told) = post(user_flash + too_many);
        assert_eq!(status, ErrorCode::TooLarge.http_status(), "{told}");
        assert_eq!(starts(&sim), None, "the board stays in IAP mode");
        let (status, told) = post(user_flash);
        assert_eq!(status, 200, "{told}");
        assert!(starts(&sim).is_some(), "the next push mends it");
    }
}

#[test]
fn files_of_a_few_bytes_are_refused_without_a_flash_operation() {
    let sim = board();
    let (app, _) = application((2, 0, 0), SMALL);
    for (len, code) in [
        (0, ErrorCode::Empty),
        (1, ErrorCode::VectorTable),
        (3, ErrorCode::VectorTable),
        (4, ErrorCode::VectorTable),
        (5, ErrorCode::VectorTable),
        (63, ErrorCode::VectorTable),
    ] {
        costs_nothing(&sim, &format!("{len} bytes"), code, &app[..len]);
        let map = Profile::builtin("sim").unwrap();
        let wrapped = image::iap_file(map.memory_map(), "sim", &app[..len]);
        costs_nothing(&sim, &format!("{len} bytes wrapped"), code, &wrapped);
    }
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
}

#[test]
fn images_that_end_at_and_beside_the_end_of_a_sector_and_of_the_flash_are_installed() {
    let sim = board();
    let sector = 128 * 1024;
    let lengths = [
        sector - 1,
        sector,
        sector + 1,
        sector + 2,
        sector + 3,
        7 * sector,
    ];
    for (major, len) in (2..).zip(lengths) {
        let (app, iap) = application((major, 0, 0), len);
        http(&sim, &app).unwrap();
        assert_eq!(sim.flash_bytes()[0x2_0000..][..len], app, "{len} raw");
        let (_, other) = application((major, 1, 0), SMALL);
        http(&sim, &other).unwrap();
        http(&sim, &iap).unwrap();
        assert_eq!(sim.flash_bytes()[0x2_0000..][..len], app, "{len} wrapped");
    }
}

#[test]
fn a_form_too_short_for_the_image_in_it_is_refused_without_a_flash_operation() {
    let sim = board();
    let before = operations(&sim);
    let truncated = spoilt(LARGE, |_, payload| payload.truncate(LARGE - 100));
    let told = http(&sim, &truncated).unwrap_err();
    assert!(told.contains(ErrorCode::Truncated.sentence()), "{told}");
    assert_eq!(operations(&sim), before);
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
}

#[test]
fn a_bad_image_larger_than_the_ring_leaves_iap_mode_with_the_reason_and_the_next_push_heals_it() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(ErrorCode, Change); 3] = [
        (ErrorCode::Truncated, |payload| payload.truncate(LARGE - 1)),
        (ErrorCode::TrailingBytes, |payload| payload.push(0)),
        (ErrorCode::PayloadCrc, |payload| payload[LARGE - 1] ^= 1),
    ];
    for (transport, push) in TRANSPORTS {
        for (code, change) in changes {
            let sim = board();
            let told = push(&sim, &spoilt(LARGE, |_, payload| change(payload))).unwrap_err();
            assert!(
                told.contains(code.sentence()),
                "{transport}: expected {code:?}, got: {told}"
            );
            assert_eq!(
                starts(&sim),
                None,
                "{transport}, {code:?}: the board stays in IAP mode"
            );
            push(&sim, &application((3, 0, 0), LARGE).1).unwrap();
            assert_eq!(starts(&sim).as_deref(), Some("3.0.0"));
        }
    }
}

#[test]
fn uploads_without_a_login_or_with_a_wrong_password_are_refused_without_a_flash_operation() {
    let sim = board();
    let before = operations(&sim);
    let (_, file) = application((2, 0, 0), SMALL);
    let (status, told) = upload(sim.http(), "", &file);
    assert_eq!(
        (status, told.contains(ErrorCode::LoginRequired.sentence())),
        (401, true),
        "{told}"
    );
    let stale = "cookie: iap-session=00000000000000000000000000000000\r\n";
    assert_eq!(upload(sim.http(), stale, &file).0, 401);
    let wrong = "authorization: Basic dXNlcjp3cm9uZw==\r\n";
    let (status, told) = upload(sim.http(), wrong, &file);
    assert_eq!(
        (status, told.contains(ErrorCode::WrongPassword.sentence())),
        (401, true),
        "{told}"
    );
    assert_eq!(operations(&sim), before);
    assert_eq!(starts(&sim).as_deref(), Some("1.0.0"));
}

#[test]
fn a_second_uploader_is_told_who_is_first_and_disturbs_nobody() {
    for (transport, push) in TRANSPORTS {
        let sim = board();
        let before = operations(&sim);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let mut answer = [0; 600];
        socket.send_to(b"\0\x02first\0octet\0", sim.tftp()).unwrap();
        let (_, first) = socket.recv_from(&mut answer).unwrap();
        assert_eq!(answer[..4], [0, 4, 0, 0], "the first client may send");
        let told = push(&sim, &application((2, 0, 0), SMALL).1).unwrap_err();
        assert!(
            told.contains(ErrorCode::Busy.sentence()),
            "{transport}: {told}"
        );
        assert!(told.contains("tftp from 192.168.0."), "{transport}: {told}");
        assert_eq!(operations(&sim), before);
        // The first one goes on as if nothing had happened.
        let (_, file) = application((2, 1, 0), 400);
        for (number, block) in (1u8..).zip(file.chunks(512)) {
            socket
                .send_to(&[&[0, 3, 0, number], block].concat(), first)
                .unwrap();
            socket.recv_from(&mut answer).unwrap();
            assert_eq!(answer[..4], [0, 4, 0, number]);
        }
        assert_eq!(starts(&sim).as_deref(), Some("2.1.0"), "{transport}");
    }
}

#[test]
fn netascii_is_refused_with_what_to_type() {
    let sim = board();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let before = operations(&sim);
    socket
        .send_to(b"\0\x02app.bin\0netascii\0", sim.tftp())
        .unwrap();
    let mut answer = [0; 600];
    let (len, _) = socket.recv_from(&mut answer).unwrap();
    assert_eq!(answer[..4], [0, 5, 0, 4]);
    let told = String::from_utf8_lossy(&answer[4..len - 1]).into_owned();
    assert_eq!(told, ErrorCode::Netascii.sentence());
    put_from(&socket, sim.tftp(), &application((2, 0, 0), SMALL).1).unwrap();
    assert!(operations(&sim) > before, "octet goes through");
}
