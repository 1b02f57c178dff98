//! The prefix of a partial transfer: which sectors' bytes follow the header, so that those the board already has need not be sent.
//!
//! Unsigned, because the same signed image goes to boards that hold different parts of it; the header and its signature cover the
//! whole payload in any case.

use crate::bytes::{put, u32_at};
use crate::crc::crc32;
use crate::header::{HeaderError, check_start};
use crate::memory::{MAX_SECTORS, SectorSet};

/// The first four bytes of the prefix of a partial transfer.
pub const PREFIX_MAGIC: [u8; 4] = *b"IAPP";
/// Bytes of a prefix.
pub const PREFIX_LEN: usize = 32;

const FORMAT_VERSION: u16 = 1;

mod field {
    pub(super) const FORMAT_VERSION: usize = 4;
    pub(super) const SIZE: usize = 6;
    pub(super) const SECTORS: usize = 8;
    pub(super) const RESERVED: usize = 12;
    pub(super) const CRC32: usize = 28;
}

/// The unsigned prefix of a transfer that leaves out sectors the board already has: the header follows, then only the payload bytes
/// of the sectors in the bitmap, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// The sectors whose bytes are in the transfer.
    pub sectors: SectorSet,
}

impl Prefix {
    /// Reads a prefix.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let versions = FORMAT_VERSION..=FORMAT_VERSION;
        let bytes = check_start(bytes, PREFIX_LEN, PREFIX_MAGIC, versions)?;
        let sectors = u32_at(bytes, field::SECTORS);
        if sectors >> MAX_SECTORS != 0 {
            return Err(HeaderError::Field(field::SECTORS as u16));
        }
        let reserved = bytes.get(field::RESERVED..field::CRC32);
        if reserved.unwrap_or_default().iter().any(|&byte| byte != 0) {
            return Err(HeaderError::Field(field::RESERVED as u16));
        }
        Ok(Self {
            sectors: SectorSet(sectors),
        })
    }

    /// Writes the prefix, CRC included.
    pub fn encode(&self) -> [u8; PREFIX_LEN] {
        let mut bytes = [0; PREFIX_LEN];
        put(&mut bytes, 0, &PREFIX_MAGIC);
        put(
            &mut bytes,
            field::FORMAT_VERSION,
            &FORMAT_VERSION.to_le_bytes(),
        );
        put(&mut bytes, field::SIZE, &(PREFIX_LEN as u16).to_le_bytes());
        put(&mut bytes, field::SECTORS, &self.sectors.0.to_le_bytes());
        let crc = crc32(&bytes[..field::CRC32]);
        put(&mut bytes, field::CRC32, &crc.to_le_bytes());
        bytes
    }
}
