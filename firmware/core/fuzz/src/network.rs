//! The whole board on a wire on which anybody says anything: a panic here is a reset of the board.
//!
//! smoltcp asserts in release builds too that it is only ever told addresses of single stations, so what comes from the wire and
//! stays (leases, routes, peers) is as much the input as frames are. Checksums are not looked at, so that the input need not have them.

use std::collections::VecDeque;

use iap_core::config::Config;
use iap_core::intake::Intake;
use iap_core::net::{Iap, Indication, Platform, Storage};
use iap_core::update::{RING_RESERVE, Ring, Updater};
use iap_protocol::status::IapReason;
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame,
    EthernetProtocol, IpProtocol, Ipv4Address, Ipv4Packet, TcpPacket, UdpPacket,
};

use super::board::{Nor, config};
use super::script::Script;

const RING_LEN: usize = RING_RESERVE + 1024;
const BOARD_MAC: EthernetAddress = EthernetAddress([2, 1, 0, 0, 0, 0]);
const HOST_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const HOST: Ipv4Address = Ipv4Address::new(192, 168, 0, 1);
const LEASED: Ipv4Address = Ipv4Address::new(192, 168, 0, 77);
/// Turns in which the board must come to rest: an upload's flash operations are most of them.
const MAX_TURNS: usize = 10_000;
/// By then every client counts as gone, and the static address is taken.
const SILENCE: Duration = Duration::from_secs(150);

/// Frames, answers of DHCP servers, TCP segments that fit the connection, silence and links that come up, in any order. Then nobody says
/// anything for a while, and a good server comes: the board takes its lease.
pub fn network(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let flags = script.byte();
    let mut config = config();
    config.network.use_dhcp = flags & 1 == 0;
    config.network.gateway = (flags & 2 != 0).then_some(HOST);
    let mut storage = Box::new(Storage::new());
    let mut memory = vec![0; RING_LEN];
    let (first, second) = memory.split_at_mut(700);
    let updater = Updater::new(Nor::erased(), &config, Ring::new([first, second])).unwrap();
    let (mut wire, mut surroundings) = (Wire::default(), Surroundings::default());
    let board = Iap::new(
        &config,
        updater,
        IapReason::NoApplication,
        BOARD_MAC,
        storage.memory(),
        &mut wire,
        &mut surroundings,
    );
    let mut bench = Bench {
        board,
        wire,
        surroundings,
        is_reset: false,
    };
    while !script.is_over() && !bench.is_reset {
        bench.act(&mut script);
        bench.settle();
    }
    bench.end(&config);
}

struct Bench<'a> {
    board: Iap<'a, Nor>,
    wire: Wire,
    surroundings: Surroundings,
    is_reset: bool,
}

