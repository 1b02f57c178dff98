//! How a command fails: an exit code for scripts, and for people what happened, to whom, what was expected and what to do next.

use std::fmt;

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
    /// 7: the transfer ended, but the board does not hold what was sent, or it cannot be told.
    Verification = 7,
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
}

impl Failure {
    /// A failure without help lines.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            help: Vec::new(),
        }
    }

    /// Adds a help line.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
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
