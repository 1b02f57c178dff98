//! A header as the board keeps it: the bytes themselves, checked once and read where they lie.
//!
//! [`ImageHeader`] is the same in fields, for programs that make headers. The board has no room to take one apart, to
//! copy it and to put it together again, and what it writes into its record is what came.

use core::fmt;

use crate::bytes::{array_at, put, u16_at, u32_at};
use crate::crc::crc32;
use crate::header::{
    ANY_BOARD, BOARD_LEN, CURRENT_FORMAT_VERSION, Flags, HEADER_LEN, HeaderError, ImageHeader,
    MAGIC, MIN_FORMAT_VERSION, SIGNED_LEN, check_start, field, is_board_id_bytes,
};
use crate::memory::{FlashMap, MAX_SECTORS, Region, SectorSet};
use crate::packed;
use crate::text::Writer;
use crate::version::{SUFFIX_LEN, is_suffix_bytes};

/// The bytes of a header. Those that [`HeaderBytes::check`] accepts are what [`ImageHeader::encode`] writes, so that two headers are the same
/// if their bytes are.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderBytes(pub [u8; HEADER_LEN]);

impl HeaderBytes {
    /// No header yet.
    pub const EMPTY: Self = Self([0; HEADER_LEN]);

    /// Makes the header of a raw image for `load_address`; size and CRC are not known yet.
    pub fn make_raw(&mut self, load_address: u32) {
        *self = Self::EMPTY;
        self.put(0, &MAGIC);
        self.put(field::FORMAT_VERSION, &CURRENT_FORMAT_VERSION.to_le_bytes());
        self.put(field::HEADER_SIZE, &(HEADER_LEN as u16).to_le_bytes());
        self.put(field::FLAGS, &Flags::RAW.0.to_le_bytes());
        self.put(field::BOARD, ANY_BOARD.as_bytes());
        self.put(field::LOAD_ADDRESS, &load_address.to_le_bytes());
        self.seal();
    }

    /// Whether they are a header with no other flags than `known`.
    pub fn check(&self, known: Flags) -> Result<(), HeaderError> {
        check(&self.0, known)
    }

    /// Fills in the payload of a raw image; [`HeaderBytes::seal`] follows.
    pub fn set_payload(&mut self, size: u32, crc32: u32) {
        self.put(field::PAYLOAD_SIZE, &size.to_le_bytes());
        self.put(field::PAYLOAD_CRC32, &crc32.to_le_bytes());
    }

    /// Fills in the CRC of a sector; [`HeaderBytes::seal`] follows.
    pub fn set_sector_crc32(&mut self, sector: u8, crc32: u32) {
        if let Some(at) = crc_at(sector) {
            self.put(at, &crc32.to_le_bytes());
        }
    }

    /// Makes the header's own CRC right.
    pub fn seal(&mut self) {
        let (body, _) = self.0.split_at(field::CRC32);
        let crc = crc32(body);
        self.put(field::CRC32, &crc.to_le_bytes());
    }

    /// The header's own CRC.
    pub fn header_crc32(&self) -> u32 {
        self.u32(field::CRC32)
    }

    /// What the image asks of the board.
    pub fn flags(&self) -> Flags {
        Flags(self.u32(field::FLAGS))
    }

    /// Board id from the profile, or [`ANY_BOARD`].
    pub fn board(&self) -> &[u8] {
        text(&self.0, field::BOARD, BOARD_LEN)
    }

