//! The frames on a board's wire, caught while it runs.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use iap_emulator::{Peer, Session, Time};
use iap_protocol::tftp::Packet;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};

/// pcap-savefile(5): the file's header, and each frame's.
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;
/// Where TFTP's requests go.
const TFTP: u16 = 69;
const HTTP: u16 = 80;

/// A pcap file in memory.
#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<Mutex<Vec<u8>>>);

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A datagram, and when it arrived.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) at: Time,
    pub(crate) ports: (u16, u16),
    pub(crate) bytes: Vec<u8>,
}

/// What a client and the board said to each other in one TFTP transfer.
#[derive(Debug, Default)]
pub(crate) struct Transfer {
    /// WRQs and DATA packets that came again.
    pub(crate) repeated: usize,
    /// The longest time from a packet of the client to the board's next one.
    pub(crate) longest_silence: Time,
}

impl Capture {
    /// Begins one.
    pub(crate) fn of<P: Peer>(session: &Session<P>) -> Self {
        let capture = Self::default();
        session.capture(Box::new(capture.clone())).unwrap();
        capture
    }

    /// All frames so far.
    fn frames(&self) -> Vec<(Time, Vec<u8>)> {
        let file = self.0.lock().unwrap();
        let mut rest = &file[FILE_HEADER..];
        let mut found = Vec::new();
        while rest.len() >= FRAME_HEADER {
            let word =
                |index: usize| u32::from_le_bytes(rest[4 * index..][..4].try_into().unwrap());
            let at = Time::from_micros(u64::from(word(0)) * 1_000_000 + u64::from(word(1)));
            let end = FRAME_HEADER + word(2) as usize;
            found.push((at, rest[FRAME_HEADER..end].to_vec()));
            rest = &rest[end..];
        }
        found
    }

    /// All UDP datagrams so far.
    pub(crate) fn datagrams(&self) -> Vec<Datagram> {
        let frames = self.frames().into_iter();
        frames
            .filter_map(|(at, frame)| datagram(at, &frame))
            .collect()
    }

    /// The TCP segments with data for the board that were sent again, and how long after the first time.
    pub(crate) fn repeated_segments(&self) -> Vec<Time> {
        let mut seen: BTreeMap<(u16, i32), Time> = BTreeMap::new();
        let mut repeated = Vec::new();
        for (at, frame) in self.frames() {
            let Some(segment) = segment_to_board(&frame) else {
                continue;
            };
            let first = *seen.entry(segment).or_insert(at);
            if first < at {
                repeated.push(at.since(first));
            }
        }
        repeated
    }

    /// The only transfer so far.
    pub(crate) fn transfer(&self) -> Transfer {
        let mut transfer = Transfer::default();
        let (mut seen, mut waits_since) = (Vec::new(), None);
        let mut client = None;
        for datagram in self.datagrams() {
            let (from, to) = datagram.ports;
            if to == TFTP {
                client = Some(from);
            }
            if client == Some(from) {
                let is_new = !seen.contains(&datagram.bytes);
                let is_data = matches!(
                    Packet::decode(&datagram.bytes),
                    Ok(Packet::Data { .. } | Packet::WriteRequest(_))
                );
                transfer.repeated += usize::from(is_data && !is_new);
                waits_since.get_or_insert(datagram.at);
                seen.push(datagram.bytes);
            } else if client == Some(to) {
                let since = waits_since.take().unwrap_or(datagram.at);
                transfer.longest_silence = transfer.longest_silence.max(datagram.at.since(since));
            }
        }
        transfer
    }
}

/// Source port and sequence number of a segment with data.
fn segment_to_board(frame: &[u8]) -> Option<(u16, i32)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 || packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let counts = segment.dst_port() == HTTP && !segment.payload().is_empty();
    counts.then(|| (segment.src_port(), segment.seq_number().0))
}

fn datagram(at: Time, frame: &[u8]) -> Option<Datagram> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Udp {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    Some(Datagram {
        at,
        ports: (datagram.src_port(), datagram.dst_port()),
        bytes: datagram.payload().to_vec(),
    })
}
