//! TCP through the gateway: each host connection gets one to the board, and bytes are copied both ways.
//!
//! Nothing is read that cannot be passed on at once, so each side's window brakes the other. A half-close passes as a half-close and a reset as
//! a reset; a board that refuses or does not answer resets the client.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Duration;
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

use super::{Stack, TOKEN};

/// AN3968's port.
const BOARD_PORT: u16 = 80;
/// Connections at a time; more wait in the host's queue.
const MAX_LINKS: usize = 32;
const BUFFER_BYTES: usize = 32 * 1024;
/// How long the board may leave something unanswered: an erase stalls it for 2 s, a reset takes a few.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Ports the gateway connects from (RFC 6335 section 6: dynamic ports).
const FIRST_PORT: u16 = 49_152;

struct Link {
    host: TcpStream,
    handle: SocketHandle,
    /// The client has sent everything.
    host_done: bool,
    /// The board has sent everything, and the client knows.
    board_done: bool,
}

pub(super) struct Relay {
    address: SocketAddr,
    listener: TcpListener,
    links: Vec<Link>,
    next_port: u16,
}

/// What became of a link when it was looked at.
#[derive(PartialEq, Eq)]
enum Fate {
    Idle,
    Moved,
    Over,
}

impl Relay {
    pub(super) fn open(address: SocketAddr, registry: &Registry) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        registry.register(&mut listener, TOKEN, Interest::READABLE)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            links: Vec::new(),
            next_port: FIRST_PORT,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn poll(&mut self, stack: &mut Stack, registry: &Registry) -> bool {
        let mut moved = false;
        while self.links.len() < MAX_LINKS && self.accept(stack, registry) {
            moved = true;
        }
        self.follow_board(stack);
        self.links.retain_mut(|link| {
            let fate = link.pump(stack.sockets.get_mut(link.handle));
            moved |= fate != Fate::Idle;
            if fate == Fate::Over {
                stack.sockets.remove(link.handle);
            }
            fate != Fate::Over
        });
        moved
    }

    fn accept(&mut self, stack: &mut Stack, registry: &Registry) -> bool {
        let Ok((mut host, client)) = self.listener.accept() else {
            return false;
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let ready = registry.register(&mut host, TOKEN, interest).is_ok();
        // Only a matter of speed.
        let _ = host.set_nodelay(true);
        let Some(socket) = self.connect(client, stack).filter(|_| ready) else {
            return true; // dropping the stream closes it
        };
        self.links.push(Link {
            host,
            handle: stack.sockets.add(socket),
            host_done: false,
            board_done: false,
        });
        true
    }

    /// A board that gets another address by DHCP is called there: who connected early would wait for an address that nobody has.
    fn follow_board(&mut self, stack: &mut Stack) {
        for index in 0..self.links.len() {
            let Some(link) = self.links.get(index) else {
                return;
            };
            let socket = stack.sockets.get::<Socket<'_>>(link.handle);
            let called = socket.remote_endpoint().map(|endpoint| endpoint.addr);
            let waits = socket.state() == State::SynSent;
            if !waits || called == Some(IpAddress::Ipv4(stack.board)) {
                continue;
            }
            let Ok(client) = link.host.peer_addr() else {
                continue; // gone: the link will end
            };
            if let Some(again) = self.connect(client, stack)
                && let Some(link) = self.links.get(index)
            {
                *stack.sockets.get_mut(link.handle) = again;
            }
        }
    }

    fn connect(&mut self, client: SocketAddr, stack: &mut Stack) -> Option<Socket<'static>> {
        let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_timeout(Some(TIMEOUT));
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        let local = IpListenEndpoint {
            addr: Some(IpAddress::Ipv4(stack.host_of(client))),
            port: self.next_port,
        };
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        let board = IpEndpoint::new(IpAddress::Ipv4(stack.board), BOARD_PORT);
        let connected = socket.connect(stack.interface.context(), board, local);
        connected.ok().map(|()| socket)
    }
}

impl Link {
    fn pump(&mut self, socket: &mut Socket<'_>) -> Fate {
        match socket.state() {
            State::Closed if self.board_done => return Fate::Over,
            State::Closed => {
                // Refused, reset or unanswered: the client is to see the same. Fails only if the client has gone already.
                let _ =
                    socket2::SockRef::from(&self.host).set_linger(Some(std::time::Duration::ZERO));
                return Fate::Over;
            }
            State::SynSent => return Fate::Idle,
            _ => {}
        }
        let moved = self.push_to_board(socket).and_then(|to_board| {
            let to_host = self.push_to_host(socket)?;
            Ok(to_board | to_host)
        });
        match moved {
            Ok(true) => Fate::Moved,
            Ok(false) => Fate::Idle,
            Err(_) => {
                socket.abort();
                // The reset leaves with the next poll of the stack; then the socket is closed, and nobody is left to be told.
                self.board_done = true;
                Fate::Moved
            }
        }
    }

    fn push_to_board(&mut self, socket: &mut Socket<'_>) -> io::Result<bool> {
        let mut moved = false;
        while !self.host_done && socket.can_send() {
            let mut result = Ok(0);
            let sent = socket.send(|buffer| {
                result = self.host.read(buffer);
                let len = result.as_ref().copied().unwrap_or(0);
                (len, ())
            });
            if sent.is_err() {
                break;
            }
            match result {
                Ok(0) => {
                    self.host_done = true;
                    socket.close();
                }
                Ok(_) => {}
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(error),
            }
            moved = true;
        }
        Ok(moved)
    }

    fn push_to_host(&mut self, socket: &mut Socket<'_>) -> io::Result<bool> {
        let mut moved = false;
        while socket.can_recv() {
            let mut result = Ok(0);
            let received = socket.recv(|buffer| {
                result = self.host.write(buffer);
                let len = result.as_ref().copied().unwrap_or(0);
                (len, ())
            });
            match result {
                _ if received.is_err() => break,
                Ok(_) => moved = true,
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(error),
            }
        }
        let fin = !socket.may_recv() && socket.recv_queue() == 0;
        if fin && !self.board_done {
            self.board_done = true;
            moved = true;
            // Fails when the client has gone: then there is nobody to tell.
            let _ = self.host.shutdown(Shutdown::Write);
        }
        Ok(moved)
    }
}

fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, WouldBlock};
    matches!(error.kind(), Interrupted | WouldBlock)
}
