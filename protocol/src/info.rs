//! `.iap_info`: 64 bytes inside an application that say which version it is and for which board, so that nobody has to type it.
//!
//! Found in an ELF by its section name, in a BIN by its two magics at a multiple of 4. No CRC: an application in C fills it in with
//! an initialiser.

use heapless::String;

use crate::bytes::{nth, text_at, u16_at};
use crate::header::{BOARD_LEN, Flags, is_board_id};
use crate::version::{Version, is_suffix};

/// Bytes of the descriptor.
pub const INFO_LEN: usize = 64;
/// The section an application puts it in.
pub const SECTION_NAME: &str = ".iap_info";
/// Its first four bytes.
pub const MAGIC: [u8; 4] = *b"IAPD";
/// Its last four bytes.
pub const END_MAGIC: [u8; 4] = *b"DPAI";
/// Characters of pre-release and build text that fit.
pub const INFO_SUFFIX_LEN: usize = 12;

const FORMAT_VERSION: u16 = 1;

mod field {
    pub(super) const FORMAT_VERSION: usize = 4;
    pub(super) const SIZE: usize = 6;
    pub(super) const VERSION: usize = 8;
    pub(super) const FLAGS: usize = 14;
    pub(super) const BOARD: usize = 16;
    pub(super) const SUFFIX: usize = 48;
    pub(super) const END_MAGIC: usize = 60;
}

/// A decoded descriptor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageInfo {
    /// The application's version.
    pub version: Version,
    /// [`Flags::CONFIRM`] and [`Flags::DATA`].
    pub flags: Flags,
    /// The board it was built for, or "any".
    pub board: String<BOARD_LEN>,
}

impl ImageInfo {
    /// Reads a descriptor; `None` if the bytes are not one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; INFO_LEN] = bytes.first_chunk()?;
        let known = bytes.starts_with(&MAGIC)
            && bytes.ends_with(&END_MAGIC)
            && u16_at(bytes, field::FORMAT_VERSION) == FORMAT_VERSION
            && usize::from(u16_at(bytes, field::SIZE)) == INFO_LEN;
        let flags = Flags(u32::from(u16_at(bytes, field::FLAGS)));
        if !known || flags.0 & !Flags::KNOWN.0 != 0 {
            return None;
        }
        let suffix =
            text_at(bytes, field::SUFFIX, INFO_SUFFIX_LEN).filter(|suffix| is_suffix(suffix))?;
        let board = text_at(bytes, field::BOARD, BOARD_LEN).filter(|board| is_board_id(board))?;
        let number = |i: usize| u16_at(bytes, nth(field::VERSION, i, 2));
        Some(Self {
            version: Version {
                suffix: String::try_from(suffix).ok()?,
                ..Version::new(number(0), number(1), number(2))
            },
            flags,
            board: String::try_from(board).ok()?,
        })
    }

    /// Finds the descriptor in an image.
    pub fn find(image: &[u8]) -> Option<Self> {
        (0..image.len().saturating_sub(INFO_LEN - 1))
            .step_by(4)
            .find_map(|at| Self::decode(image.get(at..)?))
    }

    /// Writes the descriptor at compile time, for a `static` in `.iap_info`.
    ///
    /// # Panics
    /// On a `board`, `suffix` or flag that [`ImageInfo::decode`] would not accept; in a `static` the compiler reports it.
    pub const fn encode(
        version: (u16, u16, u16),
        suffix: &str,
        board: &str,
        flags: Flags,
    ) -> [u8; INFO_LEN] {
        assert!(
            is_board_id(board),
            "a board id has 1 to 32 letters, digits, -, _ and ."
        );
        assert!(
            suffix.len() <= INFO_SUFFIX_LEN && is_suffix(suffix),
            "a version suffix in .iap_info is -text, +text or both, with at most 12 characters"
        );
        assert!(
            flags.0 & !Flags::KNOWN.0 == 0,
            "an application may ask for the flags CONFIRM and DATA only"
        );
        let mut bytes = [0; INFO_LEN];
        bytes = put_const(bytes, 0, &MAGIC);
        bytes = put_const(bytes, field::FORMAT_VERSION, &FORMAT_VERSION.to_le_bytes());
        bytes = put_const(bytes, field::SIZE, &(INFO_LEN as u16).to_le_bytes());
        bytes = put_const(bytes, field::VERSION, &version.0.to_le_bytes());
        bytes = put_const(bytes, field::VERSION + 2, &version.1.to_le_bytes());
        bytes = put_const(bytes, field::VERSION + 4, &version.2.to_le_bytes());
        bytes = put_const(bytes, field::FLAGS, &(flags.0 as u16).to_le_bytes());
        bytes = put_const(bytes, field::BOARD, board.as_bytes());
        bytes = put_const(bytes, field::SUFFIX, suffix.as_bytes());
        put_const(bytes, field::END_MAGIC, &END_MAGIC)
    }
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "an application's own constants; what does not fit is an error of its build"
)]
const fn put_const(mut bytes: [u8; INFO_LEN], at: usize, value: &[u8]) -> [u8; INFO_LEN] {
    let mut i = 0;
    while i < value.len() {
        bytes[at + i] = value[i];
        i += 1;
    }
    bytes
}
