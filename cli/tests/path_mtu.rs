//! `iapctl push` on a network that carries 576 bytes and no more, in a network namespace made for it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "common/namespace.rs"]
mod namespace;

use std::process::{Command, Output};

use iap_sim::event::Event;
use iap_sim::image;
use iap_sim::sim::{Sim, SimOptions};

/// Set in the namespace.
const INSIDE: &str = "IAPCTL_TEST_INSIDE";
const NAME: &str = "a_network_of_576_bytes_is_given_blocks_of_512";

fn shown(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_network_of_576_bytes_is_given_blocks_of_512() {
    if std::env::var_os(INSIDE).is_some() {
        return push();
    }
    let Some(mut unshare) = namespace::unshare(&["--net"], &["ip", "link", "set", "lo", "up"])
    else {
        return;
    };
    let output = unshare
        .args(["sh", "-ec"])
        .arg("ip link set lo up mtu 576; exec \"$0\" --exact \"$1\" --nocapture")
        .arg(std::env::current_exe().unwrap())
        .arg(NAME)
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    assert!(shown(&output).contains("1 passed"), "{}", shown(&output));
}

/// Both transports to a virtual board, by the command itself.
fn push() {
    let options = SimOptions::fast("sim").unwrap();
    let map = options.profile.memory_map().clone();
    let folder = tempfile::tempdir().unwrap();
    let sim = Sim::start(options).unwrap();
    let targets = [
        format!("--tftp={}", sim.tftp()),
        format!("--http={}", sim.http()),
    ];
    for (number, target) in (1..).zip(targets) {
        let file = folder.path().join("app.iap");
        let payload = image::application(&map, (number, 0, 0), 60_000);
        std::fs::write(&file, image::iap_file(&map, "sim", &payload)).unwrap();
        let output = Command::new(assert_cmd::cargo::cargo_bin!("iapctl"))
            .args(["push", &target])
            .arg(&file)
            .env("IAPCTL_PASSWORD", "stm32")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", shown(&output));
    }
    let began_anew = |event: &Event| matches!(event, Event::Refused { sentence, .. } if sentence.contains("smaller blocks"));
    let events = sim.events();
    let happened = events.iter().filter(|it| began_anew(&it.event)).count();
    assert_eq!(happened, 1, "{events:#?}");
}
