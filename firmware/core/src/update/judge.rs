//! The verdicts on an image, each as early as the bytes allow and all of them before the flash is touched.

use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::header::{self, ANY_BOARD, Flags, HeaderError, ImageHeader};
use iap_protocol::memory::{MemoryMap, Region, Size};
use iap_protocol::status::Policy;
use iap_protocol::vectors;
use iap_protocol::version::Version;

use crate::config::{Config, IAP_VERSION, IAP_VERSION_NUMBERS};
use crate::record::RecordState;

/// Bytes that tell the kind of a file.
pub(super) const KIND_LEN: usize = 4;

/// What kind of file comes in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An image with a header.
    Iap,
    /// The bytes of the image alone.
    Raw,
}

/// Tells the kind of file from its first bytes; formats that must be converted first are refused.
pub(super) fn kind(start: [u8; KIND_LEN]) -> Result<Kind, Refusal> {
    let code = match start {
        header::MAGIC => return Ok(Kind::Iap),
        header::PREFIX_MAGIC => ErrorCode::PartialTransfer,
        [0x7F, b'E', b'L', b'F'] => ErrorCode::ElfFile,
        // An Intel HEX record: colon and hexadecimal digits. As a stack pointer it would be no address in RAM.
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit) => ErrorCode::HexFile,
        [b'S', b'0'..=b'3', digits @ ..] if digits.iter().all(u8::is_ascii_hexdigit) => {
            ErrorCode::SrecFile
        }
        _ => return Ok(Kind::Raw),
    };
    Err(code.into())
}

/// The header that stands for a raw image: nothing is known but where it goes and, if the client said so, its size.
// Not inlined: the stack of a packet's whole way would hold what one header needs.
#[inline(never)]
pub(super) fn raw_header(
    config: &Config,
    state: &RecordState,
    declared: Option<u32>,
) -> Result<ImageHeader, Refusal> {
    if config.policy == Policy::Signed {
        return Err(ErrorCode::RawNotAllowed.into());
    }
    check_counter(0, state)?;
    let image = ImageHeader {
        flags: Flags::RAW,
        board: heapless::String::try_from(ANY_BOARD).unwrap_or_default(),
        load_address: config.map.application.start,
        ..ImageHeader::default()
    };
    check_region(
        Region::new(image.load_address, declared.unwrap_or(0)),
        &config.map,
    )?;
    Ok(image)
}

/// Reads and judges a header.
// Not inlined: the stack of a packet's whole way would hold what one header needs.
#[inline(never)]
pub(super) fn header(
    bytes: &[u8],
    config: &Config,
    state: &RecordState,
) -> Result<ImageHeader, Refusal> {
    let image = ImageHeader::decode(bytes).map_err(header_refusal)?;
    if image.board != ANY_BOARD && image.board != config.board {
        return Err(Refusal::with(
            ErrorCode::WrongBoard,
            format_args!("image says {}, this is {}", image.board, config.board),
        ));
    }
    if image.min_iap_version > IAP_VERSION_NUMBERS {
        let (major, minor, patch) = image.min_iap_version;
        let wanted = Version::new(major, minor, patch);
        return Err(Refusal::with(
            ErrorCode::IapTooOld,
            format_args!("image asks for {wanted}, this is {IAP_VERSION}"),
        ));
    }
    if image.payload_size == 0 {
        return Err(Refusal::with(
            ErrorCode::Empty,
            format_args!("the header says 0 bytes"),
        ));
    }
    if image.load_address != config.map.application.start {
        return Err(Refusal::with(
            ErrorCode::WrongLoadAddress,
            format_args!(
                "expected {:#010x}, image says {:#010x}",
                config.map.application.start, image.load_address
            ),
        ));
    }
    check_region(image.payload_region(), &config.map)?;
    check_counter(image.security_counter, state)?;
    check_data_sectors(&image, &config.map)?;
    if config.policy == Policy::Signed {
        // No public key is built into this version: nothing could vouch for a signature.
        let code = if image.is_signed() {
            ErrorCode::UnknownKey
        } else {
            ErrorCode::NotSigned
        };
        return Err(code.into());
    }
    Ok(image)
}

fn header_refusal(error: HeaderError) -> Refusal {
    match error {
        HeaderError::Truncated | HeaderError::Magic => ErrorCode::HeaderTruncated.into(),
        HeaderError::FormatVersion(version) => Refusal::with(
            ErrorCode::HeaderVersion,
            format_args!(
                "expected {}, image says {version}",
                header::CURRENT_FORMAT_VERSION
            ),
        ),
        HeaderError::HeaderSize(size) => Refusal::with(
            ErrorCode::HeaderField,
            format_args!(
                "expected a size of {}, image says {size}",
                header::HEADER_LEN
            ),
        ),
        HeaderError::Crc { computed, stored } => Refusal::with(
            ErrorCode::HeaderCrc,
            format_args!("expected {stored:#010x}, computed {computed:#010x}"),
        ),
        HeaderError::Field(offset) => {
            Refusal::with(ErrorCode::HeaderField, format_args!("at offset {offset}"))
        }
    }
}

/// Whether the payload lies in user flash.
pub(super) fn check_region(payload: Region, map: &MemoryMap) -> Result<(), Refusal> {
    if map.application.contains_region(&payload) {
        return Ok(());
    }
    Err(Refusal::with(
        ErrorCode::TooLarge,
        format_args!("{}, user flash is {}", Size(payload.len), map.application),
    ))
}

fn check_counter(counter: u32, state: &RecordState) -> Result<(), Refusal> {
    if counter >= state.counter {
        return Ok(());
    }
    Err(Refusal::with(
        ErrorCode::CounterTooLow,
        format_args!("expected at least {}, image says {counter}", state.counter),
    ))
}

/// Whether the image stays out of the application's own data, or says that it brings some.
pub(super) fn check_data_sectors(image: &ImageHeader, map: &MemoryMap) -> Result<(), Refusal> {
    let covered = image.sectors(&map.flash).intersection(map.data_sectors);
    match covered.iter().next() {
        Some(sector) if !image.flags.contains(Flags::DATA) => Err(Refusal::with(
            ErrorCode::DataSectors,
            format_args!("sector {sector}"),
        )),
        _ => Ok(()),
    }
}

/// Whether the image would start. `start` are its first bytes; while the end of a raw image is not known, `size` is `None`.
pub(super) fn vector_table(
    start: &[u8],
    size: Option<u32>,
    map: &MemoryMap,
) -> Result<(), Refusal> {
    let image = Region::new(map.application.start, size.unwrap_or(map.application.len));
    vectors::check(start, image, map).map_err(|fault| {
        let hint = match fault {
            vectors::VectorFault::ResetOutsideImage(_)
            | vectors::VectorFault::HandlerOutsideImage(..) => "linked elsewhere? ",
            _ => "",
        };
        Refusal::with(ErrorCode::VectorTable, format_args!("{hint}{fault}"))
    })
}
