//! Leases: a server that answers as the test says, and what of it the board believes.

use super::*;
use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr};

pub(super) const LEASED: Ipv4Address = Ipv4Address::new(192, 168, 0, 77);
/// A host of another network.
const FAR: Ipv4Address = Ipv4Address::new(10, 9, 9, 9);
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// The client's machine is the server, too.
impl Bench {
    /// A board with DHCP, which has asked for nothing yet.
    pub(super) fn with_dhcp() -> Self {
        let mut config = config();
        config.network.use_dhcp = true;
        let mut bench = Self::with(config, IapReason::NoApplication);
        bench.client.bind(SERVER_PORT);
        bench
    }

    /// The same with a lease.
    pub(super) fn with_lease() -> Self {
        let mut bench = Self::with_dhcp();
        bench.lease(100);
        bench
    }

    pub(super) fn lease(&mut self, ms: u64) {
        self.lease_with(ms, |_| {});
    }

    /// Gives the board what `change` makes of a lease; `ms` for its first message.
    pub(super) fn lease_with(&mut self, ms: u64, change: impl Fn(&mut DhcpRepr<'_>)) {
        let (kind, named) = self.serve_dhcp(ms, &change).expect("a DISCOVER");
        assert_eq!((kind, named), (DhcpMessageType::Discover, true));
        let (kind, _) = self.serve_dhcp(100, &change).expect("a REQUEST");
        assert_eq!(kind, DhcpMessageType::Request);
        self.wait(10);
    }

    /// The same after a time in which nobody has answered.
    pub(super) fn lease_at_last(&mut self, ms: u64) {
        while self.client.receive().is_some() {}
        self.lease(ms);
    }

    /// A lease while the client's other port has a transfer.
    pub(super) fn lease_beside_a_transfer(&mut self, ms: u64, change: impl Fn(&mut DhcpRepr<'_>)) {
        self.client.bind(SERVER_PORT);
        self.lease_with(ms, change);
        assert_eq!(self.board.address(), Some(BOARD), "an update runs");
        self.client.bind(4000);
    }

    pub(super) fn has_gateway(&self) -> bool {
        let routes = self.board.interface.routes();
        routes.get_default_ipv4_route().is_some()
    }

    /// Answers one message of the board's DHCP client with what `change` makes of a lease; its type, and whether it carried the host name.
    fn serve_dhcp(
        &mut self,
        ms: u64,
        change: impl Fn(&mut DhcpRepr<'_>),
    ) -> Option<(DhcpMessageType, bool)> {
        let (port, bytes) = self.receive(ms)?;
        assert_eq!(port, CLIENT_PORT);
        let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
        let named = packet
            .options()
            .any(|option| option.kind == 12 && option.data == b"iap-sim");
        let asked = DhcpRepr::parse(&packet).unwrap();
        let mut answer = DhcpRepr {
            message_type: match asked.message_type {
                DhcpMessageType::Discover => DhcpMessageType::Offer,
                DhcpMessageType::Request => DhcpMessageType::Ack,
                other => panic!("{other:?}"),
            },
            your_ip: LEASED,
            server_ip: CLIENT,
            router: Some(CLIENT),
            subnet_mask: Some(Ipv4Address::new(255, 255, 255, 0)),
            server_identifier: Some(CLIENT),
            lease_duration: Some(3600),
            requested_ip: None,
            client_identifier: None,
            parameter_request_list: None,
            max_size: None,
            additional_options: &[],
            ..asked
        };
        change(&mut answer);
        let mut bytes = vec![0; answer.buffer_len()];
        let mut packet = DhcpPacket::new_unchecked(&mut bytes[..]);
        answer.emit(&mut packet).unwrap();
        self.client
            .send(Ipv4Address::BROADCAST, CLIENT_PORT, &bytes);
        Some((asked.message_type, named))
    }

    /// The board's DHCP client is answered by a server without an address.
    fn serve_from_nowhere(&mut self, change: impl Fn(&mut DhcpRepr<'_>)) {
        for expected in [DhcpMessageType::Discover, DhcpMessageType::Request] {
            let (kind, _) = self.serve_dhcp(5000, &change).unwrap();
            assert_eq!(kind, expected);
            self.client.poll(self.clock.now());
            self.lan.forge_source(Ipv4Address::UNSPECIFIED, SERVER_PORT);
        }
    }
}

#[test]
fn a_lease_is_taken_and_the_server_learns_the_host_name() {
    let bench = Bench::with_lease();
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn a_router_that_is_no_other_station_of_the_subnet_is_no_gateway() {
    for (router, is_gateway) in [
        (CLIENT, true),
        (Ipv4Address::UNSPECIFIED, false),
        (Ipv4Address::BROADCAST, false),
        (Ipv4Address::new(224, 0, 0, 1), false),
        (Ipv4Address::new(192, 168, 0, 0), false),
        (Ipv4Address::new(192, 168, 0, 255), false),
        (Ipv4Address::new(192, 168, 1, 1), false),
        (LEASED, false),
    ] {
        let mut bench = Bench::with_dhcp();
        bench.lease_with(100, |answer| answer.router = Some(router));
        for _ in 0..3 {
            bench.lan.ping(FAR, LEASED);
            bench.wait(2000);
        }
        assert_eq!(bench.board.address(), Some(LEASED), "{router}");
        assert_eq!(bench.has_gateway(), is_gateway, "{router}");
    }
}

#[test]
fn a_lease_of_a_server_without_an_address_is_none_and_the_board_goes_on_asking() {
    const AT_ONCE: DhcpOption<'_> = DhcpOption {
        kind: 58,
        data: &[0; 4],
    };
    for renewal in [&[][..], &[AT_ONCE]] {
        let mut bench = Bench::with_dhcp();
        let renewed = renewal.to_vec();
        let options: &'static [DhcpOption<'static>] = renewed.leak();
        bench.serve_from_nowhere(|answer| answer.additional_options = options);
        bench.wait(10);
        assert_eq!(bench.board.address(), None);
        // Past the time at which it would have been renewed.
        bench.wait(3_700_000);
        assert_eq!(bench.board.address(), Some(BOARD));
        bench.lease_at_last(5000);
        assert_eq!(bench.board.address(), Some(LEASED));
    }
}

#[test]
fn a_lease_of_an_address_that_no_station_has_is_none() {
    let subnet = |host| Ipv4Address::new(192, 168, 0, host);
    for (address, mask, is_lease) in [
        (subnet(0), 0xFFFF_FF00, false),
        (subnet(255), 0xFFFF_FF00, false),
        (Ipv4Address::UNSPECIFIED, 0xFFFF_FF00, false),
        (Ipv4Address::BROADCAST, 0, false),
        (Ipv4Address::new(239, 0, 0, 1), 0, false),
        (subnet(63), 0xFFFF_FFC0, false),
        (subnet(63), 0xFFFF_FF00, true),
        (subnet(77), 0, true),
        (subnet(76), 0xFFFF_FFFE, true),
        (subnet(77), 0xFFFF_FFFE, true),
        (subnet(77), 0xFFFF_FFFF, true),
        (subnet(77), 0xFF00_FF00, false),
    ] {
        let mut bench = Bench::with_dhcp();
        for _ in 0..2 {
            bench.serve_dhcp(100, |answer| {
                answer.your_ip = address;
                answer.subnet_mask = Some(Ipv4Address::from_bits(mask));
            });
        }
        bench.wait(10);
        let expected = is_lease.then_some(address);
        assert_eq!(bench.board.address(), expected, "{address} {mask:x}");
        bench.lan.ping(FAR, address);
        // Past the renewal.
        bench.wait(1_900_000);
        assert!(bench.board.address().is_some(), "{address} {mask:x}");
    }
}

#[test]
fn a_lease_for_no_time_does_no_harm_and_the_next_is_taken() {
    let mut bench = Bench::with_dhcp();
    for _ in 0..4 {
        bench.serve_dhcp(100, |answer| answer.lease_duration = Some(0));
    }
    bench.wait(40_000);
    assert_eq!(bench.board.address(), Some(BOARD));
    bench.lease_at_last(5000);
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn a_server_with_a_lease_of_no_use_is_asked_every_few_seconds_and_not_all_the_time() {
    let mut bench = Bench::with_dhcp();
    let (mut discovers, until) = (0, bench.clock.now() + Duration::from_secs(60));
    for _ in 0..2000 {
        let asked = bench.serve_dhcp(5000, |answer| {
            answer.your_ip = Ipv4Address::new(192, 168, 0, 255);
        });
        discovers += u32::from(matches!(asked, Some((DhcpMessageType::Discover, _))));
        // As quick as a server on the same switch.
        bench.wait(1);
        if bench.clock.now() >= until {
            break;
        }
    }
    assert!((15..=45).contains(&discovers), "{discovers}");
    // A REQUEST that is not answered is given up.
    bench.wait(120_000);
    assert_eq!(bench.board.address(), Some(BOARD));
    bench.lease_at_last(5000);
    assert_eq!(bench.board.address(), Some(LEASED));
}
