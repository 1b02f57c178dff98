//! The TCP sockets of the HTTP server: listening, served, closed, and listening again.
//!
//! smoltcp has no backlog: a client that finds no socket listening is refused by a RST. So one socket is always kept free if
//! that can be done without hurting anybody: when all are taken, the connection that has been idle longest is closed, or one given up
//! whose client has not completed it.

use iap_protocol::status::View;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, Ipv4Address};

use super::board::BoardState;
use super::storage::{HTTP_RX, HTTP_SOCKETS, HTTP_TX, UPLOAD_RX, cut};
use crate::config::Config;
use crate::earliest::Earliest;
use crate::flash::Flash;
use crate::http::{Connection, Context, Server, Site};
use crate::status::Report;
use crate::update::Updater;

/// HTTP's well-known port.
const PORT: u16 = 80;
/// How long a connection may be idle before it gives way to a new one: a request follows its SYN sooner than that.
const SPARE_AFTER: Duration = Duration::from_millis(500);
/// How long a connection may wait for the last segment of its handshake before it gives way: longer than the board is deaf in an erase, and
/// than a lost SYN takes to be repeated.
const ASKED_SPARE_AFTER: Duration = Duration::from_secs(3);
/// How long a peer may take to read the rest and to close its half after the board has closed.
const MAX_CLOSING: Duration = Duration::from_secs(10);
/// How long a closed socket waits for its RST to be sent.
const MAX_RESETTING: Duration = Duration::from_millis(100);
/// Longer than the board is ever silent itself.
const PEER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a peer that says nothing is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Rounds of taking, thinking and sending for one connection in one turn.
const ROUNDS: usize = 16;

/// What the connections are served with.
pub(super) struct Service<'s, 'a, F> {
    pub(super) now: Instant,
    pub(super) config: &'s Config,
    pub(super) updater: &'s mut Updater<'a, F>,
    pub(super) board: &'s BoardState,
    pub(super) address: Ipv4Address,
    pub(super) random: &'s mut dyn FnMut() -> u32,
}

/// A socket and the connection on it.
struct Slot<'a> {
    handle: SocketHandle,
    connection: &'a mut Connection,
    is_open: bool,
    /// A SYN has come and was answered.
    is_asked: bool,
    /// Since when the board's half is closed.
    closing_since: Option<Instant>,
    /// When something was last received, the SYN included.
    last_heard: Instant,
}

fn socket<'a>(rx: &'a mut [u8], tx: &'a mut [u8]) -> tcp::Socket<'a> {
    let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(rx), tcp::SocketBuffer::new(tx));
    // An answer goes out when it is complete, and an upload wants its window back at once.
    socket.set_nagle_enabled(false);
    socket.set_ack_delay(None);
    // Ends connections to peers that have vanished.
    socket.set_timeout(Some(PEER_TIMEOUT));
    // A peer whose window the board has closed is heard in no other way: smoltcp does not count its probes.
    socket.set_keep_alive(Some(KEEP_ALIVE));
    socket
}

/// All of them.
pub(super) struct Web<'a> {
    server: Server,
    slots: [Slot<'a>; HTTP_SOCKETS],
    last_heard: Option<Instant>,
    /// A client has asked for a reset, has got the answer, and has closed its connection.
    reset_due: bool,
}

impl<'a> Web<'a> {
    /// Makes the sockets; takes their buffers from the front of `bytes`.
    pub(super) fn new(
        connections: &'a mut [Connection; HTTP_SOCKETS],
        bytes: &mut &'a mut [u8],
        sockets: &mut SocketSet<'a>,
    ) -> Self {
        let mut rx_len = UPLOAD_RX;
        let slots = connections.each_mut().map(|connection| {
            let socket = socket(cut(bytes, rx_len), cut(bytes, HTTP_TX));
            rx_len = HTTP_RX;
            Slot {
                handle: sockets.add(socket),
                connection,
                is_open: false,
                is_asked: false,
                closing_since: None,
                last_heard: Instant::ZERO,
            }
        });
        Self {
            server: Server::new(),
            slots,
            last_heard: None,
            reset_due: false,
        }
    }

