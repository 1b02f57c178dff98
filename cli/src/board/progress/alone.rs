//! The progress of the only board of a command.

use std::cell::{Cell, RefCell};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use console::{Term, measure_text_width};
use iap_protocol::memory::Size;

use super::Show;
use super::canvas::Canvas;
use super::screen::{Frame, Standing};
use crate::board::Target;
use crate::output::Output;

const BETWEEN_LINES: Duration = Duration::from_secs(5);
const BETWEEN_FRAMES: Duration = Duration::from_millis(100);

/// Nothing is shown: scripts are reading.
pub struct Quiet;

impl Show for Quiet {
    fn bytes(&self, _: u64) {}
    fn doing(&self, _: &str) {}
}

/// A row on a terminal, while the transfer lasts. A thread draws it: what waits for the board waits in the kernel, and the seconds go on.
pub struct Bar {
    state: Arc<Mutex<State>>,
    drawing: RefCell<Option<Drawing>>,
}

struct State {
    name: String,
    begun_at: Instant,
    bytes: u64,
    total: u64,
    doing: String,
}

struct Drawing {
    over: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Bar {
    /// A bar for a board.
    pub fn new(target: &Target) -> Self {
        let state = State {
            name: target.to_string(),
            begun_at: Instant::now(),
            bytes: 0,
            total: 0,
            doing: String::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            drawing: RefCell::default(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Show for Bar {
    fn total(&self, bytes: u64) {
        self.change(|state| {
            state.total = bytes;
            state.begun_at = Instant::now();
        });
        let (over, is_over) = mpsc::channel();
        let state = Arc::clone(&self.state);
        let thread = thread::Builder::new().spawn(move || draw(&state, &is_over));
        // Without a thread nothing is seen, and the transfer goes on.
        let drawing = thread.ok().map(|thread| Drawing { over, thread });
        self.drawing.replace(drawing);
    }

    fn bytes(&self, bytes: u64) {
        self.change(|state| state.bytes = bytes);
    }

    fn doing(&self, what: &str) {
        self.change(|state| what.clone_into(&mut state.doing));
    }

    fn over(&self) {
        if let Some(Drawing { over, thread }) = self.drawing.take() {
            drop(over);
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

/// Draws until the other end of the channel is gone, then leaves the terminal as it was.
fn draw(state: &Mutex<State>, is_over: &mpsc::Receiver<()>) {
    let (term, canvas) = (Term::stderr(), Canvas::default());
    loop {
        let line = state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .line(&term);
        canvas.draw(vec![line]);
        if is_over.recv_timeout(BETWEEN_FRAMES) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    canvas.clear();
}

impl State {
    fn line(&self, term: &Term) -> String {
        let frame = Frame::of(term, measure_text_width(&self.name));
        frame.cut(&frame.standing(&Standing {
            name: &self.name,
            elapsed: self.begun_at.elapsed(),
            bytes: self.bytes,
            total: self.total,
            doing: &self.doing,
        }))
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
