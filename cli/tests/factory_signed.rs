//! `iapctl factory` for boards that take signed images only.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::path::{Path, PathBuf};

use common::{App, Folder, Said, Section, iapctl};
use iap_core::boot::{BootInputs, Decision, decide};
use iap_core::record::Record;
use iap_profile::{Profile, PublicKey};
use iap_protocol::header::ImageHeader;
use iap_sim::bench::{Bench, Pushed};
use iap_sim::image::{application, header};
use iap_sim::settings;
use iap_sim::signer::{public_keys, signed_file};

const FLASH: u32 = 0x0800_0000;

struct Line {
    folder: Folder,
    profile: PathBuf,
}

impl Line {
    fn new() -> Self {
        let folder = Folder::new();
        let keys: Vec<String> = (public_keys().iter())
            .map(|key| PublicKey(*key).to_string())
            .collect();
        let text = format!(
            "inherits = \"stm324xg-eval\"\n[iap]\npolicy = \"signed\"\nboot-check = \"signature\"\npublic-keys = {keys:?}\n"
        );
        let profile = folder.file("signed.toml", text.as_bytes());
        Self { folder, profile }
    }

    fn profile(&self) -> Profile {
        Profile::load(self.profile.to_str().unwrap()).unwrap()
    }

    /// A firmware with these keys, one of which lies across the border of sectors 3 and 4.
    fn firmware(&self, keys: &[[u8; 32]]) -> PathBuf {
        let mut code = vec![0xA5; 0x4000 - 40];
        code.extend(keys.concat());
        let mut firmware = App::at(FLASH);
        firmware.more = vec![Section::new(".iap", FLASH + 0xC000, code)];
        self.folder.file("iap.elf", &firmware.elf())
    }

    /// An application, signed as key `id` after `change`.
    fn app(&self, id: u8, change: impl FnOnce(&mut ImageHeader)) -> PathBuf {
        let profile = self.profile();
        let payload = application(profile.memory_map(), (1, 0, 0), 5000);
        let header = header(profile.memory_map(), "stm324xg-eval", &payload);
        let file = signed_file(header, &payload, id, change);
        self.folder.file("app.iap", &file)
    }

    fn factory(&self, firmware: &Path, app: &Path) -> Said {
        let out = self.folder.path("factory.bin");
        let said = iapctl([
            "factory".as_ref(),
            "--profile".as_ref(),
            self.profile.as_os_str(),
            "--firmware".as_ref(),
            firmware.as_os_str(),
            app.as_os_str(),
            "-o".as_ref(),
            out.as_os_str(),
        ]);
        assert_eq!(out.exists(), said.code == 0);
        said
    }
}

#[test]
fn a_signed_application_starts_and_its_counter_and_revocations_hold_from_the_first_day() {
    let line = Line::new();
    let app = line.app(0, |header| {
        (header.security_counter, header.revoked_keys) = (4, 1 << 2);
    });
    line.factory(&line.firmware(public_keys()), &app)
        .exits(0)
        .says("counter  4: images with a lower one are refused")
        .says("revoked  key 2: images signed with it are refused");
    let profile = line.profile();
    let mut board = Bench::new(profile.memory_map().clone(), 1);
    board.config = settings::config(&profile);
    let content = std::fs::read(line.folder.path("factory.bin")).unwrap();
    board.nor.load(FLASH, &content);
    let record = Record::load(&mut board.nor, &board.config.map).unwrap();
    assert_eq!(
        (record.state().counter, record.state().revoked),
        (4, 1 << 2)
    );
    let decision = decide(BootInputs::default(), &board.config, &mut board.nor).unwrap();
    assert!(matches!(decision, Decision::Start(_)), "{decision:?}");
    // The same image over the network finds nothing to do.
    let before = board.nor.counters().operations();
    assert_eq!(board.push(&std::fs::read(&app).unwrap()), Pushed::Committed);
    assert_eq!(board.nor.counters().operations(), before);
}

#[test]
fn a_firmware_with_other_keys_is_refused() {
    let line = Line::new();
    let app = line.app(0, |_| {});
    for keys in [&public_keys()[..2], &public_keys()[1..], &[]] {
        line.factory(&line.firmware(keys), &app)
            .exits(3)
            .says("this firmware was not built with the public key");
    }
}

#[test]
fn a_firmware_with_the_keys_in_another_order_is_refused() {
    // A key's id is its place: this board would check what key 0 signs with key 1, refuse it, and start nothing.
    let line = Line::new();
    let app = line.app(0, |_| {});
    let mut keys = public_keys().to_vec();
    keys.swap(0, 1);
    line.factory(&line.firmware(&keys), &app)
        .exits(3)
        .says("this firmware was not built with the public keys in the order of profile");
}

#[test]
fn an_application_that_the_board_would_not_start_is_refused() {
    let line = Line::new();
    let firmware = line.firmware(public_keys());
    let stranger = line.app(3, |_| {});
    line.factory(&firmware, &stranger)
        .exits(3)
        .says("signed with key 3, but the profile lists only 3 public keys");
    let mut file = std::fs::read(line.app(0, |_| {})).unwrap();
    let mut header = ImageHeader::decode(&file).unwrap();
    header.signature = [0; 64];
    file[..512].copy_from_slice(&header.encode());
    let unsigned = line.folder.file("app.iap", &file);
    line.factory(&firmware, &unsigned)
        .exits(3)
        .says("not signed, and the board starts signed applications only");
}
