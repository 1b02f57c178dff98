//! One update of one board, from login to the proof that it holds what was sent.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iap_protocol::status::Status;
use tokio::time::sleep;

use super::interrupt::Interrupt;
use super::proof::{Transfer, Verdict};
use super::state::{self, Expected};
use super::{Board, Event, Login, QUESTION_PAUSE, STATUS_PATIENCE, Sent};
use crate::failure::{BoardAfter, Exit, Failure};
use crate::tftp::Phase;

/// After Ctrl-C nobody wants to wait long.
const LAST_QUESTION: Duration = Duration::from_secs(3);

const OF_BEFORE: &str = "the transfer ended, but the status is still that from before, to the millisecond: something else than the board \
     answers, with what it has kept";

/// How long the last acknowledgement may be missing before the board is asked: after a commit it starts its application in some seconds,
/// and cannot be asked any more.
const LAST_ACK_PATIENCE: Duration = Duration::from_secs(2);

const MAY_HAVE_COMMITTED: &str = "the board may have committed it and started it, or lost power before: see whether it runs, or reset it into IAP mode and ask iapctl status";

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

impl Update {
    /// Sends it to a board that said `before`, and believes nobody but the board's status. `partial` is sent first, if it is given: a
    /// board that refuses it gets all of the image.
    pub async fn run(
        &self,
        board: &mut Board,
        before: &Status,
        mut partial: Option<Bytes>,
        login: Option<&Login>,
        interrupt: &Interrupt,
        events: impl Fn(Event),
    ) -> Result<Done, Failure> {
        let known = Known {
            before,
            since: Instant::now(),
            len: Cell::new(0),
            heard: Cell::new(false),
            all_sent_at: Cell::new(None),
        };
        let during = format!("logging in to {}", board.target());
        let logged_in = interrupt.guard(&during, board.log_in(login)).await;
        logged_in.map_err(|failure| failure.board(BoardAfter::Untouched))?;
        let begun = Instant::now();
        let events = |event| {
            known.note(&event);
            events(event);
        };
        let sent = loop {
            let part = partial.take();
            let is_partial = part.is_some();
            let content = part.unwrap_or_else(|| self.content.clone());
            known.begin(content.len());
            let sent = tokio::select! {
                biased;
                sent = board.send(&self.file_name, content, interrupt, &events) => sent,
                status = self.committed_unheard(board, &known) => {
                    let time = begun.elapsed();
                    return Ok(Done { status, sent: None, time });
                }
            };
            match sent {
                Err(failure) if is_partial && failure.exit == Exit::Refused => {}
                sent => break sent,
            }
        };
        let time = begun.elapsed();
        events(Event::Asking);
        let sent = sent.map_err(|failure| match known.all_sent_at.get() {
            Some(_) => unheard(failure),
            None => failure,
        });
        let (sent, status) = match sent {
            Ok(sent) => (Some(sent), self.proven(board, before, interrupt).await?),
            Err(failure) => (None, self.after_failure(board, &known, failure).await?),
        };
        Ok(Done { status, sent, time })
    }

    /// Ends when the board, asked because the last acknowledgement is missing, says that it holds what was sent.
    async fn committed_unheard(&self, board: &Board, known: &Known<'_>) -> Status {
        loop {
            sleep(QUESTION_PAUSE).await;
            let is_due = |at: Instant| at.elapsed() >= LAST_ACK_PATIENCE;
            if known.all_sent_at.get().is_some_and(is_due)
                && let Ok(status) = board.status(LAST_QUESTION).await
                && self.verdict(board, known, &status) == Verdict::Committed
            {
                return status;
            }
        }
    }

    fn verdict(&self, board: &Board, known: &Known<'_>, after: &Status) -> Verdict {
        let transfer = Transfer {
            expected: &self.expected,
            before: known.before,
            elapsed: known.since.elapsed(),
            transport: board.target().transport,
            len: known.len.get(),
            heard: known.heard.get(),
        };
        transfer.verdict(after)
    }

