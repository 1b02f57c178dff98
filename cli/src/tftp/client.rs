//! Writing a file to a TFTP server.

mod shrink;

use core::time::Duration;

use iap_protocol::tftp::{DATA_HEADER_LEN, DEFAULT_BLOCK_SIZE, Options, Packet};

use super::error::{NetworkError, Phase, Reason, TransferError};
use super::request::{Answer, LastWords, RequestState, encode, refused};
use super::rtt::Estimator;
use super::sending::Sending;
use super::{Config, Machine, Progress};

/// ERROR 5: "unknown transfer ID".
const UNKNOWN_TRANSFER: u16 = 5;
/// ICMP does not say which of our datagrams it is about, and one may be about an ERROR to a stranger: so many without progress end
/// a transfer that has begun.
const REFUSALS_TO_BELIEVE: u32 = 3;

/// What a finished write did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Bytes of the file.
    pub bytes: u64,
    /// Blocks, the last one included.
    pub blocks: u64,
    /// Bytes per block, as agreed.
    pub block_size: u16,
    /// Blocks per acknowledgement, as agreed.
    pub window_size: u16,
    /// Blocks that were sent more than once.
    pub repeated: u64,
}

/// A write request and its transfer; see [`Machine`].
#[derive(Debug)]
pub struct Client<S> {
    config: Config,
    file_name: String,
    content: S,
    state: State,
    /// The port of a session that was ended because its blocks were too long for the way.
    abandoned: Option<u16>,
    last_words: LastWords,
    requests: u32,
    malformed: u64,
    refusals: u32,
}

#[derive(Debug)]
enum State {
    Requesting(RequestState),
    Sending {
        peer_port: u16,
        block_size: u16,
        window_size: u16,
        blocks: Sending,
    },
    Ended(Result<Upload, TransferError>),
}

impl<S: AsRef<[u8]>> Client<S> {
    /// A transfer of `content` to `file_name`, beginning at `now`. Characters a name cannot have on the wire become `_`.
    pub fn new(config: Config, file_name: &str, content: S, now: Duration) -> Self {
        let len = content.as_ref().len() as u64;
        Self {
            state: State::Requesting(RequestState::write(&config, file_name, len, now)),
            config,
            file_name: file_name.to_owned(),
            content,
            abandoned: None,
            last_words: LastWords::default(),
            requests: 0,
            malformed: 0,
            refusals: 0,
        }
    }

    fn total(&self) -> u64 {
        self.content.as_ref().len() as u64
    }

    fn phase(&self) -> Phase {
        match &self.state {
            State::Requesting(_) => Phase::Request,
            State::Sending { blocks, .. } if blocks.all_sent() => Phase::LastAck {
                block: blocks.last(),
            },
            State::Sending { blocks, .. } => Phase::Data {
                block: blocks.acked().saturating_add(1),
                blocks: blocks.last(),
            },
            State::Ended(Ok(_)) => Phase::Complete,
            State::Ended(Err(error)) => error.phase,
        }
    }

    fn waited(&self, now: Duration) -> Duration {
        match &self.state {
            State::Requesting(request) => request.waited(now),
            State::Sending { blocks, .. } => now.saturating_sub(blocks.progress_at()),
            State::Ended(_) => Duration::ZERO,
        }
    }

    fn fail(&mut self, now: Duration, reason: Reason) {
        self.state = State::Ended(Err(TransferError {
            reason,
            phase: self.phase(),
            waited: self.waited(now),
            requests: self.requests,
            malformed: self.malformed,
        }));
    }

