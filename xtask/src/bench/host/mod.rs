//! `cargo xtask bench host`: iapctl against the peers that a user could take instead, on this machine, in one run.
//!
//! Every row is measured round-robin: iapctl, first peer, second peer, and again, so that what else the machine does falls on all of
//! them. Medians count, and means too where datagrams are lost; where a median misses its target the rounds are asked whether chance did it.
//! CPU is user and system time of the process as the kernel accounts it, memory is its largest resident set.
//! A peer that is not installed is said to be missing, and under CI=true that is an error. No network but loopback is used.

mod convert;
mod fleet;
mod http;
mod http_server;
mod link;
mod measure;
mod peers;
mod rounds;
mod sink;
mod startup;
mod table;
mod tftp;
mod tftp_server;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, run as execute, target_folder};
use peers::Peers;
use table::{Row, Verdict};

pub(crate) use measure::{MEASURED, measured};

/// What is measured, and how often.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measurements of each program in each row
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Only the rows whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Also the row that takes 41 minutes: 16 MB in blocks of 512 bytes through the bad network
    #[arg(long)]
    long: bool,
}

/// What every row needs.
struct Bench<'a> {
    options: &'a Options,
    /// For files; emptied at the start.
    folder: PathBuf,
    iapctl: PathBuf,
    /// iapctl's TFTP client without the board around it.
    put: PathBuf,
    /// The same for its HTTP client.
    post: PathBuf,
    stub_boards: PathBuf,
    peers: Peers,
    rows: Vec<Row>,
}

/// A group of rows, and how it is measured.
type Group = fn(&mut Bench<'_>) -> Result<()>;

const GROUPS: [Group; 7] = [
    startup::rows,
    convert::rows,
    http::rows,
    fleet::rows,
    tftp::loopback_rows,
    tftp::bad_network_rows,
    tftp::widest_window_row,
];

/// Measures all rows and prints the table; an error if a target is missed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut bench = Bench::new(options)?;
    for group in GROUPS {
        group(&mut bench)?;
    }
    if bench.rows.is_empty() {
        bail!("no row has {} in its name", options.only);
    }
    table::print(&bench.rows);
    let missed = (bench.rows.iter())
        .filter(|row| row.verdict() == Verdict::Missed)
        .count();
    match missed {
        0 => Ok(()),
        missed => bail!("{missed} of {} targets are missed", bench.rows.len()),
    }
}

impl<'a> Bench<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let folder = target_folder().join("bench-host");
        let _ = fs::remove_dir_all(folder.join("files"));
        fs::create_dir_all(folder.join("files")).context("cannot make a folder for the bench")?;
        let mut build = cargo();
        build.args(["build", "--quiet", "--release", "--package", "iapctl"]);
        build.args(["--bin", "iapctl"]);
        for example in ["put", "post", "stub_boards"] {
            build.args(["--example", example]);
        }
        execute(&mut build)?;
        let release = target_folder().join("release");
        let files = folder.join("files");
        Ok(Self {
            options,
            iapctl: installed(&release.join("iapctl"), &files)?,
            put: installed(&release.join("examples/put"), &files)?,
            post: installed(&release.join("examples/post"), &files)?,
            stub_boards: release.join("examples/stub_boards"),
            peers: Peers::find(&folder)?,
            folder: files,
            rows: Vec::new(),
        })
    }

    /// Whether the row is asked for; said, because some take minutes.
    fn wants(&self, case: &str) -> bool {
        let wanted = case.contains(&self.options.only);
        if wanted {
            println!("{case} ...");
        }
        wanted
    }

    /// A file for the row.
    fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// A copy of a program, as installing makes one: of the file that the linker has written through a mapping the kernel holds single pages, and
/// maps fewer of them at once. That takes a tenth of the time of a program that is over after half a millisecond.
fn installed(built: &Path, folder: &Path) -> Result<PathBuf> {
    let installed = folder.join("installed");
    fs::create_dir_all(&installed)?;
    let path = installed.join(built.file_name().context("a program has a name")?);
    fs::copy(built, &path).with_context(|| format!("cannot copy {}", built.display()))?;
    Ok(path)
}

/// Bytes without a pattern, the same every time (xorshift64, Marsaglia 2003).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
