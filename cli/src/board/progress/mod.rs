//! How transfers are shown. A [`View`] makes of a transfer's events what is worth showing: how many bytes, and what the board does. Where
//! that goes is a [`Show`]: a bar on a terminal, a few lines elsewhere, a row among those of other boards, lines for scripts, or nothing.
//!
//! Only this module knows indicatif.

mod alone;
mod among;
mod screen;

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

pub use alone::{Bar, Lines, Quiet};
pub use among::{Row, Rows};

use super::{Event, state};
use crate::tftp::Phase;

/// After so long without progress it is said what the board is likely doing.
const STALL: Duration = Duration::from_millis(300);

/// Where the progress of a board is shown.
pub trait Show {
    /// So many bytes are to be transferred.
    fn total(&self, _bytes: u64) {}
    /// So many bytes have been transferred, which is news.
    fn bytes(&self, bytes: u64);
    /// What happens now, which is news.
    fn doing(&self, what: &str);
    /// The transfer is over, well or not, and the board is asked what it holds.
    fn asking(&self) {}
    /// Nothing more will come.
    fn over(&self) {}
}

/// Shows one transfer.
pub struct View<'a> {
    show: &'a dyn Show,
    bytes: Cell<u64>,
    board_counts: Cell<bool>,
    moved_at: Cell<Instant>,
    doing: RefCell<String>,
}

impl<'a> View<'a> {
    /// A view of `total` bytes going to a board.
    pub fn new(show: &'a dyn Show, total: u64) -> Self {
        let view = Self {
            show,
            bytes: Cell::new(0),
            board_counts: Cell::new(false),
            moved_at: Cell::new(Instant::now()),
            doing: RefCell::new(String::new()),
        };
        show.total(total);
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
            Event::Asking => self.show.asking(),
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
            self.show.bytes(bytes);
        }
    }

    fn doing(&self, what: &str) {
        if *self.doing.borrow() != what {
            what.clone_into(&mut self.doing.borrow_mut());
            self.show.doing(what);
        }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.show.over();
    }
}
