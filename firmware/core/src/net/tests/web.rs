//! HTTP through the whole stack.

use std::format;

use super::*;
use crate::mode::ResetReason;
use crate::testing::application;
use iap_protocol::status::Phase;
use smoltcp::socket::tcp;

/// user:stm32
const LOGIN: &str = "Authorization: Basic dXNlcjpzdG0zMg==\r\n";

/// Sends `request` on connection `i`, connecting it where it is not, and returns what comes until the board closes.
fn exchange(bench: &mut Bench, i: usize, request: &[u8]) -> String {
    if !bench.client.stream(i).is_active() {
        bench.client.connect(i, BOARD);
    }
    let (mut sent, mut answer) = (0, Vec::new());
    let done = bench.run(60_000, |bench| {
        let stream = bench.client.stream(i);
        if stream.can_send() && sent < request.len() {
            sent += stream.send_slice(&request[sent..]).unwrap();
        }
        if stream.can_recv() {
            stream
                .recv(|bytes| {
                    answer.extend_from_slice(bytes);
                    (bytes.len(), ())
                })
                .unwrap();
        }
        let is_over = sent == request.len() && !stream.may_recv();
        is_over.then(|| stream.close())
    });
    assert!(
        done.is_some(),
        "no end after {:?}",
        String::from_utf8(answer)
    );
    String::from_utf8(answer).unwrap()
}

