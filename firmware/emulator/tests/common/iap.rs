//! A board with the IAP firmware as it is shipped, and clients that push to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iap_emulator::{Board, BoardOptions, Image, ResetCause, Session, SessionOptions, Stop, Time};
use iap_profile::Profile;
use iap_sim::clock::Pace;
use iap_sim::image;
use tempfile::TempDir;

use super::built;

const FLASH: u32 = 0x0800_0000;
const FLASH_LEN: usize = 1024 * 1024;
/// Wall time for one command of a client.
const PATIENCE: Duration = Duration::from_secs(120);

/// MII with a DP83848, and RMII with a LAN8720: the boards whose default builds are tested.
pub(crate) const MII: &str = "stm324xg-eval";
pub(crate) const RMII: &str = "stm32f4-discovery";

/// How a bench is made.
pub(crate) struct Setup {
    pub(crate) session: SessionOptions,
    pub(crate) board: BoardOptions,
    /// The whole flash, if it is not to be as after the firmware was programmed.
    pub(crate) content: Option<Vec<u8>>,
}

impl Default for Setup {
    fn default() -> Self {
        let board = BoardOptions {
            link_up: Time::from_millis(5),
            stop_at_application: true,
            ..BoardOptions::default()
        };
        Self {
            session: SessionOptions::default(),
            board,
            content: None,
        }
    }
}

/// A board with the shipped firmware on a wire with a gateway.
pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) profile: Profile,
    pub(crate) resets: Vec<(Time, ResetCause)>,
    /// When the application's first instruction was reached, and how long after its reset.
    pub(crate) starts: Vec<(Time, Time)>,
    pub(crate) folder: TempDir,
    name: String,
    pace: Pace,
}

impl Bench {
    /// A board that has its lease.
    pub(crate) fn ready(profile: &str) -> Self {
        Self::ready_with(profile, Setup::default())
    }

    pub(crate) fn ready_with(profile: &str, setup: Setup) -> Self {
        let mut bench = Self::new(profile, setup);
        bench.settle();
        bench
    }

    /// A board under power.
    pub(crate) fn new(name: &str, setup: Setup) -> Self {
        let profile = Profile::load(name).unwrap();
        let image = Image::load(&built::firmware(name), FLASH).unwrap();
        let content = setup.content.unwrap_or_else(|| {
            let mut content = vec![0xFF; FLASH_LEN];
            image.place(FLASH, &mut content).unwrap();
            content
        });
        let board = Board::new(&profile, &setup.board, &content, image.symbols).unwrap();
        let session = Session::new(board, &profile, &setup.session).unwrap();
        if let Some(path) = std::env::var_os("IAP_PCAP") {
            session
                .capture(Box::new(std::fs::File::create(path).unwrap()))
                .unwrap();
        }
        Self {
            session,
            profile,
            resets: Vec::new(),
            starts: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            name: name.to_owned(),
            pace: setup.session.pace,
        }
    }

    /// Link, lease, servers.
    pub(crate) fn settle(&mut self) {
        self.runs(Time::from_millis(5000));
    }

    /// Resets the board with the key held: it stays in IAP mode.
    pub(crate) fn enter_iap_mode(&mut self) {
        self.board().press_key(true);
        self.board().press_reset();
        self.settle();
        self.board().press_key(false);
    }

    /// An application of so many bytes that passes every check, though no processor would like it; its `.iap` file, and its bytes.
    pub(crate) fn image(&self, version: (u16, u16, u16), len: usize) -> (PathBuf, Vec<u8>) {
        let map = self.profile.memory_map();
        let payload = image::application(map, version, len);
        let file = self.folder.path().join("image.iap");
        std::fs::write(
            &file,
            image::iap_file(map, &self.profile.settings.board_id, &payload),
        )
        .unwrap();
        (file, payload)
    }

    /// Pushes a file with `iapctl`, which succeeds; what it says.
    #[track_caller]
    pub(crate) fn push(&mut self, scheme: &str, file: &Path) -> String {
        let command = self.command(&["push", file.to_str().unwrap()], scheme);
        self.succeeds(command)
    }

