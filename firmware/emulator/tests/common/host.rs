//! A host in virtual time at the other end of a board's wire: a stack, and `iapctl`'s TFTP client. Runs repeat to the microsecond, and time
//! in which nothing happens costs nothing.

use std::time::Duration;

use iap_emulator::{Board, Image, Peer, Session, Stop, Time};
use iap_profile::Profile;
use iap_sim::clock::Pace;
use iap_sim::wire::Port;
use iap_sim::{image, settings};
use iapctl::tftp::{Client, Config, Machine, TransferError, Upload};
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    HardwareAddress, IpCidr, Ipv4Address, Ipv4Cidr,
};

use super::built;
use super::iap::Setup;

const MAC: EthernetAddress = EthernetAddress([0x02, 0x48, 0x4F, 0x53, 0x54, 0x01]);
const LAST_OCTET: u8 = 2;
const PORT: u16 = 50_000;
/// Long enough for DHCP to be given up.
const STATIC_ADDRESS_AFTER: Time = Time::from_millis(31_000);
/// No transfer here takes longer.
const PATIENCE: Time = Time::from_millis(300_000);

/// The host.
pub(crate) struct Host {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    own: Ipv4Address,
    board: Ipv4Address,
    client: Option<Client<Vec<u8>>>,
}

fn since_power_on(now: Instant) -> Duration {
    Duration::from_micros(now.total_micros().unsigned_abs())
}

impl Host {
    fn new(mut port: Port, board: Ipv4Cidr, now: Instant) -> Self {
        let config = iface::Config::new(HardwareAddress::Ethernet(MAC));
        let mut interface = Interface::new(config, &mut port, now);
        let [a, b, c, _] = board.network().address().octets();
        let own = Ipv4Cidr::new(Ipv4Address::new(a, b, c, LAST_OCTET), board.prefix_len());
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::Ipv4(own)).unwrap());
        let buffer =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 98_304]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(PORT).unwrap();
        let mut sockets = SocketSet::new(Vec::new());
        Self {
            port,
            interface,
            socket: sockets.add(socket),
            sockets,
            own: own.address(),
            board: board.address(),
            client: None,
        }
    }

    /// The board's address.
    pub(crate) fn board(&self) -> Ipv4Address {
        self.board
    }

    /// Moves datagrams between the client and the socket.
    fn serve(&mut self, now: Instant) -> bool {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.socket);
        let (now, mut moved) = (since_power_on(now), false);
        let Some(client) = &mut self.client else {
            return false;
        };
        while let Ok((datagram, from)) = socket.recv() {
            client.receive(now, from.endpoint.port, datagram);
            moved = true;
        }
        let mut datagram = Vec::new();
        while let Some(port) = client.poll(now, &mut datagram) {
            socket.send_slice(&datagram, (self.board, port)).unwrap();
            moved = true;
        }
        moved
    }
}

impl Peer for Host {
    fn poll(&mut self, now: Instant) -> bool {
        (self.interface).poll(now, &mut self.port, &mut self.sockets);
        let moved = self.serve(now);
        (self.interface).poll(now, &mut self.port, &mut self.sockets);
        moved
    }

    fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let client = self.client.as_ref().and_then(Machine::poll_at);
        let client = client.map(|at| Instant::from_micros(at.as_micros() as i64));
        let own = self.interface.poll_at(now, &self.sockets);
        client
            .into_iter()
            .chain(own)
            .chain(self.port.next_arrival())
            .min()
    }

    fn wait(&mut self, _: Duration) -> anyhow::Result<()> {
        Ok(())
    }
}

/// A board and a host, both in virtual time.
pub(crate) struct Lan {
    pub(crate) session: Session<Host>,
    pub(crate) profile: Profile,
    name: String,
}

impl Lan {
    /// A board that has its static address.
    pub(crate) fn new(name: &str, mut setup: Setup) -> Self {
        setup.session.pace = Pace::Virtual;
        let profile = Profile::load(name).unwrap();
        let image = Image::load(&built::firmware(name), 0x0800_0000).unwrap();
        let mut content = vec![0xFF; 1024 * 1024];
        image.place(0x0800_0000, &mut content).unwrap();
        let board = Board::new(&profile, &setup.board, &content, image.symbols).unwrap();
        let address = settings::static_address(&profile);
        let peer = |port, now| Ok(Host::new(port, address, now));
        let session = Session::with_peer(board, &setup.session, peer).unwrap();
        let mut lan = Self {
            session,
            profile,
            name: name.to_owned(),
        };
        lan.runs(STATIC_ADDRESS_AFTER);
        lan
    }

    pub(crate) fn board(&mut self) -> &mut Board {
        &mut self.session.board
    }

    /// An application of so many bytes, and its `.iap` file.
    pub(crate) fn image(&self, version: (u16, u16, u16), len: usize) -> (Vec<u8>, Vec<u8>) {
        let map = self.profile.memory_map();
        let payload = image::application(map, version, len);
        let file = image::iap_file(map, &self.name, &payload);
        (payload, file)
    }

    /// Runs for so long; nothing may happen to the board.
    #[track_caller]
    pub(crate) fn runs(&mut self, span: Time) {
        let limit = self.session.board.now() + span;
        let stop = self.session.run(limit).unwrap();
        assert_eq!(stop, Stop::Limit, "{:?}", self.session.board.pc());
    }

    /// Asks for the board's hardware address: how long it takes from the request's first bit to the answer's last.
    #[track_caller]
    pub(crate) fn reply_to_arp(&mut self) -> Time {
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: MAC,
            source_protocol_addr: self.session.peer.own,
            target_hardware_addr: EthernetAddress::default(),
            target_protocol_addr: self.session.peer.board,
        };
        let mut frame = vec![0; 60];
        let mut view = EthernetFrame::new_unchecked(&mut frame[..]);
        view.set_dst_addr(EthernetAddress::BROADCAST);
        view.set_src_addr(MAC);
        view.set_ethertype(EthernetProtocol::Arp);
        request.emit(&mut ArpPacket::new_unchecked(view.payload_mut()));
        let at = self.board().now();
        let before = self.board().ethernet_use().sent;
        let wire_time = Instant::from_micros(at.micros() as i64);
        self.session.wire().send_frame(wire_time, frame);
        self.board().look_at_wire();
        for _ in 0..1000 {
            self.runs(Time::from_micros(5));
            if self.board().ethernet_use().sent > before {
                return self.board().now().since(at);
            }
        }
        panic!("no answer");
    }

    /// Begins to send a file.
    pub(crate) fn begin(&mut self, config: Config, file: Vec<u8>) {
        let now = Duration::from_micros(self.board().now().micros());
        self.session.peer.client = Some(Client::new(config, "app.iap", file, now));
    }

    /// Runs until `done`.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let limit = self.board().now() + PATIENCE;
        loop {
            if let Some(result) = done(self) {
                return result;
            }
            assert!(
                self.board().now() < limit,
                "it takes longer than {PATIENCE}"
            );
            self.runs(Time::from_micros(500));
        }
    }

    /// Runs to the transfer's end.
    #[track_caller]
    pub(crate) fn end(&mut self) -> Result<Upload, TransferError> {
        self.until(|lan| lan.session.peer.client.as_ref()?.result())
    }

    /// Sends a file from begin to end.
    #[track_caller]
    pub(crate) fn push(&mut self, file: Vec<u8>) -> Upload {
        self.begin(Config::default(), file);
        self.end().unwrap()
    }
}
