//! `iap-emulator run` as a user meets it: its lines, its flash file, its exit code.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::common::built;
use crate::common::iap::MII;
use crate::common::netns::Running;

const PATIENCE: Duration = Duration::from_secs(60);

/// A board on the command line.
struct Board {
    process: Running,
    lines: Receiver<String>,
}

impl Board {
    fn start(arguments: &[&str]) -> Self {
        let mut emulator = Command::new(env!("CARGO_BIN_EXE_iap-emulator"));
        emulator.args(["run", "--profile", MII, "--tftp-port", "0"]);
        emulator.args(["--http-port", "0"]).args(arguments);
        let mut process = Running(emulator.stdout(Stdio::piped()).spawn().unwrap());
        let stdout = BufReader::new(process.0.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Nobody may be listening any more.
                let _ = sender.send(line);
            }
        });
        Self { process, lines }
    }

    /// The next line with these words; what comes before is dropped.
    fn says(&self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            if line.contains(words) {
                return line;
            }
        }
    }
}

fn firmware() -> String {
    built::firmware(MII).to_str().unwrap().to_owned()
}

fn push(address: &str, file: &Path) {
    let mut iapctl = Command::new(built::iapctl());
    iapctl.args(["push", "--tftp", address]).arg(file);
    let output = iapctl.env("IAPCTL_PROFILE", MII).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
}

#[test]
fn a_board_takes_an_application_and_starts_it_again_from_its_flash_file() {
    let folder = tempfile::tempdir().unwrap();
    let flash = folder.path().join("board.bin");
    let flash = ["--flash", flash.to_str().unwrap()];
    let board = Board::start(&[&flash[..], &["--firmware", &firmware()]].concat());
    let address = board.says("tftp ").replace("tftp ", "");
    board.says("http 127.0.0.1:");
    board.says("power-on");
    board.says("blinks 0.5 Hz");
    push(&address, &built::application(MII));
    board.says("reset: by software");
    let started = board.says("the application starts ");
    assert!(
        started.contains("us after the reset, at 16 MHz"),
        "{started}"
    );
    drop(board);
    let mut board = Board::start(&[&flash[..], &["--seconds", "1"]].concat());
    board.says("the application starts ");
    assert!(board.process.0.wait().unwrap().success());
}

#[test]
fn a_flash_that_begins_with_nothing_is_an_error() {
    // The sample application in place of the firmware is linked elsewhere.
    let application = built::application(MII);
    let mut board = Board::start(&["--firmware", application.to_str().unwrap()]);
    assert!(!board.process.0.wait().unwrap().success());
}

#[test]
fn the_key_keeps_a_board_with_an_application_in_iap_mode() {
    let application = built::application(MII);
    let with = ["--app", application.to_str().unwrap(), "--firmware"];
    let board = Board::start(&[&with[..], &[&firmware(), "--key"]].concat());
    let address = board.says("tftp ").replace("tftp ", "");
    board.says("blinks 0.5 Hz");
    let mut iapctl = Command::new(built::iapctl());
    iapctl.args(["status", "--tftp", &address]);
    assert!(iapctl.stdout(Stdio::null()).status().unwrap().success());
}
