//! Reading a small file, such as a board's status, from a TFTP server: lock-step, bounded in size.

use core::time::Duration;

use iap_protocol::tftp::{DATA_HEADER_LEN, DEFAULT_BLOCK_SIZE, Options, Packet};

use super::error::{NetworkError, Phase, Reason, TransferError};
use super::request::{Answer, Direction, LastWords, RequestState, encode, refused};
use super::{Config, MAX_SHORT_LEN, Machine, Progress};

/// The server repeats DATA by itself; this is for servers that wait for us.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);
const UNKNOWN_TRANSFER: u16 = 5;

/// The content of a file that was read.
pub type Download = Vec<u8>;

/// A read request and its transfer; see [`Machine`].
#[derive(Debug)]
pub struct Reader {
    config: Config,
    max_len: usize,
    state: State,
    last_words: LastWords,
    requests: u32,
    malformed: u64,
}

#[derive(Debug)]
enum State {
    Requesting(RequestState),
    Receiving(Receiving),
    Ended(Result<Download, TransferError>),
}

#[derive(Debug)]
struct Receiving {
    peer_port: u16,
    block_size: u16,
    content: Vec<u8>,
    /// The last block taken.
    block: u64,
    ack_at: Duration,
    progress_at: Duration,
}

impl Reader {
    /// Reads `file_name`, of which at most `max_len` bytes are taken.
    pub fn new(config: Config, file_name: &str, max_len: usize, now: Duration) -> Self {
        let options = if config.options {
            Options {
                block_size: Some(config.block_size),
                transfer_size: Some(0),
                ..Options::default()
            }
        } else {
            Options::default()
        };
        let patience = config.request_patience;
        Self {
            state: State::Requesting(RequestState::new(
                Direction::Read,
                file_name,
                options,
                patience,
                now,
            )),
            config,
            max_len,
            last_words: LastWords::default(),
            requests: 0,
            malformed: 0,
        }
    }

    fn phase(&self) -> Phase {
        match &self.state {
            State::Requesting(_) => Phase::Request,
            State::Receiving(receiving) => Phase::Data {
                block: receiving.next(),
                blocks: 0,
            },
            State::Ended(Ok(_)) => Phase::Complete,
            State::Ended(Err(error)) => error.phase,
        }
    }

