//! The TFTP server on its sockets: each datagram is handed to it, and its replies go out on the port they belong to.

use iap_protocol::status::Policy;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::socket::udp;
use smoltcp::time::{Duration, Instant};

use super::MAX_WINDOW;
use super::board::BoardState;
use super::ports::{self, Ports, sender};
use super::storage::cut;
use crate::config::Config;
use crate::flash::Flash;
use crate::tftp::{Datagram, FILE_LEN, Limits, MAX_REPLY_LEN, Server};
use crate::update::Updater;

pub(super) use ports::{Datagrams, SOCKETS, no_datagrams};

/// Bytes of all buffers.
pub(super) const BYTES: usize = ports::BYTES + FILE_LEN + MAX_REPLY_LEN;

/// What datagrams are served with.
pub(super) struct Desk<'s, 'a, F> {
    pub(super) now: Instant,
    pub(super) config: &'s Config,
    pub(super) interface: &'s Interface,
    pub(super) updater: &'s mut Updater<'a, F>,
    pub(super) board: &'s mut BoardState,
}

/// The server, its sockets, and the reply being written.
pub(super) struct Files<'a> {
    server: Server<'a>,
    ports: Ports,
    reply: &'a mut [u8],
}

impl<'a> Files<'a> {
    /// Makes the sockets; takes their buffers from the front of `bytes`.
    pub(super) fn new(
        config: &Config,
        capabilities: &DeviceCapabilities,
        seed: u16,
        datagrams: &'a mut Datagrams,
        bytes: &mut &'a mut [u8],
        sockets: &mut SocketSet<'a>,
    ) -> Self {
        let max_burst = capabilities.max_burst_size.unwrap_or(usize::MAX);
        let limits = Limits {
            max_window: u16::try_from(max_burst).map_or(MAX_WINDOW, |burst| burst.min(MAX_WINDOW)),
            writes_allowed: config.policy() != Policy::Login,
        };
        Self {
            server: Server::new(limits, seed, cut(bytes, FILE_LEN)),
            ports: Ports::new(datagrams, bytes, sockets),
            reply: cut(bytes, MAX_REPLY_LEN),
        }
    }

    /// Serves what the sockets hold, and sends what is due.
    pub(super) fn serve<F: Flash>(
        &mut self,
        sockets: &mut SocketSet<'_>,
        desk: &mut Desk<'_, '_, F>,
    ) {
        for handle in self.ports.handles() {
            self.serve_datagram(handle, sockets, desk);
        }
        // One answer each from the write and the read transfer; the rest is due at once and comes with the next turn.
        for _ in 0..2 {
            let reply = self.server.poll(desk.now, desk.updater, self.reply);
            self.ports.follow(desk.now, &self.server, sockets);
            if let Some(reply) = reply {
                self.ports.send(&reply, self.reply, sockets);
            }
        }
    }

    /// Hands one datagram to the server; there is never more than one, as frames are served one by one.
    fn serve_datagram<F: Flash>(
        &mut self,
        handle: SocketHandle,
        sockets: &mut SocketSet<'_>,
        desk: &mut Desk<'_, '_, F>,
    ) {
        let socket = sockets.get_mut::<udp::Socket<'_>>(handle);
        let local_port = socket.endpoint().port;
        let Ok((bytes, metadata)) = socket.recv() else {
            return;
        };
        let Some(peer) = sender(&metadata, desk.interface) else {
            return;
        };
        let (now, config, board) = (desk.now, desk.config, &mut *desk.board);
        let status = |updater: &mut Updater<'_, F>, json: &mut [u8]| {
            board.refresh(updater);
            board.report(now, config).write(updater, json)
        };
        let datagram = Datagram {
            local_port,
            peer,
            bytes,
        };
        let reply = self
            .server
            .process(now, &datagram, desk.updater, status, self.reply);
        self.ports.follow(now, &self.server, sockets);
        if let Some(reply) = reply {
            self.ports.send(&reply, self.reply, sockets);
        }
    }

    /// The board was deaf for `duration`.
    pub(super) fn stalled(&mut self, now: Instant, duration: Duration) {
        self.server.stalled(now, duration);
    }

    /// When [`Files::serve`] is due without a frame.
    pub(super) fn poll_at(&self, now: Instant) -> Option<Instant> {
        self.server.poll_at(now)
    }

    /// Whether a client has asked for a reset and has had the time to hear the answer.
    pub(super) fn is_reset_due(&self, now: Instant) -> bool {
        self.server.is_reset_due(now)
    }

    /// Takes the promise of a reset back.
    pub(super) fn forget_reset(&mut self) {
        self.server.forget_reset();
    }

    /// When a client was last heard.
    pub(super) fn last_heard(&self) -> Option<Instant> {
        self.server.last_heard()
    }

    /// When the last block of a committed image was acknowledged.
    pub(super) fn commit_acked_at(&self) -> Option<Instant> {
        self.server.commit_acked_at()
    }
}
