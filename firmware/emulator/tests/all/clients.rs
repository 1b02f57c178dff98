//! Other people's TFTP clients as they come, lock-step and 512 bytes a block, against the shipped firmware on a flash as slow as the datasheet
//! allows. Paced: what the board takes, the clients wait.

use std::path::Path;
use std::process::Command;

use crate::common::capture::Capture;
use crate::common::guest_errors;
use crate::common::iap::{Bench, MII, Setup};
use iap_emulator::{Time, Wear};
use iap_peers::is_here;
use iap_sim::clock::Pace;

/// Two sectors, and more than the ring: the board erases while the client waits, in the middle and at the end.
const LEN: usize = 134 * 1024;
/// DS8626 section 5.3.12: 128 KiB at x32.
const LONGEST_ERASE: Time = Time::from_millis(2000);

/// A client and the time after which it repeats a packet.
struct Client {
    program: &'static str,
    repeats_after: Time,
    command: fn(&Path, &str) -> Command,
}

fn ends_right(client: &Client) {
    if !is_here(client.program) {
        return;
    }
    let mut setup = Setup::default();
    setup.board.wear = Wear::Maximum;
    setup.session.pace = Pace::Paced;
    let mut bench = Bench::ready_with(MII, setup);
    let (file, payload) = bench.image((1, 2, 3), LEN);
    let capture = Capture::of(&bench.session);
    let port = bench.address("tftp").port().to_string();
    bench.succeeds((client.command)(&file, &port));
    assert!(bench.board().flash_content()[0x2_0000..].starts_with(&payload));
    assert_eq!(
        bench.erases()[5..],
        [1, 1, 0, 0, 0, 0, 0],
        "exactly those that the image needs"
    );
    let transfer = capture.transfer();
    println!(
        "{}: {} packets repeated, longest silence of the board {}",
        client.program, transfer.repeated, transfer.longest_silence
    );
    assert!(transfer.longest_silence >= LONGEST_ERASE, "{transfer:?}");
    let must_repeat = transfer.longest_silence > client.repeats_after;
    assert!(transfer.repeated > 0 || !must_repeat, "{transfer:?}");
    assert!(
        must_repeat || client.repeats_after > LONGEST_ERASE,
        "its timer is shorter than the erase"
    );
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

#[test]
fn tftp_hpa_waits_for_the_slowest_flash() {
    ends_right(&Client {
        program: "tftp",
        repeats_after: Time::from_millis(5000),
        command: |file, port| {
            let mut tftp = Command::new("tftp");
            tftp.args(["-m", "binary", "127.0.0.1", port, "-c", "put"]);
            tftp.arg(file).arg("app");
            tftp
        },
    });
}

#[test]
fn atftp_waits_for_the_slowest_flash() {
    ends_right(&Client {
        program: "atftp",
        repeats_after: Time::from_millis(5000),
        command: |file, port| {
            let mut atftp = Command::new("atftp");
            atftp.args(["--put", "-r", "app", "-l"]).arg(file);
            atftp.args(["127.0.0.1", port]);
            atftp
        },
    });
}

/// Its timer begins at 100 ms: it repeats its packet several times in an erase.
#[test]
fn busybox_repeats_itself_while_the_slowest_flash_erases() {
    ends_right(&Client {
        program: "busybox",
        repeats_after: Time::from_millis(100),
        command: |file, port| {
            let mut busybox = Command::new("busybox");
            busybox.args(["tftp", "-p", "-r", "app", "-l"]).arg(file);
            busybox.args(["127.0.0.1", port]);
            busybox
        },
    });
}

#[test]
fn curl_without_options_waits_for_the_slowest_flash() {
    ends_right(&Client {
        program: "curl",
        repeats_after: Time::from_millis(6000),
        command: |file, port| {
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--max-time", "100", "--tftp-no-options", "-T"]);
            curl.arg(file).arg(format!("tftp://127.0.0.1:{port}/app"));
            curl
        },
    });
}
