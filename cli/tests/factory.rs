//! What `iapctl factory` writes, seen by the firmware's own code: it starts, it can be updated, and nothing from before gets in the way.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{App, Folder, Said, Section, iapctl, peer};
use iap_core::boot::{BootInputs, Decision, decide};
use iap_core::flash::Flash;
use iap_core::record::{Last, Record, RecordState};
use iap_profile::Profile;
use iap_protocol::header::{HEADER_LEN, HeaderBytes, ImageHeader};
use iap_protocol::memory::{MemoryMap, SectorSet};
use iap_protocol::status::IapReason;
use iap_protocol::version::Version;
use iap_sim::event::Event;
use iap_sim::image::{application, header};
use iap_sim::nor::{FlashTimes, Nor};
use iap_sim::settings;
use iap_sim::sim::{FlashSource, Sim, SimOptions};

/// A profile without the bare rule, which would start an application without a record.
const BOARD: &str = "stm324xg-eval";
const FLASH: u32 = 0x0800_0000;
const PATIENCE: Duration = Duration::from_secs(30);

fn profile(name: &str) -> Profile {
    Profile::builtin(name).unwrap()
}

/// A firmware as the linker lays it out for the flash map `full`: vectors in sector 0, code in sector 3.
fn firmware() -> App {
    let mut firmware = App::at(FLASH);
    let code = Section::new(".iap", FLASH + 0xC000, vec![0xA5; 70_001]);
    firmware.more = vec![code];
    firmware
}

/// An application for `profile` as a `.iap` file, and its header.
fn app(
    profile: &str,
    version: (u16, u16, u16),
    len: usize,
    counter: u32,
) -> (Vec<u8>, ImageHeader) {
    let profile = self::profile(profile);
    let payload = application(profile.memory_map(), version, len);
    let mut header = header(profile.memory_map(), &profile.settings.board_id, &payload);
    header.security_counter = counter;
    ([&header.encode(), &payload[..]].concat(), header)
}

struct Line {
    folder: Folder,
    firmware: String,
}

impl Line {
    fn new() -> Self {
        let folder = Folder::new();
        let firmware = folder.file("iap.elf", &firmware().elf());
        Self {
            firmware: firmware.to_str().unwrap().into(),
            folder,
        }
    }

    fn factory(&self, out: &str, more: &[&str]) -> Said {
        self.factory_of(&self.firmware, out, more)
    }

    fn factory_of(&self, firmware: &str, out: &str, more: &[&str]) -> Said {
        let out = self.folder.path(out);
        let out = out.to_str().unwrap();
        let fixed = ["factory", "--firmware", firmware, "-o", out];
        iapctl(fixed.iter().chain(more))
    }

    fn app(&self, name: &str, bytes: &[u8]) -> String {
        self.folder.file(name, bytes).to_str().unwrap().into()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path(name)).unwrap()
    }
}

fn nor_with(map: &MemoryMap, content: &[u8]) -> Nor {
    let mut nor = Nor::new(map.flash.clone(), FlashTimes::ZERO, 1).panic_on_violation();
    nor.load(FLASH, content);
    nor
}

fn boot(profile_name: &str, nor: &mut Nor) -> Decision {
    let config = settings::config(&profile(profile_name));
    decide(BootInputs::default(), &config, nor).unwrap()
}

fn started(decision: Decision) -> ImageHeader {
    match decision {
        Decision::Start(start) => {
            let image = start.image.expect("a committed image");
            ImageHeader::decode_recorded(&image.0).expect("a header")
        }
        other => panic!("expected a start, got {other:?}"),
    }
}

fn record(map: &MemoryMap, content: &[u8]) -> RecordState {
    let mut nor = nor_with(map, content);
    Record::load(&mut nor, map).unwrap().state().clone()
}

/// What a debug probe does with a HEX file: erases the sectors that occur in it, programs, and checks.
fn program_hex(nor: &mut Nor, hex: &Path, map: &MemoryMap) {
    let bytes = std::fs::read(hex).unwrap();
    let options = iapctl::image::LoadOptions::new(map);
    let image = iapctl::image::parse(&bytes, &options).unwrap();
    let sectors = (image.places.iter())
        .map(|place| map.flash.sectors_of(place.region()))
        .fold(SectorSet::EMPTY, SectorSet::union);
    for index in sectors.iter() {
        nor.erase(map.flash.sector(index).unwrap()).unwrap();
    }
    for place in &image.places {
        nor.load(place.address, image.bytes_at(place));
    }
}

