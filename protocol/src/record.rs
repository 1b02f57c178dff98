//! The boot record: what the board knows about the image in its user flash, in two flash sectors that take turns.
//!
//! Layout of a record sector, offsets in bytes; all writes are 32-bit words in ascending order:
//!
//! | offset | what |
//! |---|---|
//! | 0x0000 | sector header: magic, format, generation, CRC-32, then the seal run |
//! | 0x0200 | 11 image slots of 512 bytes: headers as [`crate::header`] defines them |
//! | 0x1800 | 320 log slots of 32 bytes: [`Entry`] |
//!
//! **Why seals.** A power cut leaves the word being programmed with bits that may read differently at every boot (RM0090 section 3.6), so
//! a CRC that is right once proves nothing. A word that was begun after another proves that the other was finished: whoever sees any bit
//! of a seal cleared knows that everything before the seal is firm. The rules a reader follows are in `README.md`; `iap-core` implements
//! them.

use crate::bytes::{array_at, put, u16_at, u32_at};
use crate::crc::crc32;
use crate::header::check_start;
use crate::memory::MAX_SECTORS;

/// Bytes of a record sector that are used; a larger sector's rest stays erased.
pub const SECTOR_SIZE_BYTES: u32 = 0x4000;
/// The first four bytes of a record sector.
pub const MAGIC: [u8; 4] = *b"IAPR";
/// The format this crate reads and writes.
pub const FORMAT_VERSION: u16 = 1;
/// Bytes of the sector header without its seal run.
pub const SECTOR_HEADER_LEN: usize = 32;
/// Where the seal run begins.
pub const SEAL_RUN_OFFSET: u32 = 32;
/// Bytes of the seal run: all zero once the sector is firm, all 0xFF before.
pub const SEAL_RUN_LEN: usize = 32;
/// Where the image slots begin.
pub const IMAGES_OFFSET: u32 = 0x0200;
/// Number of image slots.
pub const IMAGE_SLOTS: u8 = 11;
/// Where the log begins.
pub const LOG_OFFSET: u32 = 0x1800;
/// Bytes of a log slot.
pub const ENTRY_LEN: usize = 32;
/// Number of log slots.
pub const LOG_SLOTS: u16 = 320;
/// Bytes of an entry that are written before its seal.
pub const ENTRY_BODY_LEN: usize = 28;

/// The offset of image slot `slot` in its sector.
pub const fn image_offset(slot: u8) -> u32 {
    IMAGES_OFFSET.wrapping_add((slot as u32).wrapping_mul(crate::header::HEADER_LEN as u32))
}

/// The offset of log slot `slot` in its sector.
pub const fn log_offset(slot: u16) -> u32 {
    LOG_OFFSET.wrapping_add((slot as u32).wrapping_mul(ENTRY_LEN as u32))
}

/// The sector header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SectorHeader {
    /// Rises by one each time the record moves to the other sector; 0 follows the highest.
    pub generation: u32,
}

impl SectorHeader {
    /// The header of the sector that the record moves to next.
    pub const fn successor(self) -> Self {
        Self {
            generation: self.generation.wrapping_add(1),
        }
    }

    /// Whether this sector was written after `other`: serial number arithmetic, RFC 1982 section 3.2, so that no generation is the
    /// last one.
    pub const fn is_newer_than(self, other: Self) -> bool {
        self.generation.wrapping_sub(other.generation).cast_signed() > 0
    }

    /// Reads a sector header; `None` unless magic, format and CRC are right.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let versions = FORMAT_VERSION..=FORMAT_VERSION;
        let bytes = check_start(bytes, SECTOR_HEADER_LEN, MAGIC, versions).ok()?;
        Some(Self {
            generation: u32_at(bytes, 8),
        })
    }

    /// Writes the header without its seal run.
    pub fn encode(&self) -> [u8; SECTOR_HEADER_LEN] {
        let mut bytes = [0; SECTOR_HEADER_LEN];
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 4, &FORMAT_VERSION.to_le_bytes());
        put(&mut bytes, 6, &(SECTOR_HEADER_LEN as u16).to_le_bytes());
        put(&mut bytes, 8, &self.generation.to_le_bytes());
        let crc = crc32(&bytes[..28]);
        put(&mut bytes, 28, &crc.to_le_bytes());
        bytes
    }
}

