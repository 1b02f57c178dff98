//! Checksums that the MAC inserts and verifies: IPv4 header, TCP, UDP, ICMP (RM0090 sections 33.5.2 and 33.5.3).
//!
//! IPv6 is passed through: the firmware has none.

const ETHERTYPE: usize = 12;
const IP: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xDD];

/// What a frame carries, and whether its checksums are right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// A length, not a type: IEEE 802.3.
    Length,
    /// A type that is neither IPv4 nor IPv6.
    OtherType,
    /// IP, checked as far as the engine can.
    Ip {
        header_error: bool,
        payload_error: bool,
        /// 1 UDP, 2 TCP, 3 ICMP, 0 nothing the engine checks: RDES4.IPPT.
        payload_type: u32,
        /// A fragment or an unknown protocol: RDES4.IPCB.
        bypassed: bool,
        is_v6: bool,
    },
}

/// An IPv4 packet inside a frame.
struct Packet {
    header_len: usize,
    /// End of the packet in the frame.
    end: usize,
    protocol: u8,
    is_fragment: bool,
}

fn half(frame: &[u8], at: usize) -> Option<u16> {
    let bytes = frame.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn packet(frame: &[u8]) -> Option<Packet> {
    let version = *frame.get(IP)?;
    let header_len = usize::from(version & 0xF) * 4;
    let end = IP + usize::from(half(frame, IP + 2)?);
    let right =
        version >> 4 == 4 && header_len >= 20 && end >= IP + header_len && end <= frame.len();
    right.then_some(Packet {
        header_len,
        end,
        protocol: *frame.get(IP + 9)?,
        is_fragment: half(frame, IP + 6)? & 0x3FFF != 0,
    })
}

/// The one's complement sum of RFC 1071, not folded.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    words.sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

impl Packet {
    fn payload(&self) -> std::ops::Range<usize> {
        IP + self.header_len..self.end
    }

    /// The pseudo header of RFC 768 and RFC 9293; ICMP has none.
    fn pseudo_sum(&self, frame: &[u8]) -> u32 {
        match self.protocol {
            1 => 0,
            protocol => {
                sum(&frame[IP + 12..IP + 20]) + u32::from(protocol) + self.payload().len() as u32
            }
        }
    }

    /// Where in the payload the checksum is, and the type in RDES4.
    fn checksum_field(&self) -> Option<(usize, u32)> {
        let (offset, kind) = match self.protocol {
            17 => (6, 1),
            6 => (16, 2),
            1 => (2, 3),
            _ => return None,
        };
        (self.payload().len() >= offset + 2).then_some((offset, kind))
    }
}

/// Checks a received frame.
pub(super) fn verify(frame: &[u8]) -> Verdict {
    let kind = frame.get(ETHERTYPE..IP).unwrap_or(&[0, 0]);
    let ip = |header_error, payload_error, payload_type, bypassed| Verdict::Ip {
        header_error,
        payload_error,
        payload_type,
        bypassed,
        is_v6: kind == IPV6,
    };
    match kind {
        kind if kind < [0x06, 0x00].as_slice() => Verdict::Length,
        kind if kind == IPV6 => ip(false, false, 0, true),
        kind if kind == IPV4 => {
            let Some(packet) = packet(frame) else {
                return ip(true, false, 0, true);
            };
            let header_error = fold(sum(&frame[IP..IP + packet.header_len])) != 0xFFFF;
            match packet.checksum_field().filter(|_| !packet.is_fragment) {
                None => ip(header_error, false, 0, true),
                Some((field, kind)) => {
                    let payload = &frame[packet.payload()];
                    let unused = packet.protocol == 17 && payload[field..field + 2] == [0, 0];
                    let wrong = fold(packet.pseudo_sum(frame) + sum(payload)) != 0xFFFF;
                    ip(header_error, wrong && !unused, kind, false)
                }
            }
        }
        _ => Verdict::OtherType,
    }
}

/// What went wrong while inserting: bits of TDES0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Inserted {
    pub(super) header_error: bool,
    pub(super) payload_error: bool,
}

/// Inserts checksums as CIC asks: 1 header, 2 also the payload without its pseudo header, 3 all (RM0090 section 33.6.7, TDES0).
pub(super) fn insert(frame: &mut [u8], cic: u32) -> Inserted {
    if cic == 0 || frame.get(ETHERTYPE..IP) != Some(&IPV4) {
        return Inserted::default();
    }
    let Some(packet) = packet(frame) else {
        return Inserted {
            header_error: true,
            payload_error: cic > 1,
        };
    };
    frame[IP + 10..IP + 12].fill(0);
    let header = !fold(sum(&frame[IP..IP + packet.header_len]));
    frame[IP + 10..IP + 12].copy_from_slice(&header.to_be_bytes());
    let field = packet
        .checksum_field()
        .filter(|_| cic > 1 && !packet.is_fragment);
    if let Some((field, _)) = field {
        let at = packet.payload().start + field;
        let mut total = 0;
        if cic == 3 {
            frame[at..at + 2].fill(0);
            total = packet.pseudo_sum(frame);
        }
        let value = match !fold(total + sum(&frame[packet.payload()])) {
            // RFC 768: 0 means "no checksum".
            0 if packet.protocol == 17 => 0xFFFF,
            value => value,
        };
        frame[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }
    Inserted::default()
}

/// The frame check sequence (IEEE 802.3, the CRC-32 of zlib), as it follows the frame.
pub(super) fn fcs(frame: &[u8]) -> [u8; 4] {
    iap_protocol::crc::crc32(frame).to_le_bytes()
}
