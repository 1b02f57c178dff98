//! One TCP connection, from its first byte to its close.
//!
//! ```text
//!          ┌───────────────────────── keep-alive ────────────────────────┐
//!          v                                                             │
//!  open ─ Head ─┬─────────────────────────────────────────────────> Answer ─> Closed
//!               ├─ Form (login) ─┬────────────────────────────────────^
//!               ├─ Held (a password was wrong before) ────────────────^
//!               └─ Upload ─ Verdict ──────────────────────────────────^
//! ```
//!
//! An answer may come before the body has: then the rest of the body is read and thrown away before the close, because a close with
//! unread bytes resets the connection and the client never sees the sentence.

use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::packed;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Address;

use super::answer::{self, Answer};
use super::request::Request;
use super::text::Buffer;
use super::upload::{Upload, abort};
use super::{Context, Server};
use crate::intake::Ticket;

/// For a whole request head, or until the first byte of one.
const HEAD_S: u32 = 15;
/// Between two pieces of a body that is thrown away, or of an answer that the client takes.
const ANSWER_S: u32 = 5;
/// For all of a body that is thrown away.
const DISCARD: Duration = Duration::from_secs(30);
/// The longest step that patience counts: a longer one was the board's own, busy with its flash.
const STEP_US: u64 = 1_000_000;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How long a client may be silent. Counts in small steps, so that time in which nobody asked counts as one step at most.
pub(super) struct Patience {
    left_us: u32,
    counted: Instant,
}

impl Patience {
    pub(super) const fn new(now: Instant, limit_s: u32) -> Self {
        Self {
            left_us: limit_s.wrapping_mul(1_000_000),
            counted: now,
        }
    }

    /// Counts up to `now`; whether patience is at its end.
    #[inline(never)]
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        let passed_us = (now - self.counted).total_micros().min(STEP_US) as u32;
        self.left_us = self.left_us.saturating_sub(passed_us);
        self.counted = now;
        self.left_us == 0
    }

    fn poll_at(&self) -> Instant {
        self.counted + Duration::from_micros(STEP_US.min(self.left_us.into()))
    }
}

pub(super) enum Phase {
    /// Nothing more to do; also before [`Connection::open`].
    Closed,
    /// Reading a head.
    Head,
    /// Reading a login form of which so much is to come.
    Form { left: u32 },
    /// A password is looked at later. `right`: what it will turn out to be.
    Held { until: Instant, right: bool },
    /// Reading an image.
    Upload(Upload),
    /// All of the image is there; waiting for what becomes of it.
    Verdict(Ticket),
    /// Sending an answer, and throwing away what is left of the body.
    Answer {
        left: u32,
        keep: bool,
        until: Instant,
    },
}

/// The state of one TCP connection.
///
/// To drive it: [`receive`](Self::receive) with what the socket holds, [`poll`](Self::poll) when [`poll_at`](Self::poll_at) has come and
/// after each step of the updater, [`transmit`](Self::transmit) while the socket takes bytes, and all three again as long as bytes were
/// used or given out: the end of an answer is where the next request, already received, begins.
pub struct Connection {
    pub(super) phase: Phase,
    pub(super) request: Request,
    /// A line of the head or of a part's headers, the login form, then the answer.
    pub(super) buffer: Buffer,
    /// How much of `buffer` has been sent as an answer.
    sent: usize,
    /// What is left to send behind it.
    tail: &'static [u8],
    /// What is left to send of a 100 Continue.
    interim: &'static [u8],
    pub(super) patience: Patience,
    pub(super) peer: Ipv4Address,
    pub(super) reset: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

impl Connection {
    /// A connection that nobody has opened.
    pub fn new() -> Self {
        Self {
            phase: Phase::Closed,
            request: Request::default(),
            buffer: Buffer::new(),
            sent: 0,
            tail: &[],
            interim: &[],
            patience: Patience::new(Instant::ZERO, 0),
            peer: Ipv4Address::UNSPECIFIED,
            reset: false,
        }
    }

    /// A client has connected.
    pub fn open(&mut self, now: Instant, peer: Ipv4Address) {
        self.close();
        self.peer = peer;
        self.reset = false;
        self.expect_head(now);
    }

    /// Takes received bytes in order; how many were used. The rest stays in the socket, whose window is the brake.
    #[inline(never)]
    pub fn receive(
        &mut self,
        bytes: &[u8],
        server: &mut Server,
        context: &mut Context<'_>,
    ) -> usize {
        // The time may have come for what these bytes are waiting for.
        self.poll(server, context);
        let mut rest = bytes;
        while !rest.is_empty() {
            let used = self.receive_some(rest, server, context);
            if used == 0 {
                break;
            }
            rest = rest.get(used..).unwrap_or_default();
        }
        bytes.len().wrapping_sub(rest.len())
    }

