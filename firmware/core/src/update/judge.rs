//! The verdicts on an image, each as early as the bytes allow and all of them before the flash is touched.

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::{self, ANY_BOARD, Flags, HeaderBytes, HeaderError};
use iap_protocol::memory::{MemoryMap, Region, SectorSet};
use iap_protocol::packed;
use iap_protocol::status::Policy;
use iap_protocol::vectors::{self, VectorFault};

use super::writer::holds_already;
use crate::config::{Config, IAP_VERSION_NUMBERS};
use crate::flash::Flash;
use crate::record::RecordState;
use crate::signature;

/// Bytes that tell the kind of a file.
pub(super) const KIND_LEN: usize = 4;

/// What kind of file comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An image with a header.
    Iap,
    /// The same behind the prefix of a partial transfer.
    Partial,
    /// The bytes of the image alone.
    Raw,
}

/// Tells the kind of file from its first bytes; formats that must be converted first are refused.
pub(super) fn kind(start: [u8; KIND_LEN], why: &mut Refusal) -> Result<Kind, Refused> {
    let code = match start {
        header::MAGIC => return Ok(Kind::Iap),
        header::PREFIX_MAGIC => return Ok(Kind::Partial),
        [0x7F, b'E', b'L', b'F'] => ErrorCode::ElfFile,
        // An Intel HEX record: colon and hexadecimal digits. As a stack pointer it would be no address in RAM.
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit) => ErrorCode::HexFile,
        [b'S', b'0'..=b'3', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit) => {
            ErrorCode::SrecFile
        }
        _ => return Ok(Kind::Raw),
    };
    Err(why.refuse(code))
}

/// Judges a raw image: nothing is known but where it goes and, if the client said so, its size.
pub(super) fn raw(
    config: &Config,
    state: &RecordState,
    declared: Option<u32>,
    why: &mut Refusal,
) -> Result<(), Refused> {
    if config.policy() == Policy::Signed {
        return Err(why.refuse(ErrorCode::RawNotAllowed));
    }
    check_counter(0, config, state, why)?;
    let start = config.map.application.start;
    let payload = Region::new(start, declared.unwrap_or(0));
    check_region(payload, &config.map, why)
}

/// Judges a header.
// Not inlined: the stack of a packet's whole way would hold what one header needs.
#[inline(never)]
pub(super) fn header(
    image: &HeaderBytes,
    config: &Config,
    state: &RecordState,
    why: &mut Refusal,
) -> Result<(), Refused> {
    image
        .check(Flags::KNOWN)
        .map_err(|error| refuse_header(error, why))?;
    let (board, this) = (image.board(), config.board.as_bytes());
    if board != ANY_BOARD.as_bytes() && board != this {
        return Err(why.refuse_quoting(
            ErrorCode::WrongBoard,
            packed!("image says {t}, this is {t}"),
            &[board, this],
        ));
    }
    let wanted = image.min_iap_version();
    if wanted > IAP_VERSION_NUMBERS {
        return Err(why.refuse_with(
            ErrorCode::IapTooOld,
            packed!(concat!(
                "image asks for {d}.{d}.{d}, this is ",
                env!("CARGO_PKG_VERSION")
            )),
            &wanted.map(u32::from),
        ));
    }
    let payload = image.payload_region();
    if payload.len == 0 {
        return Err(why.refuse_with(ErrorCode::Empty, packed!("the header says 0 bytes"), &[]));
    }
    if payload.start != config.map.application.start {
        return Err(why.refuse_with(
            ErrorCode::WrongLoadAddress,
            packed!("expected {x}, image says {x}"),
            &[config.map.application.start, payload.start],
        ));
    }
    check_region(payload, &config.map, why)?;
    check_counter(image.security_counter(), config, state, why)?;
    check_data_sectors(image, config, why)?;
    match config.policy() {
        Policy::Signed => signature::check(image, config, state.revoked, why),
        Policy::Open | Policy::Login => Ok(()),
    }
}

