//! A reset that is seen to happen: a board answers the request first and resets a moment later, and a command that follows at once
//! would still meet it before.

use std::fmt;
use std::time::{Duration, Instant};

use iap_protocol::status::{IapReason, Status};
use serde::Serialize;
use tokio::time::sleep;

use super::{Board, state, trouble};
use crate::failure::{BoardAfter, Exit, Failure};

/// How long a reset may take to be seen.
const LIMIT: Duration = Duration::from_secs(3);
/// How long a board that has nothing to start may be away: the link comes up again, and it may ask for an address.
const RETURN_LIMIT: Duration = Duration::from_secs(10);
/// How long a board with an application must be silent to have started it: one that comes back into IAP mode is away while its link
/// comes up, and datagrams get lost.
const SILENCE: Duration = Duration::from_secs(3);
/// How long a question may take, at least.
const PATIENCE: Duration = Duration::from_millis(700);
const PAUSE: Duration = Duration::from_millis(100);
/// What a board's clock may be behind without having been reset.
const CLOCK_ERROR: Duration = Duration::from_millis(100);

const ASK_IT: &str = "ask it with iapctl status, and reset it again, or by hand";

/// What became of a board that was reset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AfterReset {
    /// It left the IAP mode.
    Started {
        /// The version its status named before.
        version: String,
    },
    /// It came back in IAP mode.
    IapMode {
        /// Why.
        reason: IapReason,
    },
}

/// Resets a board of which `before` is the status, and looks what becomes of it. One that is not seen to reset is a failure.
pub async fn reset(board: &mut Board, before: &Status) -> Result<AfterReset, Failure> {
    let asked_at = Instant::now();
    board.reset().await.map_err(unanswered)?;
    let mut silent_since: Option<Instant> = None;
    while asked_at.elapsed() < silent_since.map_or(LIMIT, |_| RETURN_LIMIT) {
        let question_at = Instant::now();
        // The first one may come while it resets, and an answer from far away may take longer.
        let left = silent_since.map(|since| SILENCE.saturating_sub(since.elapsed()));
        match board.status(left.unwrap_or_default().max(PATIENCE)).await {
            Ok(now) if was_reset(before, &now, asked_at.elapsed()) => {
                return Ok(AfterReset::IapMode {
                    reason: now.iap_reason,
                });
            }
            Ok(_) => silent_since = None,
            Err(failure) => match heard(failure)? {
                Heard::Board => silent_since = None,
                Heard::Nobody => {
                    silent_since.get_or_insert(question_at);
                }
            },
        }
        // A board that has nothing to start must come back.
        let is_gone = silent_since.is_some_and(|since| since.elapsed() >= SILENCE);
        if let (true, Some(application)) = (is_gone, &before.application) {
            let version = application.version.to_string();
            return Ok(AfterReset::Started { version });
        }
        sleep(PAUSE).await;
    }
    Err(not_seen(board, silent_since.is_some()))
}

/// Who it was that did not tell a status.
enum Heard {
    /// A board in IAP mode that has no time for it.
    Board,
    /// Nobody, or the server of an application.
    Nobody,
}

fn heard(failure: Failure) -> Result<Heard, Failure> {
    match failure.exit {
        Exit::Unreachable => Ok(Heard::Nobody),
        Exit::Refused if trouble::is_other_server(&failure) => Ok(Heard::Nobody),
        Exit::Refused => Ok(Heard::Board),
        // Nothing was asked.
        _ => Err(failure.board(BoardAfter::NotReset("it could not be asked".to_owned()))),
    }
}

/// The request may have arrived, and its answer not.
fn unanswered(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Unreachable => failure.help(ASK_IT),
        _ => failure,
    }
}

fn not_seen(board: &Board, left: bool) -> Failure {
    let what = match left {
        true => "it went silent, and did not come back into IAP mode",
        false => "it goes on in IAP mode",
    };
    let message = format!(
        "{}: it took the request, but was not seen to reset: {what}",
        board.target()
    );
    Failure::new(Exit::Verification, message)
        .help(ASK_IT)
        .board(BoardAfter::NotReset(what.to_owned()))
}

/// Whether a board was reset in between; `elapsed` is the time since the status `before`, or less.
pub(super) fn was_reset(before: &Status, now: &Status, elapsed: Duration) -> bool {
    let uptime = Duration::from_millis(before.uptime_ms.into()) + elapsed;
    // The very same time is no reset: something on the way answers with what it has kept.
    let is_younger = now.uptime_ms != before.uptime_ms
        && Duration::from_millis(now.uptime_ms.into()) + CLOCK_ERROR < uptime;
    is_younger || (before.update.is_some() && now.update.is_none())
}

impl fmt::Display for AfterReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { version } => write!(
                f,
                "reset: the board went silent, it starts version {version}"
            ),
            Self::IapMode { reason } => write!(
                f,
                "reset: it is in IAP mode again ({})",
                state::reason(*reason)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::state::tests::status;

    fn up(uptime_ms: u32) -> Status {
        Status {
            uptime_ms,
            ..status()
        }
    }

    #[test]
    fn a_clock_that_went_on_is_no_reset_and_a_younger_board_is_one() {
        let second = Duration::from_secs(1);
        assert!(!was_reset(&up(5000), &up(6000), second));
        assert!(
            !was_reset(&up(5000), &up(5950), second),
            "a clock a little slow"
        );
        assert!(!was_reset(&up(5000), &up(9000), second), "asked late");
        assert!(was_reset(&up(5000), &up(400), second));
        assert!(was_reset(&up(300), &up(500), second), "reset 500 ms ago");
        assert!(!was_reset(&up(5000), &up(5000), second), "not asked anew");
    }
}
