//! `convert`: what is in the file it writes, what it reads, and that it never leaves half a file.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{App, BASE, Folder, RAM_END, Section, convert, iapctl, words};
use iap_protocol::crc::crc32;
use iap_protocol::header::{Flags, HEADER_LEN, ImageHeader, PayloadDigest};
use iap_protocol::info::ImageInfo;
use sha2::{Digest, Sha256};

/// Converts `content` and gives what was written.
#[track_caller]
fn converted(content: &[u8], out: &str, more: &[&str]) -> Vec<u8> {
    let folder = Folder::new();
    let (input, output) = (folder.file("in", content), folder.path(out));
    convert(&input, &output, more).exits(0);
    let mut expected = [out, "in"];
    expected.sort_unstable();
    assert_eq!(folder.names(), expected);
    std::fs::read(output).unwrap()
}

/// Converting `content` fails with this code and these words, and leaves nothing.
#[track_caller]
fn not_converted(content: &[u8], code: i32, text: &str) {
    let folder = Folder::new();
    let (input, output) = (folder.file("in", content), folder.path("out.iap"));
    convert(&input, &output, &["--force"])
        .exits(code)
        .says(text);
    assert_eq!(folder.names(), ["in"]);
}

fn with_info(board: &str) -> App {
    let mut app = App::good();
    let info = ImageInfo::encode((1, 2, 3), "-rc.1", board, Flags::CONFIRM);
    app.more
        .push(Section::new(".iap_info", BASE + 0x420, info.to_vec()));
    let mut note = Vec::new();
    words(&mut note, &[4, 20, 3, u32::from_le_bytes(*b"GNU\0")]);
    note.extend(1..=20);
    let note = Section {
        kind: 7, // SHT_NOTE
        ..Section::new(".note.gnu.build-id", BASE + 0x460, note)
    };
    app.more.push(note);
    app
}

#[test]
fn the_header_describes_the_payload() {
    let app = with_info("stm324xg-eval");
    let file = converted(&app.elf(), "app.iap", &[]);
    let (payload, header) = (&file[HEADER_LEN..], ImageHeader::decode(&file).unwrap());
    assert_eq!(payload, app.bin());
    assert_eq!(header.load_address, BASE);
    assert_eq!(header.payload_size as usize, payload.len());
    assert_eq!(header.payload_crc32, crc32(payload));
    assert_eq!(
        header.digest,
        PayloadDigest::Sha256(Sha256::digest(payload).into())
    );
    assert_eq!(header.version.to_string(), "1.2.3-rc.1");
    assert_eq!(header.board, "stm324xg-eval");
    assert_eq!(header.flags, Flags::CONFIRM);
    assert_eq!(header.build_id.to_vec(), (1..=20).collect::<Vec<u8>>());
    assert_eq!(header.sector_crc32[5], crc32(payload));
    assert_eq!(
        header.sector_crc32.iter().filter(|&&crc| crc != 0).count(),
        1
    );
    assert!(!header.is_signed());
}

#[test]
fn the_descriptor_is_found_in_a_raw_binary_too() {
    let app = with_info("any");
    let header = ImageHeader::decode(&converted(&app.bin(), "app.iap", &[])).unwrap();
    assert_eq!(header.version.to_string(), "1.2.3-rc.1");
    assert_eq!(header.flags, Flags::CONFIRM);
}

#[test]
fn each_sector_has_the_crc_of_its_part_of_the_payload() {
    let mut payload = App::good().bin();
    payload.resize(300 * 1024, 0x11);
    let file = converted(&payload, "app.iap", &[]);
    let header = ImageHeader::decode(&file).unwrap();
    let parts: Vec<u32> = payload.chunks(128 * 1024).map(crc32).collect();
    assert_eq!(header.sector_crc32[5..8], parts);
    assert_eq!(header.sector_crc32[8..], [0; 16]);
    assert_eq!(header.sector_crc32[..5], [0; 5]);
}

#[test]
fn options_override_what_the_application_says() {
    let options = [
        "--version",
        "2.0.0",
        "--board",
        "any",
        "--data",
        "--security-counter",
        "7",
        "--min-iap",
        "0.3.1",
    ];
    let file = converted(&with_info("stm324xg-eval").elf(), "app.iap", &options);
    let header = ImageHeader::decode(&file).unwrap();
    assert_eq!(header.version.to_string(), "2.0.0");
    assert_eq!(header.board, "any");
    assert_eq!(header.flags, Flags::CONFIRM.union(Flags::DATA));
    assert_eq!(
        (header.security_counter, header.min_iap_version),
        (7, (0, 3, 1))
    );
    // A .iap file again: the header is kept, except for what is asked.
    assert_eq!(converted(&file, "again.iap", &[]), file);
    let confirmed =
        ImageHeader::decode(&converted(&file, "again.iap", &["--version", "2.0.1"])).unwrap();
    assert_eq!(confirmed.version.to_string(), "2.0.1");
    assert_eq!(confirmed.security_counter, 7);
    for bad in [
        ["--version", "1.2"],
        ["--board", "a b"],
        ["--min-iap", "1.0.0-rc.1"],
        ["--fill", "0x55"],
    ] {
        iapctl(["convert", "in", "-o", "out.iap"].iter().chain(&bad)).exits(2);
    }
}

