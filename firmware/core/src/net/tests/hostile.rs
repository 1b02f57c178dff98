//! The table of hostile requests through the whole stack: nothing they leave behind hurts the next upload.
//!
//! The memory of the network side is static ([`super::super::storage`]) and the core has no allocator, so what could leak are sockets,
//! sessions and the hold on the update.

use super::*;
use crate::http::tests::hostile::{HOSTILE, expand};
use crate::testing::application;
use smoltcp::socket::tcp;

/// Exchanges that are tried, with an upload after each tenth.
const ROUNDS: usize = 10_000;

const UPLOAD: &str = "POST /upload.cgi HTTP/1.1\r\nHost: b\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\nConnection: close\r\n\
    Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {L}\r\n\r\n";

/// Sends `request` on connection `i` in segments of `piece` bytes and returns what comes until the board closes.
fn exchange(bench: &mut Bench, i: usize, request: &[u8], piece: usize) -> Vec<u8> {
    // The connection before waits for late segments, as TCP does.
    bench.client.stream(i).abort();
    bench.wait(10);
    bench.client.connect(i, BOARD);
    let (mut sent, mut answer) = (0, Vec::new());
    let done = bench.run(120_000, |bench| {
        let stream = bench.client.stream(i);
        if stream.can_send() && stream.send_queue() == 0 && sent < request.len() {
            let end = request.len().min(sent + piece);
            sent += stream.send_slice(&request[sent..end]).unwrap();
        }
        if stream.can_recv() {
            let received = stream.recv(|bytes| (bytes.len(), bytes.to_vec()));
            answer.extend(received.unwrap());
        }
        let is_over = !stream.may_recv() && stream.state() != tcp::State::SynSent;
        is_over.then(|| stream.close())
    });
    assert!(done.is_some(), "{}", String::from_utf8_lossy(request));
    answer
}

/// A form of an application that is a little different in each round.
fn upload(round: usize) -> (Vec<u8>, Vec<u8>) {
    let mut file = application(600 + round % 500);
    file[100..104].copy_from_slice(&(round as u32).to_le_bytes());
    let start =
        &b"--b\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"a\"\r\n\r\n"[..];
    let body = [start, &file, b"\r\n--b--\r\n"].concat();
    let head = UPLOAD.replace("{L}", &std::format!("{}", body.len()));
    ([head.as_bytes(), &body].concat(), file)
}

#[test]
fn ten_thousand_hostile_requests_leak_no_socket_and_uploads_between_them_arrive_whole() {
    let mut bench = Bench::new();
    // This board's flash is larger than the one of the table.
    let table = (HOSTILE.iter()).filter(|(name, ..)| *name != "length larger than the flash");
    let requests: Vec<_> = table
        .map(|&(name, text, status)| (name, expand(text), status))
        .collect();
    assert!(requests.len() >= 60);
    let mut seed = 1u32;
    for round in 0..ROUNDS {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (name, request, status) = &requests[(seed >> 16) as usize % requests.len()];
        let piece = [1460, 700, 97][(seed >> 8) as usize % 3];
        let answer = exchange(&mut bench, round % lan::STREAMS, request, piece);
        let line = std::format!("HTTP/1.1 {status} ");
        assert!(
            answer.starts_with(line.as_bytes()),
            "round {round}: {name}: {}",
            String::from_utf8_lossy(&answer)
        );
        if round % 10 == 9 {
            let (request, file) = upload(round);
            let answer = exchange(&mut bench, (round + 1) % lan::STREAMS, &request, 1460);
            assert!(
                answer.starts_with(b"HTTP/1.1 200"),
                "round {round}, after {name}"
            );
            let flash = &bench.board.updater().flash().bytes;
            assert_eq!(
                flash[0x2_0000..0x2_0000 + file.len()],
                file,
                "round {round}"
            );
        }
    }
    // Nothing is left: the board sleeps, and as many clients as ever get in at once.
    bench.wait(120_000);
    assert_eq!(bench.turn.poll_at, None);
    for i in 0..super::super::HTTP_SOCKETS {
        bench.client.connect(i, BOARD);
    }
    bench.wait(100);
    for i in 0..super::super::HTTP_SOCKETS {
        assert_eq!(bench.client.stream(i).state(), tcp::State::Established);
    }
}
