//! Which address the board has: the static one, or one from a DHCP server.
//!
//! ```text
//!  no DHCP:  static address for ever
//!  DHCP:     none ── fallback time ──> static ── lease ──> leased ── expired ──> none ...
//!              └──────────── lease ───────────────────────────^
//! ```
//!
//! DHCP never stops trying. While an update runs nothing changes: what came in that time is applied after it.
//!
//! A link that comes up may be another network's (RFC 2131 section 3.7): the client asks anew, and a lease is in doubt until a server
//! has answered. Meanwhile the board keeps it: nearly every time it is the same network, whose server answers in a moment, and what
//! reaches the board goes on. If nobody answers for the fallback time the static address takes its place, as after a reset, although
//! the RFC lets a client keep a lease until it expires: a board at another network without a server, such as a
//! technician's computer, would be deaf for as long, and one whose server is only away gets its lease with the next answer.

use smoltcp::iface::Interface;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpCidr, Ipv4Address, Ipv4Cidr};

use crate::config::NetworkConfig;

/// An address and the gateway that goes with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Assignment {
    pub(super) address: Ipv4Cidr,
    pub(super) gateway: Option<Ipv4Address>,
}

/// The state of the board's address.
#[derive(Debug)]
#[cfg_attr(not(feature = "dhcp"), allow(dead_code))] // no news without a client
pub(super) struct Addressing {
    fixed: Assignment,
    fallback: Option<Duration>,
    fallback_at: Option<Instant>,
    current: Option<Assignment>,
    wanted: Option<Assignment>,
}

impl Addressing {
    /// The state after a reset.
    pub(super) fn new(now: Instant, config: &NetworkConfig) -> Self {
        let fixed = Assignment {
            address: config.address,
            gateway: config.gateway,
        };
        let use_dhcp = config.use_dhcp && cfg!(feature = "dhcp");
        let fallback = use_dhcp.then(|| Duration::from_secs(config.dhcp_fallback_s.into()));
        Self {
            fixed,
            fallback,
            fallback_at: fallback.map(|after| now + after),
            current: None,
            wanted: fallback.is_none().then_some(fixed),
        }
    }

    /// Whether the board has an address.
    pub(super) fn is_assigned(&self) -> bool {
        self.current.is_some()
    }

    /// Takes a lease.
    #[cfg_attr(not(feature = "dhcp"), allow(dead_code))]
    pub(super) fn leased(&mut self, assignment: Assignment) {
        self.fallback_at = None;
        self.wanted = Some(assignment);
    }

    /// There is no lease, or no longer; also the first news after a reset, when there is nothing to lose.
    #[cfg_attr(not(feature = "dhcp"), allow(dead_code))]
    pub(super) fn lease_lost(&mut self, now: Instant) {
        if self.wanted != Some(self.fixed) {
            self.wanted = None;
            self.fallback_at = self.fallback.map(|after| now + after);
        }
    }

    /// A lease, if there is one, may be of another network: it is kept for the fallback time, which is not made longer by more doubts.
    #[cfg_attr(not(feature = "dhcp"), allow(dead_code))]
    pub(super) fn doubted(&mut self, now: Instant) {
        let fallback_at = self.fallback.map(|after| now + after);
        self.fallback_at = self.fallback_at.or(fallback_at);
    }

    /// Applies what is wanted, unless the board is busy; whether the address changed.
    pub(super) fn apply(&mut self, now: Instant, is_busy: bool, interface: &mut Interface) -> bool {
        if self.fallback_at.is_some_and(|at| at <= now) {
            self.fallback_at = None;
            self.wanted = Some(self.fixed);
        }
        if is_busy || self.wanted == self.current {
            return false;
        }
        self.current = self.wanted;
        let address = self.wanted.map(|assignment| assignment.address);
        interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // One address fits: the interface holds two.
            addresses.extend(address.map(IpCidr::Ipv4));
        });
        interface.routes_mut().remove_default_ipv4_route();
        if let Some(gateway) = self.wanted.and_then(|assignment| assignment.gateway) {
            // The table was emptied of its only entry above.
            let _ = interface.routes_mut().add_default_ipv4_route(gateway);
        }
        true
    }

    /// When [`Addressing::apply`] is due.
    pub(super) fn poll_at(&self) -> Option<Instant> {
        self.fallback_at
    }
}
