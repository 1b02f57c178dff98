//! The TFTP server among clients that send anything, at any time, to any of its ports.

use core::net::{Ipv4Addr, SocketAddrV4};

use iap_core::intake::Intake;
use iap_core::tftp::{Datagram, FILE_LEN, Limits, MAX_REPLY_LEN, MAX_SILENCE, Server};
use iap_protocol::tftp::{PORT, Packet};
use smoltcp::time::{Duration, Instant};

use super::board::Upload;
use super::script::Script;

/// Answers in a row without a datagram or a moment passing: an ACK, a repetition, an ERROR. More would be a storm.
const MAX_ANSWERS: usize = 4;

/// Datagrams, steps of the flash and silence in any order. Each answer is a TFTP packet; none leads to a storm; and when everybody is
/// silent the board is free in its time.
pub fn tftp_server(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let flags = script.byte();
    let limits = Limits {
        max_window: u16::from(flags & 0x1F),
        writes_allowed: flags & 0x80 == 0,
    };
    let mut file = [0; FILE_LEN];
    let mut bench = Bench {
        server: Server::new(limits, script.u16(), &mut file),
        upload: Upload::new(),
        now: Instant::from_secs(1000),
    };
    while !script.is_over() {
        bench.act(&mut script);
    }
    bench.everybody_leaves();
}

struct Bench<'a> {
    server: Server<'a>,
    upload: Upload,
    now: Instant,
}

impl Bench<'_> {
    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        match action & 0x0F {
            0 => self.now += Duration::from_millis(script.u16().into()),
            1 => self.upload.step(action & 0x10 == 0),
            2 => self.upload.room = usize::from(script.u16()),
            3 => self.upload.room = usize::MAX,
            4 => self.upload.refuses = action & 0x10 != 0,
            5 => {
                let duration = Duration::from_millis(u64::from(script.byte()) * 10);
                self.now += duration;
                self.server.stalled(self.now, duration);
            }
            6 => self.data(action, script),
            _ => self.datagram(action, script),
        }
        self.settle();
    }

    fn peer(action: u8) -> SocketAddrV4 {
        let host = Ipv4Addr::new(192, 168, 0, 1 + (action >> 4 & 1));
        SocketAddrV4::new(host, 5000 + u16::from(action >> 5 & 1))
    }

    fn port(&self, action: u8) -> u16 {
        match action >> 6 {
            0 => PORT,
            1 => self.server.read_port().unwrap_or(PORT),
            _ => self.server.write_port().unwrap_or(PORT),
        }
    }

    /// A block whose payload need not be in the input.
    fn data(&mut self, action: u8, script: &mut Script<'_>) {
        let (block, len) = (script.u16(), usize::from(script.u16() % 1600));
        let mut bytes = vec![0x5A; 4 + len];
        bytes[..2].copy_from_slice(&[0, 3]);
        bytes[2..4].copy_from_slice(&block.to_be_bytes());
        self.process(action, &bytes);
    }

    fn datagram(&mut self, action: u8, script: &mut Script<'_>) {
        let bytes = script.piece();
        self.process(action, bytes);
    }

    fn process(&mut self, action: u8, bytes: &[u8]) {
        let datagram = Datagram {
            local_port: self.port(action),
            peer: Self::peer(action),
            bytes,
        };
        let status = |_: &mut Upload, json: &mut [u8]| {
            let len = json.len().min(1000);
            json[..len].fill(b' ');
            len
        };
        let mut out = [0; MAX_REPLY_LEN];
        let (now, upload) = (self.now, &mut self.upload);
        let reply = self
            .server
            .process(now, &datagram, upload, status, &mut out);
        if let Some(reply) = reply {
            assert_eq!(reply.peer, datagram.peer, "who asks is answered");
            Packet::decode(&out[..reply.len]).unwrap();
        }
    }

    fn settle(&mut self) {
        let mut out = [0; MAX_REPLY_LEN];
        for _ in 0..MAX_ANSWERS {
            let (now, upload) = (self.now, &mut self.upload);
            let Some(reply) = self.server.poll(now, upload, &mut out) else {
                return;
            };
            Packet::decode(&out[..reply.len]).unwrap();
        }
        panic!("a storm of answers");
    }

    /// From here on only the board acts: what is complete is installed, what is not is given up after its time.
    fn everybody_leaves(&mut self) {
        self.upload.room = usize::MAX;
        let end = self.now + MAX_SILENCE + MAX_SILENCE;
        for _ in 0..100 {
            self.settle();
            self.upload.step(true);
            self.settle();
            match self.server.poll_at(self.now) {
                Some(at) if at < end => self.now = self.now.max(at),
                _ => break,
            }
            if self.server.is_reset_due(self.now) {
                return;
            }
        }
        assert!(!self.upload.is_busy(), "the board is not free");
    }
}