    /// When a client was last heard.
    pub(super) fn last_heard(&self) -> Option<Instant> {
        self.last_heard
    }

    /// Serves what the sockets hold.
    pub(super) fn serve<F: Flash>(
        &mut self,
        sockets: &mut SocketSet<'_>,
        service: &mut Service<'_, '_, F>,
    ) {
        let now = service.now;
        let mut context = Context {
            now,
            config: service.config,
            intake: &mut *service.updater,
            report: service.board.report(now, service.config),
            address: service.address,
            random: &mut *service.random,
        };
        for slot in &mut self.slots {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(slot.handle);
            // One segment may acknowledge the answer and end the connection, as Linux does it: then the slot listens anew at once.
            self.reset_due |= slot.connection.reset_after_ack() && is_over(socket);
            slot.serve(socket, &mut self.server, &mut context);
            if slot.is_open {
                self.last_heard = self.last_heard.max(Some(slot.last_heard));
            }
        }
        self.keep_one_free(now, sockets);
    }

    fn keep_one_free(&mut self, now: Instant, sockets: &mut SocketSet<'_>) {
        let slots = &mut self.slots;
        if !slots.iter().all(Slot::is_held) {
            return;
        }
        let spare = slots
            .iter_mut()
            .filter(|slot| slot.is_spare(now))
            .min_by_key(|slot| slot.last_heard);
        if let Some(slot) = spare {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(slot.handle);
            if slot.is_open {
                socket.close();
            } else {
                // Who is not there does not answer a FIN either.
                socket.abort();
            }
            slot.closing_since.get_or_insert(now);
        }
    }

    /// Ends all connections: the address they were made to is gone.
    pub(super) fn abort(&mut self, sockets: &mut SocketSet<'_>) {
        for slot in self.slots.iter().filter(|slot| slot.is_open) {
            sockets.get_mut::<tcp::Socket<'_>>(slot.handle).abort();
        }
    }

    /// Whether a client has asked for a reset and has got the answer, or is gone.
    pub(super) fn is_reset_due(&self, sockets: &SocketSet<'_>) -> bool {
        let is_acked = |slot: &Slot<'_>| {
            let socket = sockets.get::<tcp::Socket<'_>>(slot.handle);
            let is_acked = socket.send_queue() == 0 || !socket.is_active();
            slot.connection.reset_after_ack() && is_acked
        };
        self.reset_due || self.slots.iter().any(is_acked)
    }

    /// Takes the promise of a reset back.
    pub(super) fn forget_reset(&mut self) {
        self.reset_due = false;
        for slot in &mut self.slots {
            slot.connection.forget_reset();
        }
    }

    /// When [`Web::serve`] is due without a frame or a step of the update.
    pub(super) fn poll_at(&self) -> Option<Instant> {
        let none_free = self.slots.iter().all(Slot::is_held);
        let mut earliest = Earliest::default();
        for slot in &self.slots {
            slot.poll_at(none_free, &mut earliest);
        }
        earliest.get()
    }
}

fn is_over(socket: &tcp::Socket<'_>) -> bool {
    matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait)
}