#[test]
fn a_board_from_the_line_starts_its_application_and_writes_nothing() {
    for len in [3464, 131_072, 300_001] {
        let line = Line::new();
        let (file, header) = app(BOARD, (1, 2, 3), len, 0);
        let app = line.app("app.iap", &file);
        line.factory("factory.bin", &["--profile", BOARD, &app])
            .exits(0);
        let map = profile(BOARD).memory_map().clone();
        let mut nor = nor_with(&map, &line.read("factory.bin"));
        assert_eq!(started(boot(BOARD, &mut nor)), header);
        assert_eq!(nor.counters().operations(), 0);
        assert_eq!(
            nor.content_of(0x0802_0000..0x0802_0000 + len as u32),
            file[HEADER_LEN..]
        );
        assert_eq!(
            nor.content_of(FLASH..FLASH + 0x400),
            firmware().bin()[..0x400]
        );
        assert_eq!(
            nor.content_of(FLASH + 0xC000..FLASH + 0xC000 + 70_001),
            vec![0xA5; 70_001]
        );
    }
}

#[test]
fn the_compact_flash_map_has_its_record_elsewhere() {
    let line = Line::new();
    let compact = line.app(
        "compact.toml",
        b"inherits = \"stm324xg-eval\"\n[iap]\nflash-map = \"compact\"\n",
    );
    let mut firmware = App::at(FLASH);
    firmware.more = vec![Section::new(".iap", FLASH + 0x400, vec![0xA5; 0x7000])];
    let firmware = line.app("small.elf", &firmware.elf());
    let app = line.app("app.elf", &App::at(0x0801_0000).elf());
    line.factory_of(&firmware, "factory.bin", &["--profile", &compact, &app])
        .exits(0);
    let profile = Profile::load(&compact).unwrap();
    let mut nor = nor_with(profile.memory_map(), &line.read("factory.bin"));
    let config = settings::config(&profile);
    let decision = decide(BootInputs::default(), &config, &mut nor).unwrap();
    assert_eq!(started(decision).load_address, 0x0801_0000);
    line.factory("refused.bin", &["--profile", &compact, &app])
        .exits(3)
        .says("is not in the IAP firmware's sectors but in the boot record");
}

#[test]
fn the_record_says_what_the_board_itself_would_have_recorded() {
    let line = Line::new();
    let (file, _) = app("sim", (1, 0, 0), 200_000, 0);
    let app = line.app("app.iap", &file);
    line.factory("factory.bin", &["--profile", "sim", &app])
        .exits(0);
    let board = Sim::start(SimOptions::fast("sim").unwrap()).unwrap();
    let tftp = board.tftp().to_string();
    iapctl(["push", "--profile", "sim", "--tftp", &tftp, &app]).exits(0);
    let map = profile("sim").memory_map().clone();
    let from_the_line = record(&map, &line.read("factory.bin"));
    assert_eq!(from_the_line.last, Last::Committed);
    assert_eq!(from_the_line, record(&map, &board.flash_bytes()));
}

#[test]
fn a_board_from_the_line_is_updated_over_the_network() {
    let line = Line::new();
    let old = line.app("old.iap", &app("sim", (1, 0, 0), 200_000, 0).0);
    let new = line.app("new.iap", &app("sim", (1, 1, 0), 300_000, 0).0);
    line.factory("factory.bin", &["--profile", "sim", &old])
        .exits(0);
    let board = Sim::start(SimOptions {
        flash: FlashSource::Content(line.read("factory.bin")),
        ..SimOptions::fast("sim").unwrap()
    });
    let board = board.unwrap();
    let starts = |wanted: &'static str| {
        move |event: &Event| match event {
            Event::WouldStart {
                version, because, ..
            } => {
                assert!(because.contains("committed and"), "{because}");
                version == wanted
            }
            _ => false,
        }
    };
    let next = board.wait_for(0, PATIENCE, starts("1.0.0")).unwrap();
    let tftp = board.tftp().to_string();
    iapctl(["push", "--profile", "sim", "--tftp", &tftp, "--reset", &new]).exits(0);
    board.wait_for(next, PATIENCE, starts("1.1.0")).unwrap();
    let firmware = firmware().bin();
    assert_eq!(
        board.flash_bytes()[..0x400],
        firmware[..0x400],
        "no update touches the firmware"
    );
}

