//! The TFTP read client step by step, and both clients against random datagrams.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::time::Duration;

use iap_protocol::tftp::{Options, Packet};
use iapctl::tftp::{Client, Config, Machine, Phase, Reader, Reason};

const TID: u16 = 40_069;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn packet(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 2000];
    let len = packet.encode(&mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

fn data(block: u16, payload: &[u8]) -> Vec<u8> {
    packet(&Packet::Data { block, payload })
}

fn ack(block: u16) -> Vec<u8> {
    packet(&Packet::Ack { block })
}

/// Everything due at `now`.
fn sent(machine: &mut impl Machine, now: Duration) -> Vec<(u16, Vec<u8>)> {
    let mut out = Vec::new();
    let mut datagrams = Vec::new();
    while let Some(port) = machine.poll(now, &mut out) {
        datagrams.push((port, out.clone()));
        assert!(datagrams.len() < 1000, "it never stops sending");
    }
    datagrams
}

fn reader(config: Config) -> Reader {
    Reader::new(config, "status.json", 2000, ms(0))
}

fn plain() -> Config {
    Config {
        options: false,
        ..Config::default()
    }
}

#[test]
fn every_block_is_acknowledged_once_and_again_only_when_it_comes_again() {
    let mut reader = reader(plain());
    assert_eq!(
        sent(&mut reader, ms(0)),
        [(69, b"\x00\x01status.json\0octet\0".to_vec())]
    );
    reader.receive(ms(1), TID, &data(1, &[7; 512]));
    assert_eq!(sent(&mut reader, ms(1)), [(TID, ack(1))]);
    assert_eq!(sent(&mut reader, ms(2)), []);
    reader.receive(ms(3), TID, &data(1, &[9; 512]));
    assert_eq!(sent(&mut reader, ms(3)), [(TID, ack(1))]);
    reader.receive(ms(4), TID, &data(2, b"end"));
    assert_eq!(sent(&mut reader, ms(4)), [(TID, ack(2))]);
    let content = reader.result().unwrap().unwrap();
    assert_eq!(content, [&[7; 512][..], b"end"].concat());
    assert_eq!(reader.poll_at(), None);
}

#[test]
fn options_are_granted_by_an_oack_that_is_acknowledged() {
    let mut reader = reader(Config::default());
    sent(&mut reader, ms(0));
    let granted = Options {
        block_size: Some(1024),
        transfer_size: Some(1024),
        ..Options::default()
    };
    reader.receive(ms(1), TID, &packet(&Packet::OptionAck(granted)));
    assert_eq!(sent(&mut reader, ms(1)), [(TID, ack(0))]);
    reader.receive(ms(2), TID, &data(1, &[1; 1024]));
    assert_eq!(sent(&mut reader, ms(2)), [(TID, ack(1))]);
    assert_eq!(reader.result(), None, "a full block is not the last");
    reader.receive(ms(3), TID, &data(2, b""));
    assert_eq!(reader.result().unwrap().unwrap().len(), 1024);
}

#[test]
fn refused_options_lead_to_a_plain_request_at_once() {
    let mut reader = reader(Config::default());
    sent(&mut reader, ms(0));
    let refusal = Packet::Error {
        code: 8,
        message: b"no",
    };
    reader.receive(ms(1), TID, &packet(&refusal));
    assert_eq!(
        sent(&mut reader, ms(1)),
        [(69, b"\x00\x01status.json\0octet\0".to_vec())]
    );
}

#[test]
fn a_server_that_stops_in_the_middle_is_reported_with_the_block() {
    let mut reader = reader(plain());
    sent(&mut reader, ms(0));
    reader.receive(ms(1), TID, &data(1, &[7; 512]));
    for second in 0..=61 {
        sent(&mut reader, ms(1 + 1000 * second));
    }
    let error = reader.result().unwrap().unwrap_err();
    assert_eq!(
        (error.reason, error.phase),
        (
            Reason::Silent,
            Phase::Data {
                block: 2,
                blocks: 0
            }
        )
    );
}

#[test]
fn a_file_that_is_too_long_is_not_taken() {
    let mut reader = reader(plain());
    sent(&mut reader, ms(0));
    for block in 1..=4 {
        reader.receive(ms(1), TID, &data(block, &[7; 512]));
    }
    let error = reader.result().unwrap().unwrap_err();
    assert_eq!(error.reason, Reason::TooLong(2000));
    let words = sent(&mut reader, ms(1));
    assert!(words[0].1.starts_with(b"\x00\x05\x00\x03"), "{words:?}");
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A packet that a peer might send, possibly damaged.
    fn datagram(&mut self) -> Vec<u8> {
        let block = [0, 1, 2, 3, 8, 0xFFFF, self.below(0x1_0000) as u16][self.below(7) as usize];
        let payload = vec![7; [0, 1, 511, 512, 513, 1468][self.below(6) as usize]];
        let options = Options {
            block_size: (self.below(2) == 0)
                .then_some([8, 512, 1468, 9000][self.below(4) as usize]),
            window_size: (self.below(2) == 0).then_some([1, 16, 65_535][self.below(3) as usize]),
            ..Options::default()
        };
        let mut bytes = packet(&match self.below(6) {
            0 => Packet::Data {
                block,
                payload: &payload,
            },
            1 | 2 => Packet::Ack { block },
            3 => Packet::OptionAck(options),
            4 => Packet::Error {
                code: block,
                message: b"x",
            },
            _ => Packet::Ack {
                block: self.below(40) as u16,
            },
        });
        if self.below(4) == 0 {
            let at = self.below(bytes.len() as u64) as usize;
            bytes[at] = self.next() as u8;
            bytes.truncate(self.below(bytes.len() as u64 + 1) as usize);
        }
        bytes
    }
}

fn disturb(machine: &mut impl Machine, random: &mut Random) {
    let mut now = ms(0);
    for _ in 0..200 {
        sent(machine, now);
        if machine.result().is_some() {
            return;
        }
        assert!(
            machine.poll_at().is_some(),
            "nothing to wait for, and no result"
        );
        let port = [TID, 69, 5][random.below(3) as usize];
        let datagram = random.datagram();
        machine.receive(now, port, &datagram);
        now += ms(random.below(3000));
    }
}

#[test]
fn random_datagrams_end_a_transfer_or_not_but_never_break_a_client() {
    for seed in 0..5000 {
        let mut random = Random(seed);
        let config = if seed % 2 == 0 {
            plain()
        } else {
            Config::default()
        };
        disturb(&mut reader(config.clone()), &mut random);
        disturb(
            &mut Client::new(config, "a", vec![1; 20_000], ms(0)),
            &mut random,
        );
    }
}
