//! The Rust decoder and the one in `decode.py`, which was written from README's tables, say the same about every golden file and
//! about thousands of random ones, good and damaged.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::fmt::{Display, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Rng, with_crc};
use iap_protocol::header::{Flags, HEADER_LEN, HeaderError, ImageHeader, PayloadDigest, Prefix};
use iap_protocol::info::ImageInfo;
use iap_protocol::memory::SectorSet;
use iap_protocol::record::{ENTRY_LEN, Entry, Seal, SectorHeader, Slot};
use iap_protocol::status::Status;
use iap_protocol::tftp::{Mode, Options, Packet, PacketError, Request};

/// `name = value` lines in the order of README's tables, or why there are none.
type Description = Result<Fields, String>;

#[derive(Default)]
struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: impl Display) {
        writeln!(self.0, "{name} = {value}").unwrap();
    }

    fn hex32(&mut self, name: &str, value: u32) {
        self.add(name, format_args!("{value:#010x}"));
    }

    fn hex(&mut self, name: &str, value: &[u8]) {
        let text: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add(name, text);
    }
}

fn describe(name: &str, bytes: &[u8]) -> String {
    let description = match name.split('-').next().unwrap() {
        "header" => describe_header(ImageHeader::decode(bytes)),
        "recorded" => describe_header(ImageHeader::decode_recorded(bytes)),
        "prefix" => describe_prefix(bytes),
        "info" => describe_info(bytes),
        "record" => describe_sector_header(bytes),
        "entry" => describe_entry(bytes),
        "tftp" => describe_tftp(bytes),
        "status" => describe_status(bytes),
        other => panic!("no decoder for {other}"),
    };
    let fields = match description {
        Ok(fields) => fields.0,
        Err(reason) => format!("refused = {reason}\n"),
    };
    format!("== {name}\n{fields}")
}

fn header_error(error: HeaderError) -> String {
    match error {
        HeaderError::Truncated => "truncated".into(),
        HeaderError::Magic => "magic".into(),
        HeaderError::FormatVersion(version) => format!("format_version {version}"),
        HeaderError::HeaderSize(size) => format!("header_size {size}"),
        HeaderError::Crc { .. } => "crc32".into(),
        HeaderError::Field(offset) => format!("field {offset}"),
    }
}

fn describe_header(decoded: Result<ImageHeader, HeaderError>) -> Description {
    let header = decoded.map_err(header_error)?;
    let (major, minor, patch) = header.min_iap_version;
    let (algorithm, digest) = match header.digest {
        PayloadDigest::None => (0, [0; 32]),
        PayloadDigest::Sha256(digest) => (1, digest),
    };
    let mut fields = Fields::default();
    fields.add("format_version", 1);
    fields.add("header_size", HEADER_LEN);
    fields.hex32("flags", header.flags.0);
    fields.add("board", &header.board);
    let (numbers, suffix) = (header.version.numbers(), &header.version.suffix);
    fields.add(
        "version",
        format_args!("{}.{}.{}", numbers.0, numbers.1, numbers.2),
    );
    fields.add("version_suffix", suffix);
    fields.add("security_counter", header.security_counter);
    fields.add("min_iap_version", format_args!("{major}.{minor}.{patch}"));
    fields.hex("build_id", &header.build_id);
    fields.hex32("load_address", header.load_address);
    fields.add("payload_size", header.payload_size);
    fields.hex32("payload_crc32", header.payload_crc32);
    fields.add("digest_algorithm", algorithm);
    fields.hex("digest", &[digest, [0; 32]].concat());
    for (sector, &crc) in header.sector_crc32.iter().enumerate() {
        fields.hex32(&format!("sector_crc32[{sector}]"), crc);
    }
    fields.add("key_id", header.key_id);
    fields.hex32("revoked_keys", header.revoked_keys);
    fields.hex("signature", &header.signature);
    fields.add("signed", if header.is_signed() { "yes" } else { "no" });
    fields.hex32("crc32", last_word(&header.encode()));
    Ok(fields)
}

fn last_word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes.last_chunk().unwrap())
}

