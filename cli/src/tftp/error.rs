//! How a transfer fails: why, at which block, and after how long.

use core::time::Duration;
use std::fmt;

/// What a transfer waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The answer to the request.
    Request,
    /// Something about block `block` of `blocks`; when reading, `blocks` is 0 where the peer did not tell the size.
    Data {
        /// The first block that is missing, counted from 1 and without wrapping.
        block: u64,
        /// Blocks in all.
        blocks: u64,
    },
    /// The acknowledgement of the last block: everything was sent, the peer may be verifying.
    LastAck {
        /// The last block.
        block: u64,
    },
    /// Nothing: the transfer is complete.
    Complete,
}

/// What the operating system reports about the way to the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetworkError {
    /// ICMP port unreachable: the host is there, nothing listens.
    PortClosed,
    /// No route, or the host does not answer ARP.
    HostUnreachable,
    /// A datagram is too long for a network on the way, and boards do not put fragments together again.
    TooLong,
}

/// Why a transfer failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The peer sent ERROR.
    Refused {
        /// TFTP error code.
        code: u16,
        /// What the peer says, verbatim as far as it is UTF-8 and no control character.
        message: String,
    },
    /// Nothing that helps arrived.
    Silent,
    /// The way to the peer is closed.
    Network(NetworkError),
    /// The peer's OACK promises what was not asked for; what it said.
    BadOptions(String),
    /// The file is longer than the caller is ready to take; that limit in bytes.
    TooLong(usize),
    /// [`Machine::cancel`](super::Machine::cancel) was called.
    Cancelled,
}

/// A failed transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferError {
    /// Why.
    pub reason: Reason,
    /// What was waited for.
    pub phase: Phase,
    /// For how long, since the last progress.
    pub waited: Duration,
    /// How often the request was sent.
    pub requests: u32,
    /// Datagrams of the peer that were no TFTP packets: a hint that something else listens there.
    pub malformed: u64,
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Refused { code, message } => {
                write!(f, "TFTP error {code}: {message} ({})", self.phase.place())?;
            }
            Reason::Silent => {
                write!(f, "{} for {}", self.phase, Seconds(self.waited))?;
                if self.phase == Phase::Request {
                    write!(f, " ({} requests sent)", self.requests)?;
                }
            }
            Reason::Network(error) => write!(f, "{error} ({})", self.phase.place())?,
            Reason::BadOptions(what) => {
                write!(f, "the answer to the request makes no sense: {what}")?;
            }
            Reason::TooLong(limit) => write!(f, "the file is longer than {limit} bytes")?,
            Reason::Cancelled => write!(f, "interrupted ({})", self.phase.place())?,
        }
        match self.malformed {
            0 => Ok(()),
            n => write!(f, "; {n} datagrams came that were no TFTP packets"),
        }
    }
}

impl std::error::Error for TransferError {}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PortClosed => "the port is closed: ICMP port unreachable",
            Self::HostUnreachable => "the host cannot be reached",
            Self::TooLong => "a block is too long for a network on the way",
        })
    }
}

impl Phase {
    /// Where a transfer was when something else than silence ended it.
    fn place(self) -> String {
        match self {
            Self::Request => "in answer to the request".to_owned(),
            Self::Data { block, blocks: 0 } => format!("at block {block}"),
            Self::Data { block, blocks } => format!("at block {block} of {blocks}"),
            Self::LastAck { block } => format!("after the last block, {block}"),
            Self::Complete => "after the end".to_owned(),
        }
    }
}

/// What a transfer waits for, as the beginning of a sentence about how long.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request => f.write_str("no answer to the request"),
            Self::Data { block, blocks: 0 } => write!(f, "no DATA for block {block}"),
            Self::Data { block, blocks } => {
                write!(f, "no acknowledgement of block {block} of {blocks}")
            }
            Self::LastAck { block } => {
                write!(f, "all sent, no acknowledgement of the last block, {block}")
            }
            Self::Complete => f.write_str("complete"),
        }
    }
}

/// A duration for people, to a tenth of a second.
pub(crate) struct Seconds(pub(crate) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}
