//! Random values for the tests: reproducible, from a seed that stands in the test.
#![allow(clippy::unwrap_used, reason = "test code")]

use iap_protocol::crc::crc32;
use iap_protocol::header::{Flags, ImageHeader, PayloadDigest};
use iap_protocol::version::Version;

/// Marsaglia's xorshift with 64 bits of state (shifts 13, 7, 17).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 16) % limit as u64) as usize
    }

    /// A number that is often at the edge of its range.
    pub(crate) fn number(&mut self) -> u32 {
        match self.below(4) {
            0 => 0,
            1 => u32::MAX,
            _ => (self.next() >> 16) as u32,
        }
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        core::array::from_fn(|_| (self.next() >> 16) as u8)
    }

    /// `len` letters, digits and characters of `others`.
    pub(crate) fn text(&mut self, len: usize, others: &str) -> String {
        let alphabet: Vec<char> = ('a'..='z')
            .chain('A'..='Z')
            .chain('0'..='9')
            .chain(others.chars())
            .collect();
        (0..len).map(|_| self.pick(&alphabet)).collect()
    }

    fn version(&mut self) -> (u16, u16, u16) {
        let numbers = [(); 3].map(|()| self.number() as u16);
        (numbers[0], numbers[1], numbers[2])
    }

    fn suffix(&mut self) -> String {
        let sign = self.pick(&["", "-", "+"]);
        let len = if sign.is_empty() {
            0
        } else {
            1 + self.below(23)
        };
        format!("{sign}{}", self.text(len, ".-+"))
    }

    /// A header with any content that version 1 defines.
    pub(crate) fn header(&mut self) -> ImageHeader {
        let (major, minor, patch) = self.version();
        let board_len = 1 + self.below(32);
        ImageHeader {
            flags: Flags(self.number() & Flags::KNOWN.0),
            board: self.text(board_len, "-_.").as_str().try_into().unwrap(),
            version: Version {
                suffix: self.suffix().as_str().try_into().unwrap(),
                ..Version::new(major, minor, patch)
            },
            security_counter: self.number(),
            min_iap_version: self.version(),
            build_id: self.bytes(),
            load_address: self.number(),
            payload_size: self.number(),
            payload_crc32: self.number(),
            digest: match self.below(2) {
                0 => PayloadDigest::None,
                _ => PayloadDigest::Sha256(self.bytes()),
            },
            sector_crc32: core::array::from_fn(|_| self.number()),
            key_id: self.number(),
            revoked_keys: self.number(),
            signature: match self.below(2) {
                0 => [0; 64],
                _ => self.bytes(),
            },
        }
    }
}

/// Makes the CRC-32 in the last four bytes right again, so that what was changed before it is judged for itself.
pub(crate) fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len() - 4;
    let crc = crc32(&bytes[..at]);
    bytes[at..].copy_from_slice(&crc.to_le_bytes());
    bytes
}