    /// Looks at the time and at what has become of an upload.
    pub fn poll(&mut self, server: &mut Server, context: &mut Context<'_>) {
        let now = context.now;
        match self.phase {
            Phase::Closed => {}
            Phase::Held { until, right } if now >= until => {
                self.judge(right, true, server, context);
            }
            Phase::Held { .. } => {}
            Phase::Verdict(ticket) => self.poll_verdict(ticket, context),
            Phase::Upload(Upload { ticket, left, .. }) => self.poll_upload(ticket, left, context),
            Phase::Head if self.patience.is_over(now) && self.request.is_untouched() => {
                self.close()
            }
            Phase::Head | Phase::Form { .. } if self.patience.is_over(now) => {
                self.refuse(&ErrorCode::ClientSilent.into(), 0, context);
            }
            Phase::Answer { until, .. } if now >= until || self.patience.is_over(now) => {
                self.close()
            }
            Phase::Head | Phase::Form { .. } | Phase::Answer { .. } => {}
        }
    }

    /// When [`poll`](Self::poll) is due, if nothing is received before.
    pub fn poll_at(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed => None,
            Phase::Held { until, .. } => Some(until),
            // The updater's next step brings it on, not the time.
            Phase::Verdict(_) => None,
            _ => Some(self.patience.poll_at()),
        }
    }

    /// Writes bytes to send; how many.
    #[inline(never)]
    pub fn transmit(&mut self, now: Instant, out: &mut [u8]) -> usize {
        if !matches!(self.phase, Phase::Answer { .. }) {
            return advance(&mut self.interim, out);
        }
        let mut pending = self.buffer.get(self.sent..).unwrap_or_default();
        let mut len = advance(&mut pending, out);
        self.sent = self.sent.wrapping_add(len);
        let room = out.get_mut(len..).unwrap_or_default();
        len = len.wrapping_add(advance(&mut self.tail, room));
        if len > 0 {
            self.patience = Patience::new(now, ANSWER_S);
        }
        self.settle_answer(now);
        len
    }

    /// Whether [`transmit`](Self::transmit) has something to send.
    pub fn has_output(&self) -> bool {
        match self.phase {
            Phase::Answer { .. } => self.is_unsent(),
            _ => !self.interim.is_empty(),
        }
    }

