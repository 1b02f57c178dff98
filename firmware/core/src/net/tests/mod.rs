//! The board's network loop and a client's smoltcp stack on one wire, in virtual time.

extern crate std;

mod address;
mod dhcp;
mod hostile;
mod lan;
mod loss;
mod transfer;
mod unlucky;
mod web;

use std::boxed::Box;
use std::string::String;
use std::vec;
use std::vec::Vec;

use iap_protocol::status::{IapReason, Status};
use iap_protocol::tftp::{Mode, Options, PORT, Packet, Request};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Address;

use super::{Iap, Indication, Platform, Storage, Turn};
use crate::config::Config;
use crate::testing::{Clock, Nor, config};
use crate::update::{Ring, Updater};
use lan::{BOARD_MAC, Client, Lan, Port};

const CLIENT: Ipv4Address = Ipv4Address::new(192, 168, 0, 1);
const BOARD: Ipv4Address = Ipv4Address::new(192, 168, 0, 10);
/// Bytes of the RAM ring; small, so that tests reach its end.
const RING: usize = 40 * 1024;

struct Surroundings {
    clock: Clock,
    seed: u32,
    shown: Vec<Indication>,
}

impl Platform for Surroundings {
    fn now(&mut self) -> Instant {
        self.clock.now()
    }

    fn random(&mut self) -> u32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1);
        self.seed
    }

    fn show(&mut self, indication: Indication) {
        self.shown.push(indication);
    }
}

struct Bench {
    board: Iap<'static, Nor>,
    port: Port,
    platform: Surroundings,
    lan: Lan,
    client: Client,
    clock: Clock,
    turn: Turn,
}

impl Bench {
    fn new() -> Self {
        Self::with(config(), IapReason::NoApplication)
    }

    fn with(config: Config, reason: IapReason) -> Self {
        let clock = Clock::default();
        let lan = Lan::default();
        let mut port = lan.board();
        let mut platform = Surroundings {
            clock: clock.clone(),
            seed: 1,
            shown: Vec::new(),
        };
        // Leaked: the board keeps them for ever, as it does on the chip.
        let config: &'static Config = Box::leak(Box::new(config));
        let ring = Ring::new([
            Box::leak(vec![0; RING / 2].into_boxed_slice()),
            Box::leak(vec![0; RING / 2].into_boxed_slice()),
        ]);
        let updater = Updater::new(Nor::new(&clock), config, ring).unwrap();
        let storage: &'static mut Storage<'static> = Box::leak(Box::new(Storage::new()));
        let board = Iap::new(
            config,
            updater,
            reason,
            BOARD_MAC,
            storage.memory(),
            &mut port,
            &mut platform,
        );
        let client = Client::new(&lan, CLIENT, clock.now());
        let turn = Turn {
            poll_at: None,
            reset: None,
        };
        Self {
            board,
            port,
            platform,
            lan,
            client,
            clock,
            turn,
        }
    }

    /// Runs until `done` gives something or `ms` have passed: turns of the board and of the client, and when both are at rest, time up
    /// to the next.
    fn run<T>(&mut self, ms: u64, mut done: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let until = self.clock.now() + Duration::from_millis(ms);
        for _ in 0..2_000_000 {
            self.turn = self.board.poll(&mut self.port, &mut self.platform);
            self.client.poll(self.clock.now());
            if let Some(result) = done(self) {
                return Some(result);
            }
            let now = self.clock.now();
            if !self.lan.is_quiet() || self.turn.poll_at == Some(now) {
                continue;
            } else if now >= until {
                return None;
            }
            let next = [self.turn.poll_at, self.client.poll_at(now), Some(until)];
            let next = next.into_iter().flatten().min().unwrap();
            self.clock.advance_to(next.min(until));
        }
        panic!("the board never came to rest");
    }

    fn wait(&mut self, ms: u64) {
        self.run(ms, |_| None::<()>);
    }

    /// The next datagram for the client within `ms`: the port it came from, and its bytes.
    fn receive(&mut self, ms: u64) -> Option<(u16, Vec<u8>)> {
        self.run(ms, |bench| bench.client.receive())
    }

    fn send(&mut self, port: u16, packet: &Packet<'_>) {
        let mut bytes = [0; 1500];
        let len = packet.encode(&mut bytes).unwrap();
        self.client.send(BOARD, port, &bytes[..len]);
    }

    /// Writes `bytes` as a TFTP client with these options does, tsize filled in if it is there; the sentence of the ERROR where there is one.
    fn push(&mut self, bytes: &[u8], options: Options) -> Result<(), String> {
        let block_size = usize::from(options.block_size.unwrap_or(512));
        let window = usize::from(options.window_size.unwrap_or(1)).min(8);
        let transfer_size = options.transfer_size.map(|_| bytes.len() as u64);
        let (port, mut acked) = self.begin(Options {
            transfer_size,
            ..options
        })?;
        let blocks = bytes.len() / block_size + 1;
        for _ in 0..10_000 {
            for block in acked + 1..=blocks.min(acked + window) {
                let start = (block - 1) * block_size;
                let payload = &bytes[start..bytes.len().min(start + block_size)];
                let block = block as u16;
                self.send(port, &Packet::Data { block, payload });
            }
            // A lost packet would cost a wait; a lossless wire must need none.
            let (_, block) = self.answer(20_000)?;
            acked += usize::from(block.wrapping_sub(acked as u16));
            if acked == blocks {
                return Ok(());
            }
        }
        panic!("the transfer never ended");
    }

    /// Writes blocks of 512 bytes of `bytes` until no ACK comes for two seconds.
    fn push_until_the_board_is_full(&mut self, bytes: &[u8]) {
        let (port, _) = self.begin(Options::default()).unwrap();
        for (block, payload) in (1..).zip(bytes.chunks(512)) {
            self.send(port, &Packet::Data { block, payload });
            if self.receive(2000).is_none() {
                return;
            }
        }
        panic!("the board took everything");
    }

    fn begin(&mut self, options: Options) -> Result<(u16, usize), String> {
        let request = Request {
            file_name: b"app.bin",
            mode: Mode::Octet,
            options,
        };
        self.send(PORT, &Packet::WriteRequest(request));
        self.answer(1000).map(|(port, block)| (port, block.into()))
    }

    /// The port and block of the next ACK; an OACK counts as block 0.
    fn answer(&mut self, ms: u64) -> Result<(u16, u16), String> {
        let (port, bytes) = self.receive(ms).expect("an answer in time");
        match Packet::decode(&bytes).unwrap() {
            Packet::Ack { block } => Ok((port, block)),
            Packet::OptionAck(_) => Ok((port, 0)),
            Packet::Error { message, .. } => Err(String::from_utf8(message.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn status(&mut self) -> Status {
        let request = Request {
            file_name: b"status.json",
            mode: Mode::Octet,
            options: Options::default(),
        };
        self.send(PORT, &Packet::ReadRequest(request));
        let mut json = Vec::new();
        for _ in 0..10 {
            let (port, bytes) = self.receive(1000).expect("a block");
            let Packet::Data { block, payload } = Packet::decode(&bytes).unwrap() else {
                panic!("{bytes:?}");
            };
            json.extend_from_slice(payload);
            self.send(port, &Packet::Ack { block });
            if payload.len() < 512 {
                return serde_json::from_slice(&json).unwrap();
            }
        }
        panic!("the status never ended");
    }
}