#[test]
fn header_options_are_refused_where_no_header_is_written() {
    let folder = Folder::new();
    let (input, output) = (
        folder.file("app.elf", &App::good().elf()),
        folder.path("app.bin"),
    );
    for option in [
        &["--version", "2.0.0"][..],
        &["--board", "any"],
        &["--confirm"],
        &["--data"],
        &["--security-counter", "7"],
        &["--min-iap", "0.3.1"],
    ] {
        convert(&input, &output, option)
            .exits(2)
            .says(&format!("has no image header for {}", option[0]))
            .says("-o app.iap");
    }
    assert_eq!(folder.names(), ["app.elf"]);
}

#[test]
fn of_a_bin_is_shown_what_verify_image_shows_of_it() {
    let folder = Folder::new();
    let input = folder.file("app.elf", &with_info("stm324xg-eval").elf());
    let (wrapped, out) = (folder.path("app.iap"), folder.path("app.bin"));
    let options = ["--version", "9.0.0", "--board", "any", "--data"];
    convert(&input, &wrapped, &options).exits(0);
    for input in [&input, &wrapped] {
        let said = convert(input, &out, &["--json"]).exits(0).json();
        let verify = ["--json", "verify-image", out.to_str().unwrap()];
        let mut verified = iapctl(verify).exits(0).json()["image"].clone();
        let mut shown = said["image"].clone();
        assert_eq!(shown["version"], "1.2.3-rc.1");
        // That of the file that was read, and that of the file that was written.
        shown["format"].take();
        verified["format"].take();
        assert_eq!(shown, verified);
    }
}

#[test]
fn a_signed_header_is_not_changed_behind_the_signature_s_back() {
    let file = converted(&App::good().elf(), "app.iap", &[]);
    let mut header = ImageHeader::decode(&file).unwrap();
    header.signature = [9; 64];
    let signed = [&header.encode(), &file[HEADER_LEN..]].concat();
    assert_eq!(converted(&signed, "same.iap", &[]), signed);
    let folder = Folder::new();
    let (input, output) = (folder.file("in", &signed), folder.path("out.iap"));
    convert(&input, &output, &["--version", "9.9.9"])
        .exits(2)
        .says("the image is signed");
    assert_eq!(folder.names(), ["in"]);
}

#[test]
fn every_format_gives_the_same_payload() {
    let app = App::good();
    let bin = app.bin();
    assert_eq!(converted(&app.elf(), "a.bin", &[]), bin);
    assert_eq!(converted(&bin, "a.bin", &[]), bin);
    assert_eq!(
        converted(&converted(&app.elf(), "a.iap", &[]), "a.bin", &[]),
        bin
    );
    assert_eq!(
        converted(intel_hex(&app.sections()).as_bytes(), "a.bin", &[]),
        bin
    );
    assert_eq!(
        converted(s_records(&app.sections()).as_bytes(), "a.bin", &[]),
        bin
    );
    let crlf = intel_hex(&app.sections()).replace('\n', "\r\n");
    assert_eq!(converted(crlf.as_bytes(), "a.bin", &[]), bin);
}

#[test]
fn gaps_get_the_fill_in_every_format_and_ff_by_default() {
    let app = App::good();
    let zeros: Vec<u8> = app.bin()[..0x188]
        .iter()
        .copied()
        .chain([0; 0x78])
        .chain(app.bin()[0x200..].to_vec())
        .collect();
    for file in [
        app.elf(),
        intel_hex(&app.sections()).into_bytes(),
        s_records(&app.sections()).into_bytes(),
    ] {
        assert_eq!(converted(&file, "a.bin", &["--fill", "0xff"]), app.bin());
        assert_eq!(converted(&file, "a.bin", &["--fill", "0x00"]), zeros);
    }
}

#[test]
fn only_bin_and_iap_are_written() {
    let folder = Folder::new();
    let input = folder.file("app.elf", &App::good().elf());
    for out in ["out.elf", "out.hex", "out", ".bin"] {
        let output = folder.path(out);
        convert(&input, &output, &[])
            .exits(2)
            .says("the format to write is chosen by the extension, expected .bin or .iap");
    }
    assert_eq!(folder.names(), ["app.elf"]);
}

