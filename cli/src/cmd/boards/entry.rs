//! A board and what became of it: in a word, in a line, and as an exit code.

use std::time::Duration;

use serde::Serialize;

use super::BoardResult;
use crate::board::Target;
use crate::failure::{BoardAfter, Exit, Failure};

/// What became of a board, in a word. Documented in BOARDS.md; words are added, never changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cmd) enum State {
    /// It holds what was sent, as it says itself.
    Updated,
    /// A dry run.
    Planned,
    /// It said its status.
    Answered,
    /// It was reset.
    Reset,
    /// It refused; what it holds is told.
    Refused,
    /// It did not answer; nothing was sent.
    Silent,
    /// It stopped answering, or was not done in time; what it holds is told.
    BrokenOff,
    /// It took everything and says that it holds something else.
    Mismatch,
    /// Something was sent, and it does not say what it holds.
    Unknown,
    /// Something on this machine, or the image, was not right.
    Failed,
    /// Ctrl-C while it was worked on.
    Interrupted,
    /// Ctrl-C before its turn.
    NotTried,
}

impl State {
    /// As in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Planned => "planned",
            Self::Answered => "answered",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::BrokenOff => "broken-off",
            Self::Mismatch => "mismatch",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::NotTried => "not-tried",
        }
    }

    fn of(failure: &Failure) -> Self {
        match (failure.exit, &failure.board) {
            (_, Some(BoardAfter::Unknown)) => Self::Unknown,
            (Exit::Interrupted, _) => Self::Interrupted,
            (Exit::Refused, _) => Self::Refused,
            (Exit::Verification, _) => Self::Mismatch,
            (Exit::Unreachable, Some(BoardAfter::Told(_))) => Self::BrokenOff,
            (Exit::Unreachable, _) => Self::Silent,
            (Exit::Local | Exit::Usage | Exit::BadImage | Exit::Partial, _) => Self::Failed,
        }
    }
}

/// A board and what became of it.
pub(super) struct Entry<T> {
    pub(super) target: Target,
    pub(super) state: State,
    pub(super) result: Result<T, Failure>,
    pub(super) time: Duration,
}

impl<T: BoardResult> Entry<T> {
    pub(super) fn new(target: Target, result: Result<T, Failure>, time: Duration) -> Self {
        let state = match &result {
            Ok(result) => result.state(),
            Err(failure) => State::of(failure),
        };
        Self {
            target,
            state,
            result,
            time,
        }
    }

    /// Ctrl-C came before its turn.
    pub(super) fn not_tried(target: &Target) -> Self {
        let message = format!("{target}: interrupted before its turn");
        Self {
            target: target.clone(),
            state: State::NotTried,
            result: Err(Failure::new(Exit::Interrupted, message).board(BoardAfter::Untouched)),
            time: Duration::ZERO,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.result.is_ok()
    }

    /// What is known of a board after a failure.
    pub(super) fn after(&self) -> Option<&str> {
        match &self.result.as_ref().err()?.board {
            Some(BoardAfter::Untouched) => Some("nothing was sent"),
            Some(BoardAfter::Told(state)) => Some(state),
            Some(BoardAfter::Unknown) | None => None,
        }
    }

    /// What happened, without the board's name.
    pub(super) fn text(&self) -> String {
        let failure = match &self.result {
            Ok(result) => return result.line(),
            Err(failure) => failure,
        };
        let name = self.target.to_string();
        let message = (failure.message)
            .strip_prefix(&format!("{name}: "))
            .unwrap_or(&failure.message)
            .replace(&name, "it");
        match self.after() {
            Some(after) if !message.contains(after) => format!("{message}; {after}"),
            _ => message,
        }
    }

    /// A line of its own.
    pub(super) fn line(&self) -> String {
        format!("{}: {}: {}", self.target, self.state.word(), self.text())
    }
}

/// Zero if all went well; a code of its own if some did; if none did, that of the first. Ctrl-C is told apart from all of them.
pub(super) fn exit_of<T: BoardResult>(entries: &[Entry<T>]) -> u8 {
    let failures = || {
        entries
            .iter()
            .filter_map(|entry| entry.result.as_ref().err())
    };
    if failures().any(|failure| failure.exit == Exit::Interrupted) {
        return Exit::Interrupted as u8;
    }
    match failures().next() {
        None => 0,
        Some(first) if failures().count() == entries.len() => first.exit as u8,
        Some(_) => Exit::Partial as u8,
    }
}
