//! A board without the TFTP server: images come over HTTP.

use core::marker::PhantomData;

use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::DeviceCapabilities;
use smoltcp::time::{Duration, Instant};

use super::board::BoardState;
use crate::config::Config;
use crate::update::Updater;

/// No sockets.
pub(super) const SOCKETS: usize = 0;
/// No buffers.
pub(super) const BYTES: usize = 0;
/// No datagrams.
pub(super) type Datagrams = ();
/// No datagrams.
pub(super) fn no_datagrams() -> Datagrams {}

/// What datagrams would be served with.
#[allow(dead_code)] // nobody is served
pub(super) struct Desk<'s, 'a, F> {
    pub(super) now: Instant,
    pub(super) config: &'s Config,
    pub(super) interface: &'s Interface,
    pub(super) updater: &'s mut Updater<'a, F>,
    pub(super) board: &'s mut BoardState,
}

/// No server.
pub(super) struct Files<'a>(PhantomData<&'a ()>);

impl<'a> Files<'a> {
    pub(super) fn new(
        _: &Config,
        _: &DeviceCapabilities,
        _: u16,
        _: &'a mut Datagrams,
        _: &mut &'a mut [u8],
        _: &mut SocketSet<'a>,
    ) -> Self {
        Self(PhantomData)
    }

    pub(super) fn serve<F>(&mut self, _: &mut SocketSet<'_>, _: &mut Desk<'_, '_, F>) {}

    pub(super) fn stalled(&mut self, _: Instant, _: Duration) {}

    pub(super) fn poll_at(&self, _: Instant) -> Option<Instant> {
        None
    }

    pub(super) fn is_reset_due(&self, _: Instant) -> bool {
        false
    }

    pub(super) fn forget_reset(&mut self) {}

    pub(super) fn last_heard(&self) -> Option<Instant> {
        None
    }

    pub(super) fn commit_acked_at(&self) -> Option<Instant> {
        None
    }
}
