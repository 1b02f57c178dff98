//! The TFTP server: images in, `status.json` out, and `iap-reset`. One write and, beside it, one read at a time; a state machine without
//! I/O that is given datagrams and the time and gives back datagrams and the time of its next call.
//!
//! RFC 1350 with the options of RFC 2347, 2348, 2349 and 7440. What a client may rely on:
//!
//! - ACK means "accepted in RAM"; the ACK of the last block means "committed", and is repeated while the client repeats that block.
//! - A repeated WRQ of the same client repeats the answer and never restarts; once DATA has come, a late WRQ is not answered at all.
//! - A second client gets an ERROR that says who is updating. The same host takes over from a new port after 2 s of silence; 10 s
//!   of silence free the board, and 60 s in which it only repeats itself. What the board did not listen is not counted.
//! - When the update has no room for another window the ACK waits: TFTP has no other brake. Then both limits are six times as long: a low
//!   supply makes it wait without end, and only the client's repetitions tell that it is still there. Once all of an image has come
//!   there is no limit, and it is installed when the supply is good again, whether its client is there or not, and whether it gives up or not.
//! - After a failure the ERROR is repeated while the client goes on sending.
//!
//! It does not fetch or store anything else: other names in a read request are refused, names in a write request do not matter.

mod read;
mod say;
mod write;

#[cfg(test)]
mod tests;

use core::net::SocketAddrV4;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::packed;
use iap_protocol::status;
use iap_protocol::tftp::{DATA_HEADER_LEN, MAX_BLOCK_SIZE, PORT, Packet, RESET_FILE_NAME, Request};
use smoltcp::time::{Duration, Instant};

use crate::earliest::Earliest;
use crate::intake::{Intake, Source, Transport};
use read::Read;
use say::{Say, busy, check_write_mode, malformed, reply, stranger, unknown_transfer};
use write::{Target, Write};

/// Bytes of the longest datagram the server sends.
pub const MAX_REPLY_LEN: usize = DATA_HEADER_LEN + MAX_BLOCK_SIZE as usize;
/// Silence after which the same host may start again from another port.
pub const TAKE_OVER_SILENCE: Duration = Duration::from_secs(2);
/// Silence after which the board is free.
pub const MAX_SILENCE: Duration = Duration::from_secs(10);
/// How long a reset waits after its ACK, so that a lost ACK can be repeated.
pub const RESET_DELAY: Duration = Duration::from_millis(500);

/// First of the ports that transfers use (RFC 6335 section 6: dynamic ports).
const FIRST_TRANSFER_PORT: u16 = 49152;

/// What the server may do, and what its surroundings can carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest window granted, in blocks: no more than the receiver holds while the flash stalls the processor.
    pub max_window: u16,
    /// Whether images and resets are taken at all (not with the policy `login`).
    pub writes_allowed: bool,
}

/// A datagram that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Datagram<'a> {
    /// The port it came to.
    pub local_port: u16,
    /// Where it came from.
    pub peer: SocketAddrV4,
    /// What it says.
    pub bytes: &'a [u8],
}

/// A datagram to send; its bytes are in the buffer that the caller gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The port it leaves from.
    pub local_port: u16,
    /// Where it goes.
    pub peer: SocketAddrV4,
    /// Its length.
    pub len: usize,
}

/// Bytes of the longest file that is read: `status.json`.
pub const FILE_LEN: usize = status::MAX_LEN;

/// The server.
#[derive(Debug)]
pub struct Server<'a> {
    limits: Limits,
    next_port: u16,
    write: Option<Write>,
    read: Option<Read>,
    /// What the read transfer sends.
    file: &'a mut [u8],
    reset_at: Option<Instant>,
    last_heard: Option<Instant>,
    commit_acked_at: Option<Instant>,
}

impl<'a> Server<'a> {
    /// A server; `seed` chooses the first transfer port, so that a board that was reset does not meet its old clients' datagrams. `file` is
    /// room for the file of a read transfer: [`FILE_LEN`] bytes.
    pub const fn new(limits: Limits, seed: u16, file: &'a mut [u8]) -> Self {
        Self {
            limits,
            next_port: FIRST_TRANSFER_PORT | seed,
            write: None,
            read: None,
            file,
            reset_at: None,
            last_heard: None,
            commit_acked_at: None,
        }
    }

