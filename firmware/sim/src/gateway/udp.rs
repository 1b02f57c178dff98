//! UDP through the gateway. Doors and clients are translated one to one, in both directions:
//!
//! - a **door** is a host socket that stands for a port of the board: the first for TFTP's port 69, and a new one for each port the board
//!   sends from, because TFTP's server answers from a new port per transfer (RFC 1350 section 4, TID);
//! - a **client** is a socket on the board's segment that stands for a host address and port, with the same port where it is free.
//!
//! So a packet that a third party sends to a transfer's port reaches the board as just that.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use iap_protocol::tftp;
use mio::net::UdpSocket;
use mio::{Interest, Registry};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

use super::{Stack, TOKEN};

/// Doors and clients that are kept; the one unused for longest gives way.
const MAX_DOORS: usize = 64;
const MAX_CLIENTS: usize = 64;
/// Datagrams moved from one host socket before the others get their turn.
const MAX_BURST: usize = 64;
/// Bytes and packets each client's socket can hold in each direction.
const BUFFER_BYTES: usize = 256 * 1024;
const BUFFER_PACKETS: usize = 256;
/// How long packets wait for a board that does not answer ARP; Linux gives up after three tries of one second, too.
const UNANSWERED: Duration = Duration::from_secs(3);
/// Errors that are kept until somebody asks for them.
const MAX_ERRORS: usize = 64;
/// The largest datagram.
const MAX_DATAGRAM: usize = 65_535;

/// What the board told a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TftpError {
    /// The client.
    pub client: SocketAddr,
    /// TFTP's error code.
    pub code: u16,
    /// Its text.
    pub sentence: String,
}

struct Door {
    board_port: u16,
    socket: UdpSocket,
    used: Instant,
}

struct Client {
    address: SocketAddr,
    handle: SocketHandle,
    used: Instant,
    /// Since when packets wait for an answer to ARP.
    waiting: Option<Instant>,
}

pub(super) struct Relay {
    address: SocketAddr,
    /// The first one is for good.
    doors: Vec<Door>,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    /// What the board told clients and nobody has asked for yet.
    errors: Vec<TftpError>,
}

