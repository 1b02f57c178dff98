//! `convert` of payloads that are too large to be kept: they are written while they are read, and nobody can tell from the outside.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{App, BASE, Folder, Said, Section, iapctl};
use iap_protocol::crc::crc32;
use iap_protocol::header::{Flags, HEADER_LEN};
use iap_protocol::info::{INFO_LEN, ImageInfo};

const MIB: usize = 1 << 20;

/// A board with 64 MiB of flash; on a real one such a payload is too large.
const PROFILE: &str = r#"inherits = "stm324xg-eval"
[flash]
size-kib = 65536
sectors = [
    { first = 0, count = 4, address = 0x08000000, size-kib = 16, erase-ms = { x8 = [1, 1], x16 = [1, 1], x32 = [1, 1] } },
    { first = 4, count = 1, address = 0x08010000, size-kib = 64, erase-ms = { x8 = [1, 1], x16 = [1, 1], x32 = [1, 1] } },
    { first = 5, count = 1, address = 0x08020000, size-kib = 65408, erase-ms = { x8 = [1, 1], x16 = [1, 1], x32 = [1, 1] } },
]
"#;

/// 7 MiB of content and half a MiB of gap, with a descriptor far behind what is kept, in no section of its own.
fn large() -> App {
    let mut app = App::good();
    let mut first: Vec<u8> = (0..6 * MIB).map(|i| (i / 7 % 251) as u8).collect();
    let info = ImageInfo::encode((1, 2, 3), "", "any", Flags::default());
    first[5 * MIB..][..INFO_LEN].copy_from_slice(&info);
    let behind = BASE + 0x1000 + 6 * MIB as u32 + MIB as u32 / 2;
    app.more.push(Section::new(".rodata", BASE + 0x1000, first));
    app.more
        .push(Section::new(".assets", behind, vec![0xA5; MIB + 3]));
    app
}

fn convert(folder: &Folder, app: &App, out: &str, more: &[&str]) -> Said {
    let input = folder.file("app.elf", &app.elf());
    let profile = folder.file("large.toml", PROFILE.as_bytes());
    let output = folder.path(out);
    let paths = [&input, &profile, &output].map(|path| path.to_str().unwrap());
    let args = ["convert", paths[0], "--profile", paths[1], "-o", paths[2]];
    iapctl(args.iter().chain(more))
}

#[test]
fn a_large_payload_is_the_same_as_bin_and_as_iap() {
    let (folder, app) = (Folder::new(), large());
    let said = convert(&folder, &app, "app.bin", &["--json"]);
    let report = said.exits(0).json();
    convert(&folder, &app, "app.iap", &[]).exits(0);
    let names = ["app.bin", "app.elf", "app.iap", "large.toml"];
    assert_eq!(folder.names(), names);
    let expected = app.bin();
    let read = |name| std::fs::read(folder.path(name)).unwrap();
    assert!(read("app.bin") == expected);
    assert!(read("app.iap")[HEADER_LEN..] == expected);
    assert_eq!(report["output_size"], expected.len());
    assert_eq!(report["image"]["size"], expected.len());
    assert_eq!(report["image"]["crc32"], crc32(&expected));
    assert_eq!(report["image"]["version"], "1.2.3");
    let content = 0x188 + 512 + 16 + 7 * MIB + 3;
    assert_eq!(report["filled"], expected.len() - content);
}

#[test]
fn a_large_image_that_is_refused_leaves_the_old_file_and_no_other() {
    let (folder, mut app) = (Folder::new(), large());
    app.reset = BASE;
    folder.file("out.bin", b"old");
    convert(&folder, &app, "out.bin", &[])
        .exits(3)
        .says("reset vector 0x08020000 is even");
    let names = ["app.elf", "large.toml", "out.bin"];
    assert_eq!(folder.names(), names);
    assert_eq!(std::fs::read(folder.path("out.bin")).unwrap(), b"old");
    convert(&folder, &app, "no/out.bin", &["--force"])
        .exits(1)
        .says("cannot write");
    assert_eq!(folder.names(), names);
    convert(&folder, &app, "out.bin", &["--force"]).exits(0);
    assert_eq!(folder.names(), names);
    assert!(std::fs::read(folder.path("out.bin")).unwrap() == app.bin());
}
