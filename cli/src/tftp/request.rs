//! The first step of a transfer: a request, sent again patiently, and once more without options where the peer refuses them.
//!
//! Its timer is not that of DATA. A server opens a session for every request it reads, and some open a second one for a repeated
//! request and then spoil the first; a board that erases reads all of them later. So the first repetition of a write request comes after
//! 2.5 s, always from the same port.

use core::time::Duration;

use iap_protocol::tftp::{MAX_REQUEST_LEN, Mode, Options, Packet, Request};

use super::error::Reason;
use super::{Config, MAX_WINDOW_SIZE};
use crate::output::one_line;

/// Waits after the first, second and every later write request.
const WRITE_WAITS: [Duration; 3] = [
    Duration::from_millis(2500),
    Duration::from_secs(4),
    Duration::from_secs(5),
];
/// The same for read requests: a second session does no harm there.
const READ_WAITS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// RFC 2347: "the options were refused".
const OPTIONS_REFUSED: u16 = 8;
/// Characters of a file name; leaves room for all options in [`MAX_REQUEST_LEN`].
const MAX_NAME_LEN: usize = 128;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub(crate) struct RequestState {
    direction: Direction,
    file_name: String,
    options: Options,
    patience: Duration,
    started: Duration,
    next_at: Duration,
    last_at: Duration,
    sent: u32,
    /// Requests with options that may still be refused; later ERRORs are about the request without.
    refusable: u32,
}

/// The first datagram that comes back.
pub(crate) enum Answer {
    /// ERROR.
    Refused(Reason),
    /// The options were refused: the next request leaves them out.
    AskedAgain,
    /// OACK.
    Granted(Options),
    /// OACK of what was not asked for.
    BadOptions(String),
    /// Neither ERROR nor OACK.
    Other,
}

impl RequestState {
    pub(crate) fn new(
        direction: Direction,
        file_name: &str,
        options: Options,
        patience: Duration,
        now: Duration,
    ) -> Self {
        Self {
            direction,
            file_name: plain_name(file_name),
            options,
            patience,
            started: now,
            next_at: now,
            last_at: now,
            sent: 0,
            refusable: 0,
        }
    }

    /// A request to write `len` bytes.
    pub(crate) fn write(config: &Config, file_name: &str, len: u64, now: Duration) -> Self {
        let options = match config.options {
            true => Options {
                block_size: Some(config.block_size),
                transfer_size: Some(len),
                timeout_s: Some(config.timeout_s.max(1)),
                window_size: Some(config.window_size.clamp(1, MAX_WINDOW_SIZE)),
            },
            false => Options::default(),
        };
        let patience = config.request_patience;
        Self::new(Direction::Write, file_name, options, patience, now)
    }

    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    pub(crate) fn waited(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started)
    }

    /// The round trip, if it is clear which request was answered.
    pub(crate) fn round_trip(&self, now: Duration) -> Option<Duration> {
        (self.sent == 1).then(|| now.saturating_sub(self.last_at))
    }

    pub(crate) fn poll_at(&self) -> Duration {
        self.next_at.min(self.deadline())
    }

    /// Brings the next repetition forward.
    pub(crate) fn repeat_by(&mut self, at: Duration) {
        self.next_at = self.next_at.min(at);
    }

    pub(crate) fn expired(&self, now: Duration) -> bool {
        now >= self.deadline()
    }

    fn deadline(&self) -> Duration {
        self.started.saturating_add(self.patience)
    }

    /// Writes the request if it is due.
    pub(crate) fn poll(&mut self, now: Duration, out: &mut Vec<u8>) -> bool {
        if now < self.next_at {
            return false;
        }
        let waits = match self.direction {
            Direction::Read => READ_WAITS,
            Direction::Write => WRITE_WAITS,
        };
        let wait = waits.get(self.sent as usize).or(waits.last());
        self.sent = self.sent.saturating_add(1);
        let with_options = u32::from(!self.options.is_empty());
        self.refusable = self.refusable.saturating_add(with_options);
        self.last_at = now;
        self.next_at = now + wait.copied().unwrap_or_default();
        self.encode(out)
    }

    fn encode(&self, out: &mut Vec<u8>) -> bool {
        let request = Request {
            file_name: self.file_name.as_bytes(),
            mode: Mode::Octet,
            options: self.options,
        };
        let packet = match self.direction {
            Direction::Read => Packet::ReadRequest(request),
            Direction::Write => Packet::WriteRequest(request),
        };
        encode(&packet, MAX_REQUEST_LEN, out)
    }

    /// What an answer means, as far as reading and writing agree about it.
    pub(crate) fn judge(&mut self, now: Duration, packet: &Packet<'_>) -> Answer {
        match packet {
            Packet::Error { code, message } => match self.refuses_options(now, *code) {
                true => Answer::AskedAgain,
                false => Answer::Refused(refused(*code, message)),
            },
            Packet::OptionAck(granted) => match check_granted(&self.options, granted) {
                Ok(()) => Answer::Granted(*granted),
                Err(what) => Answer::BadOptions(what),
            },
            _ => Answer::Other,
        }
    }

    /// Takes an ERROR: true if it is about the options, which are then left out from now on.
    fn refuses_options(&mut self, now: Duration, code: u16) -> bool {
        if code != OPTIONS_REFUSED || self.refusable == 0 {
            return false;
        }
        self.refusable = self.refusable.saturating_sub(1);
        if !self.options.is_empty() {
            self.options = Options::default();
            self.next_at = now;
        }
        true
    }
}

