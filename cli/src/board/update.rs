//! One update of one board, from login to the proof that it holds what was sent.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iap_protocol::status::Status;
use tokio::time::sleep;

use super::interrupt::Interrupt;
use super::state::{self, Expected};
use super::{Board, Event, Login, Sent};
use crate::failure::{BoardAfter, Exit, Failure};
use crate::tftp::Phase;

/// How long a board may take to answer its status when nothing was said about waiting.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);
/// How long one question may take while a board is waited for that may not be there yet.
const WAIT_PATIENCE: Duration = Duration::from_millis(1500);
const WAIT_PAUSE: Duration = Duration::from_millis(200);
/// After Ctrl-C nobody wants to wait long.
const LAST_QUESTION: Duration = Duration::from_secs(3);

/// How long the last acknowledgement may be missing before the board is asked: after a commit it starts its application in some seconds,
/// and cannot be asked any more.
const LAST_ACK_PATIENCE: Duration = Duration::from_secs(2);

/// What is to be sent, and what the board must hold afterwards.
#[derive(Debug)]
pub struct Update {
    /// Name of the file on the wire.
    pub file_name: String,
    /// The bytes on the wire.
    pub content: Bytes,
    /// What the board must say afterwards.
    pub expected: Expected,
}

/// An update that is proven.
#[derive(Clone, Debug)]
pub struct Done {
    /// What the board said afterwards.
    pub status: Status,
    /// What it took; `None` if the transfer was cut off, and the status alone proves the update.
    pub sent: Option<Sent>,
    /// From the first to the last byte.
    pub time: Duration,
}

/// The board's status, waited for at most `wait` while the board cannot be reached.
pub async fn status(board: &Board, wait: Option<Duration>) -> Result<Status, Failure> {
    let Some(wait) = wait else {
        return board.first_status(STATUS_PATIENCE).await;
    };
    let begun = Instant::now();
    loop {
        match board.first_status(WAIT_PATIENCE.min(wait)).await {
            Err(failure) if failure.exit == Exit::Unreachable => {
                if begun.elapsed() >= wait {
                    return Err(Failure {
                        message: format!("{} (waited {} s)", failure.message, wait.as_secs()),
                        ..failure
                    });
                }
            }
            answer => return answer,
        }
        sleep(WAIT_PAUSE).await;
    }
}

impl Update {
    /// Sends it, and believes nobody but the board's status. `partial` is sent first, if it is given: a board that refuses it gets all of
    /// the image.
    pub async fn run(
        &self,
        board: &mut Board,
        mut partial: Option<Bytes>,
        login: Option<&Login>,
        interrupt: &Interrupt,
        events: impl Fn(Event),
    ) -> Result<Done, Failure> {
        let during = format!("logging in to {}", board.target());
        let logged_in = interrupt.guard(&during, board.log_in(login)).await;
        logged_in.map_err(|failure| failure.board(BoardAfter::Untouched))?;
        let begun = Instant::now();
        let all_sent_at = Cell::new(None);
        let events = |event| {
            note_all_sent(&all_sent_at, &event);
            events(event);
        };
        let sent = loop {
            let part = partial.take();
            let is_partial = part.is_some();
            let content = part.unwrap_or_else(|| self.content.clone());
            let sent = tokio::select! {
                biased;
                sent = board.send(&self.file_name, content, interrupt, &events) => sent,
                status = self.committed_unheard(board, &all_sent_at) => {
                    let time = begun.elapsed();
                    return Ok(Done { status, sent: None, time });
                }
            };
            match sent {
                Err(failure) if is_partial && failure.exit == Exit::Refused => {
                    all_sent_at.set(None)
                }
                sent => break sent,
            }
        };
        let time = begun.elapsed();
        events(Event::Asking);
        let sent = sent.map_err(|failure| match all_sent_at.get() {
            Some(_) => unheard(failure),
            None => failure,
        });
        match sent {
            Ok(sent) => self.proven(board, interrupt).await.map(|status| Done {
                status,
                sent: Some(sent),
                time,
            }),
            Err(failure) => self.after_failure(board, failure).await.map(|status| Done {
                status,
                sent: None,
                time,
            }),
        }
    }

