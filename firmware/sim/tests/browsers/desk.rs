//! A board, files to push to it, and what a person does again and again.

use std::fs;
use std::future::Future;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use iap_protocol::ErrorCode;
use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER};
use iap_sim::event::Event;
use iap_sim::image;
use iap_sim::sim::{Sim, SimOptions};

use crate::browser::{Browser, DESK, Kind, PATIENCE};

/// Three sectors: about five seconds of erasing and programming.
pub(crate) const MIDDLE: usize = 300_000;
/// All of user flash but a little: long enough to do something else meanwhile.
pub(crate) const LARGE: usize = 900_000;

pub(crate) const UPLOAD: &str = "#upload button";
pub(crate) const RESET: &str = "#reset button";

/// Runs a test to its end.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(test);
}

/// A board whose flash takes its time, and files for it.
pub(crate) struct Desk {
    pub(crate) sim: Sim,
    options: SimOptions,
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(SimOptions::new("sim").unwrap())
    }

    pub(crate) fn with(options: SimOptions) -> Self {
        Self {
            sim: Sim::start(options.clone()).unwrap(),
            options,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A browser at its usual size, and a board that it is logged in to; `None` without that browser.
    pub(crate) async fn logged_in(kind: Kind) -> Option<(Browser, Self)> {
        let browser = Browser::start(kind, DESK).await?;
        let desk = Self::new();
        desk.log_in(&browser).await;
        Some((browser, desk))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.sim.http())
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn payload(&self, major: u16, size: usize) -> Vec<u8> {
        image::application(self.options.profile.memory_map(), (major, 0, 0), size)
    }

    pub(crate) fn wrapped(&self, board: &str, payload: &[u8]) -> Vec<u8> {
        image::iap_file(self.options.profile.memory_map(), board, payload)
    }

    /// Version 2.0.0 in a file, in one sector.
    pub(crate) fn small_image(&self) -> PathBuf {
        self.file("app.iap", &self.wrapped("sim", &self.payload(2, 5000)))
    }

    /// Waits until the board is done with the upload of a browser that has gone away; whether it was given up. Firefox is told to leave
    /// little in the kernel's hands; Chromium leaves all of the image there, which is then installed though nobody waits for it.
    pub(crate) fn ended(&self, kind: Kind) -> bool {
        let over = |event: &Event| matches!(event, Event::Refused { .. } | Event::Committed { .. });
        let next = self.sim.wait_for(0, PATIENCE, over).unwrap();
        let event = &self.sim.events()[next - 1].event;
        let refused = matches!(event, Event::Refused { code, .. } if *code == ErrorCode::ClientAborted as u16);
        assert!(refused || kind == Kind::Chromium, "{event:?}");
        refused
    }

    /// Holds the flash against what the board was sent.
    pub(crate) fn expect_in_flash(&self, payload: &[u8]) {
        let map = self.options.profile.memory_map();
        let offset = (map.application.start - map.flash.region().start) as usize;
        assert!(self.sim.flash_bytes()[offset..].starts_with(payload));
    }

    /// The page says that this version is installed, and it is.
    pub(crate) async fn expect_installed(&self, browser: &Browser, version: &str, payload: &[u8]) {
        let sentence = format!("In flash and verified: version {version}");
        browser.reads("#note", &sentence).await;
        self.expect_in_flash(payload);
    }

    pub(crate) async fn log_in(&self, browser: &Browser) {
        self.log_in_at(browser, &self.url()).await;
    }

    pub(crate) async fn log_in_at(&self, browser: &Browser, url: &str) {
        browser.client.goto(url).await.unwrap();
        browser.type_in("input[name=username]", DEFAULT_USER).await;
        browser
            .type_in("input[name=password]", DEFAULT_PASSWORD)
            .await;
        browser.click("main form button").await;
        browser.shown("#file").await;
    }

    /// An upload by somebody else that is under way, and does not come to an end; given up when dropped.
    pub(crate) fn half_an_upload(&self) -> Sender<()> {
        let file = self.wrapped("sim", &self.payload(1, 80_000));
        let before = self.sim.events().len();
        let mut stream = TcpStream::connect(self.sim.http()).unwrap();
        let head = format!(
            "PUT /upload.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\nContent-Length: {}\r\n\r\n",
            file.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let (hold, held) = channel();
        thread::spawn(move || {
            for part in file.chunks(600) {
                let _ = stream.write_all(part);
                let waited = held.recv_timeout(Duration::from_millis(500));
                if waited != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        let begun = |event: &Event| matches!(event, Event::UpdateBegun { .. });
        self.sim.wait_for(before, PATIENCE, begun).unwrap();
        hold
    }

    /// Chooses a file in the upload form.
    pub(crate) async fn choose(&self, browser: &Browser, file: &std::path::Path) {
        let input = browser.shown("#file").await;
        input.send_keys(file.to_str().unwrap()).await.unwrap();
    }

    /// Chooses a file and has it sent.
    pub(crate) async fn upload(&self, browser: &Browser, file: &std::path::Path) {
        self.choose(browser, file).await;
        browser.click(UPLOAD).await;
    }
}

/// What has the keyboard, when the page is done with what it was told: the field's name or the button's text.
pub(crate) async fn focused(browser: &Browser) -> String {
    browser.shown("#forms:not([inert])").await;
    let script = "const { name, textContent } = document.activeElement; return name || textContent";
    let found = browser.client.execute(script, vec![]).await.unwrap();
    found.as_str().unwrap().to_owned()
}
