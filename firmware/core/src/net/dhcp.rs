//! The DHCP client (RFC 2131), which is smoltcp's: what it is told about the board, and whom it tells what it has heard.

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::DhcpOption;

use super::address::{Addressing, Assignment};
use crate::config::NetworkConfig;

/// DHCP option 12, host name (RFC 2132 section 3.14).
const HOST_NAME: u8 = 12;

/// The options the client sends.
pub(super) type Options<'a> = [DhcpOption<'a>; 1];
/// None yet.
pub(super) const NO_OPTIONS: Options<'static> = [DhcpOption { kind: 0, data: &[] }];

/// The client, if the profile wants one.
#[derive(Debug)]
pub(super) struct Dhcp(Option<SocketHandle>);

impl Dhcp {
    /// Makes the socket.
    pub(super) fn new<'a>(
        network: &'a NetworkConfig,
        options: &'a mut Options<'a>,
        sockets: &mut SocketSet<'a>,
    ) -> Self {
        *options = [DhcpOption {
            kind: HOST_NAME,
            data: network.host_name.as_bytes(),
        }];
        let options = &options[..];
        Self(network.use_dhcp.then(|| sockets.add(socket(options))))
    }

    /// The link has come up: what was sent before went nowhere, so the client begins anew. A lease is kept, as an update may be running.
    pub(super) fn begin(&self, sockets: &mut SocketSet<'_>, addressing: &Addressing) {
        if let Some(handle) = self.0.filter(|_| !addressing.is_leased()) {
            sockets.get_mut::<dhcpv4::Socket<'_>>(handle).reset();
        }
    }

    /// Hands on what the client has heard.
    pub(super) fn news(
        &self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        addressing: &mut Addressing,
    ) {
        let Some(handle) = self.0 else {
            return;
        };
        match sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            Some(dhcpv4::Event::Configured(lease)) => addressing.leased(Assignment {
                address: lease.address,
                gateway: lease.router,
            }),
            Some(dhcpv4::Event::Deconfigured) => addressing.lease_lost(now),
            None => {}
        }
    }
}

fn socket<'a>(options: &'a [DhcpOption<'a>]) -> dhcpv4::Socket<'a> {
    let mut socket = dhcpv4::Socket::new();
    if options.iter().any(|option| !option.data.is_empty()) {
        socket.set_outgoing_options(options);
    }
    let mut retry = socket.get_retry_config();
    // A link that comes up begins anew; so much is for servers and switches that take their time.
    retry.discover_timeout = Duration::from_secs(3);
    socket.set_retry_config(retry);
    socket
}
