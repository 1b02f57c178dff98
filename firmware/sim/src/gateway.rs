//! From host ports to the board's Ethernet, in user space: any TFTP or HTTP client on this machine reaches the virtual board without
//! root, interfaces or routes.
//!
//! The gateway is a host on the board's segment, with a stack of its own. Towards this machine it listens on 127.0.0.1 only. It adds
//! nothing to the protocols and keeps what matters to them: a client's port stays the same through a transfer, TFTP's second port
//! reaches the client as a second port ([`udp`]), TCP's back-pressure, half-close and resets pass through ([`tcp`]). Clients at 127.0.0.1 to
//! 127.0.0.4 appear to the board as different hosts. Where the profile asks for DHCP it is the server ([`dhcp`]).
//!
//! [`Gateway::poll`] never blocks, [`Gateway::wait`] sleeps until a host socket has something.

pub(crate) mod dhcp;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration as WallDuration;

use mio::{Events, Poll, Token, Waker};
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Address, Ipv4Cidr};

use crate::wire::Port;
pub use udp::TftpError;

/// The gateway's MAC address: locally administered, unlike any a profile ships with.
const MAC: EthernetAddress = EthernetAddress([0x02, 0x49, 0x41, 0x50, 0x47, 0x57]);
/// How many hosts the gateway can be on the segment: what the crate feature `iface-max-addr-count-4` allows.
const MAX_HOSTS: usize = 4;
/// Every host socket wakes the same loop, which then looks at all of them.
const TOKEN: Token = Token(0);

/// What a gateway connects.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// UDP port on 127.0.0.1 that leads to the board's TFTP server; 0: any free one.
    pub tftp_port: u16,
    /// TCP port on 127.0.0.1 that leads to the board's HTTP server; 0: any free one.
    pub http_port: u16,
    /// The board's static address, and its subnet.
    pub board: Ipv4Cidr,
    /// The gateway's address; chosen from the subnet if `None`.
    pub address: Option<Ipv4Address>,
    /// The board asks for an address by DHCP: offer it one.
    pub dhcp: bool,
}

/// A running gateway.
pub struct Gateway {
    stack: Stack,
    events: Events,
    poll: Poll,
    waker: Arc<Waker>,
    udp: udp::Relay,
    tcp: tcp::Relay,
    dhcp: Option<dhcp::Server>,
}

/// The gateway as a host on the board's segment.
pub(crate) struct Stack {
    pub(crate) port: Port,
    pub(crate) interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    hosts: Vec<Ipv4Address>,
    pub(crate) board: Ipv4Address,
}

impl Gateway {
    /// Opens the host ports. `port` is the gateway's end of the board's segment.
    pub fn open(options: &GatewayOptions, port: Port, now: Instant) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), TOKEN)?);
        let mut stack = Stack::new(options, port, now);
        let local = |port| SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port));
        let udp = udp::Relay::open(local(options.tftp_port), poll.registry())?;
        let tcp = tcp::Relay::open(local(options.http_port), poll.registry())?;
        let dhcp = options
            .dhcp
            .then(|| dhcp::Server::new(&mut stack, options.board));
        Ok(Self {
            stack,
            events: Events::with_capacity(64),
            poll,
            waker,
            udp,
            tcp,
            dhcp,
        })
    }

    /// The host address that leads to the board's TFTP server.
    pub fn tftp_address(&self) -> SocketAddr {
        self.udp.address()
    }

    /// The host address that leads to the board's HTTP server.
    pub fn http_address(&self) -> SocketAddr {
        self.tcp.address()
    }

    /// The TFTP errors that the board has sent to clients since the last call.
    pub fn take_tftp_errors(&mut self) -> Vec<TftpError> {
        self.udp.take_errors()
    }

    /// Wakes a [`Gateway::wait`] from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Moves everything that can move. True if anything did.
    pub fn poll(&mut self, now: Instant) -> bool {
        let registry = self.poll.registry();
        let mut moved = self.udp.poll(now, &mut self.stack, registry);
        moved |= self.tcp.poll(&mut self.stack, registry);
        if let Some(dhcp) = &mut self.dhcp {
            moved |= dhcp.poll(&mut self.stack);
        }
        moved | self.stack.poll(now)
    }

    /// When [`Gateway::poll`] has something to do even if nothing comes.
    pub fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let stack = &mut self.stack;
        let own = stack.interface.poll_at(now, &stack.sockets);
        own.into_iter().chain(stack.port.next_arrival()).min()
    }

    /// Sleeps until a host socket has something, the waker is used, or the time is over.
    pub fn wait(&mut self, timeout: Option<WallDuration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

impl Stack {
    pub(crate) fn new(options: &GatewayOptions, mut port: Port, now: Instant) -> Self {
        let board = options.board.address();
        let hosts = hosts(options);
        let config = Config::new(HardwareAddress::Ethernet(MAC));
        let mut interface = Interface::new(config, &mut port, now);
        interface.update_ip_addrs(|addresses| {
            for &host in &hosts {
                let cidr = Ipv4Cidr::new(host, options.board.prefix_len());
                // As many as there is room for.
                let _ = addresses.push(IpCidr::Ipv4(cidr));
            }
        });
        Self {
            port,
            interface,
            sockets: SocketSet::new(Vec::new()),
            hosts,
            board,
        }
    }

    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let result = self.interface.poll(now, &mut self.port, &mut self.sockets);
        result == PollResult::SocketStateChanged
    }

    /// The host on the segment that stands for a client on this machine.
    fn host_of(&self, client: SocketAddr) -> Ipv4Address {
        let last = match client {
            SocketAddr::V4(client) => client.ip().octets()[3],
            SocketAddr::V6(_) => 1,
        };
        let index = usize::from(last.saturating_sub(1));
        // The first stands for all others.
        let host = self.hosts.get(index).or(self.hosts.first());
        host.copied().unwrap_or(self.board)
    }
}

/// The gateway's addresses: the one that was asked for, then its neighbours in the board's subnet.
fn hosts(options: &GatewayOptions) -> Vec<Ipv4Address> {
    let subnet = options.board.network();
    let first = u32::from(subnet.address());
    let size = 1u32
        .checked_shl(32 - u32::from(subnet.prefix_len()))
        .unwrap_or(u32::MAX);
    let usable = (1..size.saturating_sub(1)).map(|i| Ipv4Address::from(first.wrapping_add(i)));
    let asked = options
        .address
        .filter(|address| subnet.contains_addr(address));
    let others = usable.filter(|host| Some(*host) != asked && *host != options.board.address());
    asked.into_iter().chain(others).take(MAX_HOSTS).collect()
}
