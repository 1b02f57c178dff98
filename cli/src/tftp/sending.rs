//! Which block goes out when: the sliding window of RFC 7440, of which lock-step is the window of one block.
//!
//! ```text
//!   acked          next                 acked + size
//!     |  on the wire |  may be sent yet     |
//! ```
//!
//! - The peer acknowledges once per window, so a sender that keeps fewer blocks on the wire would wait forever. What shrinks on loss
//!   is the burst: how many blocks go out back to back before a short pause. It grows again with every window without loss.
//! - An acknowledgement inside the window means that the next block was lost: go back to it. The acknowledgements that the rest of
//!   the old window causes must not do the same again (the Sorcerer's Apprentice), so at most once per round trip: at once if it
//!   names a block that was sent once, in this round, and otherwise if a round trip has passed. One for a block acknowledged before
//!   can mean that the window's first block was lost, and is believed once per block, with a window only.
//! - The first timeout repeats the last block on the wire, as TCP's tail loss probe does (RFC 8985 section 7): whether it was lost, or
//!   the acknowledgement, or others with it, the peer answers with what it has. The second timeout repeats the window. When that
//!   brings nothing either, the peer is likely erasing: from then on only the first and last block on the wire are repeated, the one
//!   it needs if it lost all, and the one whose number makes it speak if it lost some.

use core::time::Duration;

use super::rtt::Estimator;

/// Bytes that go out back to back at most: half of what a receiver's socket buffer commonly holds.
const MAX_BURST_BYTES: u64 = 64 * 1024;
const MIN_PAUSE: Duration = Duration::from_millis(1);
const MAX_PAUSE: Duration = Duration::from_millis(5);
/// While only the last acknowledgement is missing: a board that has committed starts its application after some seconds, and is to be
/// heard before.
const MAX_LAST_TIMEOUT: Duration = Duration::from_secs(1);
/// For so long; then it is slow, or gone.
const LAST_REPETITIONS: Duration = Duration::from_secs(10);
/// A timer that an erase has made long is cut to this when the peer goes on.
const MAX_FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// Single blocks go out at least every 20 ms.
const MAX_STRETCH: u32 = 4;
/// So many rounds in a row that lose one of their first blocks are not chance.
const ROUNDS_TO_BELIEVE: u32 = 3;
/// An acknowledgement repeated sooner than this is a copy the network or the peer made, whatever the round trip.
const MIN_REPETITION: Duration = Duration::from_millis(5);

/// Blocks on their way. Numbers count from 1 and do not wrap.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    size: u64,
    last: u64,
    acked: u64,
    next: u64,
    /// The highest block sent so far.
    highest: u64,
    rtt: Estimator,
    burst: Burst,
    round: Round,
    /// Timeouts since the last progress.
    timeouts: u32,
    /// Timeouts since the last round trip that could be measured: their longer timer is kept (RFC 6298 section 5), or every window
    /// of a board that programs slower than it receives would be sent twice.
    backoff: u32,
    /// Blocks to repeat out of order.
    probes: [Option<u64>; 2],
    sent_at: Duration,
    progress_at: Duration,
    repeated: u64,
}

/// The blocks sent since the window last moved or was sent anew.
#[derive(Clone, Copy, Debug)]
struct Round {
    started: Duration,
    /// Until then acknowledgements that blocks of the round before caused may arrive.
    echo_until: Duration,
    /// Up to this block an acknowledgement does not say which copy of the block it answers (Karn's algorithm).
    ambiguous_to: u64,
    /// An acknowledgement of what was acknowledged before has been believed since the window last moved.
    believed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    size: u64,
    max: u64,
    left: u64,
    /// When its last block left.
    sent_at: Duration,
    /// Factor for the pause, above 1 when even single blocks are too many.
    stretch: u32,
    /// Rounds in a row that lost one of their first `max` blocks.
    lossy_rounds: u32,
    /// The most blocks that got through in one of them.
    most: u64,
}