#[test]
fn a_former_record_of_a_higher_generation_does_not_win() {
    let line = Line::new();
    let (file, header) = app(BOARD, (2, 0, 0), 3464, 0);
    let app = line.app("app.iap", &file);
    line.factory("factory.hex", &["--profile", BOARD, &app])
        .exits(0);
    let map = profile(BOARD).memory_map().clone();
    let mut nor = nor_with(&map, &[]);
    // A life in the field: enough updates to move the record to the second sector.
    for major in 0..20 {
        let mut other = header.clone();
        other.version = Version::new(major, 0, 0);
        let mut record = Record::load(&mut nor, &map).unwrap();
        let other = HeaderBytes::from(&other);
        record.begin(&mut nor, &map, &other).unwrap();
        record.commit(&mut nor, &map, &other, false).unwrap();
    }
    let second = map
        .flash
        .sector(map.record_sectors[1])
        .unwrap()
        .region
        .start;
    assert_eq!(nor.content_of(second..second + 4), b"IAPR");
    program_hex(&mut nor, &line.folder.path("factory.hex"), &map);
    assert_eq!(started(boot(BOARD, &mut nor)), header);
}

#[test]
fn hex_and_bin_hold_the_same_and_objcopy_agrees() {
    let line = Line::new();
    let app = line.app("app.iap", &app(BOARD, (1, 0, 0), 140_001, 0).0);
    for out in ["factory.hex", "factory.bin"] {
        line.factory(out, &["--profile", BOARD, &app]).exits(0);
    }
    let map = profile(BOARD).memory_map().clone();
    let mut nor = nor_with(&map, &[]);
    program_hex(&mut nor, &line.folder.path("factory.hex"), &map);
    let bin = line.read("factory.bin");
    assert!(nor.content() == bin);
    let Some(mut objcopy) = peer("arm-none-eabi-objcopy") else {
        return;
    };
    let theirs = line.folder.path("theirs.bin");
    let arguments = ["-I", "ihex", "-O", "binary", "--gap-fill", "0xff"];
    let hex = line.folder.path("factory.hex");
    assert!(
        objcopy
            .args(arguments)
            .arg(&hex)
            .arg(&theirs)
            .status()
            .unwrap()
            .success()
    );
    let theirs = std::fs::read(theirs).unwrap();
    assert_eq!(theirs.len(), 0x2_0000 + 140_001);
    assert!(theirs == bin[..theirs.len()]);
    assert!(bin[theirs.len()..].iter().all(|&byte| byte == 0xFF));
}

#[test]
fn a_board_without_an_application_waits_and_keeps_its_counter() {
    let line = Line::new();
    let map = profile(BOARD).memory_map().clone();
    for (arguments, counter) in [(&[][..], 0), (&["--security-counter", "7"], 7)] {
        line.factory("factory.bin", &[&["--profile", BOARD], arguments].concat())
            .exits(0)
            .says("no application: the board waits in IAP mode");
        let content = line.read("factory.bin");
        let decision = boot(BOARD, &mut nor_with(&map, &content));
        assert_eq!(decision, Decision::Stay(IapReason::NoApplication));
        assert_eq!(record(&map, &content).counter, counter);
    }
}

#[test]
fn the_counter_goes_into_the_record_and_the_application_must_not_be_below_it() {
    let line = Line::new();
    let high = line.app("high.iap", &app(BOARD, (1, 0, 0), 3464, 8).0);
    let arguments = ["--profile", BOARD, "--security-counter", "8"];
    line.factory("factory.bin", &[&arguments[..], &[&high]].concat())
        .exits(0);
    let map = profile(BOARD).memory_map().clone();
    let content = line.read("factory.bin");
    assert_eq!(record(&map, &content).counter, 8);
    assert_eq!(
        started(boot(BOARD, &mut nor_with(&map, &content))).security_counter,
        8
    );
    let low = line.app("low.iap", &app(BOARD, (1, 0, 0), 3464, 7).0);
    line.factory("low.bin", &[&arguments[..], &[&low]].concat())
        .exits(3)
        .says("its security counter is 7, and the board is to refuse images below 8")
        .says("iapctl convert --security-counter 8");
    assert!(!line.folder.path("low.bin").exists());
}

