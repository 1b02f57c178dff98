//! A wire with a board and a client on it, the client's stack, and frames that no stack would send.

extern crate std;

use std::boxed::Box;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, HardwareAddress, Icmpv4Packet,
    Icmpv4Repr, IpAddress, IpCidr, IpEndpoint, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr,
    UdpPacket,
};

/// The client's hardware address, and the board's.
const CLIENT_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
pub(super) const BOARD_MAC: EthernetAddress = EthernetAddress([2, 1, 0, 0, 0, 0]);
/// What an echo request says.
pub(super) const ECHO: &[u8] = b"are you there";
/// Descriptors of the board's receive ring: more frames are lost.
pub(super) const RECEIVE_RING: usize = 10;

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// What a bad wire does to frames; nothing with `per_mille` 0.
#[derive(Default)]
pub(super) struct Faults {
    /// How many of 1000 frames are dropped, as many are doubled, and as many overtake the one before.
    pub(super) per_mille: u32,
    pub(super) seed: u32,
    /// How many frames it has done something to.
    pub(super) count: u32,
}

impl Faults {
    fn strikes(&mut self) -> bool {
        self.seed = self
            .seed
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let strikes = (self.seed >> 16) % 1000 < self.per_mille;
        self.count += u32::from(strikes);
        strikes
    }

    fn pass(&mut self, frame: Vec<u8>, queue: &mut VecDeque<Vec<u8>>) {
        if self.strikes() {
            return;
        }
        if self.strikes() {
            queue.push_back(frame.clone());
        }
        let at = queue.len().saturating_sub(usize::from(self.strikes()));
        queue.insert(at, frame);
    }
}

/// The frames under way.
#[derive(Default)]
pub(super) struct Lan {
    pub(super) to_board: Queue,
    pub(super) to_client: Queue,
    pub(super) faults: Rc<RefCell<Faults>>,
}

impl Lan {
    pub(super) fn board(&self) -> Port {
        Port {
            rx: self.to_board.clone(),
            tx: self.to_client.clone(),
            lost: Rc::default(),
            faults: self.faults.clone(),
            burst: Some(8),
            is_blocked: false,
        }
    }

    fn client(&self) -> Port {
        Port {
            rx: self.to_client.clone(),
            tx: self.to_board.clone(),
            lost: Rc::default(),
            faults: self.faults.clone(),
            burst: None,
            is_blocked: false,
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.to_board.borrow().is_empty() && self.to_client.borrow().is_empty()
    }

    /// Sends the board an echo request, in a frame of the client.
    pub(super) fn ping(&self, from: Ipv4Address, to: Ipv4Address) {
        let echo = Icmpv4Repr::EchoRequest {
            ident: 7,
            seq_no: 1,
            data: ECHO,
        };
        let ip = Ipv4Repr {
            src_addr: from,
            dst_addr: to,
            next_header: IpProtocol::Icmp,
            payload_len: echo.buffer_len(),
            hop_limit: 64,
        };
        self.send_as(CLIENT_MAC, &ip, |bytes| {
            let mut packet = Icmpv4Packet::new_unchecked(bytes);
            echo.emit(&mut packet, &ChecksumCapabilities::default());
        });
    }

    /// Sends the board a frame from this hardware address; `emit` writes what the IP packet carries.
    pub(super) fn send_as(
        &self,
        source: EthernetAddress,
        ip: &Ipv4Repr,
        emit: impl FnOnce(&mut [u8]),
    ) {
        let ethernet = EthernetRepr {
            src_addr: source,
            dst_addr: BOARD_MAC,
            ethertype: EthernetProtocol::Ipv4,
        };
        let mut bytes = vec![0; 14 + 20 + ip.payload_len];
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut bytes[..]));
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[14..]);
        ip.emit(&mut packet, &ChecksumCapabilities::default());
        emit(&mut bytes[34..]);
        self.to_board.borrow_mut().push_back(bytes);
    }

    /// Turns the last datagram on its way to the board into one of a host that does not exist: same bytes, another source, no checksum.
    pub(super) fn forge_source(&self, source: Ipv4Address, port: u16) {
        let mut frames = self.to_board.borrow_mut();
        let mut packet = Ipv4Packet::new_unchecked(&mut frames.back_mut().unwrap()[14..]);
        packet.set_src_addr(source);
        packet.fill_checksum();
        let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
        datagram.set_src_port(port);
        datagram.set_checksum(0);
    }
}