/// What a log slot says. The numbers are append-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// 1: image slot `slot` is taken; written before the slot is.
    Claimed {
        /// Image slot.
        slot: u8,
    },
    /// 2: an update to the image in `slot` began; written before the first erase.
    Begun {
        /// Image slot.
        slot: u8,
        /// The CRC-32 field of the header in it.
        header_crc32: u32,
    },
    /// 3: the sector may hold anything from now on; written before its erase.
    Touched {
        /// Flash sector.
        sector: u8,
    },
    /// 4: the sector holds what the image in progress wants; written after it was verified.
    Done {
        /// Flash sector.
        sector: u8,
    },
    /// 5: all of the image in `slot` is in flash; written after the whole content was verified.
    Committed {
        /// Image slot.
        slot: u8,
        /// The CRC-32 field of the header in it.
        header_crc32: u32,
    },
    /// 6: the security counter; the highest value counts.
    Counter {
        /// Its value.
        value: u32,
    },
    /// 7: revoked keys; all bitmaps together count.
    Revoked {
        /// One bit per key.
        keys: u32,
    },
    /// 8: a per-device setting; unknown keys are kept and copied.
    Setting {
        /// Which setting.
        key: u8,
        /// Its value.
        value: [u8; 20],
    },
}

/// What the seal word of a log slot says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seal {
    /// Never begun: the entry's last words may be torn even if its CRC is right.
    Blank,
    /// Begun but not as it should read: the entry is firm, its seal is torn.
    Torn,
    /// Complete.
    Sealed,
}

/// The seal word of a sealed entry.
pub const SEAL: [u8; 4] = [0; 4];

/// A log slot as it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// Erased.
    Blank,
    /// An entry with a right CRC.
    Valid(Entry, Seal),
    /// Anything else: torn, burned, of an unknown kind, or naming an image slot or flash sector that cannot exist.
    Dead,
}

impl Entry {
    /// Reads a log slot.
    pub fn decode(bytes: &[u8; ENTRY_LEN]) -> Slot {
        if bytes.iter().all(|&byte| byte == 0xFF) {
            return Slot::Blank;
        }
        if u32_at(bytes, 24) != crc32(&bytes[..24]) || u16_at(bytes, 2) != 0 {
            return Slot::Dead;
        }
        let seal = match u32_at(bytes, ENTRY_BODY_LEN) {
            u32::MAX => Seal::Blank,
            0 => Seal::Sealed,
            _ => Seal::Torn,
        };
        Self::decode_body(bytes).map_or(Slot::Dead, |entry| Slot::Valid(entry, seal))
    }

    fn decode_body(bytes: &[u8; ENTRY_LEN]) -> Option<Self> {
        let (arg, word) = (bytes[1], u32_at(bytes, 4));
        let (is_slot, is_sector) = (arg < IMAGE_SLOTS, usize::from(arg) < MAX_SECTORS);
        Some(match bytes[0] {
            1 if is_slot => Self::Claimed { slot: arg },
            2 if is_slot => Self::Begun {
                slot: arg,
                header_crc32: word,
            },
            3 if is_sector => Self::Touched { sector: arg },
            4 if is_sector => Self::Done { sector: arg },
            5 if is_slot => Self::Committed {
                slot: arg,
                header_crc32: word,
            },
            6 => Self::Counter { value: word },
            7 => Self::Revoked { keys: word },
            8 => Self::Setting {
                key: arg,
                value: array_at(bytes, 4),
            },
            _ => return None,
        })
    }

    /// Writes the slot's body and CRC; the seal, [`SEAL`], goes after it in a write of its own.
    pub fn encode(&self) -> [u8; ENTRY_BODY_LEN] {
        let (kind, arg, word) = match *self {
            Self::Claimed { slot } => (1, slot, 0),
            Self::Begun { slot, header_crc32 } => (2, slot, header_crc32),
            Self::Touched { sector } => (3, sector, 0),
            Self::Done { sector } => (4, sector, 0),
            Self::Committed { slot, header_crc32 } => (5, slot, header_crc32),
            Self::Counter { value } => (6, 0, value),
            Self::Revoked { keys } => (7, 0, keys),
            Self::Setting { key, .. } => (8, key, 0),
        };
        let mut bytes = [0; ENTRY_BODY_LEN];
        put(&mut bytes, 0, &[kind, arg]);
        put(&mut bytes, 4, &word.to_le_bytes());
        if let Self::Setting { value, .. } = self {
            put(&mut bytes, 4, value);
        }
        let crc = crc32(&bytes[..24]);
        put(&mut bytes, 24, &crc.to_le_bytes());
        bytes
    }
}