impl Slot<'_> {
    fn serve(
        &mut self,
        socket: &mut tcp::Socket<'_>,
        server: &mut Server,
        context: &mut Context<'_>,
    ) {
        match socket.state() {
            tcp::State::Closed | tcp::State::TimeWait => self.listen(socket, context),
            tcp::State::Listen | tcp::State::SynSent => self.is_asked = false,
            tcp::State::SynReceived if self.is_asked => {}
            tcp::State::SynReceived => (self.is_asked, self.last_heard) = (true, context.now),
            _ => {
                self.open(socket, context.now);
                self.exchange(socket, server, context);
                self.close(socket, context.now);
            }
        }
    }

    fn listen(&mut self, socket: &mut tcp::Socket<'_>, context: &mut Context<'_>) {
        if self.is_open {
            self.connection.lost(context);
            self.is_open = false;
            self.closing_since = Some(context.now);
        }
        // Listening again forgets the peer, and with it the RST that an abort still has to send.
        let is_resetting =
            socket.state() == tcp::State::Closed && socket.remote_endpoint().is_some();
        let since = self.closing_since.unwrap_or(Instant::ZERO);
        if is_resetting && context.now < since + MAX_RESETTING {
            return;
        }
        (self.closing_since, self.is_asked) = (None, false);
        // The socket is closed, and the port is not 0.
        let _ = socket.listen(PORT);
    }

    fn open(&mut self, socket: &tcp::Socket<'_>, now: Instant) {
        if self.is_open {
            return;
        }
        let peer = socket.remote_endpoint().map(|endpoint| endpoint.addr);
        let IpAddress::Ipv4(peer) = peer.unwrap_or(Ipv4Address::UNSPECIFIED.into());
        self.connection.open(now, peer);
        (self.is_open, self.is_asked) = (true, false);
        self.closing_since = None;
        self.last_heard = now;
    }

    fn exchange(
        &mut self,
        socket: &mut tcp::Socket<'_>,
        server: &mut Server,
        context: &mut Context<'_>,
    ) {
        let connection = &mut *self.connection;
        for _ in 0..ROUNDS {
            let taken = socket.recv(|bytes| {
                let used = connection.receive(bytes, server, context);
                (used, used)
            });
            if !socket.may_recv() {
                connection.peer_closed(context);
            }
            connection.poll(server, context);
            let sent = socket.send(|out| {
                let used = connection.transmit(context.now, out);
                (used, used)
            });
            let (taken, sent) = (taken.unwrap_or(0), sent.unwrap_or(0));
            if taken > 0 {
                self.last_heard = context.now;
            }
            if taken == 0 && sent == 0 {
                break;
            }
        }
    }

    fn close(&mut self, socket: &mut tcp::Socket<'_>, now: Instant) {
        if self.connection.wants_close() {
            // The FIN follows what is still to be sent.
            socket.close();
            self.closing_since.get_or_insert(now);
        }
        // A spare connection whose peer has seen the FIN holds nothing that a RST could destroy.
        let is_spare = self.connection.is_idle() && !self.connection.wants_close();
        let is_seen = socket.state() == tcp::State::FinWait2;
        let is_late = |at: Instant| now >= at + MAX_CLOSING || (is_spare && is_seen);
        if self.closing_since.is_some_and(is_late) {
            socket.abort();
        }
    }

    /// Whether the socket is taken and will not be free soon.
    fn is_held(&self) -> bool {
        (self.is_open || self.is_asked) && self.closing_since.is_none()
    }

    fn is_spare(&self, now: Instant) -> bool {
        self.spare_at().is_some_and(|at| at <= now)
    }

    /// When it may give way to others.
    fn spare_at(&self) -> Option<Instant> {
        match self.is_asked {
            true => Some(self.last_heard + ASKED_SPARE_AFTER),
            false => (self.connection.is_idle()).then(|| self.last_heard + SPARE_AFTER),
        }
    }

    fn poll_at(&self, none_free: bool, earliest: &mut Earliest) {
        let patience = if self.is_open {
            earliest.note(self.connection.poll_at());
            MAX_CLOSING
        } else {
            MAX_RESETTING
        };
        earliest.note(self.closing_since.map(|since| since + patience));
        earliest.note(self.spare_at().filter(|_| none_free));
    }
}

impl<F: Flash> Site for Updater<'_, F> {
    fn show(&self, report: &Report<'_>, to: &mut dyn FnMut(&View<'_>)) {
        to(&report.view(self));
    }
}
