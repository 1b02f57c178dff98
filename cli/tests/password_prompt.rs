//! The question for a password, on a terminal of its own: however it ends, the terminal echoes again, and the exit code is iapctl's.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

const PATIENCE: Duration = Duration::from_secs(20);

struct Terminal {
    /// Where a person would sit.
    person: File,
    /// Where the program is.
    program: OwnedFd,
}

impl Terminal {
    fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let person = openpt(flags).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let program = ioctl_tiocgptpeer(&person, flags).unwrap();
        Self {
            person: person.into(),
            program,
        }
    }

    fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.program).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// iapctl, which has asked for the password of a board that is not there.
    fn asked(&self) -> Child {
        assert!(self.echoes());
        let end = || Stdio::from(self.program.try_clone().unwrap());
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(assert_cmd::cargo::cargo_bin!("iapctl"))
            .args(["reset", "--http", "127.0.0.1:9"])
            .env_remove("IAPCTL_PASSWORD")
            .stdin(end())
            .stdout(end())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while self.echoes() {
            assert!(begun.elapsed() < PATIENCE, "it never asked");
            std::thread::sleep(Duration::from_millis(10));
        }
        child
    }

    fn types(&mut self, keys: &[u8]) {
        self.person.write_all(keys).unwrap();
    }
}

/// The exit code, and what was on stderr.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut text = String::new();
    child.stderr.unwrap().read_to_string(&mut text).unwrap();
    (status.code(), text)
}

fn is_interrupted_in_order(terminal: &Terminal, child: Child) {
    let (code, text) = ended(child);
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("interrupted while asking"), "{text}");
    assert!(terminal.echoes(), "the terminal is left without echo");
}

#[test]
fn ctrl_c_at_the_password_restores_the_terminal_and_exits_6() {
    let mut terminal = Terminal::new();
    for keys in [&b"\x03"[..], b"secr\x03"] {
        let child = terminal.asked();
        terminal.types(keys);
        is_interrupted_in_order(&terminal, child);
    }
}

#[test]
fn signals_at_the_password_restore_the_terminal_and_exit_6() {
    let terminal = Terminal::new();
    for signal in ["-TERM", "-INT"] {
        let child = terminal.asked();
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        is_interrupted_in_order(&terminal, child);
    }
}

#[test]
fn a_password_that_is_typed_is_taken_and_not_shown() {
    let mut terminal = Terminal::new();
    let child = terminal.asked();
    terminal.types(b"hush-hush\n");
    // On it goes, to a board that is not there.
    let (code, text) = ended(child);
    assert_eq!(code, Some(4), "{text}");
    assert!(terminal.echoes());
    let mut shown = [0; 1000];
    let len = terminal.person.read(&mut shown).unwrap();
    let shown = String::from_utf8_lossy(&shown[..len]);
    assert!(shown.contains("password of user: "), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
}