impl Sending {
    /// `last` blocks of `block_size` bytes are to be sent, `size` of them per acknowledgement.
    pub(crate) fn new(
        now: Duration,
        last: u64,
        size: u16,
        block_size: u16,
        rtt: Estimator,
    ) -> Self {
        let size = u64::from(size.max(1));
        let max = MAX_BURST_BYTES.checked_div(block_size.into()).unwrap_or(1);
        let max = max.clamp(1, size);
        Self {
            size,
            last,
            acked: 0,
            next: 1,
            highest: 0,
            rtt,
            burst: Burst {
                size: max,
                max,
                left: max,
                sent_at: now,
                stretch: 1,
                lossy_rounds: 0,
                most: 0,
            },
            round: Round {
                started: now,
                echo_until: now,
                ambiguous_to: 0,
                believed: false,
            },
            timeouts: 0,
            backoff: 0,
            probes: [None; 2],
            sent_at: now,
            progress_at: now,
            repeated: 0,
        }
    }

    pub(crate) fn acked(&self) -> u64 {
        self.acked
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Whether the last block has been sent at least once.
    pub(crate) fn all_sent(&self) -> bool {
        self.highest >= self.last
    }

    pub(crate) fn progress_at(&self) -> Duration {
        self.progress_at
    }

    /// Blocks sent more than once, counted each time.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The next block to put on the wire now.
    pub(crate) fn poll(&mut self, now: Duration) -> Option<u64> {
        if self.idle() && now >= self.timeout_at() {
            self.on_timeout(now);
        }
        let block = self.take_probe().or_else(|| self.take_next(now))?;
        self.sent_at = now;
        if block <= self.highest {
            self.repeated = self.repeated.saturating_add(1);
            self.round.ambiguous_to = self.round.ambiguous_to.max(block);
        }
        self.highest = self.highest.max(block);
        Some(block)
    }

    /// When [`Sending::poll`] has something to send, if no acknowledgement comes.
    pub(crate) fn poll_at(&self) -> Duration {
        if !self.idle() {
            let ready = self.probes.iter().any(Option::is_some) || self.burst.left > 0;
            return if ready {
                self.sent_at
            } else {
                self.resume_at()
            };
        }
        self.timeout_at()
    }

    /// Whether everything that may be sent is on the wire.
    fn idle(&self) -> bool {
        self.probes.iter().all(Option::is_none) && self.next > self.window_end()
    }

    fn first_missing(&self) -> u64 {
        self.acked.saturating_add(1)
    }

    fn window_end(&self) -> u64 {
        self.last.min(self.acked.saturating_add(self.size))
    }

    fn timeout_at(&self) -> Duration {
        let timeout = self.rtt.timeout(self.backoff);
        self.sent_at.saturating_add(match self.timeouts {
            0 => timeout.min(MAX_FIRST_TIMEOUT),
            _ if self.is_about_to_end() => timeout.min(MAX_LAST_TIMEOUT),
            _ => timeout,
        })
    }

    fn is_about_to_end(&self) -> bool {
        self.all_sent() && self.sent_at < self.progress_at.saturating_add(LAST_REPETITIONS)
    }

    fn take_probe(&mut self) -> Option<u64> {
        self.probes.iter_mut().find_map(Option::take)
    }

    fn take_next(&mut self, now: Duration) -> Option<u64> {
        if self.next > self.window_end() || (self.burst.left == 0 && now < self.resume_at()) {
            return None;
        }
        self.burst.take(now);
        let block = self.next;
        self.next = block.saturating_add(1);
        Some(block)
    }

    /// When the next burst may begin.
    fn resume_at(&self) -> Duration {
        self.burst.sent_at.saturating_add(self.pause())
    }

    /// The pauses of a window take half a round trip in all, unless its bursts are single blocks and still too many.
    fn pause(&self) -> Duration {
        let round_trip = self.rtt.smoothed().unwrap_or(MAX_PAUSE);
        let bursts = self.size.div_ceil(self.burst.size).max(1) as u32;
        (round_trip / 2 / bursts).clamp(MIN_PAUSE, MAX_PAUSE) * self.burst.stretch
    }

    fn on_timeout(&mut self, now: Duration) {
        self.timeouts = self.timeouts.saturating_add(1);
        self.backoff = self.backoff.saturating_add(1);
        self.sent_at = now;
        self.burst.carried(0);
        let (first, highest) = (self.first_missing(), self.next.saturating_sub(1));
        match self.timeouts {
            1 => self.probes = [Some(highest), None],
            2 => self.go_back(now),
            _ => self.probes = [Some(first), (highest > first).then_some(highest)],
        }
    }

    fn go_back(&mut self, now: Duration) {
        self.next = self.first_missing();
        self.probes = [None; 2];
        self.start_round(now, true);
    }

    /// `echoes`: copies of blocks are on their way that the peer has already, and answers.
    fn start_round(&mut self, now: Duration, echoes: bool) {
        self.round = Round {
            started: now,
            echo_until: match echoes {
                true => self.sent_at.saturating_add(self.rtt.late()),
                false => now,
            },
            ambiguous_to: self.highest,
            believed: self.round.believed,
        };
        self.burst.restart();
    }

    /// Takes an acknowledgement; true if it was new.
    pub(crate) fn acknowledge(&mut self, now: Duration, wire_block: u16) -> bool {
        let ahead = u64::from(wire_block.wrapping_sub(self.acked as u16));
        let block = self.acked.saturating_add(ahead);
        if block > self.highest {
            return false; // of a block acknowledged long ago, or never sent
        }
        if block == self.acked {
            self.on_duplicate(now);
            return false;
        }
        self.on_progress(now, block);
        true
    }

    fn on_progress(&mut self, now: Duration, block: u64) {
        let through = block.saturating_sub(self.acked);
        let is_echoing = self.round.ambiguous_to > self.acked;
        let is_unambiguous = block > self.round.ambiguous_to;
        let window_done = block.saturating_add(1) >= self.next;
        if is_unambiguous {
            self.measure(now, window_done);
        }
        self.acked = block;
        self.progress_at = now;
        self.timeouts = 0;
        self.round.believed = false;
        if window_done {
            self.burst.carried_all(is_unambiguous);
            self.next = self.first_missing();
            self.probes = [None; 2];
            self.start_round(now, is_echoing);
        } else if is_unambiguous || self.is_due(now) {
            self.burst.carried(through);
            self.go_back(now);
        }
    }

    /// Of a block that was not the last one it is not known when it left: not before the round began.
    fn measure(&mut self, now: Duration, is_last_sent: bool) {
        let sent_at = match is_last_sent {
            true => self.sent_at,
            false => self.round.started,
        };
        self.rtt.sample(now.saturating_sub(sent_at));
        self.backoff = 0;
    }

    fn on_duplicate(&mut self, now: Duration) {
        let on_the_wire = self.next > self.first_missing();
        if self.size > 1
            && on_the_wire
            && !self.round.believed
            && self.rtt.least().is_some()
            && now.saturating_sub(self.round.started) >= MIN_REPETITION
            && now >= self.round.echo_until
            && self.is_due(now)
        {
            self.round.believed = true;
            self.burst.carried(0);
            self.go_back(now);
        }
    }

    /// Whether the answer to a block of this round can be here by now.
    fn is_due(&self, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.round.started);
        let least = self.rtt.least().unwrap_or_default();
        elapsed >= least - least / 8
    }
}

