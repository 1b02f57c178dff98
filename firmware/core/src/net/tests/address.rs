//! Addresses: static, from a DHCP server, and in between; and who is answered.

use super::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame,
    EthernetProtocol, EthernetRepr, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr,
    UdpPacket,
};

use crate::testing::application;

const LEASED: Ipv4Address = Ipv4Address::new(192, 168, 0, 77);
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

impl Bench {
    fn link_comes_up(&mut self) {
        self.board.link_is_up(self.clock.now());
    }

    fn has_gateway(&self) -> bool {
        let routes = self.board.interface.routes();
        routes.get_default_ipv4_route().is_some()
    }
}

fn dhcp_bench() -> Bench {
    let mut config = config();
    config.network.use_dhcp = true;
    let mut bench = Bench::with(config, IapReason::NoApplication);
    bench.client.bind(SERVER_PORT);
    bench
}

/// Answers one message of the board's DHCP client with what `change` makes of a lease; its type, and whether it carried the host name.
fn serve_dhcp(
    bench: &mut Bench,
    ms: u64,
    change: impl Fn(&mut DhcpRepr<'_>),
) -> Option<(DhcpMessageType, bool)> {
    let (port, bytes) = bench.receive(ms)?;
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
    answer
        .emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]))
        .unwrap();
    bench
        .client
        .send(Ipv4Address::BROADCAST, CLIENT_PORT, &bytes);
    Some((asked.message_type, named))
}

fn lease(bench: &mut Bench, ms: u64) {
    lease_with(bench, ms, |_| {});
}

fn lease_with(bench: &mut Bench, ms: u64, change: impl Fn(&mut DhcpRepr<'_>)) {
    let (kind, named) = serve_dhcp(bench, ms, &change).expect("a DISCOVER");
    assert_eq!((kind, named), (DhcpMessageType::Discover, true));
    let (kind, _) = serve_dhcp(bench, 100, &change).expect("a REQUEST");
    assert_eq!(kind, DhcpMessageType::Request);
    bench.wait(10);
}

/// An echo request as a frame of the client.
fn ping(from: Ipv4Address, to: Ipv4Address) -> Vec<u8> {
    let checksum = ChecksumCapabilities::default();
    let echo = Icmpv4Repr::EchoRequest {
        ident: 7,
        seq_no: 1,
        data: b"are you there",
    };
    let ip = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Icmp,
        payload_len: echo.buffer_len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress([2, 0, 0, 0, 0, 1]),
        dst_addr: EthernetAddress([2, 1, 0, 0, 0, 0]),
        ethertype: EthernetProtocol::Ipv4,
    };
    let mut bytes = vec![0; 14 + 20 + echo.buffer_len()];
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut bytes[..]));
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[14..]), &checksum);
    echo.emit(
        &mut Icmpv4Packet::new_unchecked(&mut bytes[34..]),
        &checksum,
    );
    bytes
}