    /// The application's version; 0.0.0 when unknown.
    pub fn version(&self) -> VersionBytes<'_> {
        VersionBytes {
            numbers: self.numbers(field::VERSION),
            suffix: text(&self.0, field::VERSION_SUFFIX, SUFFIX_LEN),
        }
    }

    /// See [`ImageHeader::security_counter`].
    pub fn security_counter(&self) -> u32 {
        self.u32(field::SECURITY_COUNTER)
    }

    /// The oldest IAP firmware that may install the image (major, minor, patch).
    pub fn min_iap_version(&self) -> [u16; 3] {
        self.numbers(field::MIN_IAP_VERSION)
    }

    /// Where the payload goes.
    pub fn load_address(&self) -> u32 {
        self.u32(field::LOAD_ADDRESS)
    }

    /// Bytes of the payload.
    pub fn payload_size(&self) -> u32 {
        self.u32(field::PAYLOAD_SIZE)
    }

    /// CRC-32 of exactly the payload's bytes.
    pub fn payload_crc32(&self) -> u32 {
        self.u32(field::PAYLOAD_CRC32)
    }

    /// SHA-256 of exactly the payload's bytes, if there is one.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        (self.u32(field::DIGEST_ALGORITHM) != 0).then(|| array_at(&self.0, field::DIGEST))
    }

    /// CRC-32 over the payload's bytes in a sector; zero for sectors it does not touch.
    pub fn sector_crc32(&self, sector: u8) -> u32 {
        crc_at(sector).map_or(0, |at| self.u32(at))
    }

    /// Index of the public key that checks the signature.
    pub fn key_id(&self) -> u32 {
        self.u32(field::KEY_ID)
    }

    /// Keys this image revokes, one bit each.
    pub fn revoked_keys(&self) -> u32 {
        self.u32(field::REVOKED_KEYS)
    }

    /// Whether the keys it revokes are all of a higher id than the one that signs it. So key 0 can never be revoked.
    pub fn may_revoke_its_keys(&self) -> bool {
        let own = 1u32.checked_shl(self.key_id()).unwrap_or(0);
        let protected = own | own.wrapping_sub(1);
        self.revoked_keys() & protected == 0
    }

    /// The bytes that the signature covers.
    pub fn signed(&self) -> &[u8] {
        self.0.split_at(SIGNED_LEN).0
    }

    /// Ed25519 (RFC 8032) over [`HeaderBytes::signed`]; zero when unsigned.
    pub fn signature(&self) -> [u8; 64] {
        array_at(&self.0, field::SIGNATURE)
    }

    /// Whether a signature is there at all; says nothing about its truth.
    pub fn is_signed(&self) -> bool {
        !is_zero(&self.0, field::SIGNATURE, field::CRC32)
    }

    /// See [`ImageHeader::is_provisional`].
    pub fn is_provisional(&self) -> bool {
        self.flags().contains(Flags::RAW) && self.payload_size() == 0
    }

    /// Where the payload goes.
    pub fn payload_region(&self) -> Region {
        Region::new(self.load_address(), self.payload_size())
    }

    /// The sectors the payload touches.
    pub fn sectors(&self, flash: &FlashMap) -> SectorSet {
        flash.sectors_of(self.payload_region())
    }

    fn numbers(&self, at: usize) -> [u16; 3] {
        [0, 2, 4].map(|i| u16_at(&self.0, at.wrapping_add(i)))
    }

    #[inline(never)]
    fn u32(&self, at: usize) -> u32 {
        u32_at(&self.0, at)
    }

    #[inline(never)]
    fn put(&mut self, at: usize, value: &[u8]) {
        put(&mut self.0, at, value);
    }
}

impl Default for HeaderBytes {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for HeaderBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ImageHeader::decode_recorded(&self.0) {
            Ok(header) => header.fmt(f),
            Err(error) => f.debug_tuple("HeaderBytes").field(&error).finish(),
        }
    }
}

impl From<&ImageHeader> for HeaderBytes {
    fn from(header: &ImageHeader) -> Self {
        Self(header.encode())
    }
}

/// A version in a header. Shown as a [`Version`](crate::version::Version) is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VersionBytes<'a> {
    /// Major, minor, patch.
    pub numbers: [u16; 3],
    /// `-pre.release+build`, sign included.
    pub suffix: &'a [u8],
}

impl VersionBytes<'_> {
    /// Whether this is the version of an image that carries none.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Writes it.
    pub fn write(&self, out: &mut Writer<'_>) {
        let numbers = self.numbers.map(u32::from);
        out.fill(packed!("{d}.{d}.{d}{t}"), &numbers, &[self.suffix]);
    }
}

impl fmt::Display for VersionBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let mut buffer = [0; 48];
        let mut out = Writer::new(&mut buffer);
        self.write(&mut out);
        let text = out.into_written();
        text.iter().try_for_each(|&byte| f.write_char(byte.into()))
    }
}

/// Whether `bytes` are a header with no other flags than `known`.
pub(crate) fn check(bytes: &[u8], known: Flags) -> Result<(), HeaderError> {
    let bytes = check_start(
        bytes,
        HEADER_LEN,
        MAGIC,
        MIN_FORMAT_VERSION..=CURRENT_FORMAT_VERSION,
    )?;
    let (algorithm, digest_end) = match u32_at(bytes, field::DIGEST_ALGORITHM) {
        0 => (true, field::DIGEST),
        1 => (true, field::DIGEST + 32),
        _ => (false, 0),
    };
    let flags = u32_at(bytes, field::FLAGS);
    let rules = [
        (
            field::BOARD,
            is_padded(bytes, field::BOARD, BOARD_LEN)
                && is_board_id_bytes(text(bytes, field::BOARD, BOARD_LEN)),
        ),
        (
            field::VERSION_SUFFIX,
            is_padded(bytes, field::VERSION_SUFFIX, SUFFIX_LEN)
                && is_suffix_bytes(text(bytes, field::VERSION_SUFFIX, SUFFIX_LEN)),
        ),
        (
            field::VERSION_RESERVED,
            u16_at(bytes, field::VERSION_RESERVED) == 0,
        ),
        (
            field::MIN_IAP_RESERVED,
            u16_at(bytes, field::MIN_IAP_RESERVED) == 0,
        ),
        (
            field::RESERVED,
            is_zero(bytes, field::RESERVED, field::SIGNATURE),
        ),
        (field::DIGEST_ALGORITHM, algorithm),
        (
            field::DIGEST,
            is_zero(bytes, digest_end, field::SECTOR_CRC32),
        ),
        (field::FLAGS, flags & !known.0 == 0),
    ];
    for (offset, is_kept) in rules {
        if !is_kept {
            return Err(HeaderError::Field(offset as u16));
        }
    }
    Ok(())
}