    fn on_answer(&mut self, now: Duration, port: u16, packet: &Packet<'_>) {
        let State::Requesting(request) = &mut self.state else {
            return;
        };
        match request.judge(now, packet) {
            Answer::Refused(reason) => self.fail(now, reason),
            Answer::AskedAgain => {}
            Answer::Granted(options) => self.start(now, port, &options),
            Answer::BadOptions(what) => {
                self.last_words.push(port, 8, "option not asked for");
                self.fail(now, Reason::BadOptions(what));
            }
            Answer::Other if matches!(packet, Packet::Ack { block: 0 }) => {
                self.start(now, port, &Options::default());
            }
            Answer::Other => self
                .last_words
                .push(port, UNKNOWN_TRANSFER, "unknown transfer ID"),
        }
    }

    fn start(&mut self, now: Duration, peer_port: u16, granted: &Options) {
        let State::Requesting(request) = &self.state else {
            return;
        };
        let mut rtt = Estimator::default();
        if let Some(sample) = request.round_trip(now) {
            rtt.request_sample(sample);
        }
        let block_size = granted.block_size.unwrap_or(DEFAULT_BLOCK_SIZE);
        let window_size = granted.window_size.unwrap_or(1);
        let full_blocks = self.total().checked_div(block_size.into()).unwrap_or(0);
        let last = full_blocks.saturating_add(1);
        self.state = State::Sending {
            peer_port,
            block_size,
            window_size,
            blocks: Sending::new(now, last, window_size, block_size, rtt),
        };
    }

    fn on_transfer(&mut self, now: Duration, packet: &Packet<'_>) {
        let State::Sending { blocks, .. } = &mut self.state else {
            return;
        };
        let moved = match packet {
            Packet::Ack { block } => blocks.acknowledge(now, *block),
            // The peer repeats its first answer: it has no DATA yet.
            Packet::OptionAck(_) if blocks.acked() == 0 => blocks.acknowledge(now, 0),
            Packet::Error { code, message } => {
                if !self.never_got_a_block(*code) || !self.shrink(now) {
                    self.fail(now, refused(*code, message));
                }
                return;
            }
            _ => false,
        };
        if moved {
            self.refusals = 0;
            self.finish_if_complete();
        }
    }

    fn finish_if_complete(&mut self) {
        if let State::Sending {
            block_size,
            window_size,
            blocks,
            ..
        } = &self.state
            && blocks.acked() >= blocks.last()
        {
            self.state = State::Ended(Ok(Upload {
                bytes: self.total(),
                blocks: blocks.last(),
                block_size: *block_size,
                window_size: *window_size,
                repeated: blocks.repeated(),
            }));
        }
    }

    fn poll_block(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<u16> {
        let State::Sending {
            peer_port,
            block_size,
            blocks,
            ..
        } = &mut self.state
        else {
            return None;
        };
        let number = blocks.poll(now)?;
        let packet = Packet::Data {
            block: number as u16, // wraps to 0 after 65535
            payload: block_of(self.content.as_ref(), number, usize::from(*block_size)),
        };
        let max_len = DATA_HEADER_LEN + usize::from(*block_size);
        encode(&packet, max_len, out).then_some(*peer_port)
    }

    /// Whether patience is at its end.
    fn expired(&self, now: Duration) -> bool {
        match &self.state {
            State::Requesting(request) => request.expired(now),
            State::Sending { blocks, .. } => now >= self.stalled_at(blocks),
            State::Ended(_) => false,
        }
    }

    fn stalled_at(&self, blocks: &Sending) -> Duration {
        blocks
            .progress_at()
            .saturating_add(self.config.no_progress_limit)
    }
}

impl<S: AsRef<[u8]>> Machine for Client<S> {
    type Output = Upload;

    fn receive(&mut self, now: Duration, from_port: u16, datagram: &[u8]) {
        let Ok(packet) = Packet::decode(datagram) else {
            self.malformed = self.malformed.saturating_add(1);
            return;
        };
        match &self.state {
            State::Requesting(_) if self.is_of_abandoned(from_port, &packet) => {
                self.on_abandoned(now, &packet);
            }
            State::Requesting(_) => self.on_answer(now, from_port, &packet),
            State::Sending { peer_port, .. } if *peer_port == from_port => {
                self.on_transfer(now, &packet);
            }
            // Never an ERROR for an ERROR; and none for repeated ACKs after the end.
            _ if matches!(packet, Packet::Error { .. }) => {}
            State::Ended(Ok(_)) => {}
            _ => self
                .last_words
                .push(from_port, UNKNOWN_TRANSFER, "unknown transfer ID"),
        }
    }

