//! A TFTP server and a wire in virtual time: what the server does is written here a second time, from RFC 1350, 2347 and 7440.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use iap_protocol::tftp::{Options, Packet};
use iapctl::tftp::{Client, Machine, TransferError, Upload};

pub(crate) const SERVER_PORT: u16 = 69;
pub(crate) const TID: u16 = 40_069;

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What the wire does to a datagram; seeded, so that a failure can be repeated.
pub(crate) struct Wire {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    /// The receiver's buffer holds so many datagrams, each of which takes so long to read.
    pub(crate) overrun: Option<(u32, Duration)>,
    /// Datagrams of the client that are lost, by their place; the request is 0.
    pub(crate) lost: BTreeSet<usize>,
    read_until: Duration,
    random: u64,
}

impl Wire {
    pub(crate) fn new(delay: Duration) -> Self {
        Self {
            delay,
            jitter: Duration::ZERO,
            loss_percent: 0,
            duplicate_percent: 0,
            overrun: None,
            lost: BTreeSet::new(),
            read_until: Duration::ZERO,
            random: 1,
        }
    }

    pub(crate) fn seeded(delay: Duration, seed: u64) -> Self {
        Self {
            random: seed,
            ..Self::new(delay)
        }
    }

    pub(crate) fn bad(seed: u64) -> Self {
        Self {
            jitter: ms(3),
            loss_percent: 5,
            duplicate_percent: 5,
            ..Self::seeded(ms(2), seed)
        }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// When the receiver has read what arrives at `at`; `None` if its buffer is full.
    fn read_at(&mut self, at: Duration) -> Option<Duration> {
        let Some((capacity, each)) = self.overrun else {
            return Some(at);
        };
        let read_at = self.read_until.max(at) + each;
        let fits = read_at - at <= each * (capacity + 1);
        fits.then(|| {
            self.read_until = read_at;
            read_at
        })
    }

    fn arrivals(&mut self, now: Duration) -> Vec<Duration> {
        let copies = if self.random() % 100 < self.duplicate_percent {
            2
        } else {
            1
        };
        (0..copies)
            .filter_map(|_| {
                let kept = self.random() % 100 >= self.loss_percent;
                let jitter = self.random() % (self.jitter.as_micros() as u64 + 1);
                kept.then(|| now + self.delay + Duration::from_micros(jitter))
            })
            .collect()
    }
}

/// How the server behaves beside receiving the file.
#[derive(Default)]
pub(crate) struct Habits {
    /// Answers requests with options by ERROR 8.
    pub(crate) refuses_options: bool,
    /// Ignores options: ACK 0.
    pub(crate) ignores_options: bool,
    /// Grants at most these.
    pub(crate) grants: Options,
    /// Never answers.
    pub(crate) silent: bool,
    /// Sends ERROR in place of acknowledging this block.
    pub(crate) error_at: Option<(u64, u16, &'static str)>,
    /// Stays deaf for so long when this block arrives first, then acknowledges it (0: the request).
    pub(crate) stalls: BTreeMap<u64, Duration>,
    /// Sends every acknowledgement twice, or that of one block.
    pub(crate) doubles_acks: bool,
    pub(crate) doubles_ack_of: Option<u64>,
    /// Datagrams that fit into its socket buffer while it stalls.
    pub(crate) buffer: usize,
}

#[derive(Default)]
pub(crate) struct Server {
    pub(crate) habits: Habits,
    pub(crate) content: Vec<u8>,
    pub(crate) complete: bool,
    pub(crate) requests: u32,
    /// DATA datagrams that arrived.
    pub(crate) data: u64,
    pub(crate) errors: Vec<u16>,
    session: Option<Session>,
    deaf_until: Duration,
    waiting: Vec<Vec<u8>>,
}

struct Session {
    block_size: usize,
    window: u64,
    block: u64,
    unacknowledged: u64,
    first_answer: Vec<u8>,
}

type Reply = (Duration, u16, Vec<u8>);

impl Server {
    pub(crate) fn new(habits: Habits) -> Self {
        Self {
            habits,
            ..Self::default()
        }
    }

