//! How a transfer is shown: a bar on a terminal, a few lines elsewhere, nothing for scripts. The only file that knows indicatif.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use iap_protocol::memory::Size;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Event, Target, state};
use crate::output::Output;
use crate::tftp::Phase;

/// After so long without progress it is said what the board is likely doing.
const STALL: Duration = Duration::from_millis(300);
const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Shows one transfer.
pub struct View<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    name: String,
    total: u64,
    bytes: Cell<u64>,
    board_counts: Cell<bool>,
    moved_at: Cell<Instant>,
    line_at: Cell<Option<Instant>>,
    doing: RefCell<String>,
}

impl<'a> View<'a> {
    /// A view of `total` bytes going to `target`.
    pub fn new(output: &'a Output, target: &Target, total: u64) -> Self {
        let on_terminal = !output.is_json() && std::io::stderr().is_terminal();
        let view = Self {
            output,
            bar: on_terminal.then(|| bar(target, total)),
            name: target.to_string(),
            total,
            bytes: Cell::new(0),
            board_counts: Cell::new(false),
            moved_at: Cell::new(Instant::now()),
            line_at: Cell::new(None),
            doing: RefCell::new(String::new()),
        };
        view.doing("sending");
        view
    }

    /// Shows what happened.
    pub fn event(&self, event: &Event) {
        match event {
            Event::Tftp(progress) => {
                self.set_bytes(progress.bytes);
                self.guess(progress.phase);
            }
            // The board's own count is nearer to the truth, once there is one: the rest is in buffers.
            Event::Sent(_) if self.board_counts.get() => {}
            Event::Sent(bytes) => self.set_bytes(*bytes),
            Event::Board(status) => match (&status.update, state::is_busy(status.phase)) {
                (Some(update), true) => {
                    self.board_counts.set(true);
                    self.set_bytes(update.received.into());
                    let sector = update.sector.map(|sector| format!(" sector {sector}"));
                    let sector = sector.unwrap_or_default();
                    self.doing(&format!("{}{sector}", state::phase(status.phase)));
                }
                _ => self.doing(state::phase(status.phase)),
            },
        }
    }

    /// Over TFTP the board says nothing while it works; where it stands still tells what it does.
    fn guess(&self, phase: Phase) {
        let stalled = self.moved_at.get().elapsed() >= STALL;
        match phase {
            Phase::LastAck { .. } if stalled => self.doing("the board programs and verifies"),
            Phase::Data { .. } if stalled => self.doing("the board erases or programs"),
            Phase::Data { .. } => self.doing("sending"),
            Phase::Request | Phase::LastAck { .. } | Phase::Complete => {}
        }
    }

    fn set_bytes(&self, bytes: u64) {
        if self.bytes.replace(bytes) != bytes {
            self.moved_at.set(Instant::now());
            if let Some(bar) = &self.bar {
                bar.set_position(bytes);
            }
        }
    }

    fn doing(&self, what: &str) {
        let changed = *self.doing.borrow() != what;
        if !changed {
            return;
        }
        what.clone_into(&mut self.doing.borrow_mut());
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => self.line(what),
        }
    }

    /// A line now and then, so that logs stay short.
    fn line(&self, what: &str) {
        let due = (self.line_at.get()).is_none_or(|at| at.elapsed() >= BETWEEN_LINES);
        if self.output.is_json() || !due {
            return;
        }
        self.line_at.set(Some(Instant::now()));
        let size = |bytes: u64| Size(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.output.message(format_args!(
            "{}: {what} ({} of {})",
            self.name,
            size(self.bytes.get()),
            size(self.total)
        ));
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(target: &Target, total: u64) -> ProgressBar {
    let template = "{prefix} [{bar:30}] {bytes}/{total_bytes} {elapsed} {msg}";
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    let bar = ProgressBar::new(total).with_style(style);
    bar.set_prefix(target.to_string());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