/// One end of the wire.
pub(super) struct Port {
    rx: Queue,
    tx: Queue,
    pub(super) lost: Rc<RefCell<usize>>,
    faults: Rc<RefCell<Faults>>,
    burst: Option<usize>,
    /// The transmitter takes nothing, as without a link.
    pub(super) is_blocked: bool,
}

impl Device for Port {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let frame = self.rx.borrow_mut().pop_front()?;
        Some((Received(frame), Sending(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        (!self.is_blocked).then_some(Sending(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities.max_burst_size = self.burst;
        capabilities
    }
}

pub(super) struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

pub(super) struct Sending<'a>(&'a mut Port);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        let mut queue = self.0.tx.borrow_mut();
        if self.0.burst.is_none() && queue.len() >= RECEIVE_RING {
            *self.0.lost.borrow_mut() += 1;
        } else {
            self.0.faults.borrow_mut().pass(frame, &mut queue);
        }
        result
    }
}

/// TCP connections of the client.
pub(super) const STREAMS: usize = 6;

/// The client: one UDP socket, some TCP sockets.
pub(super) struct Client {
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    streams: [SocketHandle; STREAMS],
    port: Port,
}

impl Client {
    pub(super) fn new(lan: &Lan, address: Ipv4Address, now: Instant) -> Self {
        let mut port = lan.client();
        let mac = HardwareAddress::Ethernet(CLIENT_MAC);
        let mut interface = Interface::new(Config::new(mac), &mut port, now);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(address.into(), 24)).unwrap();
        });
        // Leaked: the socket set of smoltcp without alloc borrows its memory.
        let storage = Box::leak(Box::new([const { SocketStorage::EMPTY }; STREAMS + 1]));
        let mut sockets = SocketSet::new(&mut storage[..]);
        let socket = sockets.add(udp::Socket::new(buffer(), buffer()));
        let streams = core::array::from_fn(|_| sockets.add(tcp::Socket::new(bytes(), bytes())));
        let mut client = Self {
            interface,
            sockets,
            socket,
            streams,
            port,
        };
        client.bind(4000);
        client
    }

    /// Moves to another port.
    pub(super) fn bind(&mut self, port: u16) {
        let socket = self.socket();
        socket.close();
        socket.bind(port).unwrap();
    }

    fn socket(&mut self) -> &mut udp::Socket<'static> {
        self.sockets.get_mut(self.socket)
    }

    /// TCP connection `i`.
    pub(super) fn stream(&mut self, i: usize) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.streams[i])
    }

    /// Connects TCP connection `i` to the board's port 80.
    pub(super) fn connect(&mut self, i: usize, board: Ipv4Address) {
        let local = 50_000 + i as u16;
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.streams[i]);
        socket
            .connect(self.interface.context(), (board, 80), local)
            .unwrap();
    }

    pub(super) fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.port, &mut self.sockets);
    }

    pub(super) fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        self.interface.poll_at(now, &self.sockets)
    }

    pub(super) fn send(&mut self, address: Ipv4Address, port: u16, bytes: &[u8]) {
        let to = IpEndpoint::new(IpAddress::Ipv4(address), port);
        self.socket().send_slice(bytes, to).unwrap();
    }

    pub(super) fn receive(&mut self) -> Option<(u16, Vec<u8>)> {
        let (bytes, from) = self.socket().recv().ok()?;
        Some((from.endpoint.port, bytes.to_vec()))
    }

    /// Frames that the board's receive ring had no room for.
    pub(super) fn lost_frames(&self) -> usize {
        *self.port.lost.borrow()
    }
}

fn bytes() -> tcp::SocketBuffer<'static> {
    tcp::SocketBuffer::new(Box::leak(Box::new([0; 16_384])).as_mut_slice())
}

fn buffer() -> udp::PacketBuffer<'static> {
    udp::PacketBuffer::new(
        Box::leak(Box::new([udp::PacketMetadata::EMPTY; 64])).as_mut_slice(),
        Box::leak(Box::new([0; 32_768])).as_mut_slice(),
    )
}