/// Where the CRC of a sector is.
fn crc_at(sector: u8) -> Option<usize> {
    let sector = usize::from(sector);
    let at = field::SECTOR_CRC32.wrapping_add(sector.wrapping_mul(4));
    (sector < MAX_SECTORS).then_some(at)
}

/// A text of at most `len` bytes, up to its first NUL.
fn text(bytes: &[u8], at: usize, len: usize) -> &[u8] {
    let field = bytes.get(at..).unwrap_or_default();
    let field = field.get(..len).unwrap_or(field);
    let used = field.iter().position(|&byte| byte == 0);
    used.and_then(|used| field.get(..used)).unwrap_or(field)
}

/// Whether nothing but NUL follows the text.
fn is_padded(bytes: &[u8], at: usize, len: usize) -> bool {
    let end = at.wrapping_add(text(bytes, at, len).len());
    is_zero(bytes, end, at.wrapping_add(len))
}

#[inline(never)]
fn is_zero(bytes: &[u8], from: usize, to: usize) -> bool {
    let part = bytes.get(from..to).unwrap_or_default();
    part.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::header::PayloadDigest;
    use std::string::ToString;

    fn header() -> ImageHeader {
        let mut sector_crc32 = [0; MAX_SECTORS];
        (sector_crc32[5], sector_crc32[23]) = (55, 23);
        ImageHeader {
            flags: Flags::CONFIRM,
            board: "sim".try_into().unwrap(),
            version: "1.2.3-rc.1".parse().unwrap(),
            security_counter: 7,
            min_iap_version: (0, 1, 2),
            load_address: 0x0802_0000,
            payload_size: 3464,
            payload_crc32: 0x1234_5678,
            digest: PayloadDigest::Sha256([9; 32]),
            sector_crc32,
            key_id: 3,
            revoked_keys: 5,
            signature: [1; 64],
            ..ImageHeader::default()
        }
    }

    #[test]
    fn every_field_is_read_where_it_is_written() {
        let (header, bytes) = (header(), HeaderBytes::from(&header()));
        assert_eq!(bytes.check(Flags::KNOWN), Ok(()));
        assert_eq!(bytes.flags(), header.flags);
        assert_eq!(bytes.board(), header.board.as_bytes());
        assert_eq!(bytes.version().to_string(), header.version.to_string());
        assert_eq!(bytes.security_counter(), header.security_counter);
        assert_eq!(bytes.min_iap_version(), [0, 1, 2]);
        assert_eq!(bytes.payload_region(), header.payload_region());
        assert_eq!(bytes.payload_crc32(), header.payload_crc32);
        assert_eq!(bytes.sha256(), Some([9; 32]));
        assert_eq!((bytes.sector_crc32(5), bytes.sector_crc32(23)), (55, 23));
        assert_eq!((bytes.sector_crc32(6), bytes.sector_crc32(24)), (0, 0));
        assert_eq!((bytes.key_id(), bytes.revoked_keys()), (3, 5));
        assert_eq!((bytes.signature(), bytes.is_signed()), ([1; 64], true));
        assert_eq!(bytes.signed().len(), SIGNED_LEN);
    }

    #[test]
    fn a_raw_header_becomes_a_whole_one() {
        let mut bytes = HeaderBytes([0xFF; HEADER_LEN]);
        bytes.make_raw(0x0802_0000);
        assert!(bytes.is_provisional() && !bytes.is_signed());
        let recorded = Flags::KNOWN.union(Flags::RAW);
        assert_eq!(bytes.check(recorded), Ok(()));
        bytes.set_payload(3464, 99);
        bytes.set_sector_crc32(5, 55);
        bytes.set_sector_crc32(24, 1);
        bytes.seal();
        assert_eq!(bytes.check(recorded), Ok(()));
        assert!(bytes.check(Flags::KNOWN).is_err());
        let mut expected = ImageHeader {
            flags: Flags::RAW,
            load_address: 0x0802_0000,
            payload_size: 3464,
            payload_crc32: 99,
            ..ImageHeader::default()
        };
        expected.sector_crc32[5] = 55;
        assert_eq!(bytes, HeaderBytes::from(&expected));
        assert!(bytes.version().is_unknown());
    }
}