#[test]
fn without_dhcp_the_static_address_is_there_at_once_and_answers_pings() {
    let mut bench = Bench::new();
    // Makes the board ask for the client's hardware address first.
    bench.status();
    assert_eq!(bench.board.address(), Some(BOARD));
    bench
        .lan
        .to_board
        .borrow_mut()
        .push_back(ping(CLIENT, BOARD));
    bench.turn = bench.board.poll(&mut bench.port, &mut bench.platform);
    let frame = bench.lan.to_client.borrow_mut().pop_front().unwrap();
    let frame = EthernetFrame::new_checked(&frame[..]).unwrap();
    let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
    let reply = Icmpv4Packet::new_checked(packet.payload()).unwrap();
    let reply = Icmpv4Repr::parse(&reply, &ChecksumCapabilities::default()).unwrap();
    let Icmpv4Repr::EchoReply { data, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(data, b"are you there");
}

#[test]
fn a_lease_is_taken_and_the_server_learns_the_host_name() {
    let mut bench = dhcp_bench();
    lease(&mut bench, 100);
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn a_link_that_comes_up_asks_for_a_lease_at_once() {
    let mut bench = dhcp_bench();
    bench.wait(100);
    assert!(bench.client.receive().is_some(), "the first DISCOVER");
    assert_eq!(bench.receive(2000), None, "the next comes after 3 s");
    bench.link_comes_up();
    lease(&mut bench, 10);
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn after_a_flap_in_the_same_network_the_lease_is_renewed_and_the_address_never_goes() {
    let mut bench = dhcp_bench();
    lease(&mut bench, 100);
    let shown = bench.platform.shown.len();
    for _ in 0..3 {
        bench.link_comes_up();
        bench.wait(5);
        assert_eq!(bench.board.address(), Some(LEASED), "until it knows better");
        lease(&mut bench, 10);
    }
    bench.wait(60_000);
    assert_eq!(bench.board.address(), Some(LEASED));
    assert_eq!(
        bench.platform.shown.len(),
        shown,
        "never without an address"
    );
}

#[test]
fn after_a_flap_without_a_server_the_lease_is_kept_for_the_fallback_time() {
    let mut bench = dhcp_bench();
    lease(&mut bench, 100);
    bench.link_comes_up();
    bench.wait(20_000);
    // A link that flaps on does not make it longer.
    bench.link_comes_up();
    bench.wait(9_900);
    assert_eq!(bench.board.address(), Some(LEASED));
    bench.wait(200);
    assert_eq!(bench.board.address(), Some(BOARD), "as after a reset");
    while bench.client.receive().is_some() {}
    lease(&mut bench, 10_000);
    assert_eq!(bench.board.address(), Some(LEASED), "the server is back");
    bench.wait(60_000);
    assert_eq!(bench.board.address(), Some(LEASED), "and nothing is due");
}

#[test]
fn after_a_move_the_board_has_the_address_of_the_other_network() {
    let moved = Ipv4Address::new(10, 1, 2, 77);
    let mut bench = dhcp_bench();
    lease(&mut bench, 100);
    bench.link_comes_up();
    lease_with(&mut bench, 10, |answer| {
        answer.your_ip = moved;
        answer.router = Some(Ipv4Address::new(10, 1, 2, 1));
    });
    assert_eq!(bench.board.address(), Some(moved));
    assert!(bench.has_gateway());
    bench.wait(60_000);
    assert_eq!(bench.board.address(), Some(moved));
}

#[test]
fn a_move_during_an_update_is_noticed_at_once_and_acted_on_after_it() {
    let moved = Ipv4Address::new(192, 168, 0, 78);
    let mut bench = dhcp_bench();
    bench.wait(31_000);
    bench.client.bind(4000);
    let image = application(100);
    let (port, _) = bench.begin(Options::default()).unwrap();
    bench.link_comes_up();
    bench.client.bind(SERVER_PORT);
    lease_with(&mut bench, 10, |answer| answer.your_ip = moved);
    assert_eq!(bench.board.address(), Some(BOARD), "an update runs");
    bench.client.bind(4000);
    let payload = &image[..];
    bench.send(port, &Packet::Data { block: 1, payload });
    assert_eq!(bench.answer(5000), Ok((port, 1)));
    bench.wait(10);
    assert_eq!(bench.board.address(), Some(moved));
}

#[test]
fn a_router_that_is_no_other_station_of_the_subnet_is_no_gateway() {
    let far = Ipv4Address::new(10, 9, 9, 9);
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
        let mut bench = dhcp_bench();
        lease_with(&mut bench, 100, |answer| answer.router = Some(router));
        for _ in 0..3 {
            let frame = ping(far, LEASED);
            bench.lan.to_board.borrow_mut().push_back(frame);
            bench.wait(2000);
        }
        assert_eq!(bench.board.address(), Some(LEASED), "{router}");
        assert_eq!(bench.has_gateway(), is_gateway, "{router}");
    }
}

/// The board's DHCP client is answered by a server without an address.
fn serve_from_nowhere(bench: &mut Bench, change: impl Fn(&mut DhcpRepr<'_>)) {
    for expected in [DhcpMessageType::Discover, DhcpMessageType::Request] {
        let (kind, _) = serve_dhcp(bench, 5000, &change).unwrap();
        assert_eq!(kind, expected);
        bench.client.poll(bench.clock.now());
        let mut frames = bench.lan.to_board.borrow_mut();
        forge(frames.back_mut().unwrap(), Ipv4Address::UNSPECIFIED);
    }
}

#[test]
fn a_lease_of_a_server_without_an_address_is_none_and_the_board_goes_on_asking() {
    const AT_ONCE: DhcpOption<'_> = DhcpOption {
        kind: 58,
        data: &[0; 4],
    };
    for renewal in [&[][..], &[AT_ONCE]] {
        let mut bench = dhcp_bench();
        let renewed = renewal.to_vec();
        let options: &'static [DhcpOption<'static>] = renewed.leak();
        serve_from_nowhere(&mut bench, |answer| answer.additional_options = options);
        bench.wait(10);
        assert_eq!(bench.board.address(), None);
        // Past the time at which it would have been renewed.
        bench.wait(3_700_000);
        assert_eq!(bench.board.address(), Some(BOARD));
        while bench.client.receive().is_some() {}
        lease(&mut bench, 5000);
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
        let mut bench = dhcp_bench();
        for _ in 0..2 {
            serve_dhcp(&mut bench, 100, |answer| {
                answer.your_ip = address;
                answer.subnet_mask = Some(Ipv4Address::from_bits(mask));
            });
        }
        bench.wait(10);
        let expected = is_lease.then_some(address);
        assert_eq!(bench.board.address(), expected, "{address} {mask:x}");
        let frame = ping(Ipv4Address::new(10, 9, 9, 9), address);
        bench.lan.to_board.borrow_mut().push_back(frame);
        // Past the renewal.
        bench.wait(1_900_000);
        assert!(bench.board.address().is_some(), "{address} {mask:x}");
    }
}

#[test]
fn a_lease_for_no_time_does_no_harm_and_the_next_is_taken() {
    let mut bench = dhcp_bench();
    for _ in 0..4 {
        serve_dhcp(&mut bench, 100, |answer| answer.lease_duration = Some(0));
    }
    bench.wait(40_000);
    assert_eq!(bench.board.address(), Some(BOARD));
    while bench.client.receive().is_some() {}
    lease(&mut bench, 5000);
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn without_a_server_the_static_address_is_used_while_dhcp_goes_on() {
    let mut bench = dhcp_bench();
    bench.wait(29_900);
    assert_eq!(bench.board.address(), None);
    bench.wait(200);
    assert_eq!(bench.board.address(), Some(BOARD));
    while bench.client.receive().is_some() {}
    lease(&mut bench, 10_000);
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn a_lease_that_comes_during_an_update_is_applied_after_it() {
    let mut bench = dhcp_bench();
    bench.wait(31_000);
    bench.client.bind(4000);
    let image = application(1000);
    let (port, _) = bench.begin(Options::default()).unwrap();
    bench.client.bind(SERVER_PORT);
    lease(&mut bench, 4000);
    assert_eq!(bench.board.address(), Some(BOARD), "an update runs");
    bench.client.bind(4000);
    for block in 1..=2 {
        let start = 512 * (usize::from(block) - 1);
        let payload = &image[start..image.len().min(start + 512)];
        bench.send(port, &Packet::Data { block, payload });
        assert_eq!(bench.answer(5000), Ok((port, block)));
    }
    bench.wait(10);
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn a_request_to_everybody_is_ignored() {
    let mut bench = Bench::new();
    let mut bytes = [0; 64];
    let request = Request {
        file_name: b"status.json",
        mode: Mode::Octet,
        options: Options::default(),
    };
    let len = Packet::ReadRequest(request).encode(&mut bytes).unwrap();
    bench
        .client
        .send(Ipv4Address::BROADCAST, PORT, &bytes[..len]);
    assert_eq!(bench.receive(10_000), None);
}

/// Turns a frame of the client into one of a host that does not exist: same bytes, another source address, no checksum.
fn forge(frame: &mut [u8], source: Ipv4Address) {
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
    packet.set_src_addr(source);
    packet.fill_checksum();
    UdpPacket::new_unchecked(packet.payload_mut()).set_checksum(0);
}

#[test]
fn a_client_without_a_hardware_address_does_not_block_the_others_for_long() {
    let mut bench = Bench::new();
    bench.status();
    bench.client.send(BOARD, PORT, b"\0\x01nothing\0octet\0");
    bench.client.poll(bench.clock.now());
    let nobody = Ipv4Address::new(192, 168, 0, 99);
    forge(bench.lan.to_board.borrow_mut().back_mut().unwrap(), nobody);
    bench.wait(3500);
    bench.client.send(BOARD, PORT, b"\0\x01nothing\0octet\0");
    let (port, _) = bench.receive(1500).expect("the way is free again");
    assert_eq!(port, PORT);
}
