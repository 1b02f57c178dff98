//! The three UDP sockets of the TFTP server: 69, and one for each transfer, opened anew on the port that the transfer names.

use core::array;
use core::net::SocketAddrV4;

use iap_protocol::tftp::PORT;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint};

use super::storage::cut;
use crate::tftp::{MAX_REPLY_LEN, Reply, Server};

/// For requests, for the write and for the read transfer.
pub(super) const SOCKETS: usize = 3;
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
/// Bytes of all their buffers.
pub(super) const BYTES: usize = REQUEST_RX + REQUEST_TX + WRITE_RX + WRITE_TX + READ_RX + READ_TX;

/// Datagrams that a socket can hold, in each direction of each socket.
pub(super) type Datagrams = [[udp::PacketMetadata; 4]; 2 * SOCKETS];
/// None yet. Made by a loop: as a constant it would be 384 bytes of flash.
pub(super) fn no_datagrams() -> Datagrams {
    array::from_fn(|_| array::from_fn(|_| udp::PacketMetadata::EMPTY))
}

/// How long a datagram may wait for its neighbour's hardware address. One that never gets it would hold up all behind it.
const MAX_UNSENT: Duration = Duration::from_secs(3);

/// One socket.
#[derive(Debug)]
struct Port {
    handle: SocketHandle,
    /// Since when something waits to be sent.
    unsent_since: Option<Instant>,
}

impl Port {
    fn new(handle: SocketHandle) -> Self {
        Self {
            handle,
            unsent_since: None,
        }
    }

    /// Opens the socket on `port`, or closes it once nothing waits to be sent: a transfer's last word is its ERROR or last ACK.
    fn follow(&mut self, sockets: &mut SocketSet<'_>, port: Option<u16>) {
        let socket = sockets.get_mut::<udp::Socket<'_>>(self.handle);
        if port.is_some() || socket.send_queue() == 0 {
            self.bind(sockets, port);
        }
    }

    /// Opens the socket on `port`, or closes it; what it held is gone if that is a change.
    fn bind(&mut self, sockets: &mut SocketSet<'_>, port: Option<u16>) {
        let socket = sockets.get_mut::<udp::Socket<'_>>(self.handle);
        if socket.endpoint().port == port.unwrap_or(0) {
            return;
        }
        socket.close();
        self.unsent_since = None;
        if let Some(port) = port {
            // Closed just before, and the server names no port 0.
            let _ = socket.bind(port);
        }
    }

    /// Throws away what could not be sent for too long.
    fn unblock(&mut self, now: Instant, sockets: &mut SocketSet<'_>) {
        let socket = sockets.get_mut::<udp::Socket<'_>>(self.handle);
        if socket.send_queue() == 0 {
            self.unsent_since = None;
            return;
        }
        let since = *self.unsent_since.get_or_insert(now);
        if now >= since + MAX_UNSENT {
            let port = socket.endpoint().port;
            self.bind(sockets, None);
            self.bind(sockets, Some(port));
        }
    }
}

/// The sockets.
#[derive(Debug)]
pub(super) struct Ports {
    request: Port,
    write: Port,
    read: Port,
}

impl Ports {
    /// Makes the sockets, not open yet; takes their buffers from the front of `bytes`.
    pub(super) fn new<'a>(
        datagrams: &'a mut Datagrams,
        bytes: &mut &'a mut [u8],
        sockets: &mut SocketSet<'a>,
    ) -> Self {
        let [a, b, c, d, e, f] = datagrams;
        let mut port = |rx, tx, rx_len, tx_len| {
            let rx = udp::PacketBuffer::new(rx, cut(bytes, rx_len));
            let tx = udp::PacketBuffer::new(tx, cut(bytes, tx_len));
            Port::new(sockets.add(udp::Socket::new(rx, tx)))
        };
        Self {
            request: port(&mut a[..], &mut b[..], REQUEST_RX, REQUEST_TX),
            write: port(&mut c[..], &mut d[..], WRITE_RX, WRITE_TX),
            read: port(&mut e[..], &mut f[..], READ_RX, READ_TX),
        }
    }

    pub(super) fn handles(&self) -> [SocketHandle; SOCKETS] {
        [self.request.handle, self.write.handle, self.read.handle]
    }

    /// Brings the sockets to the ports that the server uses now.
    pub(super) fn follow(
        &mut self,
        now: Instant,
        server: &Server<'_>,
        sockets: &mut SocketSet<'_>,
    ) {
        self.request.bind(sockets, Some(PORT));
        self.write.follow(sockets, server.write_port());
        self.read.follow(sockets, server.read_port());
        for port in [&mut self.request, &mut self.write, &mut self.read] {
            port.unblock(now, sockets);
        }
    }

    /// Hands a reply to the socket of its port. One that finds no room is lost like any datagram: the peers repeat.
    pub(super) fn send(&self, reply: &Reply, bytes: &[u8], sockets: &mut SocketSet<'_>) {
        let (address, port) = (IpAddress::Ipv4(*reply.peer.ip()), reply.peer.port());
        let Some(bytes) = bytes.get(..reply.len) else {
            return;
        };
        for handle in self.handles() {
            let socket = sockets.get_mut::<udp::Socket<'_>>(handle);
            if socket.endpoint().port == reply.local_port {
                let _ = socket.send_slice(bytes, IpEndpoint::new(address, port));
            }
        }
    }
}

/// The sender of a datagram to this board alone. Requests to a broadcast address are ignored (RFC 1123 section 4.2.3.4), and so are
/// senders to whom nothing can be answered.
pub(super) fn sender(metadata: &udp::UdpMetadata, interface: &Interface) -> Option<SocketAddrV4> {
    let to_us = metadata
        .local_address
        .is_some_and(|address| interface.has_ip_addr(address));
    let IpAddress::Ipv4(address) = metadata.endpoint.addr;
    let answerable = !address.is_unspecified() && metadata.endpoint.port != 0;
    (to_us && answerable).then(|| SocketAddrV4::new(address, metadata.endpoint.port))
}
