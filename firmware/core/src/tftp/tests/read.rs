//! `status.json`.

use super::*;

fn rrq(bench: &mut Bench, peer: SocketAddrV4, name: &str, options: Options) -> Option<Sent> {
    let request = Request {
        file_name: name.as_bytes(),
        mode: Mode::Octet,
        options,
    };
    bench.send(PORT, peer, &Packet::ReadRequest(request))
}

/// Reads to the end; what came.
fn read_all(bench: &mut Bench, options: Options) -> Vec<u8> {
    let mut next = rrq(bench, CLIENT, "status.json", options);
    let mut all = Vec::new();
    for _ in 0..300 {
        let (port, _, said) = next.expect("an answer");
        let block = match said {
            Said::Options(_) => 0,
            Said::Data(block, bytes) => {
                all.extend_from_slice(&bytes);
                block
            }
            other => panic!("{other:?}"),
        };
        next = bench.send(port, CLIENT, &Packet::Ack { block });
        if bench.server.read_port().is_none() {
            assert_eq!(next, None);
            return all;
        }
    }
    panic!("the read never ended");
}

#[test]
fn the_status_is_read_in_blocks_of_any_size() {
    for len in [0, 1, 511, 512, 513, 1024, 1536] {
        for block_size in [None, Some(8), Some(512), Some(1468), Some(65464)] {
            let mut bench = Bench::new();
            bench.status = (0..len).map(|i| i as u8).collect();
            let options = Options {
                block_size,
                ..PLAIN
            };
            let got = read_all(&mut bench, options);
            assert_eq!(got, bench.status, "{len} bytes, {block_size:?}");
        }
    }
}

#[test]
fn tsize_tells_the_size_and_windowsize_is_not_granted() {
    let mut bench = Bench::new();
    let asked = Options {
        block_size: Some(4096),
        transfer_size: Some(0),
        timeout_s: Some(3),
        window_size: Some(8),
    };
    let (_, _, said) = rrq(&mut bench, CLIENT, "status.json", asked).unwrap();
    let granted = Options {
        block_size: Some(1468),
        transfer_size: Some(20),
        timeout_s: Some(3),
        window_size: None,
    };
    assert_eq!(said, Said::Options(granted));
}

#[test]
fn other_names_are_not_found_and_a_leading_slash_does_not_matter() {
    let mut bench = Bench::new();
    let (port, _, said) = rrq(&mut bench, CLIENT, "app.bin", PLAIN).unwrap();
    assert_eq!(port, PORT);
    assert_eq!(Some(said), error(ErrorCode::UnknownFile, ""));
    let (_, _, said) = rrq(&mut bench, CLIENT, "/status.json", PLAIN).unwrap();
    assert!(matches!(said, Said::Data(1, _)), "{said:?}");
}

#[test]
fn a_lost_block_is_sent_again_after_the_agreed_time_and_five_times_in_all() {
    for (timeout_s, wait) in [(None, 1000), (Some(4), 4000)] {
        let mut bench = Bench::new();
        let options = Options { timeout_s, ..PLAIN };
        let first = rrq(&mut bench, CLIENT, "status.json", options).unwrap().2;
        assert_eq!(bench.wait_ms(wait - 1), []);
        assert_eq!(bench.wait_ms(1), [first]);
        assert_eq!(bench.wait_ms(60_000).len(), 3);
        assert_eq!(bench.server.read_port(), None);
    }
}

#[test]
fn a_repeated_ack_does_not_repeat_data() {
    let mut bench = Bench::new();
    bench.status = [7; 1500].to_vec();
    let (port, _, _) = rrq(&mut bench, CLIENT, "status.json", PLAIN).unwrap();
    let ack = Packet::Ack { block: 1 };
    let (_, _, said) = bench.send(port, CLIENT, &ack).unwrap();
    assert!(matches!(said, Said::Data(2, _)));
    assert_eq!(bench.send(port, CLIENT, &ack), None);
}

#[test]
fn the_status_can_be_read_during_an_update() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, &[1; 512]);
    let got = read_all(&mut bench, PLAIN);
    assert_eq!(got, bench.status);
    assert_eq!(bench.data(2, &[1; 512]), Some(Said::Ack(2)));
}

#[test]
fn a_second_reader_waits_and_replaces_one_that_is_gone() {
    let mut bench = Bench::new();
    rrq(&mut bench, CLIENT, "status.json", PLAIN).unwrap();
    let port = bench.server.read_port();
    let other = rrq(&mut bench, OTHER_HOST, "status.json", PLAIN);
    assert_eq!((other, bench.server.read_port()), (None, port));
    bench.now += Duration::from_millis(1000);
    let (_, to, said) = rrq(&mut bench, OTHER_HOST, "status.json", PLAIN).unwrap();
    assert_eq!(to, OTHER_HOST);
    assert!(matches!(said, Said::Data(1, _)));
    assert_ne!(bench.server.read_port(), port);
}

#[test]
fn a_repeated_rrq_repeats_the_first_block_from_the_same_port() {
    let mut bench = Bench::new();
    let first = rrq(&mut bench, CLIENT, "status.json", PLAIN);
    assert_eq!(rrq(&mut bench, CLIENT, "status.json", PLAIN), first);
}

#[test]
fn a_reader_s_error_ends_the_read() {
    let mut bench = Bench::new();
    let (port, _, _) = rrq(&mut bench, CLIENT, "status.json", PLAIN).unwrap();
    let gone = Packet::Error {
        code: 0,
        message: b"",
    };
    assert_eq!(bench.send(port, CLIENT, &gone), None);
    assert_eq!(bench.server.read_port(), None);
}
