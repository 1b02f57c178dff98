//! The frames on a board's wire, caught while it runs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use iap_emulator::{Peer, Session, Time};
use iap_protocol::tftp::Packet;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, UdpPacket};

/// pcap-savefile(5): the file's header, and each frame's.
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;
/// Where TFTP's requests go.
const TFTP: u16 = 69;

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

    /// All UDP datagrams so far.
    pub(crate) fn datagrams(&self) -> Vec<Datagram> {
        let file = self.0.lock().unwrap();
        let mut rest = &file[FILE_HEADER..];
        let mut found = Vec::new();
        while rest.len() >= FRAME_HEADER {
            let word =
                |index: usize| u32::from_le_bytes(rest[4 * index..][..4].try_into().unwrap());
            let at = Time::from_micros(u64::from(word(0)) * 1_000_000 + u64::from(word(1)));
            let end = FRAME_HEADER + word(2) as usize;
            found.extend(datagram(at, &rest[FRAME_HEADER..end]));
            rest = &rest[end..];
        }
        found
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
