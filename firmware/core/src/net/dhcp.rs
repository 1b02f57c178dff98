//! The DHCP client (RFC 2131), which is smoltcp's: what it is told about the board, and whom it tells what it has heard.

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DhcpOption, IpAddress, Ipv4Address, Ipv4Cidr};

use super::address::{Addressing, Assignment};
use crate::config::NetworkConfig;

/// DHCP option 12, host name (RFC 2132 section 3.14).
const HOST_NAME: u8 = 12;

/// The options the client sends.
pub(super) type Options<'a> = [DhcpOption<'a>; 1];
/// None yet.
pub(super) const NO_OPTIONS: Options<'static> = [DhcpOption { kind: 0, data: &[] }];

/// Where DHCP servers listen, and the board (RFC 2131 section 4.1).
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Where nobody listens: what comes there is thrown away (RFC 863).
const DISCARD_PORT: u16 = 9;
/// How long the board asks nobody after a lease of no use; less than smoltcp takes to repeat a DISCOVER.
const PAUSE: Duration = Duration::from_secs(2);

/// The client, if the profile wants one.
#[derive(Debug)]
pub(super) struct Dhcp {
    handle: Option<SocketHandle>,
    /// Until when it asks nobody.
    paused_until: Option<Instant>,
}

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
        Self {
            handle: network.use_dhcp.then(|| sockets.add(socket(options))),
            paused_until: None,
        }
    }

    /// Begins anew, as after a reset: what was sent before went nowhere, or what is known may be wrong. It does not cost the address
    /// ([`Addressing::doubted`]).
    pub(super) fn begin(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        addressing: &mut Addressing,
    ) {
        if let Some(handle) = self.handle {
            let socket = sockets.get_mut::<dhcpv4::Socket<'_>>(handle);
            self.paused_until = None;
            socket.set_ports(SERVER_PORT, CLIENT_PORT);
            socket.reset();
            // That it has no lease now is no news.
            socket.poll();
            addressing.doubted(now);
        }
    }

    /// Hands on what the client has heard. To be called before the client sends again: its renewals trust the lease.
    pub(super) fn news(
        &mut self,
        now: Instant,
        sockets: &mut SocketSet<'_>,
        addressing: &mut Addressing,
    ) {
        let Some(handle) = self.handle else {
            return;
        };
        let socket = sockets.get_mut::<dhcpv4::Socket<'_>>(handle);
        if self.paused_until.is_some_and(|at| at <= now) {
            self.paused_until = None;
            socket.set_ports(SERVER_PORT, CLIENT_PORT);
        }
        match socket.poll() {
            Some(dhcpv4::Event::Configured(lease)) => match assignment(&lease) {
                Some(assignment) => addressing.leased(assignment),
                None => {
                    self.begin(now, sockets, addressing);
                    self.pause(now, sockets);
                }
            },
            Some(dhcpv4::Event::Deconfigured) => addressing.lease_lost(now),
            None => {}
        }
    }

    /// Lets the first message after a lease of no use go where nobody answers. smoltcp sends it at once, and the same server would give the same
    /// lease, as fast as it can and for ever.
    fn pause(&mut self, now: Instant, sockets: &mut SocketSet<'_>) {
        if let Some(handle) = self.handle {
            let socket = sockets.get_mut::<dhcpv4::Socket<'_>>(handle);
            socket.set_ports(DISCARD_PORT, CLIENT_PORT);
            self.paused_until = Some(now + PAUSE);
        }
    }

    /// When [`Dhcp::news`] is due.
    pub(super) fn poll_at(&self) -> Option<Instant> {
        self.paused_until
    }
}

/// What a lease gives the board; nothing if the board cannot use it. smoltcp takes over what the server says and asserts later, in
/// release builds too, that what it sends to has an address of one station.
fn assignment(lease: &dhcpv4::Config<'_>) -> Option<Assignment> {
    let address = lease.address;
    let is_other = |router: &Ipv4Address| *router != address.address();
    let gateway = lease.router.filter(is_other);
    let is_lease = is_unicast(lease.server.address) && is_station(address, address.address());
    is_lease.then(|| Assignment {
        address,
        gateway: gateway.filter(|router| is_station(address, *router)),
    })
}

/// Whether one station of the network can have this address; networks of one or two have no others (RFC 3021).
fn is_station(network: Ipv4Cidr, address: Ipv4Address) -> bool {
    let hosts = !network.netmask().to_bits();
    let host = address.to_bits() & hosts;
    let is_one = hosts <= 1 || (host != 0 && host != hosts);
    is_one && is_unicast(address) && network.contains_addr(&address)
}

fn is_unicast(address: Ipv4Address) -> bool {
    IpAddress::Ipv4(address).is_unicast()
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
