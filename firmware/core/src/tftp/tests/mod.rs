//! The server against a fake update, in virtual time: each test is one sentence of the contract.

extern crate std;

mod ends;
mod read;
mod reset;
mod write;

use core::net::{Ipv4Addr, SocketAddrV4};
use std::string::{String, ToString};
use std::vec::Vec;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::tftp::{Mode, Options, PORT, Packet, Request};
use smoltcp::time::{Duration, Instant};

use super::{Datagram, FILE_LEN, Limits, MAX_REPLY_LEN, Reply, Server};
use crate::intake::{Intake, Outcome, Source, Ticket};

/// The options of a client that asks for none: blocks of 512 bytes in lock-step.
const PLAIN: Options = Options {
    block_size: None,
    transfer_size: None,
    timeout_s: None,
    window_size: None,
};
const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 0, 1), 4000);
const SAME_HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 0, 1), 4001);
const OTHER_HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 0, 2), 4000);

/// An update that does what the test says.
struct Fake {
    declared: Option<u32>,
    source: Option<Source>,
    bytes: Vec<u8>,
    room: usize,
    tickets: u32,
    busy: bool,
    finished: bool,
    refuse_begin: Option<Refusal>,
    refuse_accept: Option<Refusal>,
    outcome: Outcome,
    aborted: Option<Refusal>,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            declared: None,
            source: None,
            bytes: Vec::new(),
            room: 1 << 20,
            tickets: 0,
            busy: false,
            finished: false,
            refuse_begin: None,
            refuse_accept: None,
            outcome: Outcome::Running,
            aborted: None,
        }
    }
}

impl Intake for Fake {
    fn begin(
        &mut self,
        _: Instant,
        source: Source,
        size: Option<u32>,
        why: &mut Refusal,
    ) -> Result<Ticket, Refused> {
        if self.busy {
            let who = self.source.expect("busy with somebody").to_string();
            return Err(why.refuse_with(ErrorCode::Busy, who.as_bytes(), &[]));
        }
        if let Some(refusal) = &self.refuse_begin {
            return Err(why.refuse_as(refusal));
        }
        (self.declared, self.source, self.busy) = (size, Some(source), true);
        self.bytes.clear();
        self.tickets += 1;
        self.outcome = Outcome::Running;
        Ok(Ticket(self.tickets))
    }

    fn room(&self) -> usize {
        self.room
    }

    fn accept(&mut self, ticket: Ticket, bytes: &[u8], why: &mut Refusal) -> Result<(), Refused> {
        assert_eq!(ticket, Ticket(self.tickets));
        assert!(bytes.len() <= self.room, "accept keeps within room");
        assert!(self.busy && !self.finished);
        self.bytes.extend_from_slice(bytes);
        match self.refuse_accept.clone() {
            Some(refusal) => {
                let refused = why.refuse_as(&refusal);
                self.fail(refusal);
                Err(refused)
            }
            None => Ok(()),
        }
    }

    fn finish(&mut self, ticket: Ticket, _: &mut Refusal) -> Result<(), Refused> {
        assert_eq!(ticket, Ticket(self.tickets));
        assert!(!self.finished, "finish comes once");
        self.finished = true;
        Ok(())
    }

    fn abort(&mut self, ticket: Ticket, reason: &Refusal) {
        assert_eq!(ticket, Ticket(self.tickets));
        self.aborted = Some(reason.clone());
        self.fail(reason.clone());
    }

    fn outcome(&self, ticket: Ticket) -> &Outcome {
        assert_eq!(ticket, Ticket(self.tickets));
        &self.outcome
    }

    fn is_busy(&self) -> bool {
        self.busy
    }
}

impl Fake {
    fn fail(&mut self, refusal: Refusal) {
        self.outcome = Outcome::Failed(refusal);
        self.busy = false;
    }

    fn commit(&mut self) {
        assert!(self.finished, "nothing commits before its end");
        self.outcome = Outcome::Committed;
        self.busy = false;
    }
}

/// A packet the server sent.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Said {
    Ack(u16),
    Options(Options),
    Data(u16, Vec<u8>),
    Error(u16, String),
}

/// Who got it, from which port, and what it says.
type Sent = (u16, SocketAddrV4, Said);