fn request(line: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: board\r\nConnection: close\r\nContent-Length: {len}\r\n{fields}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn upload(image: &[u8]) -> Vec<u8> {
    let fields = format!("Content-Type: application/octet-stream\r\n{LOGIN}");
    request("POST /upload.cgi", &fields, image)
}

/// A board that receives an upload on connection 0, the beginning of which it was sent.
fn uploading() -> Bench {
    let mut bench = Bench::new();
    bench.client.connect(0, BOARD);
    let request = upload(&application(300_000));
    let began = bench.run(5000, |bench| {
        let stream = bench.client.stream(0);
        if stream.can_send() {
            stream.send_slice(&request[..8000]).unwrap();
        }
        (bench.board.updater().phase() == Phase::Receiving).then_some(())
    });
    assert_eq!(began, Some(()));
    bench
}

#[test]
fn the_status_is_served() {
    let mut bench = Bench::new();
    let answer = exchange(&mut bench, 0, &request("GET /status.json", "", b""));
    let (head, json) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let status: Status = serde_json::from_str(json).unwrap();
    assert_eq!(status.board, "sim");
}

#[test]
fn an_image_larger_than_the_ring_is_written_without_losing_a_frame() {
    let mut bench = Bench::new();
    let image = application(300_000);
    let begun = bench.clock.now();
    let answer = exchange(&mut bench, 0, &upload(&image));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let flash = &bench.board.updater().flash().bytes;
    assert_eq!(flash[0x2_0000..0x2_0000 + image.len()], image);
    assert_eq!(
        bench.client.lost_frames(),
        0,
        "the window fits the DMA ring"
    );
    let took = bench.clock.now() - begun;
    assert!(took < Duration::from_millis(5000), "{took}");
}

#[test]
fn a_second_uploader_learns_who_is_updating() {
    let mut bench = Bench::new();
    bench.begin(Options::default()).unwrap();
    let answer = exchange(&mut bench, 0, &upload(&application(300_000)));
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert!(answer.contains("tftp from 192.168.0.1"), "{answer}");
}

#[test]
fn a_connection_that_breaks_off_frees_the_board() {
    let mut bench = uploading();
    bench.client.stream(0).abort();
    bench.wait(100);
    assert_eq!(bench.board.updater().phase(), Phase::Failed);
    assert_eq!(bench.push(&application(3000), Options::default()), Ok(()));
}

#[test]
fn a_client_that_vanishes_without_a_word_frees_the_board() {
    let mut bench = uploading();
    bench.lan.faults.borrow_mut().per_mille = 1000;
    bench.wait(20_000);
    assert_eq!(bench.board.updater().phase(), Phase::Failed);
    // The half-open connection is given up, too: the board sleeps.
    bench.wait(120_000);
    assert_eq!(bench.turn.poll_at, None);
    bench.lan.faults.borrow_mut().per_mille = 0;
    assert_eq!(bench.push(&application(3000), Options::default()), Ok(()));
}

/// With a low supply the board takes no more bytes, and a client cannot show in that way that it is there: its TCP is asked.
#[test]
fn a_client_that_vanishes_while_the_supply_is_low_frees_the_board() {
    let mut bench = Bench::new();
    bench.board.updater_mut().flash_mut().supply_low = true;
    bench.client.connect(0, BOARD);
    let (request, mut sent) = (upload(&application(300_000)), 0);
    bench.run(5000, |bench| {
        let stream = bench.client.stream(0);
        if stream.can_send() && sent < request.len() {
            sent += stream.send_slice(&request[sent..]).unwrap();
        }
        None::<()>
    });
    assert_eq!(bench.board.updater().phase(), Phase::SupplyLow);
    assert!(sent < request.len(), "it waits");
    bench.wait(600_000);
    assert_eq!(bench.board.updater().phase(), Phase::SupplyLow);
    bench.lan.faults.borrow_mut().per_mille = 1000;
    bench.wait(44_000);
    assert_eq!(bench.board.updater().phase(), Phase::SupplyLow);
    bench.wait(17_000);
    assert_eq!(bench.board.updater().phase(), Phase::Failed);
}

#[test]
fn the_reset_button_resets_after_its_answer_was_acknowledged() {
    let mut bench = Bench::new();
    let mut reset = None;
    bench.client.connect(0, BOARD);
    let body = request("POST /resetmcu.cgi", LOGIN, b"");
    let mut sent = false;
    let mut answer = Vec::new();
    bench.run(5000, |bench| {
        reset = reset.or(bench.turn.reset);
        let stream = bench.client.stream(0);
        if stream.can_send() && !sent {
            stream.send_slice(&body).unwrap();
            sent = true;
        }
        if stream.can_recv() {
            assert_eq!(reset, None, "not before the client has the answer");
            stream
                .recv(|bytes| {
                    answer.extend_from_slice(bytes);
                    (bytes.len(), ())
                })
                .unwrap();
        }
        reset
    });
    assert_eq!(reset, Some(ResetReason::HttpRequest));
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

#[test]
fn idle_connections_give_way_to_new_ones() {
    let mut bench = Bench::new();
    for i in 0..4 {
        bench.client.connect(i, BOARD);
        bench.wait(10);
        assert_eq!(bench.client.stream(i).state(), tcp::State::Established);
    }
    bench.wait(600);
    let answer = exchange(&mut bench, 4, &request("GET /status.json", "", b""));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let closed = (0..4)
        .filter(|&i| bench.client.stream(i).state() != tcp::State::Established)
        .count();
    assert_eq!(
        closed, 2,
        "one for the new client, one to keep a socket free"
    );
}

#[test]
fn a_board_with_idle_connections_sleeps_and_ends_them_at_last() {
    let mut bench = Bench::new();
    for i in 0..3 {
        bench.client.connect(i, BOARD);
    }
    bench.wait(120_000);
    assert_eq!(bench.turn.poll_at, None);
    for i in 0..3 {
        assert!(!bench.client.stream(i).may_recv());
    }
}

#[test]
fn sockets_are_used_again_and_again() {
    let mut bench = Bench::new();
    for round in 0..40 {
        let i = round % lan::STREAMS;
        let answer = exchange(&mut bench, i, &request("GET /status.json", "", b""));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        bench.wait(11_000);
    }
}

#[test]
fn uploads_over_a_bad_wire_end_with_the_right_bytes_in_flash() {
    for seed in 0..8 {
        let mut bench = Bench::new();
        *bench.lan.faults.borrow_mut() = lan::Faults {
            per_mille: 30,
            seed,
            count: 0,
        };
        let image = application(100_000);
        let answer = exchange(&mut bench, 0, &upload(&image));
        assert!(answer.starts_with("HTTP/1.1 200"), "seed {seed}: {answer}");
        let flash = &bench.board.updater().flash().bytes;
        let right = flash[0x2_0000..0x2_0000 + image.len()] == image;
        assert!(right, "seed {seed}");
        assert!(bench.lan.faults.borrow().count > 0, "the wire was bad");
    }
}