#[test]
fn a_failure_leaves_the_old_file_and_no_other() {
    let folder = Folder::new();
    let mut app = App::good();
    app.reset = BASE;
    let (bad, old) = (
        folder.file("app.elf", &app.elf()),
        folder.file("out.bin", b"old"),
    );
    convert(&bad, &old, &[])
        .exits(3)
        .says("reset vector 0x08020000 is even")
        .says("--force");
    assert_eq!(std::fs::read(&old).unwrap(), b"old");
    assert_eq!(folder.names(), ["app.elf", "out.bin"]);
    convert(&bad, &old, &["--force"])
        .exits(0)
        .says("as --force asked");
    assert_eq!(std::fs::read(&old).unwrap(), app.bin());
    let nowhere = folder.path("no/such/folder/out.bin");
    let good = folder.file("good.elf", &App::good().elf());
    convert(&good, &nowhere, &[]).exits(1).says("cannot write");
    // A folder that stands where the file should go: the temporary file is removed again.
    let folder_out = folder.path("dir.bin");
    std::fs::create_dir(&folder_out).unwrap();
    convert(&good, &folder_out, &[])
        .exits(1)
        .says("cannot write");
    assert_eq!(
        folder.names(),
        ["app.elf", "dir.bin", "good.elf", "out.bin"]
    );
}

#[test]
fn damaged_iap_files_are_refused_even_with_force() {
    let file = converted(&App::good().elf(), "app.iap", &[]);
    let change = |change: fn(&mut Vec<u8>)| {
        let mut bytes = file.clone();
        change(&mut bytes);
        bytes
    };
    not_converted(
        &change(|f| f.truncate(300)),
        3,
        "the file ends inside the 512-byte image header",
    );
    not_converted(
        &change(|f| f.truncate(600)),
        3,
        "the payload is cut off: the header says 1040 bytes, the file has 88",
    );
    not_converted(
        &change(|f| f.push(0)),
        3,
        "the payload goes on after its end: the header says 1040 bytes, the file has 1041",
    );
    not_converted(
        &change(|f| f[900] ^= 1),
        3,
        "the payload is damaged: its CRC-32 is 0x",
    );
    not_converted(
        &change(|f| f[100] ^= 1),
        3,
        "image header damaged: its CRC-32 is 0x",
    );
    not_converted(
        &change(|f| f[4] = 2),
        3,
        "image header of format version 2, this iapctl knows up to 1",
    );
    let mut header = ImageHeader::decode(&file).unwrap();
    header.sector_crc32[5] ^= 1;
    let wrong = [&header.encode(), &file[HEADER_LEN..]].concat();
    not_converted(
        &wrong,
        3,
        "the sector CRCs in the header are not those of the payload",
    );
    not_converted(&change(|f| f[3] = b'P'), 3, "partial transfer");
}

#[test]
fn the_default_profile_is_named_in_the_output() {
    let folder = Folder::new();
    let (input, output) = (
        folder.file("in", &App::good().elf()),
        folder.path("out.bin"),
    );
    convert(&input, &output, &[])
        .exits(0)
        .says("out.bin: 1040 bytes written")
        .says("flash 0x08020000..0x08020410 (1040 bytes), sector 5")
        .says("CRC-32 0x")
        .says("fill 120 bytes of 0xff between sections")
        .says("profile stm324xg-eval (default; choose with --profile)");
    convert(&input, &output, &["--profile", "sim"])
        .exits(0)
        .says("profile  sim\n")
        .never_says("default");
}

/// Intel HEX with extended linear addresses, 16 bytes a record.
fn intel_hex(sections: &[Section]) -> String {
    let record = |kind: u8, offset: u16, data: &[u8]| {
        let mut bytes = vec![data.len() as u8, (offset >> 8) as u8, offset as u8, kind];
        bytes.extend_from_slice(data);
        let sum = bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        bytes.push(sum.wrapping_neg());
        format!(":{}\n", hex(&bytes))
    };
    let mut text = record(4, 0, &((BASE >> 16) as u16).to_be_bytes());
    for section in sections {
        for (i, line) in section.data.chunks(16).enumerate() {
            text += &record(0, (section.load - BASE) as u16 + 16 * i as u16, line);
        }
    }
    text += &record(5, 0, &(BASE + 0x201).to_be_bytes());
    text + &record(1, 0, &[])
}

/// S3 records, 21 bytes of data each, with header, count and end.
fn s_records(sections: &[Section]) -> String {
    let record = |kind: char, address: &[u8], data: &[u8]| {
        let bytes = [&[(address.len() + data.len() + 1) as u8], address, data].concat();
        let sum = bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        format!("S{kind}{}{:02X}\n", hex(&bytes), !sum)
    };
    let mut text = record('0', &[0, 0], b"app");
    let mut count = 0u16;
    for section in sections {
        for (i, line) in section.data.chunks(21).enumerate() {
            text += &record('3', &(section.load + 21 * i as u32).to_be_bytes(), line);
            count += 1;
        }
    }
    text += &record('5', &count.to_be_bytes(), &[]);
    text + &record('7', &RAM_END.to_be_bytes(), &[])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
