//! 200 boards at once: `iapctl push --hosts` in one process next to the best line with xargs, one client per board; and boards of which
//! some are silent and some refuse.
//!
//! The boards are stubs (`cli/examples/stub_boards.rs`), new ones for each run. iapctl asks each of them before and after for its status,
//! which the others do not.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::measure::{Measured, Program};
use super::peers::Mode;
use super::table::{Quantity, Row, Series};
use super::{Bench, noise};

const BOARDS: usize = 200;
const SILENT: usize = 5;
const REFUSING: usize = 5;
/// The .iap file of 100,000 bytes of application.
const LEN: usize = 100_000;
/// As iapctl asks for it.
const MODE: Mode = Mode {
    block_size: 1468,
    window_size: 16,
};
const ERASE_MS: u64 = 2000;
const TIMEOUT: Duration = Duration::from_secs(10);
/// A board in whose transfer the time ends may take so much longer to be freed and asked.
const GRACE: Duration = Duration::from_secs(4);
/// Exit code of iapctl where some boards are done and some are not.
const PARTIAL: i32 = 8;

pub(super) fn rows(bench: &mut Bench<'_>) -> Result<()> {
    let case = format!("{BOARDS} boards at once, 100 KB each");
    if bench.wants(&case) {
        let files = bench.fleet_files()?;
        let series = bench.fleet(&files)?;
        for quantity in [Quantity::Wall, Quantity::Cpu] {
            bench.rows.push(Row::compare(&case, quantity, 1.0, &series));
        }
    }
    mixed_row(bench)
}

/// What is sent: iapctl makes the image itself, the others send a file that is ready.
struct Files {
    app: PathBuf,
    iap: PathBuf,
}

impl Bench<'_> {
    fn fleet_files(&self) -> Result<Files> {
        let mut content = noise(LEN);
        let vectors = [0x2000_1000, 0x0802_0401].map(u32::to_le_bytes).concat();
        let unused = content.get_mut(..0x200).context("room for vectors")?;
        unused.fill(0);
        unused
            .get_mut(..8)
            .context("two vectors")?
            .copy_from_slice(&vectors);
        let app = self.file("app.bin", &content)?;
        let iap = self.folder.join("app.iap");
        let made = Program::new("iapctl", &self.iapctl)
            .args(["convert", "--profile", "sim"])
            .arg(&app)
            .arg("-o")
            .arg(&iap)
            .run(&self.folder.join("run"))?;
        match made.success {
            true => Ok(Files { app, iap }),
            false => bail!("iapctl convert failed"),
        }
    }

    fn fleet(&self, files: &Files) -> Result<Vec<Series>> {
        let clients = self.peers.lines(&files.iap, "{}", MODE);
        let names =
            std::iter::once("iapctl").chain(clients.iter().map(|client| client.name.as_str()));
        let mut series: Vec<Series> = names.map(Series::new).collect();
        for _ in 0..self.options.runs {
            for (place, series) in series.iter_mut().enumerate() {
                let client = place.checked_sub(1).and_then(|place| clients.get(place));
                series.runs.push(self.fleet_run(files, client)?);
            }
        }
        for series in series.iter_mut().skip(1) {
            series.name = format!("xargs {}", series.name);
        }
        Ok(series)
    }

    fn fleet_run(&self, files: &Files, client: Option<&Program>) -> Result<Measured> {
        let boards = Stubs::start(self, 0, 0, 0)?;
        let program = match client {
            None => Program::new("iapctl", &self.iapctl)
                .args(["push", "--hosts"])
                .arg(&boards.hosts)
                .arg(&files.app),
            Some(client) => {
                let ports: String = boards
                    .ports
                    .iter()
                    .map(|port| format!("{port}\n"))
                    .collect();
                let ports = self.file("ports", ports.as_bytes())?;
                Program::new(&format!("xargs {}", client.name), "xargs")
                    .arg("-a")
                    .arg(ports)
                    .args(["-P", "200", "-I", "{}"])
                    .arg(&client.program)
                    .args(client.arguments.iter())
            }
        };
        let run = program.run(&self.folder.join("run"))?;
        let committed = boards.stop()?;
        let success = run.success && committed == BOARDS as u64;
        Ok(Measured { success, ..run })
    }
}