impl Burst {
    /// One more block goes, as the first of the next burst if this one is over.
    fn take(&mut self, now: Duration) {
        if self.left == 0 {
            self.left = self.size;
        }
        self.left = self.left.saturating_sub(1);
        self.sent_at = now;
    }

    fn restart(&mut self) {
        self.left = self.size;
    }

    /// A round lost the block after so many. Where the receiver's buffer was full smaller bursts help, and what got through is what it
    /// holds. Where it was chance they are only slower: chance spares a round now and then, or one for longer than any burst is.
    fn carried(&mut self, blocks: u64) {
        if blocks >= self.max {
            (self.lossy_rounds, self.most) = (0, 0);
            return;
        }
        self.lossy_rounds = self.lossy_rounds.saturating_add(1);
        self.most = self.most.max(blocks);
        if self.lossy_rounds >= ROUNDS_TO_BELIEVE {
            self.shrink();
        }
    }

    /// A round lost nothing.
    fn carried_all(&mut self, without_repetition: bool) {
        (self.lossy_rounds, self.most) = (0, 0);
        if without_repetition {
            self.grow();
        }
    }

    fn shrink(&mut self) {
        let most = self.most;
        (self.lossy_rounds, self.most) = (0, 0);
        if self.size > 1 {
            self.size = match most {
                1.. if most < self.size => most,
                _ => self.size / 2,
            };
        } else {
            self.stretch = self.stretch.saturating_mul(2).min(MAX_STRETCH);
        }
    }

    fn grow(&mut self) {
        if self.stretch > 1 {
            self.stretch /= 2;
        } else {
            let grown = self.size.saturating_add(self.size / 4).saturating_add(1);
            self.size = grown.min(self.max);
        }
    }
}
