//! What kind of file it is, by its first bytes.

use std::fmt;

use iap_protocol::header;
use serde::Serialize;

use super::elf;
use crate::failure::{Exit, Failure};

/// A format that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// ELF, as linkers write it.
    Elf,
    /// Intel HEX.
    IntelHex,
    /// Motorola S-records.
    Srec,
    /// Raw bytes for USER_FLASH_FIRST_PAGE_ADDRESS.
    Bin,
    /// A 512-byte header and its payload.
    Iap,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elf => "ELF",
            Self::IntelHex => "Intel HEX",
            Self::Srec => "S-records",
            Self::Bin => "raw binary",
            Self::Iap => "IAP image",
        })
    }
}

impl Format {
    /// Recognises the format of a file; whatever has no mark is a raw binary, except what certainly is none.
    pub fn of(bytes: &[u8]) -> Result<Self, Failure> {
        let bad = |message: &str| Failure::new(Exit::BadImage, message);
        match bytes {
            [] => Err(bad("the file is empty, an image was expected")
                .help("the build that should have written it failed, or the disk was full")),
            _ if bytes.starts_with(&elf::MAGIC) => Ok(Self::Elf),
            _ if bytes.starts_with(&header::MAGIC) => Ok(Self::Iap),
            _ if bytes.starts_with(&header::PREFIX_MAGIC) => Err(bad(
                "this is a recorded partial transfer, which holds only some sectors of an image",
            )
            .help("use the .iap file it was made from")),
            // As a stack pointer neither ':' nor 'S' in the lowest byte would be a multiple of 4: no raw binary begins like this.
            [b':', first, ..] if first.is_ascii_hexdigit() => Ok(Self::IntelHex),
            [b'S', b'0'..=b'9', first, ..] if first.is_ascii_hexdigit() => Ok(Self::Srec),
            _ if is_text(bytes) => Err(bad("this is a text file, not an image")
                .help("ELF, BIN, IAP, Intel HEX and S-record files can be read")),
            _ => Ok(Self::Bin),
        }
    }
}

/// Text from beginning to end; a vector table never is, because addresses contain bytes that are not printable.
fn is_text(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|&byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}
