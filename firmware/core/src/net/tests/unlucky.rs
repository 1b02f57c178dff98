//! Clients that have no luck, or mean no good: what they leave behind must not cost the board its application, nor keep others out.

use super::*;
use crate::mode::ResetReason;
use crate::testing::application;
use iap_protocol::status::Phase;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp;
use smoltcp::wire::{
    EthernetAddress, IpProtocol, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

const NOBODY: Ipv4Address = Ipv4Address::new(192, 168, 0, 99);

const FAST: Options = Options {
    block_size: Some(1468),
    transfer_size: Some(0),
    timeout_s: None,
    window_size: Some(8),
};

/// What a client says that gives up.
const GIVES_UP: Packet<'_> = Packet::Error {
    code: 0,
    message: b"interrupted",
};

/// All of an image, but for the answer to its last block.
fn send_all(bench: &mut Bench, image: &[u8]) -> u16 {
    let (port, _) = bench.begin(Options::default()).unwrap();
    let blocks = image.len() / 512 + 1;
    for n in 1..=blocks {
        let start = 512 * (n - 1);
        let payload = &image[start..image.len().min(start + 512)];
        let block = n as u16;
        bench.send(port, &Packet::Data { block, payload });
        if n < blocks {
            assert_eq!(bench.answer(5000), Ok((port, block)));
        }
    }
    port
}

/// Its sectors are erased already: only the image that is here can put something that runs into them.
#[test]
fn a_client_that_gives_up_after_its_last_block_costs_nothing() {
    for len in [700, 300_100] {
        let mut bench = Bench::new();
        bench.push(&application(5000), FAST).unwrap();
        let mut image = application(len);
        image[600] ^= 0xFF;
        let port = send_all(&mut bench, &image);
        bench.run(50, |bench| {
            (bench.board.updater().phase() != Phase::Receiving).then_some(())
        });
        assert_ne!(bench.board.updater().phase(), Phase::Committed);
        bench.send(port, &GIVES_UP);
        bench.wait(10_000);
        assert_eq!(bench.board.updater().phase(), Phase::Committed, "{len}");
        let flash = &bench.board.updater().flash().bytes;
        assert!(flash[0x2_0000..0x2_0000 + len] == image);
        // Nobody is left over.
        bench.wait(20_000);
        while bench.client.receive().is_some() {}
        assert_eq!(bench.push(&application(3000), FAST), Ok(()));
    }
}