impl Bench<'_> {
    fn act(&mut self, script: &mut Script<'_>) {
        match script.byte() % 10 {
            0 => self.pass(Duration::from_millis(script.u16().into())),
            1 => self.pass(Duration::from_secs(u64::from(script.byte()) * 10)),
            2 => self.board.link_is_up(self.surroundings.now),
            3 => {
                let frame = script.piece().to_vec();
                self.wire.to_board.push_back(frame);
            }
            4 => self.arp(script),
            5 => self.segment(script),
            6 => {
                let (source, target) = (address(script), address(script));
                let (protocol, payload) = (script.byte(), script.piece());
                self.packet(source, target, protocol.into(), payload);
            }
            7 => {
                let (source, target) = (address(script), address(script));
                let (to, payload) = (script.byte(), script.piece());
                self.datagram(source, target, [5000, to.into()], payload);
            }
            _ => self.dhcp(script),
        }
    }

    /// Polls until the board is at rest.
    fn settle(&mut self) {
        for _ in 0..MAX_TURNS {
            let turn = self.board.poll(&mut self.wire, &mut self.surroundings);
            self.is_reset |= turn.reset.is_some();
            let is_due = turn.poll_at.is_some_and(|at| at <= self.surroundings.now);
            if self.is_reset || (!is_due && self.wire.to_board.is_empty()) {
                return;
            }
        }
        panic!("the board never came to rest");
    }

    /// Time passes, and what is due in it is done.
    fn pass(&mut self, time: Duration) {
        let end = self.surroundings.now + time;
        for _ in 0..MAX_TURNS {
            let turn = self.board.poll(&mut self.wire, &mut self.surroundings);
            self.is_reset |= turn.reset.is_some();
            if self.is_reset || self.surroundings.now >= end {
                return;
            }
            let next = turn.poll_at.unwrap_or(end).min(end);
            self.surroundings.now = next.max(self.surroundings.now);
        }
        panic!("the board polls on and on");
    }

    fn arp(&mut self, script: &mut Script<'_>) {
        let head = [0, 1, 8, 0, 6, 4, 0, 1 + script.byte() % 2];
        let (source, target) = (address(script).octets(), address(script).octets());
        let body = [&head[..], &HOST_MAC.0, &source, &BOARD_MAC.0, &target].concat();
        self.frame(EthernetProtocol::Arp, &body);
    }

    /// A segment that belongs to the connection, or nearly does.
    fn segment(&mut self, script: &mut Script<'_>) {
        let near = |number: u32, script: &mut Script<'_>| {
            let by = i32::from(script.byte() as i8);
            number.wrapping_add_signed(by).to_be_bytes()
        };
        let (sequence, acked) = (self.wire.acked, self.wire.sequence);
        let ports = [0x13, 0x88 + script.byte() % 2, 0, 80];
        let (sequence, acked) = (near(sequence, script), near(acked, script));
        let (offset, flags) = (5 + script.byte() % 3, script.byte());
        let window = script.u16().to_be_bytes();
        let head = [offset << 4, flags, window[0], window[1], 0, 0, 0, 0];
        let segment = [&ports[..], &sequence, &acked, &head, script.piece()].concat();
        let (source, target) = match script.byte() {
            0 => (HOST, self.own()),
            _ => (address(script), address(script)),
        };
        self.packet(source, target, IpProtocol::Tcp, &segment);
    }

    fn own(&self) -> Ipv4Address {
        self.board.address().unwrap_or(Ipv4Address::BROADCAST)
    }

    /// What a DHCP server may say to what it was asked last.
    fn dhcp(&mut self, script: &mut Script<'_>) {
        let kind = [
            DhcpMessageType::Offer,
            DhcpMessageType::Ack,
            DhcpMessageType::Nak,
        ];
        let kind = kind[usize::from(script.byte()) % kind.len()];
        let source = address(script);
        let (your_ip, mask) = (address(script), u32::MAX << (script.byte() % 34).min(31));
        let router = Some(address(script)).filter(|_| !script.byte().is_multiple_of(4));
        let (number, data) = (script.byte(), script.piece());
        let lease_duration = Some(script.u16().into());
        let answer = DhcpRepr {
            router,
            subnet_mask: Some(Ipv4Address::from_bits(mask)),
            lease_duration,
            // 58 and 59 are T1 and T2.
            additional_options: &[DhcpOption { kind: number, data }],
            ..answer(kind, self.wire.transaction, your_ip)
        };
        self.serve(source, &answer);
    }

    fn serve(&mut self, source: Ipv4Address, answer: &DhcpRepr<'_>) {
        let mut bytes = vec![0; answer.buffer_len()];
        if answer
            .emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]))
            .is_ok()
        {
            self.datagram(source, Ipv4Address::BROADCAST, [67, 68], &bytes);
        }
    }

    fn datagram(
        &mut self,
        source: Ipv4Address,
        target: Ipv4Address,
        ports: [u16; 2],
        payload: &[u8],
    ) {
        let len = (payload.len() as u16 + 8).to_be_bytes();
        let ports = [ports[0].to_be_bytes(), ports[1].to_be_bytes()].concat();
        let datagram = [&ports[..], &len, &[0, 0], payload].concat();
        self.packet(source, target, IpProtocol::Udp, &datagram);
    }

    fn packet(
        &mut self,
        source: Ipv4Address,
        target: Ipv4Address,
        protocol: IpProtocol,
        payload: &[u8],
    ) {
        let len = (payload.len() as u16 + 20).to_be_bytes();
        let head = [0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, protocol.into()];
        let addresses = [source.octets(), target.octets()].concat();
        let packet = [&head[..], &[0, 0], &addresses, payload].concat();
        self.frame(EthernetProtocol::Ipv4, &packet);
    }

    fn frame(&mut self, kind: EthernetProtocol, payload: &[u8]) {
        let kind = u16::from(kind).to_be_bytes();
        let frame = [&BOARD_MAC.0[..], &HOST_MAC.0, &kind, payload].concat();
        self.wire.to_board.push_back(frame);
    }

    /// Whatever was said before, a good server is believed.
    fn end(&mut self, config: &Config) {
        self.pass(SILENCE);
        if self.is_reset {
            return;
        }
        assert!(!self.board.updater().is_busy(), "the board is not free");
        if !config.network.use_dhcp {
            assert_eq!(self.board.address(), Some(config.network.address.address()));
            return;
        }
        self.board.link_is_up(self.surroundings.now);
        for kind in [DhcpMessageType::Offer, DhcpMessageType::Ack] {
            self.pass(Duration::from_millis(100));
            self.serve(HOST, &answer(kind, self.wire.transaction, LEASED));
        }
        self.pass(Duration::from_millis(100));
        assert_eq!(self.board.address(), Some(LEASED));
    }
}

