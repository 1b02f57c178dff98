//! Which frames the MAC lets through (RM0090 section 33.5.5).

use super::bits::{MACA0HR, MACFFR, MACHTHR, MACHTLR};

const PM: u32 = 1;
const HU: u32 = 1 << 1;
const HM: u32 = 1 << 2;
const DAIF: u32 = 1 << 3;
const PAM: u32 = 1 << 4;
const BFD: u32 = 1 << 5;
const SAIF: u32 = 1 << 8;
const SAF: u32 = 1 << 9;
const HPF: u32 = 1 << 10;
pub(super) const RA: u32 = 1 << 31;

const AE: u32 = 1 << 31;
const SA: u32 = 1 << 30;

/// The registers of the filter: MACFFR, the hash table, four addresses (high and low word each).
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) ffr: u32,
    hash: [u32; 2],
    addresses: [[u32; 2]; 4],
}

impl Filter {
    pub(super) const RESET: Self = Self {
        ffr: 0,
        hash: [0; 2],
        addresses: [
            [0x8000_FFFF, u32::MAX],
            [0xFFFF, u32::MAX],
            [0xFFFF, u32::MAX],
            [0xFFFF, u32::MAX],
        ],
    };

    /// The register at `offset`, one of this block's.
    pub(super) fn slot(&mut self, offset: u32) -> &mut u32 {
        match offset {
            MACFFR => &mut self.ffr,
            MACHTHR => &mut self.hash[0],
            MACHTLR => &mut self.hash[1],
            _ => {
                let index = (offset.saturating_sub(MACA0HR) / 4).min(7) as usize;
                &mut self.addresses[index / 2][index % 2]
            }
        }
    }

    /// Whether a frame passes.
    pub(super) fn accepts(&self, frame: &[u8]) -> bool {
        let (Some(destination), Some(source)) = (frame.first_chunk::<6>(), frame.get(6..12)) else {
            return false;
        };
        self.accepts_destination(destination)
            && self.accepts_source(source)
            && !self.is_control(frame)
    }

    /// PCF 00 and 01 keep control frames away from the application.
    fn is_control(&self, frame: &[u8]) -> bool {
        frame.get(12..14) == Some(&[0x88, 0x08]) && self.ffr >> 6 & 3 < 2
    }

    /// Table "Destination address filtering" of section 33.5.5.
    fn accepts_destination(&self, address: &[u8; 6]) -> bool {
        let has = |bit| self.ffr & bit != 0;
        if has(PM) {
            return true;
        }
        if *address == [0xFF; 6] {
            return !has(BFD);
        }
        let multicast = address[0] & 1 != 0;
        if multicast && has(PAM) {
            return true;
        }
        let perfect = self.matches(address, false);
        let hashed = self.hash_hit(address);
        let hit = match (has(if multicast { HM } else { HU }), has(HPF)) {
            (false, _) => perfect,
            (true, false) => hashed,
            (true, true) => perfect || hashed,
        };
        hit != has(DAIF)
    }

    fn accepts_source(&self, address: &[u8]) -> bool {
        let hit = self.matches(address, true);
        self.ffr & SAF == 0 || hit != (self.ffr & SAIF != 0)
    }

    /// Compares with the enabled addresses; bytes under a mask bit (MBC) are not compared.
    fn matches(&self, address: &[u8], source: bool) -> bool {
        self.addresses
            .iter()
            .enumerate()
            .any(|(index, [high, low])| {
                let bytes = [low.to_le_bytes(), high.to_le_bytes()].concat();
                let (enabled, mask, is_source) = match index {
                    0 => (true, 0, false),
                    _ => (high & AE != 0, high >> 24 & 0x3F, high & SA != 0),
                };
                let equal = |(position, (own, other)): (usize, (&u8, &u8))| {
                    own == other || mask >> position & 1 != 0
                };
                enabled && is_source == source && bytes.iter().zip(address).enumerate().all(equal)
            })
    }

    /// The upper six bits of the reversed CRC of the address choose a bit of the 64-bit table (section 33.5.5, hash).
    fn hash_hit(&self, address: &[u8; 6]) -> bool {
        let crc = u32::from_le_bytes(super::checksum::fcs(address));
        let index = crc.reverse_bits() >> 26;
        let word = self.hash[usize::from(index < 32)];
        word >> (index & 31) & 1 != 0
    }
}
