//! The memory of the network side: everything static, sized here, in one place.
//!
//! | what | bytes |
//! |---|---|
//! | UDP 69 | [`REQUEST_RX`] + [`REQUEST_TX`] |
//! | write transfer | [`WRITE_RX`] + [`WRITE_TX`] |
//! | read transfer | [`READ_RX`] + [`READ_TX`] |
//! | first TCP connection | [`UPLOAD_RX`] + [`HTTP_TX`] |
//! | each other of [`HTTP_SOCKETS`] | [`HTTP_RX`] + [`HTTP_TX`] |
//! | datagram being answered | [`MAX_REPLY_LEN`] |
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
use smoltcp::socket::udp;

use crate::http::Connection;
use crate::tftp::MAX_REPLY_LEN;

/// HTTP connections at a time.
pub const HTTP_SOCKETS: usize = if cfg!(feature = "http") { 4 } else { 0 };
/// Eight segments of 1460 bytes: what a receive ring of the DMA usually holds.
pub const UPLOAD_RX: usize = 11_680;
/// Two segments.
pub const HTTP_RX: usize = 2920;
/// A page and a half; the network empties it within a round trip.
pub const HTTP_TX: usize = 2048;
/// A request has 512 bytes at most (RFC 2347).
const REQUEST_RX: usize = 512;
/// Two ERRORs.
const REQUEST_TX: usize = 512;
/// One block of DATA.
const WRITE_RX: usize = MAX_REPLY_LEN;
/// An ERROR and some ACKs.
const WRITE_TX: usize = 512;
/// An ACK, or the ERROR of a client that gives up.
const READ_RX: usize = 256;
/// One block of DATA.
const READ_TX: usize = MAX_REPLY_LEN;

/// HTTP, three for TFTP, DHCP.
pub const SOCKETS: usize = HTTP_SOCKETS + 3 + cfg!(feature = "dhcp") as usize;

const TFTP_BYTES: usize = REQUEST_RX + REQUEST_TX + WRITE_RX + WRITE_TX + READ_RX + READ_TX;
const HTTP_BYTES: usize = match HTTP_SOCKETS {
    0 => 0,
    sockets => UPLOAD_RX + (sockets - 1) * HTTP_RX + sockets * HTTP_TX,
};
/// Bytes of all buffers together.
pub const BYTES: usize = TFTP_BYTES + HTTP_BYTES + MAX_REPLY_LEN;

/// Datagrams that a UDP socket can hold in each direction.
type Datagrams = [udp::PacketMetadata; 4];

/// What the sockets need beside bytes.
pub struct Metadata<'a> {
    pub(super) datagrams: [Datagrams; 6],
    pub(super) dhcp: super::dhcp::Options<'a>,
}

impl Metadata<'_> {
    /// Nothing in it.
    pub const fn new() -> Self {
        Self {
            datagrams: [[udp::PacketMetadata::EMPTY; 4]; 6],
            dhcp: super::dhcp::NO_OPTIONS,
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
const _: () = assert!(size_of::<Storage<'_>>() <= 50 * 1024);

impl Default for Storage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The UDP sockets on their buffers, not open yet.
pub(super) struct UdpSockets<'a> {
    pub(super) request: udp::Socket<'a>,
    pub(super) write: udp::Socket<'a>,
    pub(super) read: udp::Socket<'a>,
}

/// Makes them; takes the buffers from the front of `bytes`.
pub(super) fn udp_sockets<'a>(
    datagrams: &'a mut [Datagrams; 6],
    bytes: &mut &'a mut [u8],
) -> UdpSockets<'a> {
    let [a, b, c, d, e, f] = datagrams;
    UdpSockets {
        request: udp_socket([a, b], [cut(bytes, REQUEST_RX), cut(bytes, REQUEST_TX)]),
        write: udp_socket([c, d], [cut(bytes, WRITE_RX), cut(bytes, WRITE_TX)]),
        read: udp_socket([e, f], [cut(bytes, READ_RX), cut(bytes, READ_TX)]),
    }
}

fn udp_socket<'a>(
    [rx_meta, tx_meta]: [&'a mut Datagrams; 2],
    [rx, tx]: [&'a mut [u8]; 2],
) -> udp::Socket<'a> {
    udp::Socket::new(
        udp::PacketBuffer::new(&mut rx_meta[..], rx),
        udp::PacketBuffer::new(&mut tx_meta[..], tx),
    )
}

/// Takes `len` bytes from the front; [`BYTES`] is the sum of all that are taken.
pub(super) fn cut<'a>(bytes: &mut &'a mut [u8], len: usize) -> &'a mut [u8] {
    let (front, rest) = core::mem::take(bytes)
        .split_at_mut_checked(len)
        .unwrap_or_default();
    *bytes = rest;
    front
}