impl Relay {
    pub(super) fn open(address: SocketAddr, registry: &Registry) -> io::Result<Self> {
        let door = Door::open(address, tftp::PORT, registry, Instant::ZERO)?;
        Ok(Self {
            address: door.socket.local_addr()?,
            doors: vec![door],
            clients: Vec::new(),
            errors: Vec::new(),
            buffer: vec![0; MAX_DATAGRAM],
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn take_errors(&mut self) -> Vec<TftpError> {
        std::mem::take(&mut self.errors)
    }

    pub(super) fn poll(&mut self, now: Instant, stack: &mut Stack, registry: &Registry) -> bool {
        self.drop_unanswered(now, stack);
        let mut moved = self.push_to_board(now, stack);
        moved |= self.push_to_clients(now, stack, registry);
        moved
    }

    fn push_to_board(&mut self, now: Instant, stack: &mut Stack) -> bool {
        let mut moved = false;
        for index in 0..self.doors.len() {
            for _ in 0..MAX_BURST {
                let Some(door) = self.doors.get_mut(index) else {
                    break;
                };
                // Errors other than "nothing there" belong to an earlier datagram: they say nothing about the next.
                let Ok((len, client)) = door.socket.recv_from(&mut self.buffer) else {
                    break;
                };
                door.used = now;
                let board = IpEndpoint::new(IpAddress::Ipv4(stack.board), door.board_port);
                let handle = self.client(client, now, stack);
                let socket = stack.sockets.get_mut::<udp::Socket>(handle);
                // What does not fit is lost, as on any network.
                let _ = socket.send_slice(&self.buffer[..len], board);
                moved = true;
            }
        }
        moved
    }

    fn push_to_clients(&mut self, now: Instant, stack: &mut Stack, registry: &Registry) -> bool {
        let mut moved = false;
        for index in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(index) else {
                break;
            };
            let (handle, address) = (client.handle, client.address);
            while let Ok((len, meta)) = stack
                .sockets
                .get_mut::<udp::Socket>(handle)
                .recv_slice(&mut self.buffer)
            {
                moved = true;
                client.used = now;
                if meta.endpoint.addr != IpAddress::Ipv4(stack.board) {
                    continue;
                }
                let Ok(door) = door(&mut self.doors, meta.endpoint.port, registry, now) else {
                    continue;
                };
                note_error(&mut self.errors, address, &self.buffer[..len]);
                // A client that has gone makes this fail, as it would on a network.
                let _ = door.socket.send_to(&self.buffer[..len], address);
            }
        }
        moved
    }

    /// The socket that stands for `address` on the board's segment.
    fn client(&mut self, address: SocketAddr, now: Instant, stack: &mut Stack) -> SocketHandle {
        if let Some(client) = self.clients.iter_mut().find(|it| it.address == address) {
            client.used = now;
            return client.handle;
        }
        if self.clients.len() >= MAX_CLIENTS
            && let Some(oldest) = oldest(&self.clients, |client| client.used)
        {
            stack
                .sockets
                .remove(self.clients.swap_remove(oldest).handle);
        }
        let host = stack.host_of(address);
        let taken: Vec<_> = self
            .clients
            .iter()
            .map(|client| stack.sockets.get::<udp::Socket>(client.handle).endpoint())
            .collect();
        let mut endpoint = IpListenEndpoint {
            addr: Some(IpAddress::Ipv4(host)),
            port: address.port(),
        };
        while taken.contains(&endpoint) || endpoint.port < 1024 {
            endpoint.port = endpoint.port.wrapping_add(1);
        }
        let handle = stack.sockets.add(client_socket(endpoint));
        self.clients.push(Client {
            address,
            handle,
            used: now,
            waiting: None,
        });
        handle
    }

    /// Drops packets for a board that has not answered ARP, so that it does not get them when it is back.
    fn drop_unanswered(&mut self, now: Instant, stack: &mut Stack) {
        for client in &mut self.clients {
            let socket = stack.sockets.get_mut::<udp::Socket>(client.handle);
            let since = client.waiting.unwrap_or(now);
            client.waiting = (socket.send_queue() > 0).then_some(since);
            if client.waiting.is_some() && now >= since + UNANSWERED {
                let endpoint = socket.endpoint();
                *socket = client_socket(endpoint);
                client.waiting = None;
            }
        }
    }
}

impl Door {
    fn open(
        address: SocketAddr,
        board_port: u16,
        registry: &Registry,
        now: Instant,
    ) -> io::Result<Self> {
        let mut socket = UdpSocket::bind(address)?;
        registry.register(&mut socket, TOKEN, Interest::READABLE)?;
        Ok(Self {
            board_port,
            socket,
            used: now,
        })
    }
}

/// Keeps an ERROR packet of the board; repetitions of the last one only once.
fn note_error(errors: &mut Vec<TftpError>, client: SocketAddr, datagram: &[u8]) {
    let Ok(tftp::Packet::Error { code, message }) = tftp::Packet::decode(datagram) else {
        return;
    };
    let error = TftpError {
        client,
        code,
        sentence: String::from_utf8_lossy(message).into_owned(),
    };
    if errors.len() < MAX_ERRORS && errors.last() != Some(&error) {
        errors.push(error);
    }
}

/// The host socket that stands for `board_port`.
fn door<'a>(
    doors: &'a mut Vec<Door>,
    board_port: u16,
    registry: &Registry,
    now: Instant,
) -> io::Result<&'a mut Door> {
    let known = doors.iter().position(|door| door.board_port == board_port);
    let index = match known {
        Some(index) => index,
        None => {
            if doors.len() >= MAX_DOORS
                && let Some(oldest) = oldest(&doors[1..], |door| door.used)
            {
                doors.swap_remove(oldest + 1);
            }
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            doors.push(Door::open(any, board_port, registry, now)?);
            doors.len() - 1
        }
    };
    let door = &mut doors[index];
    door.used = now;
    Ok(door)
}

fn oldest<T>(items: &[T], used: impl Fn(&T) -> Instant) -> Option<usize> {
    (0..items.len()).min_by_key(|&index| used(&items[index]))
}

fn client_socket(endpoint: IpListenEndpoint) -> udp::Socket<'static> {
    let buffer = || {
        let meta = vec![udp::PacketMetadata::EMPTY; BUFFER_PACKETS];
        udp::PacketBuffer::new(meta, vec![0; BUFFER_BYTES])
    };
    let mut socket = udp::Socket::new(buffer(), buffer());
    // Fails for port 0 and for sockets that are open; this one is neither.
    let _ = socket.bind(endpoint);
    socket
}
