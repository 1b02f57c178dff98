//! A TFTP client (RFC 1350, options of RFC 2347, 2348, 2349 and 7440) for peers that stop answering for seconds while they erase flash.
//!
//! [`Client`] writes a file, [`Reader`] reads one. Both are state machines without sockets or clocks: they take the time and a
//! datagram, and give datagrams and the time at which they want to be polled next. [`run`](mod@run) drives one on a UDP socket;
//! tests and benches drive it in virtual time. Times are [`Duration`]s since a start that the caller chooses.
//!
//! It does no netascii, and it does not know what the bytes mean.

// What a peer or a file says must not end this program.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod client;
mod error;
mod read;
mod request;
mod rtt;
pub mod run;
mod sending;

pub use client::{Client, Upload};
pub(crate) use error::Seconds;
pub use error::{NetworkError, Phase, Reason, TransferError};
pub use read::{Download, Reader};

use core::time::Duration;

use iap_protocol::tftp;

/// Blocks per acknowledgement that are asked for unless told otherwise; the server may lower it.
pub const DEFAULT_WINDOW_SIZE: u16 = 16;
/// Largest window that is asked for: beyond it a lost block costs more than a window saves.
pub const MAX_WINDOW_SIZE: u16 = 512;

/// Requests, ACK, OACK and ERROR fit into it.
const MAX_SHORT_LEN: usize = 1500;

/// How a transfer is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// UDP port the request goes to.
    pub server_port: u16,
    /// Bytes per block to ask for (RFC 2348).
    pub block_size: u16,
    /// Blocks per acknowledgement to ask for (RFC 7440), at most [`MAX_WINDOW_SIZE`].
    pub window_size: u16,
    /// Seconds after which the server is to repeat itself (RFC 2349).
    pub timeout_s: u8,
    /// Whether to send options at all; without them blocks have 512 bytes and each is acknowledged.
    pub options: bool,
    /// How long the server may take to answer the request.
    pub request_patience: Duration,
    /// How long a transfer may stand still before it is given up. A board erases a sector in up to 2 s and verifies before its last
    /// acknowledgement.
    pub no_progress_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_port: tftp::PORT,
            block_size: tftp::MAX_BLOCK_SIZE,
            window_size: DEFAULT_WINDOW_SIZE,
            timeout_s: 2,
            options: true,
            request_patience: Duration::from_secs(60),
            no_progress_limit: Duration::from_secs(60),
        }
    }
}

/// How far a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is waited for.
    pub phase: Phase,
    /// Bytes the peer has acknowledged, or sent.
    pub bytes: u64,
    /// Bytes in all; 0 when unknown.
    pub total: u64,
}

/// A transfer as a state machine without I/O.
pub trait Machine {
    /// What a transfer that succeeds gives.
    type Output;

    /// Takes a datagram that came from `from_port` of the server's address.
    fn receive(&mut self, now: Duration, from_port: u16, datagram: &[u8]);

    /// Takes what the operating system reports about datagrams sent earlier.
    fn network_error(&mut self, now: Duration, error: NetworkError);

    /// Puts the next datagram that is due into `out` and gives the port it goes to. To be called until it gives `None`, also after
    /// the transfer has ended: the last words may be due.
    fn poll(&mut self, now: Duration, out: &mut Vec<u8>) -> Option<u16>;

    /// When [`Machine::poll`] wants to be called next, if nothing arrives before; `None` when the transfer has ended.
    fn poll_at(&self) -> Option<Duration>;

    /// The longest datagram that makes sense; of a longer one the rest is cut off.
    fn max_received_len(&self) -> usize {
        MAX_SHORT_LEN
    }

    /// The one port of the server that anything can come from until the end, once that is sure.
    fn only_port(&self) -> Option<u16> {
        None
    }

    /// Ends the transfer and tells the peer.
    fn cancel(&mut self, now: Duration);

    /// How far the transfer is.
    fn progress(&self) -> Progress;

    /// The result, once there is one.
    fn result(&self) -> Option<Result<Self::Output, TransferError>>;
}
