//! Against a small board of its own: two echo servers on a stack, enough to see what the gateway does to addresses, ports and streams.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use smoltcp::iface::SocketHandle;
use smoltcp::socket::{dhcpv4, tcp, udp as board_udp};

use super::*;
use crate::clock::{Clock, Pace};
use crate::wire::{Conditions, segment};

const BOARD: Ipv4Cidr = Ipv4Cidr::new(Ipv4Address::new(192, 168, 0, 10), 24);
const PATIENCE: WallDuration = WallDuration::from_secs(10);
const TID: u16 = 40_000;

fn options(dhcp: bool) -> GatewayOptions {
    GatewayOptions {
        tftp_port: 0,
        http_port: 0,
        board: BOARD,
        address: Some(Ipv4Address::new(192, 168, 0, 1)),
        dhcp,
    }
}

struct Board {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    udp: [SocketHandle; 2],
    tcp: SocketHandle,
    dhcp: Option<SocketHandle>,
}

fn udp_socket(port: u16) -> board_udp::Socket<'static> {
    let buffer =
        || board_udp::PacketBuffer::new(vec![board_udp::PacketMetadata::EMPTY; 16], vec![0; 16384]);
    let mut socket = board_udp::Socket::new(buffer(), buffer());
    socket.bind(port).unwrap();
    socket
}

impl Board {
    fn new(mut port: Port, now: Instant, dhcp: bool) -> Self {
        let mac = EthernetAddress([2, 0, 0, 0, 0, 2]);
        let mut interface = Interface::new(Config::new(mac.into()), &mut port, now);
        if !dhcp {
            interface.update_ip_addrs(|list| list.push(BOARD.into()).unwrap());
        }
        let mut sockets = SocketSet::new(Vec::new());
        // Small buffers: a megabyte has to be braked.
        let buffer = || tcp::SocketBuffer::new(vec![0; 2048]);
        Self {
            port,
            interface,
            udp: [69, TID].map(|port| sockets.add(udp_socket(port))),
            tcp: sockets.add(tcp::Socket::new(buffer(), buffer())),
            dhcp: dhcp.then(|| sockets.add(dhcpv4::Socket::new())),
            sockets,
        }
    }

    fn poll(&mut self, now: Instant) -> bool {
        let result = self.interface.poll(now, &mut self.port, &mut self.sockets);
        self.lease();
        self.echo_udp() | self.echo_tcp() | (result == PollResult::SocketStateChanged)
    }

    fn lease(&mut self) {
        let Some(handle) = self.dhcp else { return };
        let event = self.sockets.get_mut::<dhcpv4::Socket>(handle).poll();
        if let Some(dhcpv4::Event::Configured(config)) = event {
            self.interface.update_ip_addrs(|list| {
                list.clear();
                list.push(config.address.into()).unwrap();
            });
        }
    }

    /// Answers with the sender's address in front; from a second port, as TFTP does, unless asked to stay on the first.
    fn echo_udp(&mut self) -> bool {
        let mut moved = false;
        for handle in self.udp {
            while let Ok((bytes, meta)) = self.sockets.get_mut::<board_udp::Socket>(handle).recv() {
                moved = true;
                let stay = bytes.starts_with(b"stay") && handle == self.udp[0];
                let answer = format!("{} {}", meta.endpoint, String::from_utf8_lossy(bytes));
                let from = self.udp[usize::from(!stay)];
                let socket = self.sockets.get_mut::<board_udp::Socket>(from);
                socket.send_slice(answer.as_bytes(), meta.endpoint).unwrap();
            }
        }
        moved
    }