fn describe_prefix(bytes: &[u8]) -> Description {
    let prefix = Prefix::decode(bytes).map_err(header_error)?;
    let sectors: Vec<String> = prefix.sectors.iter().map(|n| n.to_string()).collect();
    let mut fields = Fields::default();
    fields.add("sectors", sectors.join(" "));
    fields.hex32("crc32", last_word(&prefix.encode()));
    Ok(fields)
}

fn describe_info(bytes: &[u8]) -> Description {
    let info = ImageInfo::decode(bytes).ok_or("no descriptor")?;
    let (major, minor, patch) = info.version.numbers();
    let mut fields = Fields::default();
    fields.add("version", format_args!("{major}.{minor}.{patch}"));
    fields.hex32("flags", info.flags.0);
    fields.add("board", &info.board);
    fields.add("version_suffix", &info.version.suffix);
    Ok(fields)
}

fn describe_sector_header(bytes: &[u8]) -> Description {
    let header = SectorHeader::decode(bytes).ok_or("no sector header")?;
    let mut fields = Fields::default();
    fields.add("generation", header.generation);
    // Not from encode(): the bytes that are not looked at may hold anything.
    fields.hex32("crc32", last_word(&bytes[..32]));
    Ok(fields)
}

fn describe_entry(bytes: &[u8]) -> Description {
    let mut fields = Fields::default();
    let (entry, seal) = match Entry::decode(bytes.try_into().unwrap()) {
        Slot::Blank => {
            fields.add("slot", "blank");
            return Ok(fields);
        }
        Slot::Dead => {
            fields.add("slot", "dead");
            return Ok(fields);
        }
        Slot::Valid(entry, seal) => (entry, seal),
    };
    fields.add("slot", "valid");
    describe_entry_fields(entry, &mut fields);
    let seal = match seal {
        Seal::Blank => "blank",
        Seal::Torn => "torn",
        Seal::Sealed => "sealed",
    };
    fields.add("seal", seal);
    Ok(fields)
}

fn describe_entry_fields(entry: Entry, fields: &mut Fields) {
    let mut image = |kind, slot, header_crc32: Option<u32>| {
        fields.add("kind", kind);
        fields.add("image_slot", slot);
        if let Some(crc) = header_crc32 {
            fields.hex32("header_crc32", crc);
        }
    };
    match entry {
        Entry::Claimed { slot } => image("CLAIMED", slot, None),
        Entry::Begun { slot, header_crc32 } => image("BEGUN", slot, Some(header_crc32)),
        Entry::Committed { slot, header_crc32 } => image("COMMITTED", slot, Some(header_crc32)),
        Entry::Touched { sector } => {
            fields.add("kind", "TOUCHED");
            fields.add("sector", sector);
        }
        Entry::Done { sector } => {
            fields.add("kind", "DONE");
            fields.add("sector", sector);
        }
        Entry::Counter { value } => {
            fields.add("kind", "COUNTER");
            fields.hex32("security_counter", value);
        }
        Entry::Revoked { keys } => {
            fields.add("kind", "REVOKED");
            fields.hex32("revoked_keys", keys);
        }
        Entry::Setting { key, value } => {
            fields.add("kind", "SETTING");
            fields.add("setting", key);
            fields.hex("value", &value);
        }
    }
}

fn describe_tftp(bytes: &[u8]) -> Description {
    let packet = Packet::decode(bytes).map_err(|error| match error {
        PacketError::Truncated => "truncated".into(),
        PacketError::Opcode(opcode) => format!("opcode {opcode}"),
        PacketError::Text => "text".into(),
        PacketError::Option(name) => format!("option {name}"),
    })?;
    let mut fields = Fields::default();
    match &packet {
        Packet::ReadRequest(request) => describe_request("RRQ", request, &mut fields),
        Packet::WriteRequest(request) => describe_request("WRQ", request, &mut fields),
        Packet::Data { block, payload } => {
            fields.add("packet", "DATA");
            fields.add("block", block);
            fields.hex("payload", payload);
        }
        Packet::Ack { block } => {
            fields.add("packet", "ACK");
            fields.add("block", block);
        }
        Packet::Error { code, message } => {
            fields.add("packet", "ERROR");
            fields.add("code", code);
            fields.hex("message", message);
        }
        Packet::OptionAck(options) => {
            fields.add("packet", "OACK");
            describe_options(options, &mut fields);
        }
    }
    Ok(fields)
}