    fn receive(&mut self, now: Duration, to_port: u16, datagram: &[u8]) -> Vec<Reply> {
        if now < self.deaf_until {
            if self.waiting.len() < self.habits.buffer {
                self.waiting.push(datagram.to_vec());
            }
            return Vec::new();
        }
        let mut replies = Vec::new();
        for earlier in std::mem::take(&mut self.waiting) {
            replies.extend(self.handle(now, TID, &earlier));
        }
        replies.extend(self.handle(now, to_port, datagram));
        replies
    }

    fn handle(&mut self, now: Duration, to_port: u16, datagram: &[u8]) -> Vec<Reply> {
        match Packet::decode(datagram).unwrap() {
            Packet::WriteRequest(request) => {
                assert_eq!(to_port, SERVER_PORT);
                self.requests += 1;
                self.on_request(now, &request.options)
            }
            Packet::Data { block, payload } => {
                assert_eq!(to_port, TID);
                self.data += 1;
                self.on_data(now, block, payload)
            }
            Packet::Error { code, .. } => {
                self.errors.push(code);
                Vec::new()
            }
            other => panic!("a server gets no {other:?}"),
        }
    }

    fn on_request(&mut self, now: Duration, asked: &Options) -> Vec<Reply> {
        if self.habits.silent {
            return Vec::new();
        }
        if let Some(session) = &self.session {
            return vec![(now, TID, session.first_answer.clone())];
        }
        if self.habits.refuses_options && !asked.is_empty() {
            return vec![(
                now,
                TID,
                packet(&Packet::Error {
                    code: 8,
                    message: b"no options",
                }),
            )];
        }
        let granted = match self.habits.ignores_options || asked.is_empty() {
            true => Options::default(),
            false => self.grant(asked),
        };
        let first_answer = match granted.is_empty() {
            true => packet(&Packet::Ack { block: 0 }),
            false => packet(&Packet::OptionAck(granted)),
        };
        self.session = Some(Session {
            block_size: usize::from(granted.block_size.unwrap_or(512)),
            window: u64::from(granted.window_size.unwrap_or(1)),
            block: 0,
            unacknowledged: 0,
            first_answer: first_answer.clone(),
        });
        let at = self.stall(now, 0);
        self.twice_if(0, (at, TID, first_answer))
    }

    fn grant(&self, asked: &Options) -> Options {
        let limits = &self.habits.grants;
        Options {
            block_size: asked
                .block_size
                .map(|n| n.min(limits.block_size.unwrap_or(n))),
            window_size: asked
                .window_size
                .map(|n| n.min(limits.window_size.unwrap_or(n))),
            ..*asked
        }
    }

    fn on_data(&mut self, now: Duration, wire_block: u16, payload: &[u8]) -> Vec<Reply> {
        let Some(session) = self.session.as_mut() else {
            return Vec::new();
        };
        if wire_block != (session.block + 1) as u16 {
            session.unacknowledged = 0;
            let block = session.block;
            return self.acknowledge(now, block);
        }
        session.block += 1;
        session.unacknowledged += 1;
        self.content.extend_from_slice(payload);
        let last = payload.len() < session.block_size;
        self.complete |= last;
        let block = session.block;
        if let Some((at, code, message)) = self.habits.error_at
            && at == block
        {
            return vec![(
                now,
                TID,
                packet(&Packet::Error {
                    code,
                    message: message.as_bytes(),
                }),
            )];
        }
        let stalls = self.habits.stalls.contains_key(&block);
        let session = self.session.as_mut().unwrap();
        if !last && !stalls && session.unacknowledged < session.window {
            return Vec::new();
        }
        session.unacknowledged = 0;
        let at = self.stall(now, block);
        self.acknowledge(at, block)
    }

    fn acknowledge(&self, at: Duration, block: u64) -> Vec<Reply> {
        self.twice_if(
            block,
            (
                at,
                TID,
                packet(&Packet::Ack {
                    block: block as u16,
                }),
            ),
        )
    }

    fn twice_if(&self, block: u64, reply: Reply) -> Vec<Reply> {
        let twice = self.habits.doubles_acks || self.habits.doubles_ack_of == Some(block);
        vec![reply; if twice { 2 } else { 1 }]
    }