    fn echo_tcp(&mut self) -> bool {
        let socket = self.sockets.get_mut::<tcp::Socket>(self.tcp);
        if !socket.is_open() {
            socket.listen(80).unwrap();
        }
        let mut moved = false;
        let mut bytes = [0; 512];
        while socket.can_recv() && socket.send_capacity() - socket.send_queue() >= bytes.len() {
            let len = socket.recv_slice(&mut bytes).unwrap();
            if bytes.starts_with(b"reset!") {
                socket.abort();
                return true;
            }
            socket.send_slice(&bytes[..len]).unwrap();
            moved = true;
        }
        if socket.state() == tcp::State::CloseWait && socket.recv_queue() == 0 && socket.can_send()
        {
            socket.send_slice(b" and bye").unwrap();
            socket.close();
        }
        moved
    }
}

/// Gateway and board in a thread, until dropped.
struct Rig {
    tftp: SocketAddr,
    http: SocketAddr,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn start(dhcp: bool) -> Self {
        let clock = Clock::new(Pace::Paced);
        let (near, far) = segment(1, Conditions::default(), Conditions::default());
        let mut gateway = Gateway::open(&options(dhcp), near, clock.now()).unwrap();
        let mut board = Board::new(far, clock.now(), dhcp);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (tftp, http) = (gateway.tftp_address(), gateway.http_address());
        let waker = gateway.waker();
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let now = clock.now();
                let moved = gateway.poll(now) | board.poll(now);
                if !moved && !board.port.has_frame(now) && !gateway.stack.port.has_frame(now) {
                    gateway.wait(Some(WallDuration::from_millis(5))).unwrap();
                }
            }
        });
        let thread = Some(thread);
        Self {
            tftp,
            http,
            stop,
            waker,
            thread,
        }
    }

    fn client(&self, from: &str) -> UdpSocket {
        let socket = UdpSocket::bind(from).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake().unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn ask(socket: &UdpSocket, to: SocketAddr, text: &str) -> (String, SocketAddr) {
    socket.send_to(text.as_bytes(), to).unwrap();
    let mut bytes = [0; 2000];
    let (len, from) = socket.recv_from(&mut bytes).unwrap();
    (String::from_utf8(bytes[..len].to_vec()).unwrap(), from)
}

#[test]
fn the_board_s_second_port_is_a_second_port_for_the_client() {
    let rig = Rig::start(false);
    let client = rig.client("127.0.0.1:0");
    let port = client.local_addr().unwrap().port();
    let (text, door) = ask(&client, rig.tftp, "stay");
    assert_eq!((text, door), (format!("192.168.0.1:{port} stay"), rig.tftp));
    let (text, door) = ask(&client, rig.tftp, "request");
    assert_eq!(text, format!("192.168.0.1:{port} request"));
    assert_ne!(door, rig.tftp);
    for i in 0..20 {
        let (text, from) = ask(&client, door, &format!("block {i}"));
        assert_eq!(
            (text, from),
            (format!("192.168.0.1:{port} block {i}"), door)
        );
    }
}

#[test]
fn a_third_party_s_packet_reaches_the_transfer_s_port_with_its_own_address() {
    let rig = Rig::start(false);
    let (client, stranger) = (rig.client("127.0.0.1:0"), rig.client("127.0.0.2:0"));
    let (_, door) = ask(&client, rig.tftp, "request");
    let port = stranger.local_addr().unwrap().port();
    let (text, from) = ask(&stranger, door, "intrude");
    assert_eq!((text, from), (format!("192.168.0.2:{port} intrude"), door));
}

#[test]
fn clients_at_several_loopback_addresses_are_several_hosts_even_with_the_same_port() {
    let rig = Rig::start(false);
    let first = rig.client("127.0.0.1:0");
    let port = first.local_addr().unwrap().port();
    let Ok(second) = UdpSocket::bind(("127.0.0.5", port)) else {
        return; // taken by somebody else on this machine
    };
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(
        ask(&first, rig.tftp, "a").0,
        format!("192.168.0.1:{port} a")
    );
    // Beyond the fourth address clients share the first host, and get another port there.
    let (text, _) = ask(&second, rig.tftp, "b");
    assert_eq!(text, format!("192.168.0.1:{} b", port + 1));
}

#[test]
fn a_megabyte_comes_back_through_small_buffers_and_a_half_close_lets_the_board_finish() {
    let rig = Rig::start(false);
    let mut stream = rig.connect();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i / 7) as u8).collect();
    let (mut out, sent) = (stream.try_clone().unwrap(), bytes.clone());
    let writer = std::thread::spawn(move || {
        out.write_all(&sent).unwrap();
        out.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    assert!(back[..bytes.len()] == bytes[..]);
    assert_eq!(back[bytes.len()..], *b" and bye");
}

#[test]
fn a_reset_by_the_board_is_a_reset_for_the_client() {
    let rig = Rig::start(false);
    let mut stream = rig.connect();
    stream.write_all(b"reset!").unwrap();
    let error = stream.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_resets_frees_the_board() {
    let rig = Rig::start(false);
    let stream = rig.connect();
    socket2::SockRef::from(&stream)
        .set_linger(Some(WallDuration::ZERO))
        .unwrap();
    (&stream).write_all(b"x").unwrap();
    (&stream).read_exact(&mut [0; 1]).unwrap();
    drop(stream);
    // The board has one socket: it must be free again for this.
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let mut stream = rig.connect();
        // While it is not, a connection is reset: before the write, or after it.
        if stream.write_all(b"y").is_ok() && stream.read_exact(&mut [0; 1]).is_ok() {
            break;
        }
        assert!(std::time::Instant::now() < deadline);
    }
}

#[test]
fn a_connection_the_board_refuses_is_reset() {
    let rig = Rig::start(false);
    let mut first = rig.connect();
    first.write_all(b"x").unwrap();
    first.read_exact(&mut [0; 1]).unwrap();
    let error = rig.connect().read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_board_that_asks_for_an_address_gets_one_and_is_reached_there() {
    let rig = Rig::start(true);
    let client = rig.client("127.0.0.1:0");
    client
        .set_read_timeout(Some(WallDuration::from_millis(50)))
        .unwrap();
    let mut bytes = [0; 100];
    // Nobody answers before the lease.
    let answered = (0..100).any(|_| {
        client.send_to(b"hello", rig.tftp).unwrap();
        client.recv_from(&mut bytes).is_ok()
    });
    assert!(answered);
}

#[test]
fn packets_for_a_silent_board_are_not_kept_for_later() {
    let (near, far) = segment(1, Conditions::default(), Conditions::default());
    let mut gateway = Gateway::open(&options(false), near, Instant::ZERO).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = |millis| Instant::from_millis(millis);
    for millis in (0..5000).step_by(100) {
        if millis < 4000 {
            client.send_to(b"old", gateway.tftp_address()).unwrap();
        }
        gateway.poll(at(millis));
    }
    gateway.poll(at(8000));
    let mut board = Board::new(far.clone(), at(8000), false);
    far.clear_ring(at(8000));
    client.send_to(b"new", gateway.tftp_address()).unwrap();
    for millis in (8000..12000).step_by(100) {
        while gateway.poll(at(millis)) | board.poll(at(millis)) {}
    }
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = [0; 100];
    let (len, _) = client.recv_from(&mut bytes).unwrap();
    assert!(bytes[..len].ends_with(b" new"));
}

#[test]
fn the_gateway_picks_addresses_of_the_subnet_that_are_not_the_board_s() {
    let with = |board: [u8; 4], prefix, address: Option<[u8; 4]>| {
        hosts(&GatewayOptions {
            board: Ipv4Cidr::new(board.into(), prefix),
            address: address.map(Ipv4Address::from),
            ..options(false)
        })
    };
    let ip = |last| Ipv4Address::new(10, 0, 0, last);
    assert_eq!(
        with([10, 0, 0, 2], 24, Some([10, 0, 0, 254])),
        [ip(254), ip(1), ip(3), ip(4)]
    );
    assert_eq!(
        with([10, 0, 0, 2], 24, Some([192, 168, 0, 1])),
        [ip(1), ip(3), ip(4), ip(5)]
    );
    assert_eq!(with([10, 0, 0, 2], 30, None), [ip(1)]);
}
