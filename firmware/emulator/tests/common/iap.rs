//! The IAP firmware as it is shipped, the sample application, and `iapctl`, all built from this workspace; a board that runs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use iap_emulator::{Board, BoardOptions, Image, ResetCause, Session, SessionOptions, Stop, Time};
use iap_profile::Profile;

const FLASH: u32 = 0x0800_0000;
/// Wall time for one command of a client.
const PATIENCE: Duration = Duration::from_secs(120);

fn target() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn cargo(arguments: &[&str], folder: &Path, settings: &[(&str, &str)]) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet"])
        .args(arguments)
        .arg("--target-dir")
        .arg(folder);
    cargo.envs(settings.iter().copied());
    // The flags of the host's build are not for the chip.
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    assert!(
        cargo.status().expect("cargo can be started").success(),
        "{arguments:?} does not build"
    );
}

/// What was built in this test run.
fn once(name: &str, build: impl FnOnce() -> PathBuf) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // A test that panicked while building leaves the others a map that is still right.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if !built.contains_key(name) {
        built.insert(name.to_owned(), build());
    }
    built[name].clone()
}

/// Builds a package for the chip and keeps a copy under a name of its own.
fn for_chip(package: &str, kept: &str, settings: &[(&str, &str)]) -> PathBuf {
    once(kept, || {
        let folder = target().join("chip");
        let arguments = [
            "--package",
            package,
            "--profile",
            "firmware",
            "--target",
            "thumbv7em-none-eabihf",
        ];
        cargo(&arguments, &folder, settings);
        let kept = folder.join(kept);
        std::fs::copy(
            folder.join("thumbv7em-none-eabihf/firmware").join(package),
            &kept,
        )
        .unwrap();
        kept
    })
}

/// The default build of the IAP firmware for a board.
pub(crate) fn firmware(profile: &str) -> PathBuf {
    for_chip(
        "iap-stm32f407",
        &format!("iap-{profile}.elf"),
        &[("IAP_PROFILE", profile)],
    )
}

/// The sample application for a board.
pub(crate) fn application(profile: &str, version: &str) -> PathBuf {
    let settings = [
        ("IAP_PROFILE", profile),
        ("IAP_APP_VERSION", version),
        ("IAP_APP_BASE", ""),
    ];
    for_chip(
        "iap-sample-app",
        &format!("app-{profile}-{version}.elf"),
        &settings,
    )
}

/// The host command.
pub(crate) fn iapctl() -> PathBuf {
    once("iapctl", || {
        let folder = target().join("host");
        cargo(&["--package", "iapctl"], &folder, &[]);
        folder.join("debug/iapctl")
    })
}

/// A board with the shipped firmware on a wire with a gateway; the link is there at once.
pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) resets: Vec<(Time, ResetCause)>,
    /// When the application's first instruction was reached, and how long after its reset.
    pub(crate) starts: Vec<(Time, Time)>,
    profile: String,
}

impl Bench {
    pub(crate) fn new(profile: &str, options: &SessionOptions, board: BoardOptions) -> Self {
        let image = Image::load(&firmware(profile), FLASH).unwrap();
        let mut content = vec![0xFF; 1024 * 1024];
        image.place(FLASH, &mut content).unwrap();
        let name = profile.to_owned();
        let profile = Profile::load(profile).unwrap();
        let board = BoardOptions {
            link_up: Time::from_millis(5),
            stop_at_application: true,
            ..board
        };
        let board = Board::new(&profile, &board, &content, image.symbols).unwrap();
        let session = Session::new(board, &profile, options).unwrap();
        if let Some(path) = std::env::var_os("IAP_PCAP") {
            session
                .capture(Box::new(std::fs::File::create(path).unwrap()))
                .unwrap();
        }
        Self {
            session,
            resets: Vec::new(),
            starts: Vec::new(),
            profile: name,
        }
    }

    pub(crate) fn board(&mut self) -> &mut Board {
        &mut self.session.board
    }

    /// Runs for so long and keeps what happens; what ends the run besides resets and starts.
    pub(crate) fn run(&mut self, span: Time) -> Option<Stop> {
        let limit = self.session.board.now() + span;
        loop {
            match self.session.run(limit).unwrap() {
                Stop::Limit => return None,
                Stop::Sent => {}
                Stop::Reset(cause) => self.resets.push((self.session.board.now(), cause)),
                Stop::Application => self.note_start(),
                other => return Some(other),
            }
        }
    }

    /// As [`Bench::run`], where nothing else may happen.
    #[track_caller]
    pub(crate) fn runs(&mut self, span: Time) {
        let stop = self.run(span);
        assert_eq!(stop, None, "{:?}", self.session.board.pc());
    }

    /// Runs to the application's first instruction, at most so long.
    #[track_caller]
    pub(crate) fn starts_within(&mut self, span: Time) {
        let limit = self.session.board.now() + span;
        loop {
            match self.session.run(limit).unwrap() {
                Stop::Sent => {}
                Stop::Reset(cause) => self.resets.push((self.session.board.now(), cause)),
                Stop::Application => return self.note_start(),
                other => panic!(
                    "the application has not started: {other:?}, {:?}",
                    self.session.board.pc()
                ),
            }
        }
    }

    fn note_start(&mut self) {
        let now = self.session.board.now();
        self.starts
            .push((now, now.since(self.session.board.last_reset())));
    }

    /// `iapctl` with these arguments and one for the board; `scheme` is tftp or http.
    pub(crate) fn command(&self, arguments: &[&str], scheme: &str) -> Command {
        let address = match scheme {
            "tftp" => self.session.gateway.tftp_address(),
            _ => self.session.gateway.http_address(),
        };
        let mut command = Command::new(iapctl());
        command
            .args(arguments)
            .arg(format!("--{scheme}"))
            .arg(address.to_string());
        command
            .env("IAPCTL_PASSWORD", "stm32")
            .env("IAPCTL_PROFILE", &self.profile);
        command
    }

    /// Runs the board until the client ends: its success, its output, and what ended the run, if something did.
    pub(crate) fn serve(&mut self, command: Command) -> (bool, String, Option<Stop>) {
        let mut client = start(command);
        let deadline = Instant::now() + PATIENCE;
        let mut stop = None;
        while stop.is_none() && client.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the client does not end");
            stop = self.run(Time::from_millis(2));
        }
        if stop.is_some() {
            client.kill().unwrap();
        }
        let output = client.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
            stop,
        )
    }

    /// As [`Bench::serve`], for a client that succeeds.
    #[track_caller]
    pub(crate) fn succeeds(&mut self, command: Command) -> String {
        let (success, text, stop) = self.serve(command);
        assert!(success && stop.is_none(), "{stop:?}\n{text}");
        text
    }
}

fn start(mut command: Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}