    /// Pushes the sample application.
    #[track_caller]
    pub(crate) fn push_application(&mut self, scheme: &str) -> String {
        let file = built::application(&self.name);
        self.push(scheme, &file)
    }

    /// Asks the board, which answers.
    #[track_caller]
    pub(crate) fn status(&mut self, scheme: &str) -> String {
        let command = self.command(&["status"], scheme);
        self.succeeds(command)
    }

    /// Erases of each sector so far.
    pub(crate) fn erases(&mut self) -> Vec<u32> {
        self.board().with_flash(|nor| nor.counters().erases.clone())
    }

    /// The sample application counts on the LEDs four times a second.
    #[track_caller]
    pub(crate) fn leds_count(&mut self) {
        let from = self.board().now();
        self.runs(Time::from_millis(2000));
        let changes = self.board().led_changes();
        let first = changes.iter().filter(|it| it.at > from && it.led == 0);
        let first: Vec<_> = first.collect();
        assert!((7..=8).contains(&first.len()), "{first:?}");
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

    /// As [`Bench::run`], where nothing else may happen and no client waits.
    #[track_caller]
    pub(crate) fn runs(&mut self, span: Time) {
        self.session.set_pace(Pace::Virtual);
        let stop = self.run(span);
        self.session.set_pace(self.pace);
        assert_eq!(stop, None, "{:?}", self.session.board.pc());
    }

    /// Runs to the application's first instruction, at most so long.
    #[track_caller]
    pub(crate) fn starts_within(&mut self, span: Time) {
        assert!(
            self.starts_or_settles_within(span),
            "the application has not started: {:?}",
            self.session.board.pc()
        );
    }

    /// Runs to the application's first instruction, or until IAP mode must have its network; whether the application started.
    pub(crate) fn starts_or_settles(&mut self) -> bool {
        self.starts_or_settles_within(Time::from_millis(5000))
    }

    fn starts_or_settles_within(&mut self, span: Time) -> bool {
        let (limit, before) = (self.session.board.now() + span, self.starts.len());
        self.session.set_pace(Pace::Virtual);
        while self.starts.len() == before && self.board().now() < limit {
            match self.session.run(limit).unwrap() {
                Stop::Sent | Stop::Limit => {}
                Stop::Reset(cause) => self.resets.push((self.session.board.now(), cause)),
                Stop::Application => self.note_start(),
                other => panic!("{other:?}, {:?}", self.session.board.pc()),
            }
        }
        self.session.set_pace(self.pace);
        self.starts.len() > before
    }

    fn note_start(&mut self) {
        let now = self.session.board.now();
        self.starts
            .push((now, now.since(self.session.board.last_reset())));
    }

    /// The application starts by itself after an update over TFTP; unless it has started already, waits for it.
    #[track_caller]
    pub(crate) fn wait_for_start(&mut self) {
        if self.starts.is_empty() {
            self.starts_within(Time::from_millis(8000));
        }
    }

    /// Where the board's server is reached; `scheme` is tftp or http.
    pub(crate) fn address(&self, scheme: &str) -> SocketAddr {
        match scheme {
            "tftp" => self.session.peer.tftp_address(),
            _ => self.session.peer.http_address(),
        }
    }

    /// `iapctl` with these arguments and one for the board.
    pub(crate) fn command(&self, arguments: &[&str], scheme: &str) -> Command {
        let mut command = self.iapctl(arguments);
        command
            .arg(format!("--{scheme}"))
            .arg(self.address(scheme).to_string());
        command
    }

    /// `iapctl` with these arguments.
    pub(crate) fn iapctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(built::iapctl());
        command.args(arguments);
        command
            .env("IAPCTL_PASSWORD", "stm32")
            .env("IAPCTL_PROFILE", &self.name);
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

    /// Runs the board for clients that are there already.
    #[track_caller]
    pub(crate) fn serve_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "it does not come");
            assert_eq!(self.run(Time::from_millis(2)), None);
        }
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
