//! The shipped firmware of a board with policy `signed`: what it refuses, what it takes, and how long its verdict and its boot check last.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::common::built;
use crate::common::guest_errors;
use crate::common::iap::{Bench, MII, Setup};
use iap_emulator::{Image, Time};
use iap_profile::Profile;
use iap_protocol::ErrorCode;
use iap_protocol::crc::crc32;
use iap_protocol::header::{HEADER_LEN, ImageHeader, SIGNATURE_LEN, SIGNED_LEN};
use iap_sim::signer::{KEYS, public_keys, require_signatures, signed_file};
use iap_sim::{bench, image, settings};

const FLASH: u32 = 0x0800_0000;
/// The CCM RAM, at whose bottom the stack ends (RM0090 section 2.3.1).
const STACK_END: u32 = 0x1000_0000;
/// Clock of the core in IAP mode.
const CORE_MHZ: u64 = 168;

fn profile() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let file = folder.join("stm32f407/stm324xg-eval-signed.toml");
    file.to_str().unwrap().to_owned()
}

/// A `.iap` file, signed as key `id` after `change`.
fn signed(
    profile: &Profile,
    payload: &[u8],
    id: u8,
    change: impl FnOnce(&mut ImageHeader),
) -> Vec<u8> {
    let (map, board) = (profile.memory_map(), &profile.settings.board_id);
    signed_file(image::header(map, board, payload), payload, id, change)
}

/// The bytes of the sample application: whatever is committed may start.
fn sample(bench: &mut Bench) -> Vec<u8> {
    let file = bench.folder.path().join("sample.bin");
    let mut convert = bench.iapctl(&["convert"]);
    convert.arg(built::application(MII)).arg("-o").arg(&file);
    assert!(convert.output().unwrap().status.success());
    std::fs::read(file).unwrap()
}

fn write(bench: &Bench, bytes: &[u8]) -> PathBuf {
    let file = bench.folder.path().join("app.iap");
    std::fs::write(&file, bytes).unwrap();
    file
}

/// Any client; what it says ends with what the board said.
fn curl(bench: &Bench, scheme: &str, file: &Path) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-v"]);
    match scheme {
        "tftp" => curl.arg("-T").arg(file),
        _ => {
            (curl.args(["--user", "user:stm32", "-F"])).arg(format!("datafile=@{}", file.display()))
        }
    };
    let path = if scheme == "http" { "upload.cgi" } else { "" };
    curl.arg(format!("{scheme}://{}/{path}", bench.address(scheme)));
    curl
}

/// The header's CRC made right again after a change that only the signature notices.
fn mended(mut file: Vec<u8>, byte: usize) -> Vec<u8> {
    file[byte] ^= 1;
    let crc = crc32(&file[..HEADER_LEN - 4]);
    file[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    file
}

#[test]
fn the_profile_s_keys_are_those_of_the_tests() {
    let profile = Profile::load(&profile()).unwrap();
    let keys: Vec<_> = (profile.settings.iap.public_keys.iter())
        .map(|key| key.0)
        .collect();
    assert_eq!(keys, public_keys());
}

/// What a board that has had a counter of 5 refuses, made of a good image with the first payload, and of another payload.
fn refused(
    profile: &Profile,
    [payload, other_payload]: [&[u8]; 2],
    good: &[u8],
) -> [(&'static str, Vec<u8>, ErrorCode); 12] {
    let make = |id, change: fn(&mut ImageHeader)| signed(profile, payload, id, change);
    let low = |header: &mut ImageHeader| header.security_counter = 4;
    let enough = |header: &mut ImageHeader| header.security_counter = 5;
    let other = |header: &mut ImageHeader| header.board = "other".try_into().unwrap();
    let mut header = ImageHeader::decode(good).unwrap();
    header.signature = [0; SIGNATURE_LEN];
    let unsigned = [&header.encode()[..], payload].concat();
    let spliced = [&good[..HEADER_LEN], other_payload].concat();
    [
        ("raw", payload.to_vec(), ErrorCode::RawNotAllowed),
        ("unsigned", unsigned, ErrorCode::NotSigned),
        ("lower counter", make(0, low), ErrorCode::CounterTooLow),
        ("revoked key", make(2, enough), ErrorCode::KeyRevoked),
        ("unknown key", make(KEYS, enough), ErrorCode::UnknownKey),
        ("wrong board", make(0, other), ErrorCode::WrongBoard),
        (
            "a signed bit",
            mended(good.to_vec(), 90),
            ErrorCode::BadSignature,
        ),
        (
            "a bit of R",
            mended(good.to_vec(), SIGNED_LEN),
            ErrorCode::BadSignature,
        ),
        (
            "a bit of S",
            mended(good.to_vec(), SIGNED_LEN + 32),
            ErrorCode::BadSignature,
        ),
        ("header of A, payload of B", spliced, ErrorCode::PayloadCrc),
        (
            "truncated",
            good[..good.len() - 1].to_vec(),
            ErrorCode::Truncated,
        ),
        ("extended", [good, &[0]].concat(), ErrorCode::TrailingBytes),
    ]
}

#[test]
fn only_images_that_a_key_of_the_board_has_signed_are_installed() {
    let mut bench = Bench::ready(&profile());
    let (profile, payload) = (bench.profile.clone(), sample(&mut bench));
    let make = |id, change: fn(&mut ImageHeader)| signed(&profile, &payload, id, change);
    let first = make(0, |header| {
        (header.security_counter, header.revoked_keys) = (5, 1 << 2);
    });
    let file = write(&bench, &first);
    bench.push("tftp", &file);

    bench.enter_iap_mode();
    let before = bench.board().flash_content();
    let (_, other_payload) = bench.image((2, 0, 0), payload.len());
    let good = make(0, |header| header.security_counter = 5);
    let cases = refused(&profile, [&payload, &other_payload], &good);
    for (name, file, code) in &cases {
        let file = write(&bench, file);
        for scheme in ["tftp", "http"] {
            let command = curl(&bench, scheme, &file);
            let (_, said, stop) = bench.serve(command);
            assert_eq!(stop, None);
            assert!(
                said.contains(code.sentence()),
                "{name} over {scheme}: {said}"
            );
        }
    }
    assert!(
        bench.board().flash_content() == before,
        "a refusal costs no flash operation"
    );

    let file = write(&bench, &good);
    let said = bench.push("http", &file);
    assert!(said.contains("committed"), "{said}");
    let mut deepest = vec![bench.board().lowest_stack()];
    bench.board().press_reset();
    bench.starts_within(Time::from_millis(200));
    assert_eq!(guest_errors(bench.board()), [""; 0]);
    deepest.push(bench.board().lowest_stack());
    let (start, lowest) = (stack_start(), deepest.into_iter().min().unwrap());
    let (used, size) = (start - lowest, start - STACK_END);
    println!("{used} of {size} bytes of stack");
    assert!(
        used + used / 2 <= size,
        "{used} of {size} bytes: half as much again must be free"
    );
}

/// Where the stack begins: the first word of the vector table.
fn stack_start() -> u32 {
    let mut content = vec![0xFF; 1024 * 1024];
    let firmware = Image::load(&built::firmware(&profile()), FLASH).unwrap();
    firmware.place(FLASH, &mut content).unwrap();
    u32::from_le_bytes(*content.first_chunk().unwrap())
}

/// What crossed the wire.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Capture {
    /// The times of TFTP packets with this opcode, in microseconds; they begin after Ethernet, IPv4 and UDP headers.
    fn times(&self, opcode: u8) -> Vec<u64> {
        let bytes = self.0.lock().unwrap();
        let mut rest = bytes.get(24..).unwrap_or_default();
        let mut times = Vec::new();
        while let Some((head, tail)) = rest.split_at_checked(16) {
            let word = |at: usize| u32::from_le_bytes(*head[at..].first_chunk().unwrap());
            let (frame, tail) = tail.split_at(word(8) as usize);
            let is_udp = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&17);
            if is_udp && frame.get(42..44) == Some(&[0, opcode]) {
                times.push(u64::from(word(0)) * 1_000_000 + u64::from(word(4)));
            }
            rest = tail;
        }
        times
    }
}

