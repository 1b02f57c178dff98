//! The image header: 512 bytes in front of the payload, from which the firmware judges an image before it erases anything.
//!
//! Little-endian, never stored at the load address; the boot record keeps a copy. Version 1 is complete: signature fields are part
//! of it and zero when an image is unsigned. `README.md` has the table of offsets.

use core::fmt;
use core::ops::RangeInclusive;

use heapless::String;

use crate::bytes::{array_at, nth, put, text_at, u16_at, u32_at};
use crate::crc::crc32;
use crate::memory::{FlashMap, MAX_SECTORS, Region, SectorSet};
use crate::version::{SUFFIX_LEN, Version, is_made_of};

use crate::header_bytes::check;
pub use crate::header_bytes::{HeaderBytes, VersionBytes};
pub use crate::prefix::{PREFIX_LEN, PREFIX_MAGIC, Prefix};

/// The first four bytes of an image with a header.
pub const MAGIC: [u8; 4] = *b"IAPH";
/// The oldest header version this crate reads.
pub const MIN_FORMAT_VERSION: u16 = 1;
/// The header version this crate writes.
pub const CURRENT_FORMAT_VERSION: u16 = 1;
/// Bytes of a header.
pub const HEADER_LEN: usize = 512;
/// Characters of a board id.
pub const BOARD_LEN: usize = 32;
/// The board id of images that run on every board.
pub const ANY_BOARD: &str = "any";
/// The bytes an Ed25519 signature covers: everything before it.
pub const SIGNED_LEN: usize = field::SIGNATURE;
/// Bytes of an Ed25519 signature (RFC 8032 section 5.1.6).
pub const SIGNATURE_LEN: usize = 64;
/// Public keys that a board can have; their ids are 0 to one less.
pub const MAX_PUBLIC_KEYS: usize = 8;

pub(crate) mod field {
    pub(crate) const FORMAT_VERSION: usize = 4;
    pub(crate) const HEADER_SIZE: usize = 6;
    pub(crate) const FLAGS: usize = 8;
    pub(crate) const BOARD: usize = 12;
    pub(crate) const VERSION: usize = 44;
    pub(crate) const VERSION_RESERVED: usize = 50;
    pub(crate) const VERSION_SUFFIX: usize = 52;
    pub(crate) const SECURITY_COUNTER: usize = 76;
    pub(crate) const MIN_IAP_VERSION: usize = 80;
    pub(crate) const MIN_IAP_RESERVED: usize = 86;
    pub(crate) const BUILD_ID: usize = 88;
    pub(crate) const LOAD_ADDRESS: usize = 108;
    pub(crate) const PAYLOAD_SIZE: usize = 112;
    pub(crate) const PAYLOAD_CRC32: usize = 116;
    pub(crate) const DIGEST_ALGORITHM: usize = 120;
    pub(crate) const DIGEST: usize = 124;
    pub(crate) const SECTOR_CRC32: usize = 188;
    pub(crate) const KEY_ID: usize = 284;
    pub(crate) const REVOKED_KEYS: usize = 288;
    pub(crate) const RESERVED: usize = 292;
    pub(crate) const SIGNATURE: usize = 444;
    pub(crate) const CRC32: usize = 508;
}

/// Whether `id` can be a board id: 1 to [`BOARD_LEN`] letters, digits, `-`, `_` and `.`, so that it needs no escaping anywhere.
pub const fn is_board_id(id: &str) -> bool {
    is_board_id_bytes(id.as_bytes())
}

/// As [`is_board_id`].
pub(crate) const fn is_board_id_bytes(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= BOARD_LEN && is_made_of(id, b"-_.")
}

/// Flags of an image.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(pub u32);

impl Flags {
    /// The application must confirm its start, or the board returns to IAP mode.
    pub const CONFIRM: Self = Self(1 << 0);
    /// The image brings content for data sectors.
    pub const DATA: Self = Self(1 << 1);
    /// The board wrapped a raw `.bin` itself; never in a file or on the wire.
    pub const RAW: Self = Self(1 << 31);
    /// The flags a transmitted header may have.
    pub const KNOWN: Self = Self(Self::CONFIRM.0 | Self::DATA.0);

