//! A board and what became of it: in a word, in a line, and as an exit code.

use std::time::Duration;

use serde::Serialize;

use super::BoardResult;
use crate::board::Target;
use crate::failure::{BoardAfter, Exit, Failure};
use crate::output::one_line;

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
    /// Everything was sent, and it says that it holds something else.
    Mismatch,
    /// It was asked to reset, and was not seen to do it.
    NotReset,
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
            Self::NotReset => "not-reset",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::NotTried => "not-tried",
        }
    }

    fn of(failure: &Failure) -> Self {
        match (failure.exit, &failure.board) {
            (_, Some(BoardAfter::Unknown)) => Self::Unknown,
            (_, Some(BoardAfter::NotReset(_))) => Self::NotReset,
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
            Some(BoardAfter::Told(state) | BoardAfter::NotReset(state)) => Some(state),
            Some(BoardAfter::Unknown) | None => None,
        }
    }

    /// What happened, without the board's name. One line, whatever the board says: no row can be forged.
    pub(super) fn text(&self) -> String {
        one_line(&self.sentence())
    }

    fn sentence(&self) -> String {
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::board::Transport;
    use crate::output::{Human, Paint};

    #[derive(Serialize)]
    struct Done;

    impl Human for Done {
        fn human(&self, _: &mut dyn io::Write, _: Paint) -> io::Result<()> {
            Ok(())
        }
    }

    impl BoardResult for Done {
        fn state(&self) -> State {
            State::Updated
        }

        fn line(&self) -> String {
            "version 1.0.0\n10.0.0.2 (tftp)  updated".to_owned()
        }

        fn warnings(&self) -> &[String] {
            &[]
        }
    }

    fn entry(result: Result<Done, Failure>) -> Entry<Done> {
        let target = Target::parse(Transport::Tftp, "10.0.0.1").unwrap();
        Entry::new(target, result, Duration::ZERO)
    }

    fn failed(exit: Exit, after: Option<BoardAfter>) -> Entry<Done> {
        let mut failure = Failure::new(exit, "10.0.0.1 (tftp): what 10.0.0.1 (tftp) said");
        failure.board = after;
        entry(Err(failure))
    }

    #[test]
    fn a_failure_is_told_by_what_is_known_of_the_board() {
        let told = || Some(BoardAfter::Told("it is intact".into()));
        for (exit, after, state, text) in [
            (
                Exit::Unreachable,
                Some(BoardAfter::Untouched),
                "silent",
                "what it said; nothing was sent",
            ),
            (
                Exit::Unreachable,
                told(),
                "broken-off",
                "what it said; it is intact",
            ),
            (
                Exit::Unreachable,
                Some(BoardAfter::Unknown),
                "unknown",
                "what it said",
            ),
            (
                Exit::Interrupted,
                Some(BoardAfter::Unknown),
                "unknown",
                "what it said",
            ),
            (
                Exit::Interrupted,
                told(),
                "interrupted",
                "what it said; it is intact",
            ),
            (
                Exit::Refused,
                told(),
                "refused",
                "what it said; it is intact",
            ),
            (
                Exit::Verification,
                told(),
                "mismatch",
                "what it said; it is intact",
            ),
            (
                Exit::BadImage,
                Some(BoardAfter::Untouched),
                "failed",
                "what it said; nothing was sent",
            ),
            (Exit::Unreachable, None, "silent", "what it said"),
        ] {
            let entry = failed(exit, after);
            assert_eq!((entry.state.word(), entry.text().as_str()), (state, text));
        }
    }

    #[test]
    fn no_board_can_forge_a_row() {
        assert_eq!(
            entry(Ok(Done)).text(),
            "version 1.0.0 10.0.0.2 (tftp)  updated"
        );
    }

    #[test]
    fn the_exit_code_tells_all_some_and_none_apart() {
        let good = || entry(Ok(Done));
        let bad = |exit| failed(exit, None);
        assert_eq!(exit_of(&[good(), good()]), 0);
        assert_eq!(exit_of(&[good(), bad(Exit::Refused)]), 8);
        assert_eq!(exit_of(&[bad(Exit::Refused), bad(Exit::Unreachable)]), 5);
        assert_eq!(
            exit_of(&[good(), bad(Exit::Refused), bad(Exit::Interrupted)]),
            6
        );
    }

    #[test]
    fn words_are_the_same_for_people_and_for_scripts() {
        for state in [
            State::Updated,
            State::BrokenOff,
            State::NotTried,
            State::NotReset,
            State::Mismatch,
        ] {
            let json = serde_json::to_string(&state).unwrap();
            assert_eq!(json, format!("\"{}\"", state.word()));
        }
    }
}