/// Every board is told about as what it is, in time.
fn mixed_row(bench: &mut Bench<'_>) -> Result<()> {
    let good = BOARDS - SILENT - REFUSING;
    let case = format!("{good} good, {SILENT} silent, {REFUSING} refusing boards, --timeout 10");
    if !bench.wants(&case) {
        return Ok(());
    }
    let files = bench.fleet_files()?;
    let boards = Stubs::start(bench, SILENT, REFUSING, ERASE_MS)?;
    let begun = Instant::now();
    let output = Command::new(&bench.iapctl)
        .args(["push", "--json", "--timeout", "10", "--hosts"])
        .arg(&boards.hosts)
        .arg(&files.app)
        .output()?;
    let took = begun.elapsed();
    let told = states(&output.stdout);
    let right = (boards.ports.iter().enumerate())
        .filter(|(place, port)| {
            let expected = match place {
                0..SILENT => "silent",
                _ if *place < SILENT + REFUSING => "refused",
                _ => "updated",
            };
            told.get(*port).is_some_and(|state| state == expected)
        })
        .count();
    boards.stop()?;
    let exit = output.status.code();
    let row = Row::count(&case, right as u32, BOARDS as u32, "boards told right");
    bench.rows.push(Row {
        failed: row.failed || took > TIMEOUT + GRACE || exit != Some(PARTIAL),
        ..row.note(format!(
            "{:.1} s, exit code {}, {} lines",
            took.as_secs_f64(),
            exit.unwrap_or(-1),
            told.len()
        ))
    });
    Ok(())
}

/// What `--json` says of the board at each port.
fn states(lines: &[u8]) -> HashMap<u16, String> {
    let text = String::from_utf8_lossy(lines);
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["event"] == "result")
        .filter_map(|line| {
            let (_, port) = line["target"].as_str()?.split_once(':')?;
            let port = port.split(' ').next()?.parse().ok()?;
            Some((port, line["state"].as_str()?.to_owned()))
        })
        .collect()
}

/// Stub boards in a process of their own.
struct Stubs {
    process: Child,
    hosts: PathBuf,
    ports: Vec<u16>,
}

impl Stubs {
    fn start(bench: &Bench<'_>, silent: usize, refusing: usize, erase_ms: u64) -> Result<Self> {
        let hosts = bench.folder.join("hosts");
        let mut process = Command::new(&bench.stub_boards)
            .args(["--tftp-port", "0", "--write-hosts"])
            .arg(&hosts)
            .args(["--boards", &BOARDS.to_string()])
            .args(["--silent", &silent.to_string()])
            .args(["--refusing", &refusing.to_string()])
            .args(["--erase-ms", &erase_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the stub boards")?;
        let mut line = [0; 6];
        let stdout = process.stdout.as_mut().context("the boards' output")?;
        stdout
            .read_exact(&mut line)
            .context("the stub boards do not start")?;
        let ports = ports(&hosts)?;
        Ok(Self {
            process,
            hosts,
            ports,
        })
    }

    /// Stops them: how many hold an image.
    fn stop(mut self) -> Result<u64> {
        drop(self.process.stdin.take());
        let output = self.process.stdout.take().context("the boards' output")?;
        let last = BufReader::new(output)
            .lines()
            .last()
            .context("no report")??;
        self.process.wait()?;
        let report: serde_json::Value = serde_json::from_str(&last)?;
        report["committed"]
            .as_u64()
            .context("no number in the report")
    }
}

fn ports(hosts: &Path) -> Result<Vec<u16>> {
    let text = fs::read_to_string(hosts)?;
    let port = |line: &str| line.rsplit(':').next().unwrap_or_default().parse::<u16>();
    Ok(text.lines().map(port).collect::<Result<_, _>>()?)
}