    /// Whether the board's side is to be closed when everything is sent.
    pub fn wants_close(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whether nothing is under way: a browser's spare connection, the first to give way when others wait.
    pub fn is_idle(&self) -> bool {
        match self.phase {
            Phase::Head => self.request.is_untouched(),
            Phase::Closed => true,
            _ => false,
        }
    }

    /// Whether an image comes in here: this socket deserves the large window.
    pub fn is_uploading(&self) -> bool {
        matches!(self.phase, Phase::Upload(_))
    }

    /// Whether the board is to be reset as soon as the peer has acknowledged everything, or is gone.
    pub fn reset_after_ack(&self) -> bool {
        self.reset && !self.has_output()
    }

    /// Takes the promise of a reset back: something else has begun.
    pub fn forget_reset(&mut self) {
        self.reset = false;
    }

    /// The client will send no more, and everything it sent was received. It may still read.
    pub fn peer_closed(&mut self, context: &mut Context<'_>) {
        self.request.keep_alive = false;
        match &mut self.phase {
            Phase::Head | Phase::Form { .. } => self.close(),
            Phase::Answer { left, keep, .. } => (*left, *keep) = (0, false),
            Phase::Upload(Upload { ticket, left, .. }) => {
                let (ticket, left) = (*ticket, *left);
                let aborted = Refusal::with(
                    ErrorCode::ClientAborted,
                    packed!("{d} bytes were still to come"),
                    &[left],
                );
                self.give_up(ticket, &aborted, 0, context);
            }
            Phase::Closed | Phase::Held { .. } | Phase::Verdict(_) => {}
        }
        self.settle_answer(context.now);
    }

    /// The connection is gone. An image that has come completely is still installed.
    pub fn lost(&mut self, context: &mut Context<'_>) {
        if let Phase::Upload(Upload { ticket, .. }) = self.phase {
            abort(context.intake, ticket, &ErrorCode::ClientAborted.into());
        }
        self.close();
    }

    fn is_unsent(&self) -> bool {
        self.sent < self.buffer.len() || !self.tail.is_empty()
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.interim = &[];
    }

    fn expect_head(&mut self, now: Instant) {
        self.phase = Phase::Head;
        self.request = Request::default();
        self.buffer.clear();
        self.patience = Patience::new(now, HEAD_S);
    }

    /// After an answer: the next request, or the end.
    fn settle_answer(&mut self, now: Instant) {
        match self.phase {
            Phase::Answer { left: 0, keep, .. } if !self.is_unsent() => match keep {
                true => self.expect_head(now),
                false => self.close(),
            },
            _ => {}
        }
    }

    fn receive_some(
        &mut self,
        rest: &[u8],
        server: &mut Server,
        context: &mut Context<'_>,
    ) -> usize {
        match &mut self.phase {
            Phase::Head => self.receive_head(rest, server, context),
            Phase::Form { left } => {
                let left = *left;
                self.receive_form(rest, left, server, context)
            }
            Phase::Upload(_) => self.receive_upload(rest, context),
            Phase::Held { .. } | Phase::Verdict(_) => 0,
            Phase::Closed => rest.len(),
            Phase::Answer { left, .. } => {
                let used = clamp(rest.len(), *left);
                *left = left.wrapping_sub(used as u32);
                if used > 0 {
                    self.patience = Patience::new(context.now, ANSWER_S);
                }
                self.settle_answer(context.now);
                used
            }
        }
    }

    fn receive_head(
        &mut self,
        rest: &[u8],
        server: &mut Server,
        context: &mut Context<'_>,
    ) -> usize {
        if self.request.is_untouched() {
            self.patience = Patience::new(context.now, HEAD_S);
        }
        match self.request.take(rest, &mut self.buffer, context.config) {
            Ok((used, complete)) => {
                if complete {
                    self.dispatch(server, context);
                }
                used
            }
            Err(code) => {
                // Where the next request would begin is not known any more.
                self.refuse(&code.into(), u32::MAX, context);
                rest.len()
            }
        }
    }

    /// Sends 100 Continue to a client that waits for it.
    pub(super) fn invite(&mut self, left: u32) {
        if self.request.expects_continue && left > 0 {
            self.interim = CONTINUE;
        }
    }

    pub(super) fn show(&mut self, text: &str, context: &Context<'_>) {
        let left = match self.phase {
            Phase::Head => self.request.body_len(),
            _ => 0,
        };
        self.answer(&Answer::ok(text.as_bytes()), left, context);
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal, left: u32, context: &Context<'_>) {
        self.answer(&Answer::refusal(refusal), left, context);
    }

    pub(super) fn answer_status(&mut self, context: &Context<'_>) {
        let keep = self.begin_answer(self.request.body_len(), context.now);
        answer::write_status(&mut self.buffer, &self.request, keep, context);
    }

    pub(super) fn answer(&mut self, answer: &Answer<'_>, left: u32, context: &Context<'_>) {
        let keep = self.begin_answer(left, context.now);
        self.tail = answer.write(&mut self.buffer, &self.request, keep, context);
    }

    pub(super) fn answer_kept(&mut self, kind: &str, text: &'static [u8], context: &Context<'_>) {
        let keep = self.begin_answer(self.request.body_len(), context.now);
        self.tail = answer::write_kept(&mut self.buffer, &self.request, keep, kind, text);
    }

    /// Makes the buffer ready for an answer while `left` bytes of body are still to come; whether the connection stays open after it.
    fn begin_answer(&mut self, left: u32, now: Instant) -> bool {
        let keep = self.request.keep_alive && left == 0;
        self.phase = Phase::Answer {
            left,
            keep,
            until: now + DISCARD,
        };
        self.patience = Patience::new(now, ANSWER_S);
        self.sent = 0;
        self.tail = &[];
        self.buffer.clear();
        // A 100 Continue of which the client has seen a part must come whole; one it has not seen is not needed any more.
        let interim = core::mem::take(&mut self.interim);
        if interim.len() < CONTINUE.len() {
            let _ = self.buffer.extend_from_slice(interim);
        }
        keep
    }
}

/// Copies as much of `from` as `out` takes, and leaves the rest in it; how much.
fn advance(from: &mut &[u8], out: &mut [u8]) -> usize {
    let len = from.len().min(out.len());
    let (now, later) = from.split_at(len);
    if let Some(out) = out.get_mut(..len) {
        out.copy_from_slice(now);
    }
    *from = later;
    len
}

/// The smaller of a number of bytes here and a number of bytes to come.
pub(super) fn clamp(here: usize, to_come: u32) -> usize {
    usize::try_from(to_come).map_or(here, |to_come| here.min(to_come))
}