/// A good answer.
fn answer(kind: DhcpMessageType, transaction_id: u32, your_ip: Ipv4Address) -> DhcpRepr<'static> {
    DhcpRepr {
        message_type: kind,
        transaction_id,
        secs: 0,
        client_hardware_address: BOARD_MAC,
        client_ip: Ipv4Address::UNSPECIFIED,
        your_ip,
        server_ip: HOST,
        router: Some(HOST),
        subnet_mask: Some(Ipv4Address::new(255, 255, 255, 0)),
        relay_agent_ip: Ipv4Address::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(HOST),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: Some(3600),
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    }
}

/// An address that means something, or any.
fn address(script: &mut Script<'_>) -> Ipv4Address {
    match script.byte() % 12 {
        0 => HOST,
        1 => Ipv4Address::UNSPECIFIED,
        2 => Ipv4Address::BROADCAST,
        3 => Ipv4Address::new(224, 0, 0, 1),
        4 => config().network.address.address(),
        5 => LEASED,
        6 => Ipv4Address::new(192, 168, 0, 255),
        7 => Ipv4Address::new(192, 168, 0, 0),
        8 => Ipv4Address::new(10, 9, 9, 9),
        9 => Ipv4Address::LOCALHOST,
        _ => Ipv4Address::from_bits(script.u32()),
    }
}

struct Surroundings {
    now: Instant,
    seed: u32,
}

impl Default for Surroundings {
    fn default() -> Self {
        let now = Instant::from_secs(1);
        Self { now, seed: 1 }
    }
}

impl Platform for Surroundings {
    fn now(&mut self) -> Instant {
        self.now
    }

    fn random(&mut self) -> u32 {
        self.seed = self
            .seed
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.seed
    }

    fn show(&mut self, _: Indication) {}
}

/// The frames under way, and what the board said last, for answers that fit.
#[derive(Default)]
struct Wire {
    to_board: VecDeque<Vec<u8>>,
    transaction: u32,
    /// The board's next sequence number, and what it expects.
    sequence: u32,
    acked: u32,
}

impl Wire {
    fn listen(&mut self, frame: &[u8]) -> Option<()> {
        let frame = EthernetFrame::new_checked(frame).ok()?;
        if frame.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
        assert!(!packet.dst_addr().is_unspecified());
        match packet.next_header() {
            IpProtocol::Tcp => {
                let segment = TcpPacket::new_checked(packet.payload()).ok()?;
                let next = segment.seq_number() + segment.segment_len();
                self.sequence = next.0 as u32;
                self.acked = segment.ack_number().0 as u32;
            }
            IpProtocol::Udp => {
                let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
                if datagram.dst_port() == 67 {
                    let message = DhcpPacket::new_checked(datagram.payload()).ok()?;
                    self.transaction = message.transaction_id();
                }
            }
            _ => {}
        }
        Some(())
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.to_board.pop_front()?;
        Some((Received(frame), Sending(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities.max_burst_size = Some(8);
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Sending<'a>(&'a mut Wire);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        let _ = self.0.listen(&frame);
        result
    }
}
