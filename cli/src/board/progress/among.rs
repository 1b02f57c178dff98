//! The progress of one board among several: a row on a terminal, a line now and then for scripts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Show;
use super::screen::{Counts, Screen};
use crate::board::Target;
use crate::output::Output;

/// Between two lines for scripts about how many bytes a board has; what it does is worth one at once.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// A board that is being worked on.
pub struct Row {
    output: Output,
    target: Target,
    pub(super) name: String,
    pub(super) begun_at: Instant,
    pub(super) total: Cell<u64>,
    pub(super) bytes: Cell<u64>,
    pub(super) doing: RefCell<String>,
    line_at: Cell<Instant>,
}

/// `{"event":"progress","target":"192.168.0.10 (tftp)","doing":"sending","bytes":1468,"total":102400}`
#[derive(Serialize)]
struct Progress<'a> {
    event: &'static str,
    target: &'a Target,
    doing: &'a str,
    bytes: u64,
    total: u64,
}

impl Row {
    pub(super) fn new(output: &Output, target: &Target) -> Self {
        let now = Instant::now();
        Self {
            output: *output,
            target: target.clone(),
            name: target.to_string(),
            begun_at: now,
            total: Cell::new(0),
            bytes: Cell::new(0),
            doing: RefCell::new("asking".to_owned()),
            line_at: Cell::new(now),
        }
    }

    fn line(&self) {
        if self.output.is_json() {
            self.line_at.set(Instant::now());
            self.output.line(&Progress {
                event: "progress",
                target: &self.target,
                doing: &self.doing.borrow(),
                bytes: self.bytes.get(),
                total: self.total.get(),
            });
        }
    }
}

impl Show for Row {
    fn total(&self, bytes: u64) {
        self.total.set(bytes);
    }

    fn bytes(&self, bytes: u64) {
        self.bytes.set(bytes);
        if self.line_at.get().elapsed() >= BETWEEN_LINES {
            self.line();
        }
    }

    fn doing(&self, what: &str) {
        what.clone_into(&mut self.doing.borrow_mut());
        self.line();
    }

    fn asking(&self) {
        "asking what it holds".clone_into(&mut self.doing.borrow_mut());
    }
}

/// The boards that are being worked on.
pub struct Rows {
    output: Output,
    screen: Option<Screen>,
    /// By place in the list of boards.
    active: RefCell<BTreeMap<usize, Rc<Row>>>,
    counts: Cell<Counts>,
}

impl Rows {
    /// Rows for these boards; they are seen where `output` has a terminal.
    pub fn new(output: &Output, targets: &[Target]) -> Self {
        Self {
            output: *output,
            screen: Screen::new(output, targets),
            active: RefCell::default(),
            counts: Cell::new(Counts {
                boards: targets.len(),
                ..Counts::default()
            }),
        }
    }

    /// A board's turn has come.
    pub fn begin(&self, index: usize, target: &Target) -> Rc<Row> {
        let row = Rc::new(Row::new(&self.output, target));
        self.active.borrow_mut().insert(index, row.clone());
        row
    }

    /// A board is done; `line` says how. On a terminal, where the rows are, only `news` is worth a line.
    pub fn end(&self, index: usize, is_good: bool, is_news: bool, line: &str) {
        self.active.borrow_mut().remove(&index);
        let mut counts = self.counts.get();
        counts.done += 1;
        counts.failed += usize::from(!is_good);
        self.counts.set(counts);
        match &self.screen {
            Some(screen) if is_news => screen.line(line),
            None if !self.output.is_json() => self.output.message(line),
            _ => {}
        }
    }

    /// To be called some times per second where there is a screen.
    pub fn draw(&self, is_ending: bool) {
        if let Some(screen) = &self.screen {
            let active = self.active.borrow();
            screen.draw(
                active.values().map(Rc::as_ref),
                self.counts.get(),
                is_ending,
            );
        }
    }

    /// Whether there is anything to draw on.
    pub fn are_seen(&self) -> bool {
        self.screen.is_some()
    }

    /// Leaves the terminal as it was.
    pub fn clear(&self) {
        if let Some(screen) = &self.screen {
            screen.clear();
        }
    }
}
