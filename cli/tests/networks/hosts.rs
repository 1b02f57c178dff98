//! The hosts on the board's network: three addresses, one stack, and what acts on it.

use iap_sim::wire::Port;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpEndpoint, IpListenEndpoint, Ipv4Address,
};

/// The board's address in the profile `sim`.
pub(crate) const BOARD: Ipv4Address = Ipv4Address::new(192, 168, 0, 10);
const MAC: EthernetAddress = EthernetAddress([0x02, 0, 0, 0, 0, 0x77]);
/// Bytes and packets that each socket holds in either direction.
const BUFFER_BYTES: usize = 128 * 1024;
const BUFFER_PACKETS: usize = 128;

/// One of the hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Host {
    First,
    Second,
    Third,
}

impl Host {
    fn address(self) -> Ipv4Address {
        Ipv4Address::new(192, 168, 0, 1 + self as u8)
    }
}

/// Something that uses the network: a client, or who disturbs it.
pub(crate) trait Actor {
    /// Does what is due.
    fn act(&mut self, now: Instant, hosts: &mut Hosts);

    /// When it is due next, if nothing arrives before.
    fn next_at(&self) -> Option<Instant>;
}

/// All of them.
pub(crate) struct Hosts {
    pub(crate) port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
}

impl Hosts {
    pub(crate) fn new(mut port: Port) -> Self {
        let config = Config::new(HardwareAddress::Ethernet(MAC));
        let mut interface = Interface::new(config, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            for host in [Host::First, Host::Second, Host::Third] {
                let cidr = IpCidr::new(IpAddress::Ipv4(host.address()), 24);
                addresses.push(cidr).expect("room for four");
            }
        });
        Self {
            port,
            interface,
            sockets: SocketSet::new(Vec::new()),
        }
    }

    pub(crate) fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.port, &mut self.sockets);
    }

    pub(crate) fn next_at(&mut self, now: Instant) -> Option<Instant> {
        let own = self.interface.poll_at(now, &self.sockets);
        own.into_iter().chain(self.port.next_arrival()).min()
    }

    pub(crate) fn udp_socket(&mut self, host: Host, port: u16) -> SocketHandle {
        let buffer = || {
            let metadata = vec![udp::PacketMetadata::EMPTY; BUFFER_PACKETS];
            udp::PacketBuffer::new(metadata, vec![0; BUFFER_BYTES])
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        let addr = Some(IpAddress::Ipv4(host.address()));
        let bound = socket.bind(IpListenEndpoint { addr, port });
        bound.expect("a fresh socket and a port");
        self.sockets.add(socket)
    }

    /// Sends to a port of the board; what does not fit is lost, as anywhere.
    pub(crate) fn send(&mut self, handle: SocketHandle, port: u16, datagram: &[u8]) {
        let board = IpEndpoint::new(IpAddress::Ipv4(BOARD), port);
        let socket = self.sockets.get_mut::<udp::Socket>(handle);
        let _ = socket.send_slice(datagram, board);
    }

    /// The next datagram and the port it came from.
    pub(crate) fn receive(&mut self, handle: SocketHandle) -> Option<(u16, Vec<u8>)> {
        let socket = self.sockets.get_mut::<udp::Socket>(handle);
        let (datagram, from) = socket.recv().ok()?;
        Some((from.endpoint.port, datagram.to_vec()))
    }

    /// A connection to the board's HTTP server.
    pub(crate) fn connect(&mut self, host: Host, port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let handle = self.sockets.add(tcp::Socket::new(buffer(), buffer()));
        let socket = self.sockets.get_mut::<tcp::Socket>(handle);
        let local = IpListenEndpoint {
            addr: Some(IpAddress::Ipv4(host.address())),
            port,
        };
        let connected = socket.connect(self.interface.context(), (BOARD, 80), local);
        connected.expect("a fresh socket");
        handle
    }

    pub(crate) fn tcp(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Drops a socket without a word on the wire.
    pub(crate) fn forget(&mut self, handle: SocketHandle) {
        self.sockets.remove(handle);
    }
}
