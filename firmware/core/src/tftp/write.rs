//! One write transfer: DATA in, ACK out, and the rules for what is repeated, out of order, late or missing.
//!
//! ```text
//!  Receiving ── last block ──> Committing ── verdict ──> Committed   the last ACK is repeated on demand
//!      └── refusal, silence, loss of the ticket ──┴────> Failed      the ERROR is repeated on demand
//! ```
//!
//! There is one pending answer at most, `due`. Everything that calls for an ACK only sets the time for it:
//!
//! | what came | the ACK is due |
//! |---|---|
//! | the last block of a window | at once |
//! | a block inside a window | after [`WINDOW_QUIET`] without another: the rest of the window was lost (RFC 7440 section 4) |
//! | a block ahead of the next one | at once, and once for the same gap until [`GAP_QUIET`] has passed |
//! | a block that was accepted before | after [`DUPLICATE_DELAY`], unless new data comes first |
//!
//! The delay for duplicates ends the Sorcerer's Apprentice syndrome: curl and atftp answer each repeated ACK with DATA, and
//! a board that answers each repeated DATA with an ACK would see every block twice until the end.
//!
//! An ACK that is due waits until the update has room for the window it grants.

use core::net::SocketAddrV4;

use heapless::Vec;
use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::packed;
use iap_protocol::tftp::{DEFAULT_BLOCK_SIZE, MAX_BLOCK_SIZE, Options, RESET_BODY};
use smoltcp::time::{Duration, Instant};

use super::say::Say;
use super::{Limits, MAX_SILENCE};
use crate::defect::{Defect, has};
use crate::earliest::Earliest;
use crate::intake::{Intake, Outcome, Ticket};

/// How long a repeated block waits for its answer.
pub(super) const DUPLICATE_DELAY: Duration = Duration::from_millis(10);
/// How long the rest of a window may take before what came is acknowledged.
pub(super) const WINDOW_QUIET: Duration = Duration::from_millis(100);
/// How long a gap is not reported again.
pub(super) const GAP_QUIET: Duration = Duration::from_millis(100);

/// How long a client may repeat itself: with every answer lost on its way, as behind a firewall, it could do so for ever.
pub(super) const MAX_STUCK: Duration = Duration::from_secs(60);

/// How many times as long as otherwise a client may be silent that waits for an ACK.
pub(super) const BRAKED_PATIENCE: u32 = 6;

/// Bytes of a reset request that are kept: the word, a line end, and one that shows that there is more.
const RESET_ROOM: usize = RESET_BODY.len() + 3;

/// Where the bytes go.
#[derive(Debug)]
pub(super) enum Target {
    /// Into the update.
    Image(Ticket),
    /// Into the body of a reset request.
    Reset(Vec<u8, RESET_ROOM>),
}

impl Target {
    pub(super) const fn reset() -> Self {
        Self::Reset(Vec::new())
    }

    fn room<I: Intake>(&self, intake: &I) -> usize {
        match self {
            Self::Image(_) => intake.room(),
            Self::Reset(_) => usize::MAX,
        }
    }

    fn accept<I: Intake>(
        &mut self,
        bytes: &[u8],
        intake: &mut I,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        match self {
            Self::Image(ticket) => intake.accept(*ticket, bytes, why),
            Self::Reset(body) => body
                .extend_from_slice(bytes)
                .map_err(|_| why.refuse(ErrorCode::ResetBody)),
        }
    }

    fn finish<I: Intake>(&mut self, intake: &mut I, why: &mut Refusal) -> Result<(), Refused> {
        match self {
            Self::Image(ticket) => intake.finish(*ticket, why),
            // Another update may have begun since the request.
            Self::Reset(_) if intake.is_busy() => Err(why.refuse(ErrorCode::Busy)),
            // `echo reset` ends the line.
            Self::Reset(body) if body.trim_ascii_end() == RESET_BODY => Ok(()),
            Self::Reset(_) => Err(why.refuse(ErrorCode::ResetBody)),
        }
    }

    fn outcome<'i, I: Intake>(&self, finished: bool, intake: &'i I) -> &'i Outcome {
        match self {
            Self::Image(ticket) => intake.outcome(*ticket),
            Self::Reset(_) if finished => &Outcome::Committed,
            Self::Reset(_) => &Outcome::Running,
        }
    }
}

#[derive(Debug)]
enum State {
    Receiving,
    Committing,
    Committed,
    Failed,
}