    fn fail(&mut self, now: Duration, reason: Reason) {
        let waited = match &self.state {
            State::Requesting(request) => request.waited(now),
            State::Receiving(receiving) => now.saturating_sub(receiving.progress_at),
            State::Ended(_) => Duration::ZERO,
        };
        self.state = State::Ended(Err(TransferError {
            reason,
            phase: self.phase(),
            waited,
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
            Answer::Granted(options) => self.start(now, port, options.block_size),
            Answer::BadOptions(what) => {
                self.last_words.push(port, 8, "option not asked for");
                self.fail(now, Reason::BadOptions(what));
            }
            Answer::Other if matches!(packet, Packet::Data { block: 1, .. }) => {
                self.start(now, port, None);
                self.on_transfer(now, packet);
            }
            Answer::Other => {}
        }
    }

    fn start(&mut self, now: Duration, peer_port: u16, block_size: Option<u16>) {
        self.state = State::Receiving(Receiving {
            peer_port,
            block_size: block_size.unwrap_or(DEFAULT_BLOCK_SIZE),
            content: Vec::new(),
            block: 0,
            ack_at: now,
            progress_at: now,
        });
    }

    fn on_transfer(&mut self, now: Duration, packet: &Packet<'_>) {
        let State::Receiving(receiving) = &mut self.state else {
            return;
        };
        match packet {
            Packet::Data { block, payload } if *block == receiving.next() as u16 => {
                receiving.take(now, payload);
                self.finish_if_complete(now, payload.len());
            }
            // A repeated block: our ACK was lost. Answered once per repetition, which is what the sender's timer allows.
            Packet::Data { block, .. } if *block == receiving.block as u16 => {
                receiving.ack_at = now;
            }
            Packet::Error { code, message } => self.fail(now, refused(*code, message)),
            _ => {}
        }
    }

    fn finish_if_complete(&mut self, now: Duration, payload_len: usize) {
        let State::Receiving(receiving) = &mut self.state else {
            return;
        };
        let port = receiving.peer_port;
        if receiving.content.len() > self.max_len {
            self.last_words.push(port, 3, "file too long");
            self.fail(now, Reason::TooLong(self.max_len));
        } else if payload_len < usize::from(receiving.block_size) {
            let content = core::mem::take(&mut receiving.content);
            self.last_words.push_ack(port, receiving.block as u16);
            self.state = State::Ended(Ok(content));
        }
    }

    fn limit_at(&self, receiving: &Receiving) -> Duration {
        receiving
            .progress_at
            .saturating_add(self.config.no_progress_limit)
    }

    fn expired(&self, now: Duration) -> bool {
        match &self.state {
            State::Requesting(request) => request.expired(now),
            State::Receiving(receiving) => now >= self.limit_at(receiving),
            State::Ended(_) => false,
        }
    }
}

impl Receiving {
    /// The block that is waited for.
    fn next(&self) -> u64 {
        self.block.saturating_add(1)
    }

    fn take(&mut self, now: Duration, payload: &[u8]) {
        self.content.extend_from_slice(payload);
        self.block = self.next();
        self.ack_at = now;
        self.progress_at = now;
    }
}

impl Machine for Reader {
    type Output = Download;

    fn receive(&mut self, now: Duration, from_port: u16, datagram: &[u8]) {
        let Ok(packet) = Packet::decode(datagram) else {
            self.malformed = self.malformed.saturating_add(1);
            return;
        };
        match &self.state {
            State::Requesting(_) => self.on_answer(now, from_port, &packet),
            State::Receiving(receiving) if receiving.peer_port == from_port => {
                self.on_transfer(now, &packet);
            }
            _ if matches!(packet, Packet::Error { .. }) => {}
            State::Ended(Ok(_)) => {}
            _ => self
                .last_words
                .push(from_port, UNKNOWN_TRANSFER, "unknown transfer ID"),
        }
    }

    fn network_error(&mut self, now: Duration, error: NetworkError) {
        if !matches!(self.state, State::Ended(_)) {
            self.fail(now, Reason::Network(error));
        }
    }

    fn poll(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<u16> {
        if self.expired(now) {
            self.fail(now, Reason::Silent);
        }
        if let Some(port) = self.last_words.poll(out) {
            return Some(port);
        }
        match &mut self.state {
            State::Requesting(request) => {
                let due = request.poll(now, out);
                self.requests = request.sent();
                due.then_some(self.config.server_port)
            }
            State::Receiving(receiving) if now >= receiving.ack_at => {
                receiving.ack_at = now + ACK_TIMEOUT;
                let block = receiving.block as u16;
                encode(&Packet::Ack { block }, DATA_HEADER_LEN, out).then_some(receiving.peer_port)
            }
            _ => None,
        }
    }

    fn poll_at(&self) -> Option<Duration> {
        if !self.last_words.is_empty() {
            return Some(Duration::ZERO);
        }
        match &self.state {
            State::Requesting(request) => Some(request.poll_at()),
            State::Receiving(receiving) => Some(receiving.ack_at.min(self.limit_at(receiving))),
            State::Ended(_) => None,
        }
    }

    fn max_received_len(&self) -> usize {
        let block = usize::from(self.config.block_size).max(DEFAULT_BLOCK_SIZE.into());
        MAX_SHORT_LEN.max(block.saturating_add(DATA_HEADER_LEN))
    }

    fn cancel(&mut self, now: Duration) {
        match &self.state {
            State::Requesting(_) => {}
            State::Receiving(receiving) => {
                self.last_words
                    .push(receiving.peer_port, 0, "cancelled by the user");
            }
            State::Ended(_) => return,
        }
        self.fail(now, Reason::Cancelled);
    }

    fn progress(&self) -> Progress {
        let bytes = match &self.state {
            State::Receiving(receiving) => receiving.content.len() as u64,
            State::Ended(Ok(content)) => content.len() as u64,
            _ => 0,
        };
        Progress {
            phase: self.phase(),
            bytes,
            total: 0,
        }
    }

    fn result(&self) -> Option<Result<Download, TransferError>> {
        match &self.state {
            State::Ended(result) => Some(result.clone()),
            _ => None,
        }
    }
}