    /// Ends when the board, asked because the last acknowledgement is missing, says that it holds what was sent.
    async fn committed_unheard(
        &self,
        board: &Board,
        all_sent_at: &Cell<Option<Instant>>,
    ) -> Status {
        loop {
            sleep(WAIT_PAUSE).await;
            let is_due = |at: Instant| at.elapsed() >= LAST_ACK_PATIENCE;
            if all_sent_at.get().is_some_and(is_due)
                && let Ok(status) = board.status(LAST_QUESTION).await
                && self.is_held(&status)
            {
                return status;
            }
        }
    }

    /// An application in the status is one that was committed and checked, whichever transfer brought it.
    fn is_held(&self, status: &Status) -> bool {
        !state::is_busy(status.phase) && self.expected.is_met_by(status).is_ok()
    }

    /// The transfer ended well: what does the board hold?
    async fn proven(&self, board: &Board, interrupt: &Interrupt) -> Result<Status, Failure> {
        let target = board.target();
        let unproven = |what: String, after: BoardAfter| {
            Failure::new(Exit::Verification, format!("{target}: {what}"))
                .help(
                    "ask again with iapctl status; push again: sectors that are right are skipped",
                )
                .board(after)
        };
        let answer = tokio::select! {
            biased;
            answer = self.patient_status(board) => answer,
            () = waited_enough(interrupt) => {
                Err(Failure::new(Exit::Unreachable, "no answer, and the time was over"))
            }
        };
        match answer {
            Ok(status) => match self.expected.is_met_by(&status) {
                Ok(()) => Ok(status),
                Err(held) => Err(unproven(
                    format!(
                        "the transfer ended, but the board says it holds {held}; expected {}",
                        self.expected.describe()
                    ),
                    BoardAfter::Told(state::describe(&status, "")),
                )),
            },
            Err(failure) => Err(unproven(
                format!(
                    "the board took everything, but cannot be asked what it holds: {}",
                    failure.message
                ),
                BoardAfter::Unknown,
            )),
        }
    }

    /// A board may still be closing the transfer, and be too busy to answer.
    async fn patient_status(&self, board: &Board) -> Result<Status, Failure> {
        let begun = Instant::now();
        loop {
            match board.status(STATUS_PATIENCE).await {
                Err(failure)
                    if failure.exit == Exit::Refused && begun.elapsed() < STATUS_PATIENCE =>
                {
                    sleep(WAIT_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// The transfer failed, or its last acknowledgement was lost: what does the board say?
    async fn after_failure(&self, board: &Board, failure: Failure) -> Result<Status, Failure> {
        let Some(status) = settled_status(board, &failure).await else {
            return Err(failure
                .help("the board does not say in what state it is: iapctl status")
                .board(BoardAfter::Unknown));
        };
        if self.is_held(&status) && matches!(failure.exit, Exit::Unreachable | Exit::Verification) {
            return Ok(status);
        }
        if self.is_held(&status) {
            let held = self.expected.describe();
            let state = format!("the board had everything by then, and holds it: {held}");
            return Err(failure.help(&state).board(BoardAfter::Told(state)));
        }
        let state = state::describe(&status, &failure.message);
        Err(failure
            .help(format!("the board: {state}"))
            .board(BoardAfter::Told(state)))
    }
}

/// After Ctrl-C, or the end of its time, a board has this long to say what it holds.
async fn waited_enough(interrupt: &Interrupt) {
    interrupt.stop().await;
    sleep(LAST_QUESTION).await;
}

/// Keeps since when only the last acknowledgement is missing.
fn note_all_sent(since: &Cell<Option<Instant>>, event: &Event) {
    let Event::Tftp(progress) = event else {
        return;
    };
    match (progress.phase, since.get()) {
        (Phase::LastAck { .. }, None) => since.set(Some(Instant::now())),
        (Phase::Request | Phase::Data { .. }, _) => since.set(None),
        (Phase::LastAck { .. } | Phase::Complete, _) => {}
    }
}

/// The board may have everything, and nobody can tell.
fn unheard(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Unreachable => Failure {
            exit: Exit::Verification,
            ..failure
        },
        _ => failure,
    }
}

/// The board's status once it has noticed that the transfer is over, or as it is when that takes too long. A board that refused
/// has nothing to notice.
async fn settled_status(board: &Board, failure: &Failure) -> Option<Status> {
    let begun = Instant::now();
    let settled = failure.exit == Exit::Refused;
    let mut told = None;
    loop {
        let left = LAST_QUESTION.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return told;
        }
        let Ok(status) = board.status(left).await else {
            return told;
        };
        if settled || !state::is_busy(status.phase) {
            return Some(status);
        }
        told = Some(status);
        sleep(WAIT_PAUSE).await;
    }
}
