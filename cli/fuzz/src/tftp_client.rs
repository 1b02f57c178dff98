//! The TFTP clients and a server that sends anything, at any time, from any port.

use std::time::Duration;

use iap_protocol::tftp::{MAX_REQUEST_LEN, Options, Packet};
use iapctl::tftp::{Client, Config, Machine, NetworkError, Reader};

/// Datagrams that may go out at one moment: the largest window, the repetition of it, and some last words.
const MAX_BURST: usize = 1200;
/// Ends of patience in a row.
const MAX_TURNS: usize = 20_000;

/// Answers in any order. Each datagram that goes out is a TFTP packet; there is no storm of them; `poll_at` never stands still; and in
/// the end, with a server that has gone silent, there is a result.
pub fn tftp_client(bytes: &[u8]) {
    let mut script = Script(bytes);
    let flags = script.byte();
    let config = Config {
        block_size: 8 + script.u16() % 1500,
        window_size: u16::from(script.byte()),
        options: flags & 1 == 0,
        ..Config::default()
    };
    let len = usize::from(script.u16());
    match flags & 2 {
        0 => drive(
            Client::new(config, "app.iap", vec![7; len], Duration::ZERO),
            script,
        ),
        _ => drive(
            Reader::new(config, "status.json", len, Duration::ZERO),
            script,
        ),
    }
}

fn drive(machine: impl Machine, mut script: Script<'_>) {
    let mut bench = Bench {
        machine,
        now: Duration::ZERO,
    };
    bench.flush();
    while !script.0.is_empty() {
        bench.act(&mut script);
        bench.flush();
    }
    bench.wait_for_the_end();
}

struct Bench<M> {
    machine: M,
    now: Duration,
}

impl<M: Machine> Bench<M> {
    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        // The port that a server's first answer comes from, and a stranger's.
        let port = 40_000 + u16::from(action >> 7);
        match action & 0x0F {
            0 => self.now += Duration::from_millis(script.u16().into()),
            1 => self.now += Duration::from_micros(script.u16().into()),
            2 => self.now = self.now.max(self.machine.poll_at().unwrap_or_default()),
            3 => self.answer(
                port,
                &Packet::Ack {
                    block: script.u16(),
                },
            ),
            4 => {
                let granted = Options {
                    block_size: Some(8 + script.u16() % 1500),
                    window_size: Some(1 + u16::from(script.byte())),
                    ..Options::default()
                };
                self.answer(port, &Packet::OptionAck(granted));
            }
            5 => {
                let (block, len) = (script.u16(), usize::from(script.u16() % 1600));
                let payload = &vec![b' '; len][..];
                self.answer(port, &Packet::Data { block, payload });
            }
            6 => self
                .machine
                .network_error(self.now, NetworkError::PortClosed),
            7 => self
                .machine
                .network_error(self.now, NetworkError::HostUnreachable),
            9 => self.machine.network_error(self.now, NetworkError::TooLong),
            8 if action & 0x70 == 0x70 => self.machine.cancel(self.now),
            _ => {
                let len = script.byte();
                let datagram = script.take(len.into());
                self.machine.receive(self.now, port, datagram);
            }
        }
    }

    fn answer(&mut self, port: u16, packet: &Packet<'_>) {
        let mut bytes = vec![0; 1700];
        if let Some(len) = packet.encode(&mut bytes) {
            self.machine.receive(self.now, port, &bytes[..len]);
        }
    }

    fn flush(&mut self) {
        let mut out = Vec::new();
        for _ in 0..MAX_BURST {
            if self.machine.poll(self.now, &mut out).is_none() {
                let progress = self.machine.progress();
                assert!(progress.total == 0 || progress.bytes <= progress.total);
                return;
            }
            assert!(Packet::decode(&out).is_ok(), "{out:?}");
            assert!(out.len() <= MAX_REQUEST_LEN.max(4 + 65_464));
        }
        panic!("a storm");
    }

    fn wait_for_the_end(&mut self) {
        for _ in 0..MAX_TURNS {
            let Some(at) = self.machine.poll_at() else {
                assert!(self.machine.result().is_some());
                return;
            };
            self.now = self.now.max(at);
            self.flush();
        }
        panic!("no end");
    }
}

/// What is left of an input; at its end everything is 0 and empty.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn u16(&mut self) -> u16 {
        u16::from(self.byte()) << 8 | u16::from(self.byte())
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
