//! If a test in this module fails, do not change the test. (What crosses the network; `v01.rs` has images and records and says why.)

use iap_protocol::ErrorCode;
use iap_protocol::error::RefusalReport;
use iap_protocol::status::{ApplicationStatus, IapReason, Phase, Policy, Status, UpdateStatus};
use iap_protocol::tftp::{self, Mode, Options, Packet, Request};
use iap_protocol::{http, status};

use crate::v01::text;

fn options(
    block_size: Option<u16>,
    transfer_size: Option<u64>,
    timeout_s: Option<u8>,
    window_size: Option<u16>,
) -> Options {
    Options {
        block_size,
        transfer_size,
        timeout_s,
        window_size,
    }
}

#[rustfmt::skip]
fn tftp_packets() -> [(Packet<'static>, &'static [u8], &'static [u8]); 10] {
    [
        (
            Packet::WriteRequest(Request { file_name: b"app.iap", mode: Mode::Octet, options: options(Some(1428), Some(102_309), Some(5), Some(32)) }),
            b"\0\x02app.iap\0octet\0blksize\x001428\0tsize\x00102309\0timeout\x005\0windowsize\x0032\0",
            include_bytes!("tftp-wrq-options.bin"),
        ),
        (
            Packet::WriteRequest(Request { file_name: b"app.bin", mode: Mode::Octet, options: Options::default() }),
            b"\0\x02app.bin\0octet\0",
            include_bytes!("tftp-wrq-plain.bin"),
        ),
        (
            Packet::WriteRequest(Request { file_name: b"app.bin", mode: Mode::Netascii, options: Options::default() }),
            b"\0\x02app.bin\0netascii\0",
            include_bytes!("tftp-wrq-netascii.bin"),
        ),
        (
            Packet::WriteRequest(Request { file_name: b"iap-reset", mode: Mode::Octet, options: Options::default() }),
            b"\0\x02iap-reset\0octet\0",
            include_bytes!("tftp-wrq-reset.bin"),
        ),
        (
            Packet::ReadRequest(Request { file_name: b"status.json", mode: Mode::Octet, options: options(None, Some(0), None, None) }),
            b"\0\x01status.json\0octet\0tsize\x000\0",
            include_bytes!("tftp-rrq-status.bin"),
        ),
        (
            Packet::Data { block: 0xFFFF, payload: b"abc" },
            b"\0\x03\xff\xffabc",
            include_bytes!("tftp-data.bin"),
        ),
        (
            Packet::Data { block: 0, payload: b"" },
            b"\0\x03\0\0",
            include_bytes!("tftp-data-last.bin"),
        ),
        (
            Packet::Ack { block: 0x0102 },
            b"\0\x04\x01\x02",
            include_bytes!("tftp-ack.bin"),
        ),
        (
            Packet::Error { code: 2, message: b"image is for another board (expected sim, image says stm324xg-eval)" },
            b"\0\x05\0\x02image is for another board (expected sim, image says stm324xg-eval)\0",
            include_bytes!("tftp-error.bin"),
        ),
        (
            Packet::OptionAck(options(Some(1428), Some(102_309), Some(5), Some(32))),
            b"\0\x06blksize\x001428\0tsize\x00102309\0timeout\x005\0windowsize\x0032\0",
            include_bytes!("tftp-oack.bin"),
        ),
    ]
}

#[test]
fn tftp_packets_keep_their_bytes() {
    for (packet, golden, file) in tftp_packets() {
        assert_eq!(golden, file);
        let mut bytes = [0; tftp::MAX_REQUEST_LEN];
        let len = packet.encode(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], golden);
        assert_eq!(Packet::decode(golden), Ok(packet));
    }
}

#[test]
fn names_and_numbers_of_tftp_stay() {
    assert_eq!(tftp::PORT, 69);
    assert_eq!(
        (
            tftp::DEFAULT_BLOCK_SIZE,
            tftp::MAX_BLOCK_SIZE,
            tftp::MIN_BLOCK_SIZE
        ),
        (512, 1468, 8)
    );
    assert_eq!(
        (tftp::RESET_FILE_NAME, tftp::RESET_BODY),
        ("iap-reset", b"reset".as_slice())
    );
    assert_eq!(status::FILE_NAME, "status.json");
}