    /// Whether all of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of flags.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A digest of the payload, beside the CRC, which only finds accidents.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PayloadDigest {
    /// None.
    #[default]
    None,
    /// SHA-256 (FIPS 180-4).
    Sha256([u8; 32]),
}

/// A decoded header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageHeader {
    /// What the image asks of the board.
    pub flags: Flags,
    /// Board id from the profile, or [`ANY_BOARD`].
    pub board: String<BOARD_LEN>,
    /// The application's version; 0.0.0 when unknown.
    pub version: Version,
    /// Rises with every release that must not be rolled back behind.
    pub security_counter: u32,
    /// The oldest IAP firmware that may install the image (major, minor, patch).
    pub min_iap_version: (u16, u16, u16),
    /// The linker's build id, zero where there is none.
    pub build_id: [u8; 20],
    /// Where the payload's first byte goes.
    pub load_address: u32,
    /// Bytes of the payload.
    pub payload_size: u32,
    /// CRC-32 of exactly the payload's bytes.
    pub payload_crc32: u32,
    /// Digest of exactly the payload's bytes.
    pub digest: PayloadDigest,
    /// CRC-32 over the payload's bytes in each sector of the chip, by sector number; zero for sectors it does not touch.
    pub sector_crc32: [u32; MAX_SECTORS],
    /// Index of the public key that checks the signature.
    pub key_id: u32,
    /// Keys this image revokes, one bit each.
    pub revoked_keys: u32,
    /// Ed25519 (RFC 8032) over the first [`SIGNED_LEN`] bytes; zero when unsigned.
    pub signature: [u8; SIGNATURE_LEN],
}

/// Why bytes are not a header, or a prefix, that this crate can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderError {
    /// Fewer than [`HEADER_LEN`] or [`PREFIX_LEN`] bytes.
    Truncated,
    /// Does not begin with [`MAGIC`] or [`PREFIX_MAGIC`].
    Magic,
    /// A format version this crate does not know.
    FormatVersion(u16),
    /// The header size is not that of its version.
    HeaderSize(u16),
    /// The CRC over the header is wrong.
    Crc {
        /// Of the bytes that came.
        computed: u32,
        /// In the bytes that came.
        stored: u32,
    },
    /// A field has a value that version 1 does not define; its offset.
    Field(u16),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("header cut short"),
            Self::Magic => f.write_str("no header: it does not begin with its magic"),
            Self::FormatVersion(version) => write!(
                f,
                "header of format version {version}, expected {CURRENT_FORMAT_VERSION}"
            ),
            Self::HeaderSize(size) => {
                write!(
                    f,
                    "header gives its own size as {size} bytes, which its version does not have"
                )
            }
            Self::Crc { computed, stored } => write!(
                f,
                "header damaged: its CRC-32 is {computed:#010x}, it says {stored:#010x}"
            ),
            Self::Field(offset) => write!(
                f,
                "header field at offset {offset} has a value its version does not define"
            ),
        }
    }
}

impl core::error::Error for HeaderError {}

impl Default for ImageHeader {
    /// An empty image for every board.
    fn default() -> Self {
        Self {
            flags: Flags::default(),
            // "any" fits.
            board: String::try_from(ANY_BOARD).unwrap_or_default(),
            version: Version::default(),
            security_counter: 0,
            min_iap_version: (0, 0, 0),
            build_id: [0; 20],
            load_address: 0,
            payload_size: 0,
            payload_crc32: 0,
            digest: PayloadDigest::None,
            sector_crc32: [0; MAX_SECTORS],
            key_id: 0,
            revoked_keys: 0,
            signature: [0; SIGNATURE_LEN],
        }
    }
}

impl ImageHeader {
    /// Where the payload goes.
    pub fn payload_region(&self) -> Region {
        Region::new(self.load_address, self.payload_size)
    }

    /// The sectors the payload touches.
    pub fn sectors(&self, flash: &FlashMap) -> SectorSet {
        flash.sectors_of(self.payload_region())
    }