    /// The port of the write transfer; it must be open from the call that changed it on.
    pub fn write_port(&self) -> Option<u16> {
        self.write.as_ref().map(|write| write.port)
    }

    /// The port of the read transfer.
    pub fn read_port(&self) -> Option<u16> {
        self.read.as_ref().map(|read| read.port)
    }

    /// When a client was last heard.
    pub fn last_heard(&self) -> Option<Instant> {
        self.last_heard
    }

    /// When a commit was last acknowledged to its client, unless another write has begun since: its own end counts then, or the moment in
    /// which it is given up.
    pub fn commit_acked_at(&self) -> Option<Instant> {
        let ended = self.write.as_ref().is_none_or(Write::is_committed);
        self.commit_acked_at.filter(|_| ended)
    }

    /// Whether a client's request for a reset is due.
    pub fn is_reset_due(&self, now: Instant) -> bool {
        self.reset_at.is_some_and(|at| at <= now)
    }

    /// Takes the promise of a reset back: something else has begun.
    pub fn forget_reset(&mut self) {
        self.reset_at = None;
    }

    /// Says that the board did not listen for `duration`, because the flash stalled it: silence in that time is not the client's.
    pub fn stalled(&mut self, now: Instant, duration: Duration) {
        if let Some(write) = &mut self.write {
            write.stalled(now, duration);
        }
    }

    /// Takes a datagram. `status` writes `status.json` and returns its length; `out` takes the reply and has room for
    /// [`MAX_REPLY_LEN`] bytes.
    pub fn process<I: Intake>(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        intake: &mut I,
        status: impl FnOnce(&mut I, &mut [u8]) -> usize,
        out: &mut [u8],
    ) -> Option<Reply> {
        self.last_heard = Some(now);
        let port = Some(datagram.local_port);
        if port == Some(PORT) {
            self.request(now, datagram, intake, status, out)
        } else if port == self.write_port() {
            self.on_write_port(now, datagram, intake, out)
        } else if port == self.read_port() {
            self.on_read_port(now, datagram, out)
        } else {
            None
        }
    }

    /// What is due without a datagram. To be called until it returns `None`: after each datagram, after each step of the update, and
    /// at [`Server::poll_at`].
    pub fn poll<I: Intake>(
        &mut self,
        now: Instant,
        intake: &mut I,
        out: &mut [u8],
    ) -> Option<Reply> {
        let write = self.poll_write(now, intake, out);
        write.or_else(|| self.poll_read(now, out))
    }

    /// When [`Server::poll`] is due next, unless the update makes progress before.
    pub fn poll_at(&self, now: Instant) -> Option<Instant> {
        let mut earliest = Earliest::default();
        if let Some(write) = &self.write {
            write.poll_at(now, &mut earliest);
        }
        earliest.note(self.read.as_ref().map(|read| read.due));
        earliest.note(self.reset_at);
        earliest.get()
    }

    fn request<I: Intake>(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        intake: &mut I,
        status: impl FnOnce(&mut I, &mut [u8]) -> usize,
        out: &mut [u8],
    ) -> Option<Reply> {
        let (peer, mut why) = (datagram.peer, Refusal::unsaid());
        let answer = match Packet::decode(datagram.bytes) {
            Ok(Packet::WriteRequest(request)) => {
                self.write_request(now, peer, &request, intake, &mut why)
            }
            Ok(Packet::ReadRequest(request)) => {
                let status = |json: &mut [u8]| status(intake, json);
                match self.read_request(now, peer, &request, status, &mut why) {
                    Ok(()) => return self.poll_read(now, out),
                    Err(refused) => Err(refused),
                }
            }
            // An ERROR is never answered (RFC 1350 section 2).
            Ok(Packet::Error { .. }) => return None,
            Ok(_) => Err(unknown_transfer(PORT, &mut why)),
            Err(error) => Err(malformed(error, &mut why)),
        };
        match answer {
            Ok(()) => self.first_answer(now, out),
            Err(_) => reply(PORT, peer, &Say::Error(&why), out),
        }
    }