#[test]
fn paths_and_fields_of_http_stay() {
    assert_eq!(http::PATH_ROOT, "/");
    assert_eq!(http::PATH_LOGIN, "/checklogin.cgi");
    assert_eq!(http::PATH_UPLOAD, "/upload.cgi");
    assert_eq!(http::PATH_RESET, "/resetmcu.cgi");
    assert_eq!(http::PATH_LOGOUT, "/logout.cgi");
    assert_eq!(http::PATH_STATUS, "/status.json");
    assert_eq!(
        (http::FIELD_USER, http::FIELD_PASSWORD, http::FIELD_FILE),
        ("username", "password", "datafile")
    );
    assert_eq!(
        (http::COOKIE, http::HEADER_CODE),
        ("iap-session", "x-iap-code")
    );
    assert_eq!(http::MEDIA_JSON, "application/json");
    assert_eq!(
        (http::DEFAULT_USER, http::DEFAULT_PASSWORD),
        ("user", "stm32")
    );
}

const STATUS_FULL: &str = concat!(
    r#"{"status_version":1,"board":"stm324xg-eval","iap_version":"0.1.0","policy":"open","#,
    r#""default_password":true,"phase":"programming","iap_reason":"update-unfinished","#,
    r#""user_flash_first_page_address":134348800,"user_flash_size":917504,"uptime_ms":4242,"#,
    r#""security_counter":3,"application":{"version":"1.2.3-rc.1","board":"any","load_address":134348800,"#,
    r#""size":200000,"crc32":4022250974,"sector_crc32":[1,4294967295]},"update":{"transport":"tftp","#,
    r#""peer":"192.168.0.2:50123","received":131072,"total":200512,"sectors_written":1,"sectors_skipped":2,"#,
    r#""sector":6},"last_error":{"code":9,"#,
    r#""text":"image is for another board (expected sim, image says x)"},"flash_erases":2,"#,
    r#""flash_words":32768}"#,
);

const STATUS_MINIMAL: &str = concat!(
    r#"{"status_version":1,"board":"sim","iap_version":"0.1.0","policy":"signed","default_password":false,"#,
    r#""phase":"idle","iap_reason":"no-application","user_flash_first_page_address":134348800,"#,
    r#""user_flash_size":917504,"uptime_ms":0,"security_counter":0,"application":null,"update":null,"#,
    r#""last_error":null,"flash_erases":0,"flash_words":0}"#,
);

fn status_minimal() -> Status {
    Status {
        status_version: 1,
        board: text("sim"),
        iap_version: text("0.1.0"),
        policy: Policy::Signed,
        default_password: false,
        phase: Phase::Idle,
        iap_reason: IapReason::NoApplication,
        user_flash_first_page_address: 0x0802_0000,
        user_flash_size: 896 * 1024,
        uptime_ms: 0,
        security_counter: 0,
        application: None,
        update: None,
        last_error: None,
        flash_erases: 0,
        flash_words: 0,
    }
}

fn status_full() -> Status {
    Status {
        board: text("stm324xg-eval"),
        policy: Policy::Open,
        default_password: true,
        phase: Phase::Programming,
        iap_reason: IapReason::UpdateUnfinished,
        uptime_ms: 4242,
        security_counter: 3,
        application: Some(ApplicationStatus {
            version: text("1.2.3-rc.1"),
            board: text("any"),
            load_address: 0x0802_0000,
            size: 200_000,
            crc32: 4_022_250_974,
            sector_crc32: [1, u32::MAX].into_iter().collect(),
        }),
        update: Some(UpdateStatus {
            transport: text("tftp"),
            peer: text("192.168.0.2:50123"),
            received: 131_072,
            total: 200_512,
            sectors_written: 1,
            sectors_skipped: 2,
            sector: Some(6),
        }),
        last_error: Some(RefusalReport {
            code: 9,
            text: text("image is for another board (expected sim, image says x)"),
        }),
        flash_erases: 2,
        flash_words: 32_768,
        ..status_minimal()
    }
}

#[test]
fn status_keeps_its_text() {
    for (status, golden, file) in [
        (status_full(), STATUS_FULL, include_str!("status-full.json")),
        (
            status_minimal(),
            STATUS_MINIMAL,
            include_str!("status-minimal.json"),
        ),
    ] {
        assert_eq!(golden, file);
        assert_eq!(serde_json::to_string(&status).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Status>(golden).unwrap(), status);
    }
}