    fn network_error(&mut self, now: Duration, error: NetworkError) {
        if error == NetworkError::TooLong && self.shrink(now) {
            return;
        }
        let refusals = self.refusals.saturating_add(1);
        let fatal = match (&self.state, error) {
            // About the blocks of the session before: a request is short.
            (State::Requesting(_), NetworkError::TooLong) => return,
            (State::Requesting(_), _) if self.abandoned.is_some() => {
                refusals >= REFUSALS_TO_BELIEVE
            }
            (State::Requesting(_), _) => true,
            // While a board erases it does not answer ARP either.
            (State::Sending { .. }, NetworkError::HostUnreachable) => false,
            (State::Sending { .. }, NetworkError::PortClosed | NetworkError::TooLong) => {
                refusals >= REFUSALS_TO_BELIEVE
            }
            (State::Ended(_), _) => false,
        };
        self.refusals = refusals;
        if fatal {
            self.fail(now, Reason::Network(error));
        }
    }

    fn poll(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<u16> {
        if self.expired(now) {
            if let State::Sending { peer_port, .. } = &self.state {
                self.last_words
                    .push(*peer_port, 0, "no progress, giving up");
            }
            self.fail(now, Reason::Silent);
        }
        if let Some(port) = self.last_words.poll(out) {
            return Some(port);
        }
        if let State::Requesting(request) = &mut self.state {
            let due = request.poll(now, out);
            self.requests = request.sent();
            return due.then_some(self.config.server_port);
        }
        self.poll_block(now, out)
    }

    fn poll_at(&self) -> Option<Duration> {
        if !self.last_words.is_empty() {
            return Some(Duration::ZERO);
        }
        match &self.state {
            State::Requesting(request) => Some(request.poll_at()),
            State::Sending { blocks, .. } => Some(blocks.poll_at().min(self.stalled_at(blocks))),
            State::Ended(_) => None,
        }
    }

    /// From the first block on that was acknowledged no other session is begun.
    fn only_port(&self) -> Option<u16> {
        match &self.state {
            State::Sending {
                peer_port, blocks, ..
            } if blocks.acked() > 0 => Some(*peer_port),
            _ => None,
        }
    }

    fn cancel(&mut self, now: Duration) {
        match &self.state {
            State::Requesting(_) => {}
            State::Sending { peer_port, .. } => {
                self.last_words.push(*peer_port, 0, "cancelled by the user");
            }
            State::Ended(_) => return,
        }
        self.fail(now, Reason::Cancelled);
    }

    fn progress(&self) -> Progress {
        let bytes = match &self.state {
            State::Sending {
                block_size, blocks, ..
            } => {
                let acked = blocks.acked().saturating_mul(u64::from(*block_size));
                self.total().min(acked)
            }
            State::Ended(Ok(upload)) => upload.bytes,
            State::Requesting(_) | State::Ended(Err(_)) => 0,
        };
        Progress {
            phase: self.phase(),
            bytes,
            total: self.total(),
        }
    }

    fn result(&self) -> Option<Result<Upload, TransferError>> {
        match &self.state {
            State::Ended(result) => Some(result.clone()),
            _ => None,
        }
    }
}

/// Block `number` of `content`: the last one is short, and empty where the length is a multiple of the block size.
fn block_of(content: &[u8], number: u64, block_size: usize) -> &[u8] {
    let start = (number.saturating_sub(1) as usize)
        .saturating_mul(block_size)
        .min(content.len());
    let end = start.saturating_add(block_size).min(content.len());
    content.get(start..end).unwrap_or(&[])
}