fn describe_request(packet: &str, request: &Request<'_>, fields: &mut Fields) {
    fields.add("packet", packet);
    fields.add("file_name", String::from_utf8_lossy(request.file_name));
    let mode = match request.mode {
        Mode::Octet => "octet",
        Mode::Netascii => "netascii",
        Mode::Other => "other",
    };
    fields.add("mode", mode);
    describe_options(&request.options, fields);
}

fn describe_options(options: &Options, fields: &mut Fields) {
    for (name, value) in [
        ("blksize", options.block_size.map(u64::from)),
        ("tsize", options.transfer_size),
        ("timeout", options.timeout_s.map(u64::from)),
        ("windowsize", options.window_size.map(u64::from)),
    ] {
        fields.add(name, value.map_or("-".into(), |value| value.to_string()));
    }
}

fn describe_status(bytes: &[u8]) -> Description {
    let status: Status = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    // Through JSON again: the names of fields and values are what is compared.
    let json = serde_json::to_value(&status).unwrap();
    let mut fields = Fields::default();
    for path in STATUS_FIELDS.split_whitespace() {
        let value = path.split('.').fold(&json, |value, key| &value[key]);
        match value.as_str() {
            Some(text) => fields.add(path, text),
            None => fields.add(path, value),
        }
    }
    Ok(fields)
}

const STATUS_FIELDS: &str = "status_version board iap_version policy default_password phase iap_reason \
    user_flash_first_page_address user_flash_size uptime_ms security_counter \
    application.version application.board application.load_address application.size application.crc32 \
    application.sector_crc32 \
    update.transport update.peer update.received update.total update.sectors_written update.sectors_skipped \
    update.sector \
    last_error.code last_error.text flash_erases flash_words";

/// What both decoders say about the files of `directory`.
fn compare(directory: &Path) {
    let Some(python) = run_python(directory) else {
        return;
    };
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".bin") || name.ends_with(".json"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let rust: String = names
        .iter()
        .map(|name| describe(name, &fs::read(directory.join(name)).unwrap()))
        .collect();
    let mut heading = "";
    let mut python_lines = python.lines();
    for line in rust.lines() {
        if line.starts_with("==") {
            heading = line;
        }
        assert_eq!(
            python_lines.next(),
            Some(line),
            "{heading} in {}: left Python, right Rust",
            directory.display()
        );
    }
    assert_eq!(python_lines.next(), None);
}

/// Output of the Python decoder; `None` without Python, which is a failure on CI.
fn run_python(directory: &Path) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decode.py");
    let python = iap_peers::find_or_skip("python3")?;
    let output = Command::new(python).arg(script).arg(directory).output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "decode.py failed: {errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn both_decoders_say_the_same_about_the_golden_files() {
    compare(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
}

/// Writes random files into a fresh directory and compares.
fn compare_random(name: &str, seed: u64, count: usize, make: impl Fn(&mut Rng) -> Vec<u8>) {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("random-{name}"));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let mut rng = Rng(seed);
    for i in 0..count {
        fs::write(directory.join(format!("{name}-{i:04}.bin")), make(&mut rng)).unwrap();
    }
    compare(&directory);
    fs::remove_dir_all(&directory).unwrap();
}

/// Leaves bytes as they are, changes one of them with the CRC put right or not, or cuts them short.
fn damage(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    // Half of the time near the start, where most of the rules are.
    let limit = rng.pick(&[bytes.len(), bytes.len().min(88)]);
    let at = rng.below(limit);
    let how = rng.below(8);
    match how {
        0 => {}
        1 => bytes.truncate(at),
        2 | 3 => bytes[at] ^= 1 << rng.below(8),
        _ => bytes[at] = rng.pick(b"\0\0\x01\x02\x7F\xFF +-._<A"),
    }
    if how > 3 { with_crc(bytes) } else { bytes }
}

