//! Where both servers hand over an image: one upload at a time, bytes in, a verdict out.
//!
//! The servers know this trait only; [`crate::update::Updater`] implements it, and so do the servers' tests. Nothing here touches the
//! flash: that happens in the updater's steps, between packets.

use core::fmt;

use iap_protocol::error::{Refusal, Refused};
use smoltcp::time::Instant;
use smoltcp::wire::Ipv4Address;

/// How an image comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TFTP.
    Tftp,
    /// HTTP.
    Http,
}

impl Transport {
    /// `tftp` or `http`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tftp => "tftp",
            Self::Http => "http",
        }
    }
}

/// Who is sending. Shown as `tftp from 192.168.0.1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source {
    /// How.
    pub transport: Transport,
    /// From where.
    pub peer: Ipv4Address,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.transport.name(), self.peer)
    }
}

/// Names one upload; a server that holds an old one can no longer change anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(pub u32);

/// What has become of an upload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Still taking bytes, or at work on the flash.
    Running,
    /// All of it is in flash, verified and recorded.
    Committed,
    /// It failed.
    Failed(Refusal),
    /// Another one has taken its place.
    TakenOver,
}

/// The one place where images come in. `why` says, after a refusal, what was refused.
pub trait Intake {
    /// Starts an upload of `declared` bytes (TFTP's tsize, HTTP's length of the file; `None` where unknown). Refused with
    /// [`iap_protocol::ErrorCode::Busy`], and who holds it, while another one runs.
    fn begin(
        &mut self,
        now: Instant,
        source: Source,
        declared: Option<u32>,
        why: &mut Refusal,
    ) -> Result<Ticket, Refused>;

    /// Says that no more than `at_most` bytes will come: all that a form tells of the length of the file in it.
    fn bound(&mut self, ticket: Ticket, at_most: u32) {
        let _ = (ticket, at_most);
    }

    /// How many bytes [`Intake::accept`] takes now. Grows as the flash is programmed; 0 is not an error but a brake.
    fn room(&self) -> usize;

    /// Takes `bytes`, at most [`Intake::room`] of them, in order. An error ends the upload: the image was judged and refused.
    fn accept(&mut self, ticket: Ticket, bytes: &[u8], why: &mut Refusal) -> Result<(), Refused>;

    /// Says that there are no more bytes. The verdict follows in [`Intake::outcome`], at the earliest at once, at the latest when the
    /// last sector is verified.
    fn finish(&mut self, ticket: Ticket, why: &mut Refusal) -> Result<(), Refused>;

    /// Gives the upload up, for the reason given.
    fn abort(&mut self, ticket: Ticket, reason: &Refusal);

    /// What has become of the upload.
    fn outcome(&self, ticket: Ticket) -> &Outcome;

    /// Whether an upload runs.
    fn is_busy(&self) -> bool;
}