/// A write transfer.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) port: u16,
    pub(super) peer: SocketAddrV4,
    target: Target,
    state: State,
    /// Why it failed.
    pub(super) why: Refusal,
    options: Options,
    block_size: usize,
    window: u16,
    /// The last block accepted.
    last: u16,
    /// Whether a block has been accepted; `last` alone cannot say it, because it wraps.
    has_data: bool,
    /// Blocks accepted since the last ACK.
    in_window: u16,
    /// When a gap was last reported, until it is filled.
    gap_reported: Option<Instant>,
    due: Option<Instant>,
    /// When the client was last heard or answered, later by what the board did not listen.
    heard: Instant,
    /// When a new block was last accepted, or could not be because the board had no room.
    advanced: Instant,
}

impl Write {
    pub(super) fn new(
        now: Instant,
        port: u16,
        peer: SocketAddrV4,
        target: Target,
        requested: &Options,
        limits: &Limits,
    ) -> Self {
        let options = Options {
            block_size: requested.block_size.map(|size| size.min(MAX_BLOCK_SIZE)),
            window_size: requested
                .window_size
                .map(|size| size.min(limits.max_window.max(1))),
            ..*requested
        };
        Self {
            port,
            peer,
            target,
            state: State::Receiving,
            why: Refusal::unsaid(),
            block_size: usize::from(options.block_size.unwrap_or(DEFAULT_BLOCK_SIZE)),
            window: options.window_size.unwrap_or(1),
            options,
            last: 0,
            has_data: false,
            in_window: 0,
            gap_reported: None,
            due: None,
            heard: now,
            advanced: now,
        }
    }

