//! The shipped firmware's pages in Chromium: login, upload, result and reset once more, on the emulated chip.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::driven::{Browser, DESK, Kind};
use iap_profile::Profile;
use iap_sim::image;

const BOARD: &str = "stm324xg-eval";

/// A running emulator.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Emulator {
    /// Starts one with the IAP key held; where its pages are.
    fn start() -> (Self, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iap-emulator"));
        command
            .args(["run", "--profile", BOARD, "--key", "--firmware"])
            .arg(crate::common::built::firmware(BOARD))
            .args(["--tftp-port", "0", "--http-port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let http = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(format!("http://{}/", line.strip_prefix("http ")?)));
        // The pipe must not fill up, or the board stops.
        std::thread::spawn(move || lines.for_each(drop));
        (Self(child), http.expect("it names its port"))
    }
}

#[test]
fn in_chromium_a_person_logs_in_uploads_and_resets_the_shipped_firmware() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(run());
}

async fn run() {
    let Some(browser) = Browser::start(Kind::Chromium, DESK).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.iap");
    let map = Profile::builtin(BOARD).unwrap();
    let payload = image::application(map.memory_map(), (2, 0, 0), 150_000);
    std::fs::write(&file, image::iap_file(map.memory_map(), BOARD, &payload)).unwrap();
    let (_emulator, url) = Emulator::start();

    browser.client.goto(&url).await.unwrap();
    browser.type_in("input[name=username]", "user").await;
    browser.type_in("input[name=password]", "stm32").await;
    browser.click("main form button").await;
    browser.reads("#state", "key-held").await;
    let input = browser.shown("#file").await;
    input.send_keys(file.to_str().unwrap()).await.unwrap();
    browser
        .reads("#verdict", "Version 2.0.0 for board stm324xg-eval")
        .await;
    browser.click("#upload button").await;
    browser
        .reads("#note", "In flash and verified: version 2.0.0")
        .await;
    browser.shoot("emulator-done").await;
    browser.click("#reset button").await;
    browser.reads("#note", "has restarted").await;
    browser.reads("#note", "Installed: version 2.0.0").await;
    browser.reads("#state", "2.0.0").await;
    browser.shoot("emulator-restarted").await;
}
