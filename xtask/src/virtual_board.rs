//! The virtual board as a child process: started with a flash file, heard line by line, and always ended.
//!
//! It is ended by its id on every way out: when the [`VirtualBoard`] goes out of scope, also by a panic, and on Ctrl-C, SIGTERM or
//! SIGHUP by a handler.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio, exit};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command;

/// The board that runs, if any. Static, because the Ctrl-C handler must find it; one at a time is all that the demo needs.
static RUNNING: Mutex<Option<Child>> = Mutex::new(None);
static HANDLER: Once = Once::new();

/// Exit code of a process that Ctrl-C ended, by the shells' convention (128 + SIGINT).
const INTERRUPTED: i32 = 130;
/// How long the board may take for something that takes a real one seconds at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `iap-sim`.
pub(crate) struct VirtualBoard {
    lines: Receiver<String>,
    /// Where its TFTP server is reached.
    pub(crate) tftp: String,
    /// Where its HTTP server is reached.
    pub(crate) http: String,
}

impl VirtualBoard {
    /// Starts the command line of an `iap-sim run` and waits for the two addresses that it prints.
    pub(crate) fn start(sim: &mut Command) -> Result<Self> {
        let lines = spawn(sim)?;
        let mut board = Self {
            lines,
            tftp: String::new(),
            http: String::new(),
        };
        board.tftp = board.address_of("tftp")?;
        board.http = board.address_of("http")?;
        Ok(board)
    }

    /// Waits for a line in which all of `words` occur.
    pub(crate) fn says(&self, words: &[&str]) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if words.iter().all(|word| line.contains(word)) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!(
                        "the board did not say `{}` within {PATIENCE:?}",
                        words.join(" ... ")
                    )
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the board ended before it said `{}`", words.join(" ... "))
                }
            }
        }
    }

    fn address_of(&self, server: &str) -> Result<String> {
        let prefix = format!("{server} ");
        let line = self.says(&[&prefix])?;
        let address = line.strip_prefix(&prefix);
        let address =
            address.with_context(|| format!("expected `{prefix}ADDRESS:PORT`, got `{line}`"))?;
        Ok(address.to_owned())
    }
}

impl Drop for VirtualBoard {
    fn drop(&mut self) {
        end();
    }
}

fn spawn(sim: &mut Command) -> Result<Receiver<String>> {
    HANDLER.call_once(|| {
        let set = ctrlc::set_handler(|| {
            end();
            exit(INTERRUPTED);
        });
        if let Err(error) = set {
            eprintln!("warning: Ctrl-C will leave the virtual board running: {error}");
        }
    });
    println!("$ {} &", command::line(sim));
    let child = sim.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot start {}", command::line(sim)))?;
    let stdout = child.stdout.take();
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
    let (sender, lines) = channel();
    let stdout = stdout.context("the board's output is not piped")?;
    thread::spawn(move || listen(stdout, &sender));
    Ok(lines)
}

/// Shows what the board says and hands it on. Goes on when nobody waits any more: the board must not block on a full pipe.
fn listen(stdout: ChildStdout, sender: &Sender<String>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        println!("  board | {line}");
        let _ = sender.send(line);
    }
}

/// Kills the running board and waits until it is gone.
fn end() {
    let child = RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(mut child) = child {
        // Both fail only if the process has ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::path::Path;

    /// A board that says three things and would run for a minute.
    const SCRIPT: &str = "
        echo tftp 127.0.0.1:1069
        echo http 127.0.0.1:1080
        echo pid $$
        exec sleep 60";

    #[test]
    fn a_board_is_heard_and_is_gone_when_it_goes_out_of_scope() {
        let mut script = command::in_root("sh");
        let board = VirtualBoard::start(script.args(["-c", SCRIPT])).unwrap();
        assert_eq!(board.tftp, "127.0.0.1:1069");
        assert_eq!(board.http, "127.0.0.1:1080");
        let line = board.says(&["pid"]).unwrap();
        let id = line.trim_start_matches("pid ");
        let alive = || Path::new("/proc").join(id).exists();
        assert!(alive());
        drop(board);
        assert!(!alive());
    }
}
