//! The firmware with one server alone, and without DHCP: the small configurations do what is left in them.

use std::process::Command;

use crate::common::built;
use crate::common::guest_errors;
use crate::common::iap::{Bench, MII, Setup};
use iap_emulator::{Image, SessionOptions};

const FLASH: u32 = 0x0800_0000;

/// A board with this configuration of the firmware, at its static address.
fn board(configuration: &str) -> Bench {
    let image = Image::load(&built::configuration(MII, configuration), FLASH).unwrap();
    let mut content = vec![0xFF; 1024 * 1024];
    image.place(FLASH, &mut content).unwrap();
    let session = SessionOptions {
        dhcp: false,
        ..SessionOptions::default()
    };
    Bench::ready_with(
        MII,
        Setup {
            session,
            content: Some(content),
            ..Setup::default()
        },
    )
}

/// A client that asks the port of the server that is not there, for two seconds.
fn curl(bench: &Bench, scheme: &str, path: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "2"]);
    curl.arg(format!("{scheme}://{}/{path}", bench.address(scheme)));
    curl
}

#[test]
fn tftp_alone_takes_an_image_and_has_no_http() {
    let mut bench = board("tftp");
    let (file, payload) = bench.image((1, 2, 3), 5000);
    bench.push("tftp", &file);
    assert!(bench.board().flash_content()[0x2_0000..].starts_with(&payload));
    let command = curl(&bench, "http", "status.json");
    let (success, said, _) = bench.serve(command);
    assert!(!success, "{said}");
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

#[test]
fn http_alone_takes_an_image_and_has_no_tftp() {
    let mut bench = board("http");
    let (file, payload) = bench.image((1, 2, 3), 5000);
    bench.push("http", &file);
    assert!(bench.board().flash_content()[0x2_0000..].starts_with(&payload));
    let command = curl(&bench, "tftp", "status.json");
    let (success, said, _) = bench.serve(command);
    assert!(!success, "{said}");
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}
