//! `iap-sim run` as a user meets it: its lines, its flash file, its end. The client is curl's TFTP, or the test's own few packets.
#![allow(clippy::unwrap_used)] // tests

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use common::{PATIENCE, application, put};

/// A running `iap-sim`, killed when it goes out of scope.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(flash: &Path, extra: &[&str]) -> Self {
        let mut child = iap_sim(flash, extra)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Nobody may be listening any more.
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    fn next_line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// The next line in which `words` occur; everything before it is dropped.
    fn says(&self, words: &str) -> String {
        loop {
            let line = self.next_line();
            if line.contains(words) {
                return line;
            }
        }
    }

    fn port(&self, name: &str) -> SocketAddr {
        let line = self.next_line();
        let address = line.strip_prefix(name).unwrap().trim();
        address.parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn iap_sim(flash: &Path, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iap-sim"));
    command
        .args([
            "run",
            "--profile",
            "sim",
            "--tftp-port",
            "0",
            "--http-port",
            "0",
        ])
        .args(["--clock", "virtual", "--flash"])
        .arg(flash)
        .args(extra);
    command
}

#[test]
fn an_update_is_told_line_by_line_and_survives_the_end_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let flash = folder.path().join("flash.bin");
    let (app, iap) = application((1, 2, 3), 5001);
    let board = Running::start(&flash, &[]);
    let tftp = board.port("tftp");
    board.port("http");
    assert!(board.next_line().ends_with("reset: power-on"));
    assert!(
        board
            .next_line()
            .ends_with("IAP mode: no application has been installed")
    );
    board.says("address 192.168.0.10");
    put(tftp, &iap).unwrap();
    board.says("update begun: tftp from 192.168.0.1");
    board.says("image accepted: version 1.2.3");
    board.says("erased: sector 5, 0x08020000..0x08040000 (128 KiB)");
    board.says("programmed and verified: sector 5");
    board.says("committed: version 1.2.3, 5513 bytes, 1 sector written, 0 skipped");
    // The demo kills it; everything must be in the file all the same.
    drop(board);
    let content = fs::read(&flash).unwrap();
    assert_eq!(content.len(), 1024 * 1024);
    assert!(content[0x2_0000..].starts_with(&app));

    let board = Running::start(&flash, &[]);
    let line = board.says("would start");
    assert!(line.contains("would start 1.2.3 from 0x08020000"), "{line}");
    assert!(line.contains("resets with the IAP key held"), "{line}");
    board.says("IAP mode: the IAP key is held");
}

#[test]
fn a_reset_by_tftp_starts_what_was_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let board = Running::start(&folder.path().join("flash.bin"), &["--after-start", "exit"]);
    let tftp = board.port("tftp");
    put(tftp, &application((2, 0, 0), 1000).1).unwrap();
    board.says("committed");
    // The word `reset` in a file named `iap-reset`.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"\0\x02iap-reset\0octet\0", tftp).unwrap();
    let (_, tid) = socket.recv_from(&mut [0; 600]).unwrap();
    socket.send_to(b"\0\x03\0\x01reset", tid).unwrap();
    board.says("reset: asked for over TFTP");
    let line = board.says("would start 2.0.0 from 0x08020000");
    assert!(line.contains("the run ends here"), "{line}");
    let mut board = board;
    assert!(board.child.wait().unwrap().success());
}

#[test]
fn a_refusal_is_told_with_its_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let board = Running::start(&folder.path().join("flash.bin"), &[]);
    let told = put(board.port("tftp"), b"\x7fELF and so on").unwrap_err();
    assert!(told.contains("this is an ELF file"), "{told}");
    board.says("refused: this is an ELF file");
}

#[test]
fn events_are_json_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let board = Running::start(&folder.path().join("flash.bin"), &["--json", "--key"]);
    let event = || serde_json::from_str::<serde_json::Value>(&board.next_line()).unwrap();
    let first = event();
    assert_eq!(first["event"], "listening");
    assert!(first["tftp"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(event()["event"], "reset");
    let mode = event();
    assert_eq!(
        (&mode["event"], &mode["reason"]),
        (&"iap-mode".into(), &"the IAP key is held".into())
    );
}

#[cfg(unix)]
#[test]
fn sigterm_ends_it_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = Running::start(&folder.path().join("flash.bin"), &[]);
    board.says("IAP mode");
    let id = board.child.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    assert!(board.child.wait().unwrap().success());
}

#[test]
fn what_cannot_be_run_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let flash = folder.path().join("app.bin");
    fs::write(&flash, b"not a flash").unwrap();
    let explains = |command: &mut Command, words: &str| {
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(words), "{told}");
    };
    explains(
        &mut iap_sim(&flash, &[]),
        "has 11 bytes, the raw content of the flash",
    );
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut busy = Command::new(env!("CARGO_BIN_EXE_iap-sim"));
    busy.args(["run", "--http-port", "0", "--tftp-port", &port]);
    explains(&mut busy, "give other ports, or 0 for any free one");
}
