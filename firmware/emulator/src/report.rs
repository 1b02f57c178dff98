//! What the firmware did that the manual forbids, and what it did that this emulator does not know.
//!
//! Nothing is guessed: an access to a register that is not modelled is a [`Kind::NotModelled`] and ends the run. What is modelled and
//! forbidden is a [`Kind::GuestError`]: the run goes on as the chip would, and whoever runs the board decides whether that is a failure.

use std::fmt;

use crate::time::Time;

/// Reports kept; later ones are only counted.
const MAX_REPORTS: usize = 200;

/// What kind of report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The manual forbids it.
    GuestError,
    /// The emulator does not have it.
    NotModelled,
}

/// One thing worth telling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// When it happened first.
    pub at: Time,
    /// The instruction that was executed.
    pub pc: u32,
    /// What kind.
    pub kind: Kind,
    /// What, with the section of the manual.
    pub text: String,
    /// How often.
    pub count: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::GuestError => "guest error",
            Kind::NotModelled => "not modelled",
        };
        write!(
            f,
            "{kind} at {}, pc {:#010x}: {}",
            self.at, self.pc, self.text
        )?;
        if self.count > 1 {
            write!(f, " ({} times)", self.count)?;
        }
        Ok(())
    }
}

/// All reports of a run; the same text is kept once, with its first time and place.
#[derive(Clone, Default, Debug)]
pub(crate) struct Reports {
    list: Vec<Report>,
    not_modelled: bool,
}

impl Reports {
    pub(crate) fn add(&mut self, at: Time, pc: u32, kind: Kind, text: String) {
        self.not_modelled |= kind == Kind::NotModelled;
        let known = self.list.iter_mut().find(|known| known.text == text);
        if let Some(known) = known {
            known.count += 1;
        } else if self.list.len() < MAX_REPORTS {
            self.list.push(Report {
                at,
                pc,
                kind,
                text,
                count: 1,
            });
        }
    }

    pub(crate) fn list(&self) -> &[Report] {
        &self.list
    }

    /// Whether the run has to end.
    pub(crate) fn is_fatal(&self) -> bool {
        self.not_modelled
    }
}
