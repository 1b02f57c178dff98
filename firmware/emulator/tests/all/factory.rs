//! A board from the production line: what `iapctl factory` makes of the shipped firmware and an application, on a chip that had nothing.

use crate::common::built;
use crate::common::guest_errors;
use crate::common::iap::{Bench, RMII, Setup};
use iap_emulator::{Image, Time};

const FLASH: u32 = 0x0800_0000;

/// The flash after a probe has programmed the HEX file.
fn programmed(hex: &std::path::Path) -> Vec<u8> {
    let image = Image::load(hex, FLASH).unwrap();
    let mut content = vec![0xFF; 1024 * 1024];
    image.place(FLASH, &mut content).unwrap();
    content
}

#[test]
fn a_board_from_the_line_starts_its_application_at_the_first_power_on() {
    let folder = tempfile::tempdir().unwrap();
    let hex = folder.path().join("factory.hex");
    let mut factory = std::process::Command::new(built::iapctl());
    factory.args(["factory", "--profile", RMII, "--firmware"]);
    factory
        .arg(built::firmware(RMII))
        .arg(built::application(RMII));
    let said = factory.arg("-o").arg(&hex).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    let told = String::from_utf8_lossy(&said.stdout);
    assert!(told.contains(&format!("built for board {RMII}")), "{told}");
    let warned = String::from_utf8_lossy(&said.stderr) + told;
    assert!(!warned.contains("could not be checked"), "{warned}");

    let setup = Setup {
        content: Some(programmed(&hex)),
        ..Setup::default()
    };
    let mut bench = Bench::new(RMII, setup);
    bench.starts_within(Time::from_millis(50));
    bench.leds_count();
    assert_eq!(
        bench.erases(),
        [0; 12],
        "nothing to be settled, nothing to be repaired"
    );
    assert_eq!(guest_errors(bench.board()), [""; 0]);

    // And it can be updated: the record that the command wrote is one the firmware goes on with.
    bench.enter_iap_mode();
    assert!(bench.status("tftp").contains("1.0.0"));
    let (file, _) = bench.image((2, 0, 0), 5000);
    bench.push("http", &file);
    assert!(bench.status("http").contains("2.0.0"));
    let erases = bench.erases();
    assert_eq!([erases[0], erases[3], erases[4]], [0; 3], "the firmware");
    assert_eq!(erases[5..], [1, 0, 0, 0, 0, 0, 0]);
}
