//! One run of one program: wall time, CPU time, peak memory, and whether it succeeded.
//!
//! The program is started by a process of its own, `xtask measured REPORT PROGRAM ARGUMENTS...`: the kernel accounts CPU and memory of
//! all children of a process together, and that one has only one. Its own small memory is the least that can be seen.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use crate::command;

/// The hidden task that starts the program.
pub(crate) const MEASURED: &str = "measured";

/// A program with its arguments, as it is measured.
#[derive(Clone)]
pub(super) struct Program {
    /// How the table calls it.
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    output: Option<PathBuf>,
    /// After that it is killed, and has failed.
    pub(super) limit: Duration,
}

/// What a run took.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Measured {
    pub(super) success: bool,
    pub(super) wall_s: f64,
    /// User and system time.
    pub(super) cpu_s: f64,
    pub(super) peak_kib: f64,
}

impl Program {
    pub(super) fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            arguments: Vec::new(),
            output: None,
            limit: Duration::from_secs(60),
        }
    }

    pub(super) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(super) fn args<A: Into<OsString>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// The last argument: a file that it writes. It is removed before each run, because a file system may write at once to the disk what takes
    /// the place of another file.
    pub(super) fn output(mut self, path: &Path) -> Self {
        self.output = Some(path.to_owned());
        self.arg(path)
    }

    pub(super) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it; what it says is shown if it fails. `scratch` is a file for the report.
    pub(super) fn run(&self, scratch: &Path) -> Result<Measured> {
        if let Some(output) = self.output.as_ref().filter(|output| output.exists()) {
            fs::remove_file(output)?;
        }
        let mut helper = Command::new(env::current_exe()?);
        helper.arg(MEASURED).arg(scratch);
        helper.arg(self.limit.as_millis().to_string());
        helper.arg(&self.program).args(&self.arguments);
        let status = helper.stdin(Stdio::null()).status();
        if !status.context("cannot start the helper")?.success() {
            bail!("{} could not be measured", self.name);
        }
        let report = fs::read_to_string(scratch)?;
        let run = Measured::parse(&report);
        let run = run.with_context(|| format!("report of {}: {report}", self.name))?;
        if !run.success {
            let said = fs::read_to_string(messages_of(scratch)).unwrap_or_default();
            let said = said.lines().next().unwrap_or("nothing");
            println!(
                "  {} failed after {:.1} s and said: {said}",
                self.name, run.wall_s
            );
        }
        Ok(run)
    }
}

impl Measured {
    fn parse(report: &str) -> Option<Self> {
        let mut numbers = report.split_whitespace().map(str::parse::<f64>);
        let mut next = || numbers.next()?.ok();
        Some(Self {
            success: next()? == 0.0,
            wall_s: next()?,
            cpu_s: next()?,
            peak_kib: next()?,
        })
    }
}

/// `xtask measured REPORT LIMIT_MS PROGRAM ARGUMENTS...`; the exit code says only whether it could be measured.
pub(crate) fn measured(mut arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let mut next = || arguments.next().context("too few arguments");
    let (report, limit_ms, program) = (next()?, next()?, next()?);
    let limit_ms: u64 = limit_ms.to_string_lossy().parse()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let messages = fs::File::create(messages_of(report.as_ref()))?;
    command.stdout(Stdio::null()).stderr(messages);
    let begun = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", command::line(&command)))?;
    let over = kill_after(child.id(), Duration::from_millis(limit_ms))?;
    let status = child.wait()?;
    let wall_s = begun.elapsed().as_secs_f64();
    // The watcher may be gone already.
    let _ = over.send(());
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let failed = u8::from(!status.success());
    let cpu_s = cpu_us as f64 / 1e6;
    let peak_kib = usage.max_rss();
    fs::write(report, format!("{failed} {wall_s} {cpu_s} {peak_kib}\n"))?;
    Ok(())
}

fn messages_of(report: &Path) -> PathBuf {
    report.with_extension("messages")
}

/// Ends the child if nobody says before that it is over.
fn kill_after(child: u32, limit: Duration) -> Result<mpsc::Sender<()>> {
    let (over, wait) = mpsc::channel();
    let child = Pid::from_raw(i32::try_from(child)?);
    thread::spawn(move || {
        if wait.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            // It may have ended in this moment.
            let _ = kill(child, Signal::SIGKILL);
        }
    });
    Ok(over)
}
