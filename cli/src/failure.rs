//! How a command fails: an exit code for scripts, and for people what happened, to whom, what was expected and what to do next.

use std::fmt;
use std::io;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::image::finding::Finding;
use crate::output::{Human, Paint};

/// Exit codes. Documented in the README and in `iapctl --help`; they never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// 1: something on this machine: a file cannot be read or written.
    Local = 1,
    /// 2: the command line or a profile is wrong (clap's code).
    Usage = 2,
    /// 3: the image cannot run on the board, or is no image.
    BadImage = 3,
    /// 4: no board answered, or it stopped answering.
    Unreachable = 4,
    /// 5: the board answered and refused.
    Refused = 5,
    /// 6: interrupted by the user.
    Interrupted = 6,
    /// 7: the transfer ended, but the board does not hold what was sent, or it cannot be told; or it was not seen to reset.
    Verification = 7,
    /// 8: of several boards some are done and some are not.
    Partial = 8,
}

/// What is known of a board after something went wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BoardAfter {
    /// Nothing that could change it was sent.
    Untouched,
    /// In what state it is, as it says itself.
    Told(String),
    /// It was asked to reset, and was not seen to do it; what else is known.
    NotReset(String),
    /// Something was sent, and it does not say what became of it.
    Unknown,
}

/// A failed command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// For scripts.
    pub exit: Exit,
    /// What happened, to whom, what was expected, what came. Lower case, no full stop.
    pub message: String,
    /// What to do next; each line is shown after `help:`.
    pub help: Vec<String>,
    /// What is wrong with an image, one by one; empty for all other failures.
    pub findings: Vec<Finding>,
    /// What is known of the board; `None` where no board could be changed. For people it is in `help`.
    pub board: Option<BoardAfter>,
}

impl Failure {
    /// A failure without help lines.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: Vec::new(),
            findings: Vec::new(),
            board: None,
        }
    }

    /// Says what is known of the board, unless it has been said.
    #[must_use]
    pub fn board(mut self, after: BoardAfter) -> Self {
        self.board.get_or_insert(after);
        self
    }

    /// Adds a help line.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }
}

/// Shown as `{"exit":3,"message":"...","help":["..."]}`, with `findings` where there are some.
impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 3 + usize::from(!self.findings.is_empty());
        let mut out = serializer.serialize_struct("Failure", fields)?;
        out.serialize_field("exit", &(self.exit as u8))?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("help", &self.help)?;
        if !self.findings.is_empty() {
            out.serialize_field("findings", &self.findings)?;
        }
        out.end()
    }
}

impl Human for Failure {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        writeln!(f, "{} {}", paint.error("error:"), self.message)?;
        self.findings
            .iter()
            .try_for_each(|finding| finding.human(f, paint))?;
        self.help
            .iter()
            .try_for_each(|line| writeln!(f, "  {} {line}", paint.strong("help:")))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        self.help
            .iter()
            .try_for_each(|line| write!(f, "\n  help: {line}"))
    }
}

impl std::error::Error for Failure {}