#[test]
fn firmware_is_read_from_elf_hex_and_bin_alike() {
    let line = Line::new();
    let app = line.app("app.iap", &app(BOARD, (1, 0, 0), 3464, 0).0);
    line.factory("elf.bin", &["--profile", BOARD, &app])
        .exits(0);
    let expected = line.read("elf.bin");
    // As objcopy fills gaps, and as a careful build does: the record's sectors lie in between.
    for gap in [0x00, 0xFF] {
        let mut bin = firmware().bin();
        let gap_len = bin[0x400..0xC000].len();
        bin[0x400..0xC000].copy_from_slice(&vec![gap; gap_len]);
        let firmware = line.app("iap.bin", &bin);
        line.factory_of(&firmware, "bin.bin", &["--profile", BOARD, &app])
            .exits(0);
        let mut made = line.read("bin.bin");
        // What is left of the gap in sector 0 is the firmware's own business.
        made[0x400..0x4000].fill(0xFF);
        assert!(made == expected, "gaps of {gap:#04x}");
    }
    let pieces = firmware()
        .sections()
        .into_iter()
        .map(|section| iapctl::image::Piece {
            name: section.name.into(),
            address: section.load,
            run_address: section.run,
            data: section.data,
        });
    let hex = iapctl::image::ihex::write(&pieces.collect::<Vec<_>>());
    let firmware = line.app("iap.hex", hex.as_bytes());
    line.factory_of(&firmware, "hex.bin", &["--profile", BOARD, &app])
        .exits(0);
    assert!(line.read("hex.bin") == expected);
}

/// The section that the firmware's linker script writes, in the file and not in flash.
fn built_for(board: &str) -> Vec<u8> {
    with_rules(board, &profile(BOARD).firmware_rules())
}

fn with_rules(board: &str, rules: &[String]) -> Vec<u8> {
    let rules = rules.join("\n");
    let notes = [
        (".iap_board", board.as_bytes()),
        (".iap_rules", rules.as_bytes()),
    ];
    common::elf_with_notes(&firmware().sections(), &notes)
}

#[test]
fn a_firmware_for_another_board_is_refused_with_both_names() {
    let line = Line::new();
    let write = |name: &str, bytes: &[u8]| line.app(name, bytes);
    let wrong = write("wrong.elf", &built_for("stm32f4-discovery"));
    let names = line.folder.names();
    for profile in [BOARD, "stm324xg-eval-rmii"] {
        line.factory_of(&wrong, "factory.hex", &["--profile", profile])
            .exits(3)
            .says("this firmware was built for board stm32f4-discovery")
            .says(&format!(
                "expected {profile}, the board of profile {profile}"
            ))
            .says("cargo xtask firmware --profile NAME");
        assert_eq!(line.folder.names(), names);
    }
    let right = write("right.elf", &built_for(BOARD));
    let args = ["--json", "--profile", BOARD];
    let said = line
        .factory_of(&right, "factory.hex", &args)
        .exits(0)
        .json();
    assert_eq!(said["firmware_board"], BOARD);
    line.factory_of(&right, "factory.hex", &["--profile", BOARD])
        .exits(0)
        .says("built for board stm324xg-eval")
        .never_says("could not be checked");
    // A damaged id is none.
    let odd = write("odd.elf", &built_for("two words"));
    line.factory_of(&odd, "factory.hex", &["--profile", BOARD])
        .exits(0)
        .says("could not be checked");
}

#[test]
fn a_firmware_that_was_built_with_other_rules_is_refused_with_both() {
    let line = Line::new();
    let change =
        "inherits = \"stm324xg-eval\"\n[iap]\ndata-sectors = [11]\n[http]\npassword = \"own\"\n";
    let changed = line.app("changed.toml", change.as_bytes());
    let rules = Profile::load(&changed).unwrap().firmware_rules();
    let firmware = line.app("iap.elf", &with_rules(BOARD, &rules));
    let args = ["--profile", &changed];
    line.factory_of(&firmware, "factory.hex", &args)
        .exits(0)
        .never_says("could not be checked");
    std::fs::remove_file(line.folder.path("factory.hex")).unwrap();
    line.factory_of(&firmware, "factory.hex", &["--profile", BOARD])
        .exits(3)
        .says("this firmware was built with data-sectors = [11]")
        .says("but profile stm324xg-eval says data-sectors = []")
        .says("cargo xtask firmware --profile FILE");
    assert!(!line.folder.path("factory.hex").exists());
    // Built before the password was changed.
    let shipped = line.app("old.elf", &built_for(BOARD));
    let change = "inherits = \"stm324xg-eval\"\n[http]\npassword = \"own\"\n";
    let own_login = line.app("login.toml", change.as_bytes());
    line.factory_of(&shipped, "factory.hex", &["--profile", &own_login])
        .exits(3)
        .says("this firmware was built with default login = true")
        .says("says default login = false");
    let untold = line.app("untold.elf", &with_rules(BOARD, &[]));
    line.factory_of(&untold, "factory.hex", &["--profile", BOARD])
        .exits(3)
        .says("this firmware was built with other rules, but profile");
}

