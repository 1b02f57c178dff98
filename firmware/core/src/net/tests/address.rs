//! Addresses: static, from a DHCP server, and in between; and who is answered.

use super::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket,
};

use crate::testing::application;

const LEASED: Ipv4Address = Ipv4Address::new(192, 168, 0, 77);
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

fn dhcp_bench() -> Bench {
    let mut config = config();
    config.network.use_dhcp = true;
    let mut bench = Bench::with(config, IapReason::NoApplication);
    bench.client.bind(SERVER_PORT);
    bench
}

/// Answers one message of the board's DHCP client; its type, and whether it carried the host name.
fn serve_dhcp(bench: &mut Bench, ms: u64) -> Option<(DhcpMessageType, bool)> {
    let (port, bytes) = bench.receive(ms)?;
    assert_eq!(port, CLIENT_PORT);
    let packet = DhcpPacket::new_checked(&bytes[..]).unwrap();
    let named = packet
        .options()
        .any(|option| option.kind == 12 && option.data == b"iap-sim");
    let asked = DhcpRepr::parse(&packet).unwrap();
    let answer = DhcpRepr {
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
    let (kind, named) = serve_dhcp(bench, ms).expect("a DISCOVER");
    assert_eq!((kind, named), (DhcpMessageType::Discover, true));
    let (kind, _) = serve_dhcp(bench, 100).expect("a REQUEST");
    assert_eq!(kind, DhcpMessageType::Request);
    bench.wait(10);
}

/// An echo request as a frame of the client.
fn ping() -> Vec<u8> {
    let checksum = ChecksumCapabilities::default();
    let echo = Icmpv4Repr::EchoRequest {
        ident: 7,
        seq_no: 1,
        data: b"are you there",
    };
    let ip = Ipv4Repr {
        src_addr: CLIENT,
        dst_addr: BOARD,
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
    bench.lan.to_board.borrow_mut().push_back(ping());
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
fn when_the_link_comes_up_a_lease_is_asked_for_at_once_unless_there_is_one() {
    let mut bench = dhcp_bench();
    bench.wait(100);
    assert!(bench.client.receive().is_some(), "the first DISCOVER");
    assert_eq!(bench.receive(2000), None, "the next comes after 3 s");
    bench.board.link_is_up();
    lease(&mut bench, 10);
    assert_eq!(bench.board.address(), Some(LEASED));
    bench.board.link_is_up();
    assert_eq!(bench.receive(10_000), None, "it keeps its lease");
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
fn forge(frame: &mut [u8]) {
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
    packet.set_src_addr(Ipv4Address::new(192, 168, 0, 99));
    packet.fill_checksum();
    UdpPacket::new_unchecked(packet.payload_mut()).set_checksum(0);
}

#[test]
fn a_client_without_a_hardware_address_does_not_block_the_others_for_long() {
    let mut bench = Bench::new();
    bench.status();
    bench.client.send(BOARD, PORT, b"\0\x01nothing\0octet\0");
    bench.client.poll(bench.clock.now());
    forge(bench.lan.to_board.borrow_mut().back_mut().unwrap());
    bench.wait(3500);
    bench.client.send(BOARD, PORT, b"\0\x01nothing\0octet\0");
    let (port, _) = bench.receive(1500).expect("the way is free again");
    assert_eq!(port, PORT);
}