#[test]
fn words_of_status_stay() {
    let phases = [
        (Phase::Idle, "idle"),
        (Phase::Receiving, "receiving"),
        (Phase::Erasing, "erasing"),
        (Phase::Programming, "programming"),
        (Phase::Verifying, "verifying"),
        (Phase::Committed, "committed"),
        (Phase::Failed, "failed"),
        (Phase::SupplyLow, "supply-low"),
    ];
    let reasons = [
        (IapReason::NoApplication, "no-application"),
        (IapReason::UpdateUnfinished, "update-unfinished"),
        (IapReason::ApplicationDamaged, "application-damaged"),
        (IapReason::KeyHeld, "key-held"),
        (IapReason::Requested, "requested"),
        (IapReason::NotConfirmed, "not-confirmed"),
        (IapReason::PowerOnWindow, "power-on-window"),
    ];
    let policies = [
        (Policy::Open, "open"),
        (Policy::Login, "login"),
        (Policy::Signed, "signed"),
    ];
    for (value, name) in phases {
        assert_eq!(serde_json::to_value(value).unwrap(), name);
    }
    for (value, name) in reasons {
        assert_eq!(serde_json::to_value(value).unwrap(), name);
    }
    for (value, name) in policies {
        assert_eq!(serde_json::to_value(value).unwrap(), name);
    }
}

#[test]
fn a_status_from_a_newer_board_is_readable() {
    let newer: Status = serde_json::from_str(include_str!("status-newer.json")).unwrap();
    assert_eq!(
        (newer.phase, newer.iap_reason),
        (Phase::Unknown, IapReason::Unknown)
    );
    assert_eq!(newer.last_error.map(|error| error.code), Some(999));
}

#[rustfmt::skip]
const ERROR_CODES: &[(u16, &str)] = &[
    (1, "ElfFile"),
    (2, "HexFile"),
    (3, "SrecFile"),
    (4, "Empty"),
    (5, "HeaderTruncated"),
    (6, "HeaderVersion"),
    (7, "HeaderCrc"),
    (8, "HeaderField"),
    (9, "WrongBoard"),
    (10, "TooLarge"),
    (11, "WrongLoadAddress"),
    (12, "IapTooOld"),
    (13, "CounterTooLow"),
    (14, "VectorTable"),
    (15, "Truncated"),
    (16, "TrailingBytes"),
    (17, "PayloadCrc"),
    (18, "PayloadDigest"),
    (19, "NotSigned"),
    (20, "BadSignature"),
    (21, "UnknownKey"),
    (22, "RawNotAllowed"),
    (23, "DataSectors"),
    (24, "PartialTransfer"),
    (25, "SectorCrc"),
    (26, "KeyRevoked"),
    (30, "Busy"),
    (31, "Netascii"),
    (32, "TftpNotAllowed"),
    (33, "UnknownFile"),
    (34, "BadOption"),
    (35, "ClientSilent"),
    (36, "ClientAborted"),
    (37, "UnknownTransfer"),
    (38, "IllegalOperation"),
    (39, "TakenOver"),
    (40, "ResetBody"),
    (50, "LoginRequired"),
    (51, "WrongPassword"),
    (52, "BadRequest"),
    (53, "LengthRequired"),
    (54, "HeadersTooLarge"),
    (55, "UnsupportedMediaType"),
    (56, "NotFound"),
    (57, "MethodNotAllowed"),
    (58, "TooManyAttempts"),
    (59, "BadOrigin"),
    (60, "NoFile"),
    (61, "SeveralFiles"),
    (62, "HttpVersion"),
    (63, "TargetTooLong"),
    (70, "FlashErase"),
    (71, "FlashProgram"),
    (72, "FlashVerify"),
    (73, "SupplyLow"),
    (74, "WriteProtected"),
    (75, "Record"),
    (76, "FlashRead"),
    (80, "TryLater"),
];

#[test]
fn error_codes_keep_their_numbers_and_names() {
    for &(number, name) in ERROR_CODES {
        let code = ErrorCode::from_number(number);
        assert_eq!(code.map(|code| format!("{code:?}")).as_deref(), Some(name));
    }
    // A new code needs its line above, too.
    assert_eq!(ErrorCode::ALL.len(), ERROR_CODES.len());
    assert_eq!(ErrorCode::from_number(0), None);
}
