//! The progress of the only board of a command.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use iap_protocol::memory::Size;
use indicatif::{ProgressBar, ProgressStyle};

use super::Show;
use crate::board::Target;
use crate::output::Output;

const BETWEEN_LINES: Duration = Duration::from_secs(5);

/// Nothing is shown: scripts are reading.
pub struct Quiet;

impl Show for Quiet {
    fn bytes(&self, _: u64) {}
    fn doing(&self, _: &str) {}
}

/// A bar on a terminal, while the transfer lasts.
pub struct Bar {
    name: String,
    bar: OnceCell<ProgressBar>,
}

impl Bar {
    /// A bar for a board.
    pub fn new(target: &Target) -> Self {
        Self {
            name: target.to_string(),
            bar: OnceCell::new(),
        }
    }
}

impl Show for Bar {
    fn total(&self, bytes: u64) {
        let template = "{prefix} [{bar:30}] {bytes}/{total_bytes} {elapsed} {msg}";
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::new(bytes).with_style(style);
        bar.set_prefix(self.name.clone());
        bar.enable_steady_tick(Duration::from_millis(200));
        // One transfer, one bar.
        let _ = self.bar.set(bar);
    }

    fn bytes(&self, bytes: u64) {
        if let Some(bar) = self.bar.get() {
            bar.set_position(bytes);
        }
    }

    fn doing(&self, what: &str) {
        if let Some(bar) = self.bar.get() {
            bar.set_message(what.to_owned());
        }
    }

    fn over(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

/// A line now and then, so that logs stay short.
pub struct Lines {
    output: Output,
    name: String,
    bytes: Cell<u64>,
    total: Cell<u64>,
    line_at: Cell<Option<Instant>>,
}

impl Lines {
    /// Lines about a board.
    pub fn new(output: &Output, target: &Target) -> Self {
        Self {
            output: *output,
            name: target.to_string(),
            bytes: Cell::new(0),
            total: Cell::new(0),
            line_at: Cell::new(None),
        }
    }
}

impl Show for Lines {
    fn total(&self, bytes: u64) {
        self.total.set(bytes);
    }

    fn bytes(&self, bytes: u64) {
        self.bytes.set(bytes);
    }

    fn doing(&self, what: &str) {
        let due = (self.line_at.get()).is_none_or(|at| at.elapsed() >= BETWEEN_LINES);
        if due {
            self.line_at.set(Some(Instant::now()));
            let size = |bytes: u64| Size(u32::try_from(bytes).unwrap_or(u32::MAX));
            self.output.message(format_args!(
                "{}: {what} ({} of {})",
                self.name,
                size(self.bytes.get()),
                size(self.total.get())
            ));
        }
    }
}
