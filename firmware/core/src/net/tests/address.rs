//! Addresses: static, leased, and in between; and who is answered.

use super::dhcp::LEASED;
use super::lan::ECHO;
use super::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{EthernetFrame, Icmpv4Packet, Icmpv4Repr, Ipv4Packet};

use crate::testing::application;

impl Bench {
    fn link_comes_up(&mut self) {
        self.board.link_is_up(self.clock.now());
    }

    /// A board that has its static address because no server answers, and a transfer to it: its port.
    fn with_transfer_without_a_server() -> (Self, u16) {
        let mut bench = Self::with_dhcp();
        bench.wait(31_000);
        bench.client.bind(4000);
        let (port, _) = bench.begin(Options::default()).unwrap();
        (bench, port)
    }
}

#[test]
fn without_dhcp_the_static_address_is_there_at_once_and_answers_pings() {
    let mut bench = Bench::new();
    // Makes the board ask for the client's hardware address first.
    bench.status();
    assert_eq!(bench.board.address(), Some(BOARD));
    bench.lan.ping(CLIENT, BOARD);
    bench.turn = bench.board.poll(&mut bench.port, &mut bench.platform);
    let frame = bench.lan.to_client.borrow_mut().pop_front().unwrap();
    let frame = EthernetFrame::new_checked(&frame[..]).unwrap();
    let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
    let reply = Icmpv4Packet::new_checked(packet.payload()).unwrap();
    let reply = Icmpv4Repr::parse(&reply, &ChecksumCapabilities::default()).unwrap();
    let Icmpv4Repr::EchoReply { data, .. } = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(data, ECHO);
}

#[test]
fn a_link_that_comes_up_asks_for_a_lease_at_once() {
    let mut bench = Bench::with_dhcp();
    bench.wait(100);
    assert!(bench.client.receive().is_some(), "the first DISCOVER");
    assert_eq!(bench.receive(2000), None, "the next comes after 3 s");
    bench.link_comes_up();
    bench.lease(10);
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn after_a_flap_in_the_same_network_the_lease_is_renewed_and_the_address_never_goes() {
    let mut bench = Bench::with_lease();
    let shown = bench.platform.shown.len();
    for _ in 0..3 {
        bench.link_comes_up();
        bench.wait(5);
        assert_eq!(bench.board.address(), Some(LEASED), "until it knows better");
        bench.lease(10);
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
    let mut bench = Bench::with_lease();
    bench.link_comes_up();
    bench.wait(20_000);
    // A link that flaps on does not make it longer.
    bench.link_comes_up();
    bench.wait(9_900);
    assert_eq!(bench.board.address(), Some(LEASED));
    bench.wait(200);
    assert_eq!(bench.board.address(), Some(BOARD), "as after a reset");
    bench.lease_at_last(10_000);
    assert_eq!(bench.board.address(), Some(LEASED), "the server is back");
    bench.wait(60_000);
    assert_eq!(bench.board.address(), Some(LEASED), "and nothing is due");
}

#[test]
fn after_a_move_the_board_has_the_address_of_the_other_network() {
    let moved = Ipv4Address::new(10, 1, 2, 77);
    let mut bench = Bench::with_lease();
    bench.link_comes_up();
    bench.lease_with(10, |answer| {
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
    let (mut bench, port) = Bench::with_transfer_without_a_server();
    let image = application(100);
    bench.link_comes_up();
    bench.lease_beside_a_transfer(10, |answer| answer.your_ip = moved);
    let payload = &image[..];
    bench.send(port, &Packet::Data { block: 1, payload });
    assert_eq!(bench.answer(5000), Ok((port, 1)));
    bench.wait(10);
    assert_eq!(bench.board.address(), Some(moved));
}

#[test]
fn without_a_server_the_static_address_is_used_while_dhcp_goes_on() {
    let mut bench = Bench::with_dhcp();
    bench.wait(29_900);
    assert_eq!(bench.board.address(), None);
    bench.wait(200);
    assert_eq!(bench.board.address(), Some(BOARD));
    bench.lease_at_last(10_000);
    assert_eq!(bench.board.address(), Some(LEASED));
}

#[test]
fn a_lease_that_comes_during_an_update_is_applied_after_it() {
    let (mut bench, port) = Bench::with_transfer_without_a_server();
    let image = application(1000);
    bench.lease_beside_a_transfer(4000, |_| {});
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

#[test]
fn a_client_without_a_hardware_address_does_not_block_the_others_for_long() {
    let mut bench = Bench::new();
    bench.status();
    bench.client.send(BOARD, PORT, b"\0\x01nothing\0octet\0");
    bench.client.poll(bench.clock.now());
    let nobody = Ipv4Address::new(192, 168, 0, 99);
    bench.lan.forge_source(nobody, 4000);
    bench.wait(3500);
    bench.client.send(BOARD, PORT, b"\0\x01nothing\0octet\0");
    let (port, _) = bench.receive(1500).expect("the way is free again");
    assert_eq!(port, PORT);
}
