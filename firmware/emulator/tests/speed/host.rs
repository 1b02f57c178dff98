//! The host at the other end of the board's wire: one stack, UDP for iapctl's TFTP machines, TCP for its HTTP requests, all in virtual time.

use iap_sim::wire::Port;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Address, Ipv4Cidr};

const MAC: EthernetAddress = EthernetAddress([0x02, 0x48, 0x4F, 0x53, 0x54, 0x01]);
const LAST_OCTET: u8 = 2;
/// RFC 6335 section 6: dynamic ports.
const FIRST_PORT: u16 = 49_152;
const HTTP_PORT: u16 = 80;
/// What each socket holds: as a kernel, more than a window.
const BUFFER_BYTES: usize = 256 * 1024;
const BUFFER_PACKETS: usize = 256;

/// The host.
pub(crate) struct Host {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    board: Ipv4Address,
    next_port: u16,
    /// Connections that are through but not closed yet.
    ending: Vec<SocketHandle>,
    /// UDP sockets whose last word may not have been sent yet.
    done: Vec<SocketHandle>,
}

impl Host {
    /// A host in the subnet of `board`.
    pub(crate) fn new(mut port: Port, board: Ipv4Cidr) -> Self {
        let config = Config::new(HardwareAddress::Ethernet(MAC));
        let mut interface = Interface::new(config, &mut port, Instant::ZERO);
        let [a, b, c, _] = board.network().address().octets();
        let own = Ipv4Cidr::new(Ipv4Address::new(a, b, c, LAST_OCTET), board.prefix_len());
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::Ipv4(own)).unwrap());
        Self {
            port,
            interface,
            sockets: SocketSet::new(Vec::new()),
            board: board.address(),
            next_port: FIRST_PORT,
            ending: Vec::new(),
            done: Vec::new(),
        }
    }

    /// Moves frames.
    pub(crate) fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.port, &mut self.sockets);
        let sockets = &mut self.sockets;
        self.ending.retain(|handle| {
            let open = sockets.get::<tcp::Socket<'_>>(*handle).is_open();
            if !open {
                sockets.remove(*handle);
            }
            open
        });
        self.done.retain(|handle| {
            let waits = sockets.get::<udp::Socket<'_>>(*handle).send_queue() > 0;
            if !waits {
                sockets.remove(*handle);
            }
            waits
        });
    }

    /// When [`Host::poll`] has something to do.
    pub(crate) fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let own = self.interface.poll_at(now, &self.sockets);
        own.into_iter().chain(self.port.next_arrival()).min()
    }

    fn take_port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    /// A UDP socket on a port of its own.
    pub(crate) fn udp_socket(&mut self) -> SocketHandle {
        let buffer = || {
            let metadata = vec![udp::PacketMetadata::EMPTY; BUFFER_PACKETS];
            udp::PacketBuffer::new(metadata, vec![0; BUFFER_BYTES])
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(self.take_port()).unwrap();
        self.sockets.add(socket)
    }

    /// Sends a datagram to a port of the board.
    pub(crate) fn send(&mut self, handle: SocketHandle, port: u16, datagram: &[u8]) {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
        socket.send_slice(datagram, (self.board, port)).unwrap();
    }

    /// The next datagram and the port it came from.
    pub(crate) fn receive(&mut self, handle: SocketHandle) -> Option<(u16, Vec<u8>)> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
        let (datagram, from) = socket.recv().ok()?;
        Some((from.endpoint.port, datagram.to_vec()))
    }

    /// A connection to the board's HTTP server, as a kernel's: no segment waits for an acknowledgement of the one before.
    pub(crate) fn connect(&mut self) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let local = self.take_port();
        let connected = socket.connect(self.interface.context(), (self.board, HTTP_PORT), local);
        connected.unwrap();
        self.sockets.add(socket)
    }

    pub(crate) fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Closes a connection; it goes when the board has closed it, too.
    pub(crate) fn close(&mut self, handle: SocketHandle) {
        self.tcp(handle).close();
        self.ending.push(handle);
    }

    /// Drops a UDP socket once its last datagram has been sent.
    pub(crate) fn forget(&mut self, handle: SocketHandle) {
        self.done.push(handle);
    }
}
