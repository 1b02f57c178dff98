//! Other people's clients against the virtual board, through the host's own sockets.
//!
//! Each pushes a small, a middle and a large application (larger than the update's RAM ring), raw and as `.iap`; then the flash holds
//! exactly the payload. A client that is not installed is skipped with a line that says how to get it, and fails the run under CI=true.

#![allow(clippy::unwrap_used)] // tests

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use iap_peers::is_here;
use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER, FIELD_FILE, PATH_LOGIN, PATH_UPLOAD};
use iap_sim::event::Event;
use iap_sim::image;
use iap_sim::sim::{Sim, SimOptions};

/// ST's example application has 3464 bytes and fits the ring whole; 102309 is odd and does not; 300000 takes three sectors.
const SIZES: [usize; 3] = [3464, 102_309, 300_000];
const PATIENCE: Duration = Duration::from_secs(60);

/// A board, a folder for files, and what was pushed last.
struct Bench {
    sim: Sim,
    folder: tempfile::TempDir,
    options: SimOptions,
    heard: usize,
}

impl Bench {
    fn new(options: SimOptions) -> Self {
        Self {
            sim: Sim::start(options.clone()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            options,
            heard: 0,
        }
    }

    /// A board whose flash takes no wall time.
    fn fast() -> Self {
        Self::new(SimOptions::fast("sim").unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn payload(&self, version: (u16, u16, u16), size: usize) -> Vec<u8> {
        image::application(self.options.profile.memory_map(), version, size)
    }

    fn iap(&self, payload: &[u8]) -> Vec<u8> {
        let profile = &self.options.profile;
        image::iap_file(profile.memory_map(), &profile.settings.board_id, payload)
    }

    fn expect_committed(&mut self, payload: &[u8]) {
        let committed = |event: &Event| matches!(event, Event::Committed { .. });
        self.heard = self.sim.wait_for(self.heard, PATIENCE, committed).unwrap();
        let map = self.options.profile.memory_map();
        let offset = map.application.start - map.flash.region().start;
        let flash = self.sim.flash_bytes();
        assert!(
            flash[offset as usize..].starts_with(payload),
            "flash differs from the payload"
        );
    }

    /// Pushes every size in both forms with `push`, which gets the board and a file and runs a client.
    fn push_everything(&mut self, push: impl Fn(&Sim, &Path) -> Output) {
        for (number, size) in (1..).zip(SIZES) {
            // Different versions: nothing may be skipped.
            let raw = self.payload((number, 0, 0), size);
            let bin = self.file("app.bin", &raw);
            succeeds(&push(&self.sim, &bin));
            self.expect_committed(&raw);
            let wrapped = self.payload((number, 1, 0), size);
            let iap = self.file("app.iap", &self.iap(&wrapped));
            succeeds(&push(&self.sim, &iap));
            self.expect_committed(&wrapped);
        }
    }
}

/// Runs a client to its end, or kills it when it takes too long.
fn run(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{command:?} was not done after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

fn text(output: &Output) -> String {
    let bytes = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn succeeds(output: &Output) {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        text(output)
    );
}

fn tftp_port(sim: &Sim) -> String {
    sim.tftp().port().to_string()
}

#[test]
fn tftp_hpa_pushes_in_binary_mode() {
    if is_here("tftp") {
        Bench::fast().push_everything(|sim, file| {
            let mut tftp = Command::new("tftp");
            tftp.args(["-m", "binary", "127.0.0.1", &tftp_port(sim), "-c", "put"]);
            run(tftp.arg(file).arg("app"))
        });
    }
}

#[test]
fn tftp_hpa_s_default_mode_is_refused_with_the_word_to_type() {
    if !is_here("tftp") {
        return;
    }
    let bench = Bench::fast();
    let file = bench.file("app.bin", &bench.payload((1, 0, 0), SIZES[0]));
    let mut tftp = Command::new("tftp");
    tftp.args(["127.0.0.1", &tftp_port(&bench.sim), "-c", "put"]);
    let told = text(&run(tftp.arg(&file).arg("app")));
    assert!(told.contains("type 'binary'"), "{told}");
    assert_eq!(bench.sim.nor().counters().operations(), 0);
}

#[test]
fn atftp_pushes_with_and_without_options() {
    if !is_here("atftp") {
        return;
    }
    for options in [
        vec![],
        vec!["--option", "blksize 1428", "--option", "windowsize 8"],
    ] {
        Bench::fast().push_everything(|sim, file| {
            let mut atftp = Command::new("atftp");
            atftp
                .args(&options)
                .args(["--put", "-r", "app", "-l"])
                .arg(file);
            run(atftp.args(["127.0.0.1", &tftp_port(sim)]))
        });
    }
}

#[test]
fn busybox_pushes_with_and_without_a_block_size() {
    if !is_here("busybox") {
        return;
    }
    for options in [vec![], vec!["-b", "1024"]] {
        Bench::fast().push_everything(|sim, file| {
            let mut busybox = Command::new("busybox");
            busybox
                .arg("tftp")
                .args(&options)
                .args(["-p", "-r", "app", "-l"])
                .arg(file);
            run(busybox.args(["127.0.0.1", &tftp_port(sim)]))
        });
    }
}

#[test]
fn curl_pushes_over_tftp_with_and_without_options() {
    if !is_here("curl") {
        return;
    }
    for options in [
        vec![],
        vec!["--tftp-no-options"],
        vec!["--tftp-blksize", "1428"],
    ] {
        Bench::fast().push_everything(|sim, file| {
            let mut curl = curl();
            curl.args(&options).arg("-T").arg(file);
            run(curl.arg(format!("tftp://{}/app", sim.tftp())))
        });
    }
}

#[test]
fn curl_waits_while_the_flash_takes_its_time() {
    if is_here("curl") {
        let mut bench = Bench::new(SimOptions::new("sim").unwrap());
        let payload = bench.payload((1, 0, 0), SIZES[2]);
        let file = bench.file("app.iap", &bench.iap(&payload));
        let begun = Instant::now();
        let mut curl = curl();
        let url = format!("tftp://{}/app", bench.sim.tftp());
        succeeds(&run(curl.arg("-T").arg(&file).arg(url)));
        // Three sectors of 1 s and 75,000 words of 16 us.
        assert!(
            begun.elapsed() > Duration::from_secs(4),
            "{:?}",
            begun.elapsed()
        );
        bench.expect_committed(&payload);
    }
}

/// A cookie file of a logged-in session.
fn log_in(bench: &Bench) -> PathBuf {
    let cookies = bench.folder.path().join("cookies.txt");
    let mut curl = curl();
    curl.args(["--fail", "--output", "/dev/null", "--cookie-jar"])
        .arg(&cookies);
    curl.arg("--data").arg(format!(
        "username={DEFAULT_USER}&password={DEFAULT_PASSWORD}"
    ));
    succeeds(&run(
        curl.arg(format!("http://{}{PATH_LOGIN}", bench.sim.http()))
    ));
    cookies
}

#[test]
fn curl_pushes_a_form_over_http() {
    if is_here("curl") {
        let mut bench = Bench::fast();
        let cookies = log_in(&bench);
        bench.push_everything(|sim, file| {
            let mut curl = curl();
            curl.arg("--fail").arg("--cookie").arg(&cookies);
            curl.arg("-F")
                .arg(format!("{FIELD_FILE}=@{}", file.display()));
            run(curl.arg(format!("http://{}{PATH_UPLOAD}", sim.http())))
        });
    }
}

#[test]
fn curl_puts_a_file_over_http() {
    if is_here("curl") {
        let mut bench = Bench::fast();
        let cookies = log_in(&bench);
        bench.push_everything(|sim, file| {
            let mut curl = curl();
            curl.arg("--fail")
                .arg("--cookie")
                .arg(&cookies)
                .arg("-T")
                .arg(file);
            run(curl.arg(format!("http://{}{PATH_UPLOAD}", sim.http())))
        });
    }
}

#[test]
fn wget_posts_a_file_over_http() {
    if is_here("wget") {
        Bench::fast().push_everything(|sim, file| {
            let mut wget = Command::new("wget");
            wget.args(["--quiet", "--tries=1", "--output-document=/dev/null"]);
            wget.args([
                "--auth-no-challenge",
                "--header=content-type: application/octet-stream",
            ]);
            wget.arg(format!("--user={DEFAULT_USER}"));
            wget.arg(format!("--password={DEFAULT_PASSWORD}"));
            wget.arg(format!("--post-file={}", file.display()));
            run(wget.arg(format!("http://{}{PATH_UPLOAD}", sim.http())))
        });
    }
}

/// A session that logs in by the form, posts the file as a form, and says what came back if that is no success.
const REQUESTS: &str = "
import requests, sys
board, file, user, password = sys.argv[1:]
session = requests.Session()
session.post(board + '/checklogin.cgi', {'username': user, 'password': password}).raise_for_status()
answer = session.post(board + '/upload.cgi', files={'datafile': open(file, 'rb')})
sys.exit(None if answer.ok else answer.text)
";

#[test]
fn python_requests_logs_in_and_posts_a_form() {
    // Debian's own: another python3 may come first, without the module.
    let python = "/usr/bin/python3";
    if is_here(iap_peers::REQUESTS) {
        Bench::fast().push_everything(|sim, file| {
            let mut requests = Command::new(python);
            requests.args(["-c", REQUESTS, &format!("http://{}", sim.http())]);
            run(requests.arg(file).args([DEFAULT_USER, DEFAULT_PASSWORD]))
        });
    }
}

#[test]
fn curl_shows_the_sentence_of_a_refusal_though_most_of_the_body_was_still_to_come() {
    if is_here("curl") {
        let bench = Bench::fast();
        let cookies = log_in(&bench);
        let mut misplaced = bench.payload((1, 0, 0), SIZES[2]);
        misplaced[4..8].copy_from_slice(&0x0800_0101_u32.to_le_bytes());
        let file = bench.file("misplaced.bin", &misplaced);
        let mut curl = curl();
        curl.arg("--cookie")
            .arg(&cookies)
            .args(["--write-out", "HTTP %{http_code}"]);
        curl.args(["--header", "accept: application/json"]);
        curl.arg("-F")
            .arg(format!("{FIELD_FILE}=@{}", file.display()));
        let output = run(curl.arg(format!("http://{}{PATH_UPLOAD}", bench.sim.http())));
        succeeds(&output);
        let told = text(&output);
        assert!(
            told.contains("HTTP 422") && told.contains("0x08000101"),
            "{told}"
        );
        assert_eq!(bench.sim.nor().counters().operations(), 0);
    }
}

fn curl() -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "50"]);
    curl
}