struct Bench {
    server: Server<'static>,
    fake: Fake,
    now: Instant,
    status: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        Self::with(true)
    }

    fn with(writes_allowed: bool) -> Self {
        let limits = Limits {
            max_window: 16,
            writes_allowed,
        };
        Self {
            server: Server::new(limits, 0x1234, std::vec![0; FILE_LEN].leak()),
            fake: Fake::default(),
            now: Instant::from_secs(100),
            status: b"{\"status_version\":1}".to_vec(),
        }
    }

    /// A write of [`CLIENT`] has begun.
    fn writing(options: Options) -> Self {
        let mut bench = Self::new();
        bench.wrq(CLIENT, options);
        bench
    }

    /// The same when its client waits for an ACK, and the server for room.
    fn waiting_for_room() -> Self {
        let mut bench = Self::writing(windows(512, 4));
        bench.fake.room = 4 * 512 - 1;
        for block in 1..5 {
            assert_eq!(bench.data(block, &[1; 512]), None);
        }
        bench
    }

    /// Sends raw bytes to a port of the board.
    fn raw(&mut self, port: u16, peer: SocketAddrV4, datagram: &[u8]) -> Option<Sent> {
        let mut out = [0; MAX_REPLY_LEN];
        let status = &self.status;
        let write_status = |_: &mut Fake, json: &mut [u8]| {
            json[..status.len()].copy_from_slice(status);
            status.len()
        };
        let datagram = Datagram {
            local_port: port,
            peer,
            bytes: datagram,
        };
        let (server, fake) = (&mut self.server, &mut self.fake);
        let reply = server.process(self.now, &datagram, fake, write_status, &mut out);
        sent(reply, &out)
    }

    fn send(&mut self, port: u16, peer: SocketAddrV4, packet: &Packet<'_>) -> Option<Sent> {
        let mut bytes = [0; 2048];
        let len = packet.encode(&mut bytes).unwrap();
        self.raw(port, peer, &bytes[..len])
    }

    /// A write request; the answer without its port.
    fn wrq(&mut self, peer: SocketAddrV4, options: Options) -> Option<Said> {
        self.request(peer, "app.bin", Mode::Octet, options)
    }

    fn request(
        &mut self,
        peer: SocketAddrV4,
        file_name: &str,
        mode: Mode,
        options: Options,
    ) -> Option<Said> {
        let request = Request {
            file_name: file_name.as_bytes(),
            mode,
            options,
        };
        let sent = self.send(PORT, peer, &Packet::WriteRequest(request));
        sent.map(|(_, to, said)| {
            assert_eq!(to, peer);
            said
        })
    }

    /// A block from the client to the transfer's port.
    fn data(&mut self, block: u16, payload: &[u8]) -> Option<Said> {
        let port = self.server.write_port().unwrap();
        let sent = self.send(port, CLIENT, &Packet::Data { block, payload });
        sent.map(|(from, to, said)| {
            assert_eq!((from, to), (port, CLIENT));
            said
        })
    }

    fn poll(&mut self) -> Option<Sent> {
        let mut out = [0; MAX_REPLY_LEN];
        let reply = self.server.poll(self.now, &mut self.fake, &mut out);
        sent(reply, &out)
    }

    fn polled(&mut self) -> Option<Said> {
        self.poll().map(|(_, _, said)| said)
    }

    /// Lets time pass; everything the server says in it, when it said it would.
    fn wait(&mut self, duration: Duration) -> Vec<Said> {
        let end = self.now + duration;
        let mut said = Vec::new();
        for _ in 0..1000 {
            while let Some((_, _, packet)) = self.poll() {
                said.push(packet);
            }
            let next = self.server.poll_at(self.now).filter(|&at| at <= end);
            let Some(next) = next else {
                self.now = end;
                return said;
            };
            assert!(next > self.now, "poll_at lies ahead once poll has no more");
            self.now = next;
        }
        panic!("the server never came to rest");
    }

    fn wait_ms(&mut self, ms: u64) -> Vec<Said> {
        self.wait(Duration::from_millis(ms))
    }

    /// A transfer up to the last block, which is short and committed.
    fn complete(&mut self) {
        assert_eq!(self.data(1, b"image"), None);
        self.fake.commit();
        assert_eq!(self.polled(), Some(Said::Ack(1)));
    }
}

fn sent(reply: Option<Reply>, out: &[u8]) -> Option<Sent> {
    let reply = reply?;
    let said = match Packet::decode(&out[..reply.len]).unwrap() {
        Packet::Ack { block } => Said::Ack(block),
        Packet::OptionAck(options) => Said::Options(options),
        Packet::Data { block, payload } => Said::Data(block, payload.to_vec()),
        Packet::Error { code, message } => {
            let text = core::str::from_utf8(message).unwrap();
            Said::Error(code, text.to_string())
        }
        other => panic!("a server does not send {other:?}"),
    };
    Some((reply.local_port, reply.peer, said))
}

/// The ERROR that carries this refusal.
fn error(code: ErrorCode, detail: &str) -> Option<Said> {
    let refusal = Refusal::with(code, detail.as_bytes(), &[]);
    Some(Said::Error(code.tftp_code(), refusal.to_string()))
}

fn windows(block_size: u16, window_size: u16) -> Options {
    Options {
        block_size: Some(block_size),
        window_size: Some(window_size),
        ..PLAIN
    }
}