    /// The transfer ended well: what does the board hold?
    async fn proven(
        &self,
        board: &Board,
        before: &Status,
        interrupt: &Interrupt,
    ) -> Result<Status, Failure> {
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
            answer = self.new_status(board, before) => answer,
            () = waited_enough(interrupt) => {
                Err(Failure::new(Exit::Unreachable, "no answer, and the time was over"))
            }
        };
        match answer {
            Ok(status) if status == *before => Err(unproven(OF_BEFORE.into(), BoardAfter::Unknown)),
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

    /// A status in which not even the time is that of `before`, unless there is none.
    async fn new_status(&self, board: &Board, before: &Status) -> Result<Status, Failure> {
        let status = self.patient_status(board).await?;
        if status != *before {
            return Ok(status);
        }
        sleep(QUESTION_PAUSE).await;
        self.patient_status(board).await
    }

    /// A board may still be closing the transfer, and be too busy to answer.
    async fn patient_status(&self, board: &Board) -> Result<Status, Failure> {
        let begun = Instant::now();
        loop {
            match board.status(STATUS_PATIENCE).await {
                Err(failure)
                    if failure.exit == Exit::Refused && begun.elapsed() < STATUS_PATIENCE =>
                {
                    sleep(QUESTION_PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// The transfer failed, or its last acknowledgement was lost: what does the board say?
    async fn after_failure(
        &self,
        board: &Board,
        known: &Known<'_>,
        failure: Failure,
    ) -> Result<Status, Failure> {
        let Some(status) = settled_status(board, &failure).await else {
            return Err(unanswered(failure));
        };
        let verdict = self.verdict(board, known, &status);
        let state = match (verdict, failure.exit) {
            (Verdict::Committed, Exit::Unreachable | Exit::Verification) => return Ok(status),
            (Verdict::Committed, _) => {
                let held = self.expected.describe();
                let state = format!("the board had everything by then, and holds it: {held}");
                return Err(failure.help(&state).board(BoardAfter::Told(state)));
            }
            (Verdict::Unclear, exit) if exit != Exit::Refused => return Err(unclear(failure)),
            // That it holds the application that was sent must not be read as success.
            (Verdict::NotCommitted, _) if status.application == known.before.application => {
                state::describe_kept(&status, &failure.message)
            }
            _ => state::describe(&status, &failure.message),
        };
        Err(failure
            .help(format!("the board: {state}"))
            .board(BoardAfter::Told(state)))
    }
}

/// What is known of a transfer besides what the board says afterwards.
struct Known<'a> {
    before: &'a Status,
    /// When `before` was known already.
    since: Instant,
    /// Bytes of the file.
    len: Cell<u64>,
    /// The board took part in the transfer; only seen over TFTP.
    heard: Cell<bool>,
    /// Since when only the last acknowledgement is missing.
    all_sent_at: Cell<Option<Instant>>,
}

impl Known<'_> {
    /// Another transfer.
    fn begin(&self, len: usize) {
        self.len.set(len as u64);
        self.heard.set(false);
        self.all_sent_at.set(None);
    }

    fn note(&self, event: &Event) {
        let Event::Tftp(progress) = event else {
            return;
        };
        if progress.phase != Phase::Request {
            self.heard.set(true);
        }
        match (progress.phase, self.all_sent_at.get()) {
            (Phase::LastAck { .. }, None) => self.all_sent_at.set(Some(Instant::now())),
            (Phase::Request | Phase::Data { .. }, _) => self.all_sent_at.set(None),
            (Phase::LastAck { .. } | Phase::Complete, _) => {}
        }
    }
}

/// After Ctrl-C, or the end of its time, a board has this long to say what it holds.
async fn waited_enough(interrupt: &Interrupt) {
    interrupt.stop().await;
    sleep(LAST_QUESTION).await;
}

/// The board holds the application that was sent, and held it before.
fn unclear(failure: Failure) -> Failure {
    let message = format!(
        "{}; the board holds this application, as it did before, and its status does not show whether this push was installed (flags, \
         security counter, keys)",
        failure.message
    );
    unheard(Failure { message, ..failure })
        .help("push again: sectors that are right are skipped")
        .board(BoardAfter::Unknown)
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

/// The board does not say what it holds. One that was sent everything may hold it.
fn unanswered(failure: Failure) -> Failure {
    let failure = match failure.exit {
        Exit::Verification => failure.help(MAY_HAVE_COMMITTED),
        _ => failure,
    };
    failure
        .help("the board does not say in what state it is: iapctl status")
        .board(BoardAfter::Unknown)
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
        sleep(QUESTION_PAUSE).await;
    }
}