/// Writes `packet` to `out`; false, with `out` empty, if it is longer than `max_len`.
pub(crate) fn encode(packet: &Packet<'_>, max_len: usize, out: &mut Vec<u8>) -> bool {
    out.resize(max_len, 0); // what is in it is overwritten
    let len = packet.encode(out);
    out.truncate(len.unwrap_or(0));
    len.is_some()
}

/// Names on the wire are printable ASCII; anything else becomes `_`.
fn plain_name(name: &str) -> String {
    name.chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '_' })
        .take(MAX_NAME_LEN)
        .collect()
}

pub(crate) fn refused(code: u16, message: &[u8]) -> Reason {
    Reason::Refused {
        code,
        message: one_line(&String::from_utf8_lossy(message)),
    }
}

/// RFC 2347: an OACK holds only what was asked for; RFC 2348 and 7440: a block or window size in it may be smaller, not larger.
fn check_granted(asked: &Options, granted: &Options) -> Result<(), String> {
    let sizes = [
        (
            "blksize",
            asked.block_size.map(u64::from),
            granted.block_size.map(u64::from),
        ),
        (
            "windowsize",
            asked.window_size.map(u64::from),
            granted.window_size.map(u64::from),
        ),
    ];
    for (name, asked, granted) in sizes {
        match (asked, granted) {
            (None, Some(granted)) => {
                return Err(format!("{name} {granted} granted, none was asked for"));
            }
            (Some(asked), Some(granted)) if granted > asked => {
                return Err(format!("{name} {granted} granted, {asked} was asked for"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Datagrams to be sent once, out of the transfer's turn: ERRORs to strangers, and what ends a transfer.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastWords(Vec<(u16, Packet<'static>)>);

impl LastWords {
    /// Queues an ERROR to `port`; a flood of strangers is answered only in part.
    pub(crate) fn push(&mut self, port: u16, code: u16, message: &'static str) {
        let message = message.as_bytes();
        self.push_packet(port, Packet::Error { code, message });
    }

    /// Queues the last acknowledgement.
    pub(crate) fn push_ack(&mut self, port: u16, block: u16) {
        self.push_packet(port, Packet::Ack { block });
    }

    fn push_packet(&mut self, port: u16, packet: Packet<'static>) {
        if self.0.len() < 8 {
            self.0.push((port, packet));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn poll(&mut self, out: &mut Vec<u8>) -> Option<u16> {
        let (port, packet) = self.0.pop()?;
        encode(&packet, MAX_REQUEST_LEN, out).then_some(port)
    }
}