    /// Whether a signature is there at all; says nothing about its truth.
    pub fn is_signed(&self) -> bool {
        self.signature != [0; SIGNATURE_LEN]
    }

    /// Whether the keys it revokes are all of a higher id than the one that signs it. So key 0 can never be revoked.
    pub fn may_revoke_its_keys(&self) -> bool {
        HeaderBytes::from(self).may_revoke_its_keys()
    }

    /// Whether the board wrapped a raw `.bin` whose end it has not seen: size and CRC are not known yet.
    pub fn is_provisional(&self) -> bool {
        self.flags.contains(Flags::RAW) && self.payload_size == 0
    }

    /// Reads a header as it comes over the wire.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        check(bytes, Flags::KNOWN)?;
        Ok(Self::read(bytes))
    }

    /// Reads a header from the boot record, where the board's own flag [`Flags::RAW`] may be set.
    pub fn decode_recorded(bytes: &[u8]) -> Result<Self, HeaderError> {
        check(bytes, Flags::KNOWN.union(Flags::RAW))?;
        Ok(Self::read(bytes))
    }

    /// Takes apart what was checked.
    fn read(bytes: &[u8]) -> Self {
        let mut sector_crc32 = [0; MAX_SECTORS];
        for (i, crc) in sector_crc32.iter_mut().enumerate() {
            *crc = u32_at(bytes, nth(field::SECTOR_CRC32, i, 4));
        }
        let text = |at, len| text_at(bytes, at, len).unwrap_or_default();
        let suffix = text(field::VERSION_SUFFIX, SUFFIX_LEN);
        Self {
            flags: Flags(u32_at(bytes, field::FLAGS)),
            // The texts fit: they are as long as their fields at most.
            board: String::try_from(text(field::BOARD, BOARD_LEN)).unwrap_or_default(),
            version: Version {
                suffix: String::try_from(suffix).unwrap_or_default(),
                ..version_at(bytes, field::VERSION)
            },
            security_counter: u32_at(bytes, field::SECURITY_COUNTER),
            min_iap_version: version_at(bytes, field::MIN_IAP_VERSION).numbers(),
            build_id: array_at(bytes, field::BUILD_ID),
            load_address: u32_at(bytes, field::LOAD_ADDRESS),
            payload_size: u32_at(bytes, field::PAYLOAD_SIZE),
            payload_crc32: u32_at(bytes, field::PAYLOAD_CRC32),
            digest: match u32_at(bytes, field::DIGEST_ALGORITHM) {
                1 => PayloadDigest::Sha256(array_at(bytes, field::DIGEST)),
                _ => PayloadDigest::None,
            },
            sector_crc32,
            key_id: u32_at(bytes, field::KEY_ID),
            revoked_keys: u32_at(bytes, field::REVOKED_KEYS),
            signature: array_at(bytes, field::SIGNATURE),
        }
    }

    /// Writes the header, CRC included. Texts are written as they are: whoever makes them up checks them with [`is_board_id`] and by
    /// parsing a [`Version`].
    #[allow(clippy::too_many_lines, reason = "a line per field")]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        put(&mut bytes, 0, &MAGIC);
        put(
            &mut bytes,
            field::FORMAT_VERSION,
            &CURRENT_FORMAT_VERSION.to_le_bytes(),
        );
        put(
            &mut bytes,
            field::HEADER_SIZE,
            &(HEADER_LEN as u16).to_le_bytes(),
        );
        put(&mut bytes, field::FLAGS, &self.flags.0.to_le_bytes());
        put(&mut bytes, field::BOARD, self.board.as_bytes());
        put_numbers(&mut bytes, field::VERSION, self.version.numbers());
        put(
            &mut bytes,
            field::VERSION_SUFFIX,
            self.version.suffix.as_bytes(),
        );
        put(
            &mut bytes,
            field::SECURITY_COUNTER,
            &self.security_counter.to_le_bytes(),
        );
        put_numbers(&mut bytes, field::MIN_IAP_VERSION, self.min_iap_version);
        put(&mut bytes, field::BUILD_ID, &self.build_id);
        put(
            &mut bytes,
            field::LOAD_ADDRESS,
            &self.load_address.to_le_bytes(),
        );
        put(
            &mut bytes,
            field::PAYLOAD_SIZE,
            &self.payload_size.to_le_bytes(),
        );
        put(
            &mut bytes,
            field::PAYLOAD_CRC32,
            &self.payload_crc32.to_le_bytes(),
        );
        if let PayloadDigest::Sha256(digest) = &self.digest {
            put(&mut bytes, field::DIGEST_ALGORITHM, &1u32.to_le_bytes());
            put(&mut bytes, field::DIGEST, digest);
        }
        for (i, crc) in self.sector_crc32.iter().enumerate() {
            put(
                &mut bytes,
                nth(field::SECTOR_CRC32, i, 4),
                &crc.to_le_bytes(),
            );
        }
        put(&mut bytes, field::KEY_ID, &self.key_id.to_le_bytes());
        put(
            &mut bytes,
            field::REVOKED_KEYS,
            &self.revoked_keys.to_le_bytes(),
        );
        put(&mut bytes, field::SIGNATURE, &self.signature);
        let crc = crc32(&bytes[..field::CRC32]);
        put(&mut bytes, field::CRC32, &crc.to_le_bytes());
        bytes
    }
}

