//! The models under drivers that others wrote: stm32-eth 0.8.2 (RMII) and embassy-stm32 (MII). Each gets an address by DHCP, echoes UDP, and
//! moves 100 KB of TCP both ways.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use iap_emulator::{Board, BoardOptions, Session, SessionOptions, Stop, Time};
use iap_profile::Profile;
use iap_sim::rng::Rng;

const PATIENCE: Duration = Duration::from_secs(60);
const TCP_BYTES: usize = 100_000;

/// A session with this driver's firmware that has its address.
fn session(profile: &str, driver: &str) -> Session {
    let (profile, image) = (
        Profile::load(profile).unwrap(),
        crate::common::driver(driver),
    );
    let mut content = vec![0xFF; 1024 * 1024];
    image.place(0x0800_0000, &mut content).unwrap();
    // The first DHCPDISCOVER leaves a few milliseconds after the reset and is not repeated for 10 s.
    let options = BoardOptions {
        link_up: Time::from_millis(1),
        ..BoardOptions::default()
    };
    let board = Board::new(&profile, &options, &content, image.symbols).unwrap();
    Session::new(board, &profile, &SessionOptions::default()).unwrap()
}

/// What the client does while the board runs.
fn client(udp: SocketAddr, tcp: SocketAddr) -> JoinHandle<()> {
    thread::spawn(move || {
        echo_datagrams(udp);
        echo_stream(tcp);
    })
}

/// The board may not have its address yet: the first datagrams may get lost. Firmware that never sleeps is emulated slower than it runs.
fn echo_datagrams(board: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut answer = [0; 2000];
    for len in [1, 100, 1400] {
        let sent = vec![len as u8; len];
        let answered = (0..100).any(|_| {
            socket.send_to(&sent, board).unwrap();
            socket
                .recv(&mut answer)
                .is_ok_and(|received| answer[..received] == sent)
        });
        assert!(answered, "no echo of {len} bytes");
    }
}

fn echo_stream(board: SocketAddr) {
    let mut rng = Rng::new(3);
    let sent: Vec<u8> = (0..TCP_BYTES).map(|_| rng.next() as u8).collect();
    let mut stream = TcpStream::connect(board).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let bytes = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&bytes).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(
        received == sent,
        "{} bytes came back, or others",
        received.len()
    );
}

fn carries(profile: &str, driver: &str) {
    let mut session = session(profile, driver);
    let client = client(session.peer.tftp_address(), session.peer.http_address());
    while !client.is_finished() {
        let limit = session.board.now() + Time::from_millis(5);
        let happened = session.run(limit).unwrap();
        assert_eq!(happened, Stop::Limit, "{:?}", session.board.pc());
        assert!(
            session.board.now() < Time::from_millis(60_000),
            "the client does not end"
        );
    }
    client.join().unwrap();
    let usage = session.board.ethernet_use();
    assert!(usage.received > 100 && usage.sent > 50, "{usage}");
    assert_eq!((usage.bus_errors, usage.overflowed), (0, 0), "{usage}");
    assert_eq!(crate::common::guest_errors(&session.board), [""; 0]);
}

#[test]
fn stm32_eth_gets_an_address_and_moves_100_kb_of_tcp_over_rmii() {
    carries("stm32f4-discovery", "driver-stm32-eth");
}

#[test]
fn embassy_stm32_gets_an_address_and_moves_100_kb_of_tcp_over_mii() {
    carries("stm324xg-eval", "driver-embassy");
}
