//! Those who disturb a transfer: a stranger at its port, and a flood of requests.

use std::cell::Cell;
use std::rc::Rc;

use iap_protocol::tftp::{Mode, Options, PORT, Packet, Request};
use smoltcp::iface::SocketHandle;
use smoltcp::time::{Duration, Instant};

use super::hosts::{Actor, Host, Hosts};

const STRANGER_EVERY: Duration = Duration::from_millis(3);
const FLOOD_EVERY: Duration = Duration::from_micros(500);
/// Ports that the flood comes from.
const FLOODERS: u16 = 16;
const UNKNOWN_TRANSFER: u16 = 5;

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1500];
    let len = packet.encode(&mut bytes).expect("it fits");
    bytes.truncate(len);
    bytes
}

/// Sends to the port of somebody else's transfer: data, the end of data, acknowledgements, errors, requests, garbage.
pub(crate) struct Stranger {
    handle: SocketHandle,
    tid: Rc<Cell<Option<u16>>>,
    next: Instant,
    round: u16,
    /// ERROR 5 that came back.
    pub(crate) told_off: u64,
}

impl Stranger {
    pub(crate) fn new(hosts: &mut Hosts, tid: Rc<Cell<Option<u16>>>) -> Self {
        Self {
            handle: hosts.udp_socket(Host::Third, 5555),
            tid,
            next: Instant::ZERO,
            round: 0,
            told_off: 0,
        }
    }

    fn packet(&self) -> Vec<u8> {
        let block = self.round / 6;
        match self.round % 6 {
            0 => encoded(&Packet::Data {
                block,
                payload: &[0xAA; 512],
            }),
            1 => encoded(&Packet::Data {
                block,
                payload: b"the end",
            }),
            2 => encoded(&Packet::Ack { block }),
            3 => encoded(&Packet::Error {
                code: 0,
                message: b"stop",
            }),
            4 => write_request(),
            _ => vec![0, 3],
        }
    }
}

impl Actor for Stranger {
    fn act(&mut self, now: Instant, hosts: &mut Hosts) {
        while let Some((_, datagram)) = hosts.receive(self.handle) {
            if let Ok(Packet::Error { code, .. }) = Packet::decode(&datagram) {
                self.told_off += u64::from(code == UNKNOWN_TRANSFER);
            }
        }
        if let Some(port) = self.tid.get()
            && now >= self.next
        {
            hosts.send(self.handle, port, &self.packet());
            self.round = self.round.wrapping_add(1);
            self.next = now + STRANGER_EVERY;
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.tid.get().map(|_| self.next)
    }
}

fn write_request() -> Vec<u8> {
    encoded(&Packet::WriteRequest(Request {
        file_name: b"flood",
        mode: Mode::Octet,
        options: Options::default(),
    }))
}

/// Two thousand write requests per second, from sixteen ports, once the transfer has begun.
pub(crate) struct Flood {
    handles: Vec<SocketHandle>,
    tid: Rc<Cell<Option<u16>>>,
    next: Instant,
    round: usize,
    /// ERRORs that came back.
    pub(crate) refused: u64,
    /// Transfers that were granted.
    pub(crate) granted: u64,
}

impl Flood {
    pub(crate) fn new(hosts: &mut Hosts, tid: Rc<Cell<Option<u16>>>) -> Self {
        let handles = (0..FLOODERS)
            .map(|i| hosts.udp_socket(Host::Second, 6000 + i))
            .collect();
        Self {
            handles,
            tid,
            next: Instant::ZERO,
            round: 0,
            refused: 0,
            granted: 0,
        }
    }
}

impl Actor for Flood {
    fn act(&mut self, now: Instant, hosts: &mut Hosts) {
        for &handle in &self.handles {
            while let Some((_, datagram)) = hosts.receive(handle) {
                match Packet::decode(&datagram) {
                    Ok(Packet::Error { .. }) => self.refused += 1,
                    Ok(Packet::Ack { .. } | Packet::OptionAck(_)) => self.granted += 1,
                    _ => {}
                }
            }
        }
        if self.tid.get().is_some() && now >= self.next {
            let handle = self.handles[self.round % self.handles.len()];
            hosts.send(handle, PORT, &write_request());
            self.round += 1;
            self.next = now + FLOOD_EVERY;
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.tid.get().map(|_| self.next)
    }
}