    /// The answer to the request, as often as it comes; none once the client is known to have it.
    pub(super) fn first_answer(&mut self, now: Instant) -> Option<Say<'_>> {
        if self.has_data {
            return None;
        }
        self.heard = now;
        Some(if self.options.is_empty() {
            Say::Ack(0)
        } else {
            Say::Options(&self.options)
        })
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Receiving | State::Committing)
    }

    fn is_receiving(&self) -> bool {
        matches!(self.state, State::Receiving)
    }

    pub(super) fn is_committing(&self) -> bool {
        matches!(self.state, State::Committing)
    }

    pub(super) fn is_committed(&self) -> bool {
        matches!(self.state, State::Committed)
    }

    pub(super) fn is_reset(&self) -> bool {
        matches!(self.target, Target::Reset(_))
    }

    pub(super) fn has_data(&self) -> bool {
        self.has_data
    }

    /// Whether the client has been silent for `limit`. While all of the image is here it may be: what then takes its time is the board, and
    /// an image that has come completely is installed, as over HTTP.
    pub(super) fn is_silent(&self, now: Instant, limit: Duration) -> bool {
        self.is_receiving() && now >= self.heard + self.patience(now, limit)
    }

    /// `limit`, or longer while it is the board's turn. The board's own stalls are not counted, so that lasts only where the supply is low, and a
    /// client that is still there repeats its last block every few seconds.
    fn patience(&self, now: Instant, limit: Duration) -> Duration {
        if self.is_braked(now) {
            limit * BRAKED_PATIENCE
        } else {
            limit
        }
    }

    /// Whether the transfer has ended and its client has stopped asking.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        !self.is_running() && now >= self.heard + MAX_SILENCE
    }

    /// Shifts what had not come about before the board stopped listening, `duration` ago. Many short stalls in a row, as programming
    /// makes them, do not put off an answer: between them the board did listen.
    pub(super) fn stalled(&mut self, now: Instant, duration: Duration) {
        self.heard = now.min(self.heard + duration);
        let is_long = duration > DUPLICATE_DELAY;
        let due = self.due.filter(|&due| is_long && due + duration > now);
        if let Some(due) = due {
            self.due = Some(due + duration);
        }
    }

    /// Ends the transfer from this side, for what [`Write::why`] says.
    pub(super) fn abort<I: Intake>(&mut self, now: Instant, intake: &mut I, refused: Refused) {
        if let Target::Image(ticket) = self.target
            && self.is_running()
        {
            intake.abort(ticket, &self.why);
        }
        self.fail(now, refused);
    }

    /// Takes a block.
    pub(super) fn data<I: Intake>(
        &mut self,
        now: Instant,
        block: u16,
        payload: &[u8],
        intake: &mut I,
    ) {
        self.heard = now;
        match (&self.state, block.wrapping_sub(self.last)) {
            (State::Receiving, 1) => self.next_block(now, block, payload, intake),
            (State::Receiving, 2..=0x7FFF) => self.gap(now),
            (State::Receiving, _) if !self.has_data => {}
            // The answer is the verdict.
            (State::Committing, _) => {}
            (State::Receiving | State::Committed | State::Failed, _) => {
                self.due_by(now + DUPLICATE_DELAY);
            }
        }
    }

    fn next_block<I: Intake>(&mut self, now: Instant, block: u16, payload: &[u8], intake: &mut I) {
        if payload.len() > self.block_size {
            let form = packed!("DATA of {d} bytes, {d} were agreed");
            let numbers = [payload.len() as u32, self.block_size as u32];
            let code = ErrorCode::IllegalOperation;
            let refused = self.why.refuse_with(code, form, &numbers);
            return self.abort(now, intake, refused);
        }
        if payload.len() > self.target.room(intake) {
            // More than was granted, or a client that goes on without an ACK: it will come again.
            return;
        }
        if let Err(refused) = self.target.accept(payload, intake, &mut self.why) {
            return self.fail(now, refused);
        }
        self.last = block;
        self.has_data = true;
        self.advanced = now;
        self.gap_reported = None;
        self.in_window = self.in_window.saturating_add(1);
        if payload.len() < self.block_size {
            self.finish(now, intake);
        } else if self.in_window >= self.window {
            self.due = Some(now);
        } else {
            self.due = Some(now + WINDOW_QUIET);
        }
    }

    fn finish<I: Intake>(&mut self, now: Instant, intake: &mut I) {
        self.due = None;
        self.state = State::Committing;
        if let Err(refused) = self.target.finish(intake, &mut self.why) {
            self.fail(now, refused);
        }
    }

    fn gap(&mut self, now: Instant) {
        if self.gap_reported.is_none_or(|at| now >= at + GAP_QUIET) {
            self.gap_reported = Some(now);
            self.due_by(now);
        }
    }

    fn due_by(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn fail(&mut self, now: Instant, _: Refused) {
        self.state = State::Failed;
        self.due = Some(now);
    }

    /// Whether the time for an answer has come; between calls of [`Server::poll`](super::Server::poll), whether it waits for room.
    fn is_braked(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    fn has_room<I: Intake>(&self, intake: &I) -> bool {
        self.target.room(intake) >= self.block_size.wrapping_mul(self.window.into())
    }

    /// Looks at what has become of the image, and of the client.
    pub(super) fn follow<I: Intake>(&mut self, now: Instant, intake: &mut I) {
        if self.is_running() {
            self.follow_outcome(now, intake);
        }
        if self.is_braked(now) && !self.has_room(intake) {
            self.advanced = now;
        }
        let is_stuck = self.is_receiving() && now >= self.advanced + MAX_STUCK;
        if is_stuck || self.is_silent(now, MAX_SILENCE) {
            let (form, silence) = match is_stuck {
                true => (packed!("nothing new for {d} s"), MAX_STUCK),
                false => (
                    packed!("no DATA for {d} s"),
                    self.patience(now, MAX_SILENCE),
                ),
            };
            let silence_s = silence.secs() as u32;
            let code = ErrorCode::ClientSilent;
            let refused = self.why.refuse_with(code, form, &[silence_s]);
            self.abort(now, intake, refused);
        }
    }

    /// Whether something is to be said now.
    pub(super) fn has_answer<I: Intake>(&self, now: Instant, intake: &I) -> bool {
        self.is_braked(now)
            && match self.state {
                State::Receiving => self.has_room(intake),
                State::Committing => false,
                State::Committed | State::Failed => true,
            }
    }

    /// Says it.
    pub(super) fn answer(&mut self, now: Instant) -> Say<'_> {
        self.due = None;
        self.in_window = 0;
        match self.state {
            State::Receiving => self.heard = now,
            State::Failed => return Say::Error(&self.why),
            State::Committing | State::Committed => {}
        }
        Say::Ack(self.last)
    }

    fn follow_outcome<I: Intake>(&mut self, now: Instant, intake: &I) {
        let finished = matches!(self.state, State::Committing);
        let outcome = match self.target.outcome(finished, intake) {
            Outcome::Running if has(Defect::AckBeforeCommit) => &Outcome::Committed,
            outcome => outcome,
        };
        match outcome {
            Outcome::Failed(refusal) => {
                let refused = self.why.refuse_as(refusal);
                self.fail(now, refused);
            }
            Outcome::TakenOver => {
                let refused = self.why.refuse(ErrorCode::TakenOver);
                self.fail(now, refused);
            }
            Outcome::Committed if finished => {
                self.state = State::Committed;
                self.heard = now;
                self.due = Some(now);
            }
            Outcome::Committed | Outcome::Running => {}
        }
    }

    pub(super) fn poll_at(&self, now: Instant, earliest: &mut Earliest) {
        match self.state {
            State::Committing => {}
            State::Receiving | State::Committed | State::Failed => {
                earliest.note(Some(self.heard + self.patience(now, MAX_SILENCE)));
            }
        }
        earliest.note(self.due.filter(|&due| due > now));
    }
}
