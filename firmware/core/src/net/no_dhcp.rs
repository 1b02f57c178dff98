//! A board without a DHCP client: its address is the static one.

use smoltcp::iface::SocketSet;
use smoltcp::time::Instant;

use super::address::Addressing;
use crate::config::NetworkConfig;

/// No options.
pub(super) type Options<'a> = core::marker::PhantomData<&'a ()>;
/// No options.
pub(super) const NO_OPTIONS: Options<'static> = core::marker::PhantomData;

/// No client.
#[derive(Debug)]
pub(super) struct Dhcp;

impl Dhcp {
    pub(super) fn new<'a>(
        _: &'a NetworkConfig,
        _: &'a mut Options<'a>,
        _: &mut SocketSet<'a>,
    ) -> Self {
        Self
    }

    pub(super) fn begin(&mut self, _: Instant, _: &mut SocketSet<'_>, _: &mut Addressing) {}

    pub(super) fn news(&mut self, _: Instant, _: &mut SocketSet<'_>, _: &mut Addressing) {}

    pub(super) fn poll_at(&self) -> Option<Instant> {
        None
    }
}