pub(super) fn refuse_header(error: HeaderError, why: &mut Refusal) -> Refused {
    match error {
        HeaderError::Truncated => why.refuse(ErrorCode::HeaderTruncated),
        // Behind the prefix of a partial transfer: an image without one is known by its magic.
        HeaderError::Magic => {
            why.refuse_with(ErrorCode::HeaderField, packed!("at offset {d}"), &[0])
        }
        HeaderError::FormatVersion(version) => why.refuse_with(
            ErrorCode::HeaderVersion,
            packed!("expected {d}, image says {d}"),
            &[header::CURRENT_FORMAT_VERSION.into(), version.into()],
        ),
        HeaderError::HeaderSize(size) => why.refuse_with(
            ErrorCode::HeaderField,
            packed!("expected a size of {d}, image says {d}"),
            &[header::HEADER_LEN as u32, size.into()],
        ),
        HeaderError::Crc { computed, stored } => why.refuse_with(
            ErrorCode::HeaderCrc,
            packed!("expected {x}, computed {x}"),
            &[stored, computed],
        ),
        HeaderError::Field(offset) => why.refuse_with(
            ErrorCode::HeaderField,
            packed!("at offset {d}"),
            &[offset.into()],
        ),
    }
}

/// Whether the payload lies in user flash.
pub(super) fn check_region(
    payload: Region,
    map: &MemoryMap,
    why: &mut Refusal,
) -> Result<(), Refused> {
    if map.application.contains_region(&payload) {
        return Ok(());
    }
    let flash = map.application;
    Err(why.refuse_with(
        ErrorCode::TooLarge,
        packed!("{s}, user flash is {x}..{x} ({s})"),
        &[payload.len, flash.start, flash.end() as u32, flash.len],
    ))
}

fn check_counter(
    counter: u32,
    config: &Config,
    state: &RecordState,
    why: &mut Refusal,
) -> Result<(), Refused> {
    let least = state.least_counter(config);
    if counter >= least {
        return Ok(());
    }
    Err(why.refuse_with(
        ErrorCode::CounterTooLow,
        packed!("expected at least {d}, image says {d}"),
        &[least, counter],
    ))
}

/// Whether the image stays out of the application's own data, or says that it brings some. Where a reset checks the digest nobody may: it is
/// wrong from the application's first change on.
pub(super) fn check_data_sectors(
    image: &HeaderBytes,
    config: &Config,
    why: &mut Refusal,
) -> Result<(), Refused> {
    let map = &config.map;
    let covered = image.sectors(&map.flash).intersection(map.data_sectors);
    match covered.iter().next() {
        Some(index) if config.boot_signature => {
            let form = packed!("sector {d}, and a reset checks signatures");
            Err(why.refuse_with(ErrorCode::DataSectors, form, &[index.into()]))
        }
        Some(index) if !image.flags().contains(Flags::DATA) => {
            Err(sector(ErrorCode::DataSectors, index, why))
        }
        _ => Ok(()),
    }
}

/// Judges a transfer that brings nothing but the bytes in the sectors `sent`: all others of the image must be in flash already, as certain as
/// those that an update skips. Nothing is written for that: the record is made firm, and asked again, before the first erase.
pub(super) fn left_out(
    image: &HeaderBytes,
    sent: SectorSet,
    map: &MemoryMap,
    state: &RecordState,
    flash: &mut dyn Flash,
    why: &mut Refusal,
) -> Result<(), Refused> {
    let covered = image.sectors(&map.flash);
    for index in SectorSet(covered.0 | sent.0).iter() {
        let is_sent = sent.contains(index);
        let is_right = match map.flash.sector(index) {
            Some(part) if !is_sent => {
                state.is_firm(index)
                    && holds_already(flash, image, part, Some(image.payload_size()))
                        .map_err(|error| error.refuse(why))?
            }
            _ => covered.contains(index),
        };
        if !is_right {
            return Err(sector(ErrorCode::PartialTransfer, index, why));
        }
    }
    Ok(())
}

/// Refuses for a sector.
pub(super) fn sector(code: ErrorCode, index: u8, why: &mut Refusal) -> Refused {
    why.refuse_with(code, packed!("sector {d}"), &[index.into()])
}

/// Whether the image would start. `start` are its first bytes; while the end of a raw image is not known, `size` is `None`.
pub(super) fn vector_table(
    start: &[u8],
    size: Option<u32>,
    map: &MemoryMap,
    why: &mut Refusal,
) -> Result<(), Refused> {
    let image = Region::new(map.application.start, size.unwrap_or(map.application.len));
    vectors::check(start, image, map).map_err(|fault| {
        let (form, numbers) = fault.form();
        let hint = match fault {
            VectorFault::ResetOutsideImage(_) | VectorFault::HandlerOutsideImage(..) => {
                packed!("linked elsewhere? ")
            }
            _ => b"",
        };
        why.refuse_hinting(ErrorCode::VectorTable, hint, form, &numbers)
    })
}