/// A SYN from a host that does not exist.
fn send_syn(lan: &Lan, port: u16) {
    let tcp = TcpRepr {
        src_port: port,
        dst_port: 80,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(1),
        ack_number: None,
        window_len: 1000,
        window_scale: None,
        max_seg_size: Some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let ip = Ipv4Repr {
        src_addr: NOBODY,
        dst_addr: BOARD,
        next_header: IpProtocol::Tcp,
        payload_len: tcp.buffer_len(),
        hop_limit: 64,
    };
    lan.send_as(EthernetAddress([2, 0, 0, 0, 0, 9]), &ip, |bytes| {
        let mut packet = TcpPacket::new_unchecked(bytes);
        let (from, to) = (NOBODY.into(), BOARD.into());
        tcp.emit(&mut packet, &from, &to, &ChecksumCapabilities::default());
    });
}

/// As of a host whose firewall lets no answer in, or that is not there.
#[test]
fn connections_that_nobody_completes_keep_nobody_out() {
    let mut bench = Bench::new();
    // Makes the board ask for the client's hardware address first.
    bench.status();
    for port in 1000..1008 {
        send_syn(&bench.lan, port);
        bench.wait(20);
    }
    bench.wait(3000);
    bench.client.connect(0, BOARD);
    bench.wait(1000);
    assert_eq!(bench.client.stream(0).state(), tcp::State::Established);
    bench.wait(180_000);
    assert_eq!(bench.turn.poll_at, None, "and the board sleeps at last");
}

/// A firewall between this host and the board lets requests through and no answers: its client begins again and again.
#[test]
fn a_host_that_never_gets_an_answer_does_not_keep_others_out() {
    let mut bench = Bench::new();
    bench.status();
    let mut taken = 0;
    for attempt in 0..12u16 {
        bench.client.send(BOARD, PORT, b"\0\x02app.bin\0octet\0");
        bench.client.poll(bench.clock.now());
        bench.lan.forge_source(NOBODY, 20_000 + attempt);
        bench.wait(3000);
        let begun = bench.begin(Options::default());
        if let Ok((port, _)) = begun {
            taken += 1;
            bench.send(port, &GIVES_UP);
            bench.wait(10);
        }
        bench.wait(2000);
    }
    assert!(taken >= 10, "{taken}");
}

/// Boards wait for months. 49.7 days are 2^32 ms, 71.6 minutes 2^32 us.
#[test]
fn no_time_that_a_board_waits_wears_it_out() {
    for s in [4294, 2_147_483, 4_294_967, 400_000_000] {
        let mut config = config();
        config.iap_idle_s = 300;
        config.auto_start_s = 5;
        let mut bench = Bench::with(config, IapReason::NoApplication);
        bench.wait(100);
        bench.clock.advance_to(Instant::from_secs(s));
        bench.wait(100);
        bench.client.connect(0, BOARD);
        bench.wait(100);
        assert_eq!(bench.client.stream(0).state(), tcp::State::Established);
        let (uptime, most) = (bench.status().uptime_ms, s as u64 * 1000 + 1000);
        assert!(u64::from(uptime) <= most, "{uptime}");
        assert_eq!(bench.push(&application(300_000), FAST), Ok(()), "{s}");
        let reset = bench.run(20_000, |bench| bench.turn.reset);
        assert_eq!(reset, Some(ResetReason::AutoStart), "{s}");
    }
}

/// Whoever was promised the reset has gone before it could happen; somebody else has begun an update by then.
#[test]
fn a_reset_that_was_promised_before_an_update_does_not_cut_off_its_answer() {
    let mut bench = Bench::new();
    bench.push(&application(5000), FAST).unwrap();
    bench.client.connect(0, BOARD);
    bench.run(1000, |bench| {
        bench.client.stream(0).can_send().then_some(())
    });
    let request = b"POST /resetmcu.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\nContent-Length: 0\r\n\r\n";
    bench.client.stream(0).send_slice(request).unwrap();
    bench.client.poll(bench.clock.now());
    // The board takes the request; nobody hears its answer.
    bench.turn = bench.board.poll(&mut bench.port, &mut bench.platform);
    bench.lan.to_client.borrow_mut().clear();
    bench.client.stream(0).abort();
    bench.client.poll(bench.clock.now());
    bench.lan.to_board.borrow_mut().clear();
    assert_eq!(bench.turn.reset, None, "it was not acknowledged");
    let image = application(300_000);
    let port = send_all(&mut bench, &image);
    let last = (image.len() / 512 + 1) as u16;
    let mut reset = None;
    let answered = bench.run(20_000, |bench| {
        reset = reset.or(bench.turn.reset);
        let (_, bytes) = bench.client.receive()?;
        Some(Packet::decode(&bytes) == Ok(Packet::Ack { block: last }))
    });
    assert_eq!((answered, reset), (Some(true), None), "port {port}");
}

/// It changed nothing: what was committed before is started as if nobody had come.
#[test]
fn an_upload_over_http_that_is_refused_leaves_the_end_of_the_push_over_tftp_before() {
    let mut config = config();
    config.auto_start_s = 5;
    let mut bench = Bench::with(config, IapReason::NoApplication);
    bench.push(&application(5000), FAST).unwrap();
    bench.client.connect(0, BOARD);
    bench.run(1000, |bench| {
        bench.client.stream(0).can_send().then_some(())
    });
    let request = b"POST /upload.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\nContent-Type: application/octet-stream\r\n\
        Content-Length: 9\r\n\r\n\x7fELF45678";
    bench.client.stream(0).send_slice(request).unwrap();
    let mut answer = Vec::new();
    let reset = bench.run(60_000, |bench| {
        let stream = bench.client.stream(0);
        if stream.can_recv() {
            let received = stream.recv(|bytes| (bytes.len(), bytes.to_vec()));
            answer.extend(received.unwrap());
        }
        bench.turn.reset
    });
    assert!(answer.starts_with(b"HTTP/1.1 4"), "the client was told");
    assert_eq!(reset, Some(ResetReason::AutoStart));
}

/// Its way to the board works, and the way back no longer does: it says the same for ever.
#[test]
fn a_client_that_only_repeats_itself_is_given_up() {
    let mut bench = Bench::new();
    let image = application(300_000);
    let (port, _) = bench.begin(Options::default()).unwrap();
    let payload = &image[..512];
    let mut given_up = None;
    for s in 0..100 {
        bench.send(port, &Packet::Data { block: 1, payload });
        bench.wait(1000);
        if bench.board.updater().phase() == Phase::Failed {
            given_up = given_up.or(Some(s));
        }
    }
    assert!(matches!(given_up, Some(58..=62)), "{given_up:?}");
}

/// With a low supply it has no other way to show that it is there.
#[test]
fn a_client_that_repeats_itself_because_the_board_has_no_room_is_waited_for() {
    let mut bench = Bench::new();
    bench.board.updater_mut().flash_mut().supply_low = true;
    let image = application(300_000);
    let (port, _) = bench.begin(Options::default()).unwrap();
    let mut block = 0u16;
    let blocks = (1..).zip(image.chunks(512));
    for (number, payload) in blocks.clone() {
        bench.send(
            port,
            &Packet::Data {
                block: number,
                payload,
            },
        );
        block = number;
        if bench.receive(1000).is_none() {
            break;
        }
    }
    let repeated = blocks.clone().nth(usize::from(block) - 1).unwrap().1;
    for _ in 0..300 {
        bench.send(
            port,
            &Packet::Data {
                block,
                payload: repeated,
            },
        );
        bench.wait(2000);
    }
    assert_eq!(bench.board.updater().phase(), Phase::SupplyLow);
    bench.board.updater_mut().flash_mut().supply_low = false;
    assert_eq!(bench.answer(5000), Ok((port, block)));
}