    fn write_request<I: Intake>(
        &mut self,
        now: Instant,
        peer: SocketAddrV4,
        request: &Request<'_>,
        intake: &mut I,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        if !self.limits.writes_allowed {
            return Err(why.refuse(ErrorCode::TftpNotAllowed));
        }
        check_write_mode(request.mode, why)?;
        if self.reset_at.is_some() {
            // The reset was promised to its client. This one's repetition finds what the reset starts.
            return Ok(());
        }
        if let Some(write) = self.write.as_mut().filter(|write| write.is_running()) {
            let silent = write.is_silent(now, TAKE_OVER_SILENCE);
            if write.peer == peer && !(write.has_data() && silent) {
                return Ok(());
            } else if write.peer.ip() == peer.ip() && silent {
                let refused = write.why.refuse(ErrorCode::TakenOver);
                write.abort(now, intake, refused);
            } else if write.is_reset() {
                return Err(busy(write.peer, why));
            }
        }
        let target = self.open(now, peer, request, intake, why)?;
        let port = self.fresh_port();
        let (options, limits) = (&request.options, &self.limits);
        self.write = Some(Write::new(now, port, peer, target, options, limits));
        Ok(())
    }

    /// Answers a write request that was taken, as often as it comes.
    fn first_answer(&mut self, now: Instant, out: &mut [u8]) -> Option<Reply> {
        if self.reset_at.is_some() {
            return None;
        }
        let write = self.write.as_mut()?;
        let (port, peer) = (write.port, write.peer);
        reply(port, peer, &write.first_answer(now)?, out)
    }

    fn open<I: Intake>(
        &self,
        now: Instant,
        peer: SocketAddrV4,
        request: &Request<'_>,
        intake: &mut I,
        why: &mut Refusal,
    ) -> Result<Target, Refused> {
        if request.file_name == RESET_FILE_NAME.as_bytes() {
            return if intake.is_busy() {
                Err(why.refuse(ErrorCode::Busy))
            } else {
                Ok(Target::reset())
            };
        }
        let source = Source {
            transport: Transport::Tftp,
            peer: *peer.ip(),
        };
        // Clients that do not know the size yet send 0 (RFC 2349 wants that for reads only). More than 4 GiB is too large either way.
        let declared = request.options.transfer_size.filter(|&size| size > 0);
        let declared = declared.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        intake.begin(now, source, declared, why).map(Target::Image)
    }

    fn on_write_port<I: Intake>(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        intake: &mut I,
        out: &mut [u8],
    ) -> Option<Reply> {
        let write = self.write.as_mut()?;
        let packet = Packet::decode(datagram.bytes);
        if write.peer != datagram.peer {
            return stranger(datagram, &packet, out);
        }
        match packet {
            Ok(Packet::Data { block, payload }) => write.data(now, block, payload, intake),
            // All of the image is here, and its sectors may be erased: it is installed, with its client or without.
            Ok(Packet::Error { .. }) if write.is_committing() => {}
            Ok(Packet::Error { message, .. }) => {
                let (code, form) = (ErrorCode::ClientAborted, packed!("it says: {t}"));
                let refused = write.why.refuse_quoting(code, form, &[message]);
                write.abort(now, intake, refused);
                self.write = None;
            }
            // Neither a sender of DATA nor an error: not worth ending a transfer that goes well.
            _ => {}
        }
        self.poll_write(now, intake, out)
    }

    fn poll_write<I: Intake>(
        &mut self,
        now: Instant,
        intake: &mut I,
        out: &mut [u8],
    ) -> Option<Reply> {
        let write = self.write.as_mut()?;
        write.follow(now, intake);
        let (port, peer) = (write.port, write.peer);
        if !write.has_answer(now, intake) {
            if write.is_over(now) {
                self.write = None;
            }
            return None;
        }
        if write.is_committed() {
            if write.is_reset() {
                self.reset_at.get_or_insert(now + RESET_DELAY);
            } else {
                self.commit_acked_at = Some(now);
            }
        }
        reply(port, peer, &write.answer(now), out)
    }

    fn fresh_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = FIRST_TRANSFER_PORT | port.wrapping_add(1);
        if Some(port) == self.write_port() || Some(port) == self.read_port() {
            self.fresh_port()
        } else {
            port
        }
    }
}