#[test]
fn of_a_firmware_without_its_elf_file_another_board_s_id_is_noticed() {
    let line = Line::new();
    let with_text = |text: &str| {
        let mut bytes = firmware().bin();
        bytes[0x300..0x300 + text.len()].copy_from_slice(text.as_bytes());
        line.app("iap.bin", &bytes)
    };
    for (text, profile) in [
        ("}-+stm32f4-discoverystm32", BOARD),
        ("}-+stm324xg-eval-rmiistm32", BOARD),
        ("}-+stm324xg-evalstm32", "stm324xg-eval-rmii"),
    ] {
        line.factory_of(&with_text(text), "factory.hex", &["--profile", profile])
            .exits(3)
            .says("this firmware was built for board")
            .says(&format!("expected {profile}"));
    }
    for text in [
        "}-+stm324xg-evalstm32",
        "olimex-stm32-e407, stm324xg-eval",
        "nothing",
    ] {
        line.factory_of(&with_text(text), "factory.hex", &["--profile", BOARD])
            .exits(0)
            .says("could not be checked: the ELF file");
    }
}

#[test]
fn what_is_no_firmware_for_the_board_is_refused_by_name() {
    let line = Line::new();
    let image = app(BOARD, (1, 0, 0), 3464, 0).0;
    let app = line.app("app.iap", &image);
    let mut even = firmware();
    even.reset &= !1;
    let mut in_record = firmware();
    in_record
        .more
        .push(Section::new(".log", FLASH + 0x4000, vec![0x11; 32]));
    let mut high = firmware();
    high.base = FLASH + 0xC000;
    high.more.clear();
    for (bytes, sentence) in [
        (
            image,
            "this is an application (IAP image), expected the IAP firmware",
        ),
        (
            App::good().elf(),
            "is not in the IAP firmware's sectors but in user flash",
        ),
        (
            even.elf(),
            "this firmware would not start: reset vector 0x08000200 is even",
        ),
        (
            in_record.elf(),
            "`.log` at 0x08004000..0x08004020 (32 bytes) is not in the IAP firmware's sectors but in the boot record",
        ),
        (
            high.elf(),
            "nothing in it is for 0x08000000, where the chip starts",
        ),
        (
            vec![0xFF; 4096],
            "this firmware would not start: no vector table",
        ),
    ] {
        let firmware = line.app("bad", &bytes);
        line.factory_of(&firmware, "bad.hex", &["--profile", BOARD, &app])
            .exits(3)
            .says(sentence);
        assert!(!line.folder.path("bad.hex").exists(), "{sentence}");
    }
}

#[test]
fn an_application_that_would_not_start_is_refused_as_by_verify_image() {
    let line = Line::new();
    let app = line.app("app.elf", &App::at(FLASH).elf());
    line.factory("factory.hex", &["--profile", BOARD, &app])
        .exits(3)
        .says("would not start on board stm324xg-eval");
    line.factory("factory.s19", &["--profile", BOARD])
        .exits(2)
        .says("expected .hex or .bin");
}

#[test]
fn the_result_says_where_everything_lies_and_warns_of_an_open_board() {
    let line = Line::new();
    let app = line.app("app.iap", &app(BOARD, (1, 2, 3), 3464, 0).0);
    line.factory("factory.hex", &["--profile", BOARD, &app])
        .exits(0)
        .says("sectors 0, 1, 2, 3, 4, 5")
        .says("firmware 0x08000000..0x08000400 (1 KiB)")
        .says("firmware 0x0800c000..0x0801d171 (70001 bytes)")
        .says("version 1.2.3 for board stm324xg-eval")
        .says("anybody on its network may install anything");
    let json = line
        .factory("factory.hex", &["--profile", BOARD, "--json", &app])
        .json();
    assert_eq!(json["application"]["version"], "1.2.3");
    assert_eq!(json["firmware"][0]["address"], 0x0800_0000);
    assert_eq!(json["sectors"], serde_json::json!([0, 1, 2, 3, 4, 5]));
}
