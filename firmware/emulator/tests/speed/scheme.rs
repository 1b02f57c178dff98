//! AN3968's way to do it, as a model: the first packet erases the whole user flash, then 512 bytes go over the wire and into the flash, are
//! acknowledged, and the next may come.
//!
//! Nothing but erasing, programming, the line and the round trip is counted: its processor costs nothing here, so it is at least this
//! slow. The client is iapctl's with its options off.

use std::time::Duration;

use iapctl::tftp::{Client, Config, Machine};

/// Where the board listens, and the port of its session.
const SERVER: u16 = 69;
const SESSION: u16 = 50_000;
const DATA: u8 = 3;
const ACK: u8 = 4;
/// Bytes around a datagram's payload on the line: preamble 8, Ethernet 18, gap 12, IP 20, UDP 8.
const OVERHEAD: usize = 66;

/// What things take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// One way, the line not counted.
    pub(crate) way: Duration,
    pub(crate) bits_per_s: u64,
    /// All sectors of user flash.
    pub(crate) erase: Duration,
    pub(crate) word: Duration,
}

impl Times {
    fn line(&self, payload: usize) -> Duration {
        let bits = (payload + OVERHEAD) as u64 * 8;
        Duration::from_nanos(bits * 1_000_000_000 / self.bits_per_s)
    }
}

/// From the write request to the last acknowledgement.
pub(crate) fn push(payload: &[u8], times: &Times) -> Duration {
    let config = Config {
        options: false,
        ..Config::default()
    };
    let mut client = Client::new(config, "app.bin", payload, Duration::ZERO);
    // When each answer arrives at the client; the board serves one packet after the other.
    let mut answers: Vec<(Duration, u16)> = Vec::new();
    let (mut now, mut free_at, mut last, mut out) = (Duration::ZERO, Duration::ZERO, None, vec![]);
    // Two packets for each block, and as many again.
    for _ in 0..payload.len() / 128 + 1000 {
        while let Some(port) = client.poll(now, &mut out) {
            let arrives = now + times.line(out.len()) + times.way;
            let busy = match (port, out.get(1), last) {
                // A second request would erase everything once more; in its favour it is not heard while it erases.
                (SERVER, _, None) => Some((times.erase, 0)),
                (SESSION, Some(&DATA), Some(acked)) => {
                    let number = u16::from_be_bytes([out[2], out[3]]);
                    let words = (out.len() - 4).div_ceil(4) as u32;
                    // A block that came before is only acknowledged.
                    Some((times.word * if number == acked { 0 } else { words }, number))
                }
                _ => None,
            };
            if let Some((busy, number)) = busy {
                free_at = free_at.max(arrives) + busy;
                last = Some(number);
                answers.push((free_at + times.line(4) + times.way, number));
            }
        }
        if let Some(result) = client.result() {
            assert!(result.is_ok(), "{result:?}");
            return now;
        }
        let due = client.poll_at().unwrap_or(Duration::MAX);
        match answers.first().copied() {
            Some((at, number)) if at <= due => {
                answers.remove(0);
                now = now.max(at);
                let [high, low] = number.to_be_bytes();
                client.receive(now, SESSION, &[0, ACK, high, low]);
            }
            _ => now = now.max(due),
        }
    }
    panic!("AN3968's scheme does not end");
}