    fn stall(&mut self, now: Duration, block: u64) -> Duration {
        let stall = self.habits.stalls.get(&block).copied().unwrap_or_default();
        self.deaf_until = now + stall;
        self.deaf_until
    }
}

pub(crate) fn packet(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 600];
    let len = packet.encode(&mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

enum Event {
    AtServer(u16, Vec<u8>),
    AtClient(u16, Vec<u8>),
}

/// A client, a wire and a server.
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) wire: Wire,
    pub(crate) server: Server,
    pub(crate) client: Client<Vec<u8>>,
    pub(crate) sent: Vec<(Duration, u16, Vec<u8>)>,
    events: BTreeMap<(Duration, u64), Event>,
    serial: u64,
}

impl World {
    pub(crate) fn new(client: Client<Vec<u8>>, wire: Wire, server: Server) -> Self {
        Self {
            now: Duration::ZERO,
            wire,
            server,
            client,
            sent: Vec::new(),
            events: BTreeMap::new(),
            serial: 0,
        }
    }

    fn post(&mut self, at: Duration, event: Event) {
        self.serial += 1;
        self.events.insert((at, self.serial), event);
    }

    /// Something else arrives at the client.
    pub(crate) fn inject(&mut self, at: Duration, from_port: u16, datagram: Vec<u8>) {
        self.post(at, Event::AtClient(from_port, datagram));
    }

    fn flush(&mut self) {
        let mut out = Vec::new();
        let mut budget = 2000;
        while let Some(port) = self.client.poll(self.now, &mut out) {
            budget -= 1;
            assert!(
                budget > 0,
                "the client never stops sending at {:?}",
                self.now
            );
            let place = self.sent.len();
            self.sent.push((self.now, port, out.clone()));
            if self.wire.lost.contains(&place) {
                continue;
            }
            for at in self.wire.arrivals(self.now) {
                if let Some(at) = self.wire.read_at(at) {
                    self.post(at, Event::AtServer(port, out.clone()));
                }
            }
        }
    }

    /// Runs to the end; panics when the virtual clock passes `limit`.
    pub(crate) fn run(&mut self, limit: Duration) -> Result<Upload, TransferError> {
        loop {
            self.flush();
            if let Some(result) = self.client.result() {
                return result;
            }
            assert!(
                self.now < limit,
                "no end after {:?}: {:?}",
                self.now,
                self.client.progress()
            );
            let poll_at = self
                .client
                .poll_at()
                .expect("no result, nothing to wait for");
            let next = self.events.first_key_value().map(|((at, _), _)| *at);
            if next.is_none_or(|at| poll_at < at) {
                self.now = self.now.max(poll_at);
                continue;
            }
            let ((at, _), event) = self.events.pop_first().unwrap();
            self.now = self.now.max(at);
            self.deliver(event);
        }
    }

    fn deliver(&mut self, event: Event) {
        match event {
            Event::AtClient(from, datagram) => self.client.receive(self.now, from, &datagram),
            Event::AtServer(to, datagram) => {
                for (at, from, reply) in self.server.receive(self.now, to, &datagram) {
                    for arrival in self.wire.arrivals(at) {
                        self.post(arrival, Event::AtClient(from, reply.clone()));
                    }
                }
            }
        }
    }

    /// DATA datagrams the client sent.
    pub(crate) fn data_sent(&self) -> u64 {
        let is_data = |datagram: &[u8]| matches!(Packet::decode(datagram), Ok(Packet::Data { .. }));
        self.sent
            .iter()
            .filter(|(_, _, datagram)| is_data(datagram))
            .count() as u64
    }

    /// ERROR datagrams the client sent: port and code.
    pub(crate) fn errors_sent(&self) -> Vec<(u16, u16)> {
        let error = |port: u16, datagram: &[u8]| match Packet::decode(datagram) {
            Ok(Packet::Error { code, .. }) => Some((port, code)),
            _ => None,
        };
        self.sent
            .iter()
            .filter_map(|(_, port, datagram)| error(*port, datagram))
            .collect()
    }
}
