//! Other people's clients, through real sockets, to a virtual board behind a wire that loses frames: 16 KiB each.
//!
//! A push ends byte-exact and committed, or the board has refused it and takes iapctl's push in its time. Nothing is asked of what the
//! clients say: tftp-hpa exits 0 after an error, and curl waits five minutes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER, FIELD_FILE, PATH_UPLOAD};
use iap_sim::event::Event;
use iap_sim::image;
use iap_sim::sim::{Sim, SimOptions};
use iap_sim::wire::Conditions;

/// A client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stock {
    TftpHpa,
    Atftp,
    Busybox,
    CurlTftp,
    CurlHttp,
}

impl Stock {
    pub(crate) const ALL: [Self; 5] = [
        Self::TftpHpa,
        Self::Atftp,
        Self::Busybox,
        Self::CurlTftp,
        Self::CurlHttp,
    ];

    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::TftpHpa => "tftp",
            Self::Atftp => "atftp",
            Self::Busybox => "busybox",
            Self::CurlTftp | Self::CurlHttp => "curl",
        }
    }

    fn command(self, sim: &Sim, file: &Path) -> Command {
        let mut command = Command::new(self.program());
        let port = sim.tftp().port().to_string();
        match self {
            Self::TftpHpa => command
                .args(["-m", "binary", "127.0.0.1", &port, "-c", "put"])
                .arg(file)
                .arg("app"),
            Self::Atftp => command
                .args(["--put", "-r", "app", "-l"])
                .arg(file)
                .args(["127.0.0.1", &port]),
            Self::Busybox => command
                .args(["tftp", "-p", "-r", "app", "-l"])
                .arg(file)
                .args(["127.0.0.1", &port]),
            Self::CurlTftp => command
                .args(["--silent", "--max-time", "90", "-T"])
                .arg(file)
                .arg(format!("tftp://{}/app", sim.tftp())),
            Self::CurlHttp => command
                .args(["--silent", "--max-time", "90", "--user"])
                .arg(format!("{DEFAULT_USER}:{DEFAULT_PASSWORD}"))
                .arg("-F")
                .arg(format!("{FIELD_FILE}=@{}", file.display()))
                .arg(format!("http://{}{PATH_UPLOAD}", sim.http())),
        };
        command
    }
}

/// What came of one push.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Frames to the board that the wire lost.
    pub(crate) lost: u64,
    pub(crate) committed: bool,
    pub(crate) took: Duration,
    /// The client's exit code; `None` if it was killed after its time.
    pub(crate) exit: Option<i32>,
}

/// A client may take this long.
const PATIENCE: Duration = Duration::from_secs(100);
/// 10 s of silence, and iapctl's own push.
const BOARD_S_TIME: Duration = Duration::from_secs(40);

/// One push; `Err` says which rule was broken. `iapctl` is the program for the push that follows a failure.
pub(crate) fn push(
    stock: Stock,
    loss_percent: u32,
    seed: u64,
    iapctl: &Path,
) -> Result<Outcome, String> {
    let mut options = SimOptions::fast("sim").map_err(|error| format!("{error:#}"))?;
    options.conditions = Conditions {
        loss_ppm: loss_percent * 10_000,
        ..Conditions::default()
    };
    options.seed = seed;
    let map = options.profile.memory_map().clone();
    let payload = image::application(&map, (1, 0, 0), super::cells::SMALL);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("app.iap");
    let write = |payload: &[u8]| std::fs::write(&file, image::iap_file(&map, "sim", payload));
    write(&payload).map_err(|error| error.to_string())?;
    let sim = Sim::start(options).map_err(|error| format!("{error:#}"))?;
    let begun = Instant::now();
    let exit = run(&mut stock.command(&sim, &file), PATIENCE)?;
    let took = begun.elapsed();
    let lost = sim.traffic().lost;
    let committed = |event: &Event| matches!(event, Event::Committed { .. });
    let start = (map.application.start - map.flash.region().start) as usize;
    let outcome = |committed| Outcome {
        lost,
        committed,
        took,
        exit,
    };
    // A last ACK may have been lost, so that the client knows of nothing.
    if sim.wait_for(0, Duration::from_secs(3), committed).is_ok() {
        let exact = sim.flash_bytes()[start..].starts_with(&payload);
        return match exact {
            true => Ok(outcome(true)),
            false => Err("committed, and the flash differs".into()),
        };
    }
    if matches!(stock, Stock::CurlHttp | Stock::CurlTftp) && exit == Some(0) {
        return Err("the client was told that it is done".into());
    }
    let second = image::application(&map, (2, 0, 0), super::cells::SMALL);
    write(&second).map_err(|error| error.to_string())?;
    let until = Instant::now() + BOARD_S_TIME;
    while Instant::now() < until {
        let target = format!("--tftp={}", sim.tftp());
        let mut again = Command::new(iapctl);
        again.args(["push", &target]).arg(&file);
        if run(&mut again, BOARD_S_TIME)? == Some(0) {
            let refused = |event: &Event| matches!(event, Event::Refused { .. });
            let begun = |event: &Event| matches!(event, Event::UpdateBegun { .. });
            let events = sim.events();
            let count = |is: &dyn Fn(&Event) -> bool| {
                events.iter().filter(|stamped| is(&stamped.event)).count()
            };
            // Each that began and did not commit was refused with a sentence.
            return match count(&begun) == count(&refused) + count(&committed) {
                true => Ok(outcome(false)),
                false => Err(format!("an update ended without a word: {events:?}")),
            };
        }
        thread::sleep(Duration::from_millis(500));
    }
    Err("the board is not free in its time".into())
}

/// Runs a program to its end, or kills it.
fn run(command: &mut Command, patience: Duration) -> Result<Option<i32>, String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let until = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status.code());
        }
        if Instant::now() > until {
            child.kill().map_err(|error| error.to_string())?;
            child.wait().map_err(|error| error.to_string())?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
