//! A board, files to push to it, and what a person does again and again.

use std::fs;
use std::future::Future;
use std::path::PathBuf;

use iap_protocol::ErrorCode;
use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER};
use iap_sim::event::Event;
use iap_sim::image;
use iap_sim::sim::{Sim, SimOptions};

use crate::browser::{Browser, Kind, PATIENCE};

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

    pub(crate) async fn log_in(&self, browser: &Browser) {
        browser.client.goto(&self.url()).await.unwrap();
        browser.type_in("input[name=username]", DEFAULT_USER).await;
        browser
            .type_in("input[name=password]", DEFAULT_PASSWORD)
            .await;
        browser.click("main form button").await;
        browser.shown("#file").await;
    }

    /// Chooses a file in the upload form.
    pub(crate) async fn choose(&self, browser: &Browser, file: &std::path::Path) {
        let input = browser.shown("#file").await;
        input.send_keys(file.to_str().unwrap()).await.unwrap();
    }
}
