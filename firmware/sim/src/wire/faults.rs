//! What the wire does to frames on their way.

use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};

use super::Lane;
use crate::rng::Rng;

/// The bytes of an Ethernet header, which are no part of a packet, and which corruption spares: a frame with a broken address would just get lost.
const ETHERNET_HEADER_LEN: usize = 14;

/// The conditions in one direction. Rates are in parts per million: 50,000 is 5 %.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// Frames lost.
    pub loss_ppm: u32,
    /// Frames delivered twice.
    pub duplicate_ppm: u32,
    /// Frames held back by `reorder_by`, so that later ones overtake them.
    pub reorder_ppm: u32,
    /// How long those are held back.
    pub reorder_by: Duration,
    /// Frames with one inverted bit that the Ethernet check sequence did not show, as a bad switch produces them: the checksums of IP, UDP
    /// and TCP can see it.
    pub corrupt_ppm: u32,
    /// Frames with one inverted bit in the payload of UDP or TCP and a right checksum, as a bad router produces them.
    pub corrupt_unseen_ppm: u32,
    /// How long a frame travels.
    pub delay: Duration,
    /// Added to `delay`, a random part of it for each frame; order is kept.
    pub jitter: Duration,
    /// Bits per second, 0 for no limit: a frame occupies the line for its length.
    pub bits_per_s: u64,
    /// Bytes of the longest IP packet that a network on the way carries; none is cut to pieces.
    pub mtu: usize,
    /// When no frame gets through.
    pub down: Option<LinkDown>,
    /// Frames that fit into the receiver's ring.
    pub ring_len: usize,
}

/// A time without link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkDown {
    /// From.
    pub from: Instant,
    /// Until.
    pub until: Instant,
}

impl Default for Conditions {
    /// A perfect wire and an unlimited ring.
    fn default() -> Self {
        Self {
            loss_ppm: 0,
            duplicate_ppm: 0,
            reorder_ppm: 0,
            reorder_by: Duration::ZERO,
            corrupt_ppm: 0,
            corrupt_unseen_ppm: 0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            bits_per_s: 0,
            mtu: usize::MAX,
            down: None,
            ring_len: usize::MAX,
        }
    }
}

impl Lane {
    pub(super) fn send(&mut self, now: Instant, mut frame: Vec<u8>) {
        self.traffic.sent += 1;
        let down = self.conditions.down;
        if down.is_some_and(|down| (down.from..down.until).contains(&now)) {
            self.traffic.lost_link_down += 1;
            return;
        }
        if frame.len().saturating_sub(ETHERNET_HEADER_LEN) > self.conditions.mtu {
            self.traffic.lost_too_long += 1;
            return;
        }
        if self.rng.happens(self.conditions.loss_ppm) {
            self.traffic.lost += 1;
            return;
        }
        if self.rng.happens(self.conditions.corrupt_ppm) && corrupt(&mut frame, &mut self.rng) {
            self.traffic.corrupted += 1;
        }
        if self.rng.happens(self.conditions.corrupt_unseen_ppm)
            && corrupt_unseen(&mut frame, &mut self.rng).is_some()
        {
            self.traffic.corrupted += 1;
        }
        let arrival = self.arrival(now, frame.len());
        if self.rng.happens(self.conditions.duplicate_ppm) {
            self.traffic.duplicated += 1;
            self.fly(arrival, frame.clone());
        }
        self.fly(arrival, frame);
    }

    fn arrival(&mut self, now: Instant, len: usize) -> Instant {
        let bits = len as u64 * 8;
        let sending = (bits * 1_000_000)
            .checked_div(self.conditions.bits_per_s)
            .unwrap_or(0);
        self.line_free = self.line_free.max(now) + Duration::from_micros(sending);
        let jitter = self.rng.below(self.conditions.jitter.total_micros() + 1);
        let arrival = self.line_free + self.conditions.delay + Duration::from_micros(jitter);
        if self.rng.happens(self.conditions.reorder_ppm) {
            self.traffic.reordered += 1;
            return arrival + self.conditions.reorder_by;
        }
        self.last_arrival = self.last_arrival.max(arrival);
        self.last_arrival
    }
}

fn invert_a_bit(bytes: &mut [u8], rng: &mut Rng) -> bool {
    let bit = rng.below(bytes.len() as u64 * 8);
    match bytes.get_mut((bit / 8) as usize) {
        Some(byte) => {
            *byte ^= 1 << (bit % 8);
            true
        }
        None => false,
    }
}

fn corrupt(frame: &mut [u8], rng: &mut Rng) -> bool {
    frame
        .get_mut(ETHERNET_HEADER_LEN..)
        .is_some_and(|packet| invert_a_bit(packet, rng))
}

/// Inverts a bit of the payload and mends the checksum; `None` where there is no payload of UDP or TCP.
fn corrupt_unseen(frame: &mut [u8], rng: &mut Rng) -> Option<()> {
    let mut frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let mut packet = Ipv4Packet::new_checked(frame.payload_mut()).ok()?;
    let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
    let changed = match packet.next_header() {
        IpProtocol::Udp => {
            let mut datagram = UdpPacket::new_checked(packet.payload_mut()).ok()?;
            let changed = invert_a_bit(datagram.payload_mut(), rng);
            datagram.fill_checksum(&from, &to);
            changed
        }
        IpProtocol::Tcp => {
            let mut segment = TcpPacket::new_checked(packet.payload_mut()).ok()?;
            let changed = invert_a_bit(segment.payload_mut(), rng);
            segment.fill_checksum(&from, &to);
            changed
        }
        _ => false,
    };
    changed.then_some(())
}
