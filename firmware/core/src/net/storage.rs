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
//! The receive buffers of UDP hold one datagram: the network loop serves the servers after each frame, so a window of DATA waits in the
//! receive ring of the Ethernet DMA and in the update's RAM ring, not here.
//!
//! smoltcp cannot exchange the buffers of a live connection, so who gets the large one is decided before anybody knows who uploads. But a
//! SYN goes to the first socket that listens: a client that comes alone, as uploads do, has the first one. An upload beside other
//! connections works too, with a smaller window.

use smoltcp::iface::SocketStorage;
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Duration;
use smoltcp::wire::DhcpOption;

use crate::http::Connection;
use crate::tftp::MAX_REPLY_LEN;

/// HTTP connections at a time.
pub const HTTP_SOCKETS: usize = 4;
/// Eight segments of 1460 bytes: what a receive ring of the DMA usually holds.
pub const UPLOAD_RX: usize = 11_680;
/// Two segments.
pub const HTTP_RX: usize = 2920;
/// A page and a half; the network empties it within a round trip.
pub const HTTP_TX: usize = 2048;
/// Longer than the board is ever silent itself.
const PEER_TIMEOUT: Duration = Duration::from_secs(60);
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
const SOCKETS: usize = HTTP_SOCKETS + 4;

/// Buffers of a UDP socket.
struct Datagrams<const RX: usize, const TX: usize> {
    rx_meta: [udp::PacketMetadata; 4],
    tx_meta: [udp::PacketMetadata; 4],
    rx: [u8; RX],
    tx: [u8; TX],
}

impl<const RX: usize, const TX: usize> Datagrams<RX, TX> {
    const fn new() -> Self {
        Self {
            rx_meta: [udp::PacketMetadata::EMPTY; 4],
            tx_meta: [udp::PacketMetadata::EMPTY; 4],
            rx: [0; RX],
            tx: [0; TX],
        }
    }

    fn socket(&mut self) -> udp::Socket<'_> {
        udp::Socket::new(
            udp::PacketBuffer::new(&mut self.rx_meta[..], &mut self.rx[..]),
            udp::PacketBuffer::new(&mut self.tx_meta[..], &mut self.tx[..]),
        )
    }
}

/// Buffers of a TCP socket, and the connection on it: here, so that all four never pass over the stack together.
struct Streams<const RX: usize> {
    rx: [u8; RX],
    tx: [u8; HTTP_TX],
    connection: Option<Connection>,
}

/// A TCP socket and the connection that will be on it.
pub(super) struct HttpSocket<'a> {
    pub(super) socket: tcp::Socket<'a>,
    pub(super) connection: &'a mut Connection,
}

impl<const RX: usize> Streams<RX> {
    fn new() -> Self {
        Self {
            rx: [0; RX],
            tx: [0; HTTP_TX],
            connection: None,
        }
    }

    fn socket(&mut self) -> HttpSocket<'_> {
        let rx = tcp::SocketBuffer::new(&mut self.rx[..]);
        let tx = tcp::SocketBuffer::new(&mut self.tx[..]);
        let mut socket = tcp::Socket::new(rx, tx);
        // An answer goes out when it is complete, and an upload wants its window back at once.
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        // Ends connections to peers that have vanished.
        socket.set_timeout(Some(PEER_TIMEOUT));
        HttpSocket {
            socket,
            connection: self.connection.insert(Connection::new()),
        }
    }
}

/// All of it. Put it into a `static` on the chip.
pub struct Storage<'a> {
    pub(super) sockets: [SocketStorage<'a>; SOCKETS],
    pub(super) dhcp_options: [DhcpOption<'a>; 1],
    pub(super) reply: [u8; MAX_REPLY_LEN],
    pub(super) buffers: Buffers,
}

/// The sockets' buffers.
pub(super) struct Buffers {
    request: Datagrams<REQUEST_RX, REQUEST_TX>,
    write: Datagrams<WRITE_RX, WRITE_TX>,
    read: Datagrams<READ_RX, READ_TX>,
    upload: Streams<UPLOAD_RX>,
    http: [Streams<HTTP_RX>; HTTP_SOCKETS - 1],
}

/// Sockets on their buffers, not open yet.
pub(super) struct Sockets<'a> {
    pub(super) request: udp::Socket<'a>,
    pub(super) write: udp::Socket<'a>,
    pub(super) read: udp::Socket<'a>,
    pub(super) http: [HttpSocket<'a>; HTTP_SOCKETS],
}

impl Buffers {
    pub(super) fn sockets(&mut self) -> Sockets<'_> {
        let [second, third, fourth] = self.http.each_mut().map(Streams::socket);
        Sockets {
            request: self.request.socket(),
            write: self.write.socket(),
            read: self.read.socket(),
            http: [self.upload.socket(), second, third, fourth],
        }
    }
}

impl Storage<'_> {
    /// Empty memory.
    // Not const: a constant of this size would lie in the chip's flash, to be copied from there.
    pub fn new() -> Self {
        Self {
            sockets: core::array::from_fn(|_| SocketStorage::EMPTY),
            dhcp_options: [DhcpOption { kind: 0, data: &[] }],
            reply: [0; MAX_REPLY_LEN],
            buffers: Buffers {
                request: Datagrams::new(),
                write: Datagrams::new(),
                read: Datagrams::new(),
                upload: Streams::new(),
                http: core::array::from_fn(|_| Streams::new()),
            },
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
