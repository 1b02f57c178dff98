//! Reads of `status.json`: taken down when the request comes, sent block by block, repeated when the client is silent. One at a time.
//! The text stays with the server: a transfer is made on the stack, which has no room for it.

use core::net::SocketAddrV4;
use core::ops::Range;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::status;
use iap_protocol::tftp::{DEFAULT_BLOCK_SIZE, MAX_BLOCK_SIZE, Mode, Options, Packet, Request};
use smoltcp::time::{Duration, Instant};

use super::say::{expected_octet, stranger};
use super::{Datagram, Reply, Server};

/// How often a packet is sent before the server gives up.
const MAX_TRIES: u8 = 5;
/// Time between two tries without the option `timeout`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// Silence after which another client may read.
const STALE: Duration = Duration::from_secs(1);

/// A read transfer.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) port: u16,
    peer: SocketAddrV4,
    /// When the packet at hand is sent, for the first time or again.
    pub(super) due: Instant,
    /// Bytes of the file.
    len: usize,
    options: Options,
    block_size: usize,
    timeout: Duration,
    /// The block that is to be acknowledged; 0 for the OACK.
    block: u16,
    tries: u8,
    heard: Instant,
    is_done: bool,
}

impl Read {
    fn new(now: Instant, port: u16, peer: SocketAddrV4, requested: &Options, len: usize) -> Self {
        let options = Options {
            block_size: requested.block_size.map(|size| size.min(MAX_BLOCK_SIZE)),
            transfer_size: requested.transfer_size.map(|_| len as u64),
            timeout_s: requested.timeout_s,
            // Not granted: the file is shorter than a window.
            window_size: None,
        };
        let timeout = options.timeout_s.map(|s| Duration::from_secs(s.into()));
        Self {
            port,
            peer,
            due: now,
            len,
            options,
            block_size: usize::from(options.block_size.unwrap_or(DEFAULT_BLOCK_SIZE)),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            block: first_block(&options),
            tries: 0,
            heard: now,
            is_done: false,
        }
    }

    fn is_at_start(&self) -> bool {
        self.block == first_block(&self.options)
    }

    fn is_stale(&self, now: Instant) -> bool {
        now >= self.heard + STALE
    }

    fn is_over(&self, now: Instant) -> bool {
        self.is_done || (self.tries >= MAX_TRIES && now >= self.due)
    }

    fn give_up(&mut self) {
        self.is_done = true;
    }

    /// Takes an ACK; one of another block is late and means nothing.
    fn ack(&mut self, now: Instant, block: u16) {
        if block != self.block {
            return;
        }
        self.heard = now;
        if self.block > 0 && self.payload().len() < self.block_size {
            self.is_done = true;
        } else {
            self.block = self.block.wrapping_add(1);
            self.tries = 0;
            self.due = now;
        }
    }

    /// Writes the packet at hand, with its part of `file`, if it is due.
    fn poll(&mut self, now: Instant, file: &[u8], out: &mut [u8]) -> Option<usize> {
        if now < self.due {
            return None;
        }
        self.tries = self.tries.wrapping_add(1);
        self.due = now + self.timeout;
        let packet = if self.block == 0 {
            Packet::OptionAck(self.options)
        } else {
            Packet::Data {
                block: self.block,
                payload: file.get(self.payload()).unwrap_or(&[]),
            }
        };
        packet.encode(out)
    }

    /// Where in the file the block at hand is.
    fn payload(&self) -> Range<usize> {
        let start = usize::from(self.block.saturating_sub(1)).wrapping_mul(self.block_size);
        let start = start.min(self.len);
        start..self.len.min(start.wrapping_add(self.block_size))
    }
}

fn first_block(options: &Options) -> u16 {
    if options.is_empty() { 1 } else { 0 }
}

/// The server's part in it.
impl Server<'_> {
    /// Takes a request; [`Server::poll_read`] gives the answer.
    pub(super) fn read_request(
        &mut self,
        now: Instant,
        peer: SocketAddrV4,
        request: &Request<'_>,
        status: impl FnOnce(&mut [u8]) -> usize,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        let mut file_name = request.file_name;
        // curl and others send the path of the URL.
        while let Some(name) = file_name.strip_prefix(b"/") {
            file_name = name;
        }
        if file_name != status::FILE_NAME.as_bytes() {
            return Err(why.refuse(ErrorCode::UnknownFile));
        }
        // The status holds no line ends, so netascii changes nothing in it.
        if request.mode == Mode::Other {
            return Err(expected_octet(why));
        }
        if let Some(read) = &mut self.read {
            if read.peer == peer && read.is_at_start() {
                read.due = now;
                return Ok(());
            } else if read.peer != peer && !read.is_stale(now) {
                // Busy for a few milliseconds: the client's own repetition finds the server free.
                return Ok(());
            }
        }
        let port = self.fresh_port();
        let len = status(self.file).min(self.file.len());
        self.read = Some(Read::new(now, port, peer, &request.options, len));
        Ok(())
    }

    /// Takes a datagram that came to the transfer's port.
    pub(super) fn on_read_port(
        &mut self,
        now: Instant,
        datagram: &Datagram<'_>,
        out: &mut [u8],
    ) -> Option<Reply> {
        let read = self.read.as_mut()?;
        let packet = Packet::decode(datagram.bytes);
        if read.peer != datagram.peer {
            return stranger(datagram, &packet, out);
        }
        match packet {
            Ok(Packet::Ack { block }) => read.ack(now, block),
            Ok(Packet::Error { .. }) => read.give_up(),
            _ => {}
        }
        self.poll_read(now, out)
    }

    /// The packet at hand, if it is due.
    pub(super) fn poll_read(&mut self, now: Instant, out: &mut [u8]) -> Option<Reply> {
        let read = self.read.as_mut()?;
        if read.is_over(now) {
            self.read = None;
            return None;
        }
        let len = read.poll(now, self.file, out)?;
        Some(Reply {
            local_port: read.port,
            peer: read.peer,
            len,
        })
    }
}
