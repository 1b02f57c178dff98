//! A board without the HTTP server: the smaller flash map has no room for it.

use core::marker::PhantomData;

use smoltcp::iface::SocketSet;
use smoltcp::time::Instant;
use smoltcp::wire::Ipv4Address;

use super::board::BoardState;
use super::storage::HTTP_SOCKETS;
use crate::config::Config;
use crate::http::Connection;
use crate::update::Updater;

/// What connections would be served with.
#[allow(dead_code)] // nobody is served
pub(super) struct Service<'s, 'a, F> {
    pub(super) now: Instant,
    pub(super) config: &'s Config,
    pub(super) updater: &'s mut Updater<'a, F>,
    pub(super) board: &'s BoardState,
    pub(super) address: Ipv4Address,
    pub(super) random: &'s mut dyn FnMut() -> u32,
}

/// No connections.
pub(super) struct Web<'a>(PhantomData<&'a ()>);

impl<'a> Web<'a> {
    pub(super) fn new(
        _: &'a mut [Connection; HTTP_SOCKETS],
        _: &mut &'a mut [u8],
        _: &mut SocketSet<'a>,
    ) -> Self {
        Self(PhantomData)
    }

    pub(super) fn last_heard(&self) -> Option<Instant> {
        None
    }

    pub(super) fn serve<F>(&mut self, _: &mut SocketSet<'_>, _: &mut Service<'_, '_, F>) {}

    pub(super) fn abort(&mut self, _: &mut SocketSet<'_>) {}

    pub(super) fn is_reset_due(&self, _: &SocketSet<'_>) -> bool {
        false
    }

    pub(super) fn forget_reset(&mut self) {}

    pub(super) fn poll_at(&self) -> Option<Instant> {
        None
    }
}
