//! The memory of the network side: everything static, sized here, in one place.
//!
//! | what | bytes |
//! |---|---|
//! | TFTP's three UDP sockets, and the datagram being answered | `files::BYTES` |
//! | first TCP connection | [`UPLOAD_RX`] + [`HTTP_TX`] |
//! | each other of [`HTTP_SOCKETS`] | [`HTTP_RX`] + [`HTTP_TX`] |
//! | state of each HTTP connection | about 2.7 KiB |
//!
//! [`Storage`] holds all of it, where a stack is large enough to make one on. The chip has no such stack: it makes the four parts of a
//! [`Memory`] in place.
//!
//! The receive buffers of UDP hold one datagram: the network loop serves the servers after each frame, so a window of DATA waits in the
//! receive ring of the Ethernet DMA and in the update's RAM ring, not here.
//!
//! smoltcp cannot exchange the buffers of a live connection, so who gets the large one is decided before anybody knows who uploads. But a
//! SYN goes to the first socket that listens: a client that comes alone, as uploads do, has the first one. An upload beside other
//! connections works too, with a smaller window.

use smoltcp::iface::SocketStorage;

use super::{dhcp, files};
use crate::http::Connection;

/// HTTP connections at a time.
pub const HTTP_SOCKETS: usize = if cfg!(feature = "http") { 4 } else { 0 };
/// Nine segments of 1460 bytes: a little more than half of what the receive ring of the DMA holds, and all that there is RAM for.
pub const UPLOAD_RX: usize = 13_140;
/// Two segments.
pub const HTTP_RX: usize = 2920;
/// More than a segment; the network empties it within a round trip.
pub const HTTP_TX: usize = 1808;
/// HTTP, TFTP, DHCP.
pub const SOCKETS: usize = HTTP_SOCKETS + files::SOCKETS + cfg!(feature = "dhcp") as usize;

const HTTP_BYTES: usize = match HTTP_SOCKETS {
    0 => 0,
    sockets => UPLOAD_RX + (sockets - 1) * HTTP_RX + sockets * HTTP_TX,
};
/// Bytes of all buffers together.
pub const BYTES: usize = files::BYTES + HTTP_BYTES;

/// What the sockets need beside bytes.
pub struct Metadata<'a> {
    pub(super) datagrams: files::Datagrams,
    pub(super) dhcp: dhcp::Options<'a>,
}

impl Metadata<'_> {
    /// Nothing in it.
    pub fn new() -> Self {
        Self {
            datagrams: files::no_datagrams(),
            dhcp: dhcp::NO_OPTIONS,
        }
    }
}

impl Default for Metadata<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The memory of the network side, lent to it.
pub struct Memory<'a> {
    /// Places for the sockets.
    pub sockets: &'a mut [SocketStorage<'a>; SOCKETS],
    /// The HTTP connections.
    pub connections: &'a mut [Connection; HTTP_SOCKETS],
    /// The buffers.
    pub bytes: &'a mut [u8; BYTES],
    /// What else the sockets need.
    pub metadata: &'a mut Metadata<'a>,
}

/// All of it in one piece.
pub struct Storage<'a> {
    sockets: [SocketStorage<'a>; SOCKETS],
    connections: [Connection; HTTP_SOCKETS],
    bytes: [u8; BYTES],
    metadata: Metadata<'a>,
}

impl<'a> Storage<'a> {
    /// Empty memory.
    pub fn new() -> Self {
        Self {
            sockets: [const { SocketStorage::EMPTY }; SOCKETS],
            connections: core::array::from_fn(|_| Connection::new()),
            bytes: [0; BYTES],
            metadata: Metadata::new(),
        }
    }

    /// Lends it.
    pub fn memory(&'a mut self) -> Memory<'a> {
        Memory {
            sockets: &mut self.sockets,
            connections: &mut self.connections,
            bytes: &mut self.bytes,
            metadata: &mut self.metadata,
        }
    }
}

// SRAM has 128 KiB, and the update's ring and the Ethernet DMA want most of it.
const _: () = assert!(size_of::<Storage<'_>>() <= 52 * 1024);

impl Default for Storage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes `len` bytes from the front; [`BYTES`] is the sum of all that are taken.
pub(super) fn cut<'a>(bytes: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (front, rest) = core::mem::take(bytes)
        .split_at_mut_checked(len)
        .unwrap_or_default();
    *bytes = rest;
    front
}