#[test]
fn both_decoders_say_the_same_about_random_headers() {
    compare_random("header", 1, 1500, |rng| {
        let mut bytes = rng.header().encode().to_vec();
        if rng.below(10) == 0 {
            // A suffix of its sign alone.
            bytes[53..76].fill(0);
            bytes = with_crc(bytes);
        }
        damage(rng, bytes)
    });
    compare_random("recorded", 2, 300, |rng| {
        let mut header = rng.header();
        header.flags = header.flags.union(Flags::RAW);
        damage(rng, header.encode().to_vec())
    });
}

#[test]
fn both_decoders_say_the_same_about_random_prefixes_and_descriptors() {
    compare_random("prefix", 3, 300, |rng| {
        let sectors = SectorSet(rng.number() & 0x00FF_FFFF);
        damage(rng, Prefix { sectors }.encode().to_vec())
    });
    compare_random("info", 4, 600, |rng| {
        let (len, suffix_len) = (1 + rng.below(32), rng.below(12));
        let suffix = match suffix_len {
            0 => String::new(),
            len => format!("-{}", rng.text(len, ".+-")),
        };
        let flags = Flags(rng.number() & 3);
        let board = rng.text(len, "-_.");
        let mut bytes = ImageInfo::encode((1, 2, 0xFFFF), &suffix, &board, flags).to_vec();
        let at = rng.below(bytes.len());
        if rng.below(4) > 0 {
            bytes[at] = rng.pick(b"\0\0\x01\x7F\x80\xFF +-._<A");
        }
        bytes
    });
}

#[test]
fn both_decoders_say_the_same_about_random_record_bytes() {
    compare_random("record", 5, 300, |rng| {
        let generation = rng.number();
        damage(rng, SectorHeader { generation }.encode().to_vec())
    });
    compare_random("entry", 6, 1000, |rng| {
        let mut body = [0; 28];
        body[0] = rng.below(10) as u8;
        body[1] = rng.pick(&[0, 1, 10, 11, 23, 24, 255]);
        body[2 + rng.below(2)] = u8::from(rng.below(10) == 0);
        body[4..24].copy_from_slice(&rng.bytes::<20>());
        let mut slot = with_crc(body.to_vec());
        slot.extend_from_slice(&rng.pick(&[[0; 4], [0xFF; 4], [0xFF, 0, 0xFF, 0xFE]]));
        if rng.below(5) == 0 {
            let at = rng.below(ENTRY_LEN);
            slot[at] ^= 1 << rng.below(8);
        }
        slot
    });
}

#[test]
fn both_decoders_say_the_same_about_random_tftp_packets() {
    let opcodes: [&[u8]; 8] = [
        b"\0\x01",
        b"\0\x02",
        b"\0\x02",
        b"\0\x03",
        b"\0\x04",
        b"\0\x05",
        b"\0\x06",
        b"\x01\x02",
    ];
    let words: [&[u8]; 25] = [
        b"app.bin\0",
        b"octet\0",
        b"OCTET\0",
        b"NetASCII\0",
        b"mail\0",
        b"blksize\0",
        b"BlkSize\0",
        b"tsize\0",
        b"timeout\0",
        b"windowsize\0",
        b"rollover\0",
        b"8\0",
        b"7\0",
        b"255\0",
        b"256\0",
        b"65464\0",
        b"0\0",
        b"+5\0",
        b"\0",
        b"18446744073709551616\0",
        b"007\0",
        b"\x07\0",
        b"\x7F\0",
        b"cut",
        b"\xC3\xA4\0",
    ];
    compare_random("tftp", 7, 2500, |rng| {
        let mut packet = rng.pick(&opcodes).to_vec();
        let request = packet[1] < 3 && rng.below(8) > 0;
        if request {
            packet.extend_from_slice(b"app.bin\0octet\0");
        }
        for _ in 0..rng.below(6) {
            if request || packet[1] == 6 {
                packet.extend_from_slice(words[5 + rng.below(6)]);
                packet.extend_from_slice(words[11 + rng.below(7)]);
            } else {
                packet.extend_from_slice(rng.pick(&words));
            }
        }
        if rng.below(8) == 0 {
            packet.extend_from_slice(rng.pick(&words));
        }
        if rng.below(8) == 0 {
            packet.truncate(rng.below(packet.len()));
        }
        packet
    });
}