/// What all headers of this crate begin and end with: magic, format version, own size, and a CRC-32 in the last four bytes.
pub(crate) fn check_start(
    bytes: &[u8],
    len: usize,
    magic: [u8; 4],
    versions: RangeInclusive<u16>,
) -> Result<&[u8], HeaderError> {
    let bytes = bytes.get(..len).ok_or(HeaderError::Truncated)?;
    if !bytes.starts_with(&magic) {
        return Err(HeaderError::Magic);
    }
    let (version, size) = (u16_at(bytes, 4), u16_at(bytes, 6));
    if !versions.contains(&version) {
        return Err(HeaderError::FormatVersion(version));
    }
    if usize::from(size) != len {
        return Err(HeaderError::HeaderSize(size));
    }
    let (body, stored) = bytes.split_at(len.saturating_sub(4));
    let (computed, stored) = (crc32(body), u32_at(stored, 0));
    if computed != stored {
        return Err(HeaderError::Crc { computed, stored });
    }
    Ok(bytes)
}

fn version_at(bytes: &[u8], at: usize) -> Version {
    Version::new(
        u16_at(bytes, at),
        u16_at(bytes, nth(at, 1, 2)),
        u16_at(bytes, nth(at, 2, 2)),
    )
}

fn put_numbers(bytes: &mut [u8], at: usize, (major, minor, patch): (u16, u16, u16)) {
    for (i, number) in [major, minor, patch].into_iter().enumerate() {
        put(bytes, nth(at, i, 2), &number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn errors_say_what_came_and_what_was_expected() {
        let crc = HeaderError::Crc {
            computed: 0x12,
            stored: 0xDEAD_BEEF,
        };
        for (error, text) in [
            (HeaderError::Truncated, "header cut short"),
            (
                HeaderError::Magic,
                "no header: it does not begin with its magic",
            ),
            (
                HeaderError::FormatVersion(2),
                "header of format version 2, expected 1",
            ),
            (
                HeaderError::HeaderSize(513),
                "header gives its own size as 513 bytes, which its version does not have",
            ),
            (
                crc,
                "header damaged: its CRC-32 is 0x00000012, it says 0xdeadbeef",
            ),
            (
                HeaderError::Field(12),
                "header field at offset 12 has a value its version does not define",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn an_empty_image_for_every_board_survives_its_own_decoder() {
        let header = ImageHeader::default();
        assert_eq!(ImageHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn board_ids_need_no_escaping() {
        for id in ["any", "stm324xg-eval", "A.b_9", &"x".repeat(BOARD_LEN)] {
            assert!(is_board_id(id), "{id}");
        }
        for id in [
            "",
            "a b",
            "a\"b",
            "<b>",
            "\u{e4}",
            &"x".repeat(BOARD_LEN + 1),
        ] {
            assert!(!is_board_id(id), "{id}");
        }
    }
}