/// Cycles from the frame with the header's last byte to the frame with the verdict. Blocks have 512 bytes: the header is the first one.
fn verdict_cycles(bench: &mut Bench, file: &[u8]) -> u64 {
    let capture = Capture::default();
    bench.session.capture(Box::new(capture.clone())).unwrap();
    let file = write(bench, file);
    let command = curl(bench, "tftp", &file);
    let (_, said, _) = bench.serve(command);
    let (data, error) = (capture.times(3), capture.times(5));
    assert!(!data.is_empty() && !error.is_empty(), "{said}");
    (error[0] - data[0]) * CORE_MHZ
}

#[test]
fn the_verdict_on_a_signature_takes_less_than_100_ms() {
    let mut bench = Bench::ready(&profile());
    let (_, payload) = bench.image((2, 0, 0), 5000);
    let unsigned = std::fs::read(bench.folder.path().join("image.iap")).unwrap();
    let wrong = mended(signed(&bench.profile, &payload, 0, |_| {}), SIGNED_LEN);
    let without = verdict_cycles(&mut bench, &unsigned);
    let with = verdict_cycles(&mut bench, &wrong);
    println!(
        "last byte of the header to the verdict: not signed {without} cycles, wrong signature {with} cycles"
    );
    assert!(
        without < with && with < 100_000 * CORE_MHZ,
        "{without} {with}"
    );
}

/// A flash with the firmware, and an application of `len` bytes that a board without a network has installed.
fn installed(profile: &Profile, path: &str, len: usize) -> Vec<u8> {
    let mut board = bench::Bench::new(profile.memory_map().clone(), 1);
    board.config = settings::config(profile);
    require_signatures(&mut board.config);
    let payload = image::application(profile.memory_map(), (1, 0, 0), len);
    let file = signed(profile, &payload, 0, |_| {});
    assert_eq!(board.push(&file), bench::Pushed::Committed);
    let mut content = board.nor.content();
    let firmware = Image::load(&built::firmware(path), FLASH).unwrap();
    firmware.place(FLASH, &mut content).unwrap();
    content
}

#[test]
fn boot_check_signature_starts_the_longest_application_within_a_second() {
    let path = profile();
    let profile = Profile::load(&path).unwrap();
    for len in [5000, profile.memory_map().application.len as usize] {
        let setup = Setup {
            content: Some(installed(&profile, &path, len)),
            ..Setup::default()
        };
        let mut bench = Bench::new(&path, setup);
        bench.starts_within(Time::from_millis(1000));
        let (_, took) = bench.starts[0];
        println!(
            "boot-check = signature, {len} bytes: reset to application {} us",
            took.micros()
        );
    }
    // One bit of the application, behind the record's back. What only the signature notices is tried in `firmware/core/tests/signed.rs`.
    let mut content = installed(&profile, &path, 5000);
    content[0x2_0000 + 4000] ^= 1;
    let setup = Setup {
        content: Some(content),
        ..Setup::default()
    };
    let mut bench = Bench::new(&path, setup);
    assert!(!bench.starts_or_settles());
}
