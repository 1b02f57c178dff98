//! Reading a `.iap` file: the header, and whether the payload is the one it describes.

use iap_protocol::header::{
    CURRENT_FORMAT_VERSION, HEADER_LEN, HeaderError, ImageHeader, PayloadDigest,
};
use sha2::{Digest, Sha256};

use super::finding::{Finding, Severity};
use super::intake::Taken;
use super::wrap::sector_crcs;
use super::{Format, Image, LoadOptions};
use crate::failure::{Exit, Failure};

const MAKE_AGAIN: &str = "copy the file again, or make it again with iapctl convert";

/// Reads header and payload; a payload that does not match is a fatal finding.
pub(super) fn read(bytes: &[u8], options: &LoadOptions) -> Result<Image, Failure> {
    let header = ImageHeader::decode(bytes).map_err(bad_header)?;
    let payload = bytes.get(HEADER_LEN..).unwrap_or_default();
    let mut image = Image::new(Format::Iap, header.load_address, Taken::of(payload));
    image.build_id = header.build_id;
    image.findings = faults(&header, &image, options);
    image.header = Some(header);
    Ok(image)
}

fn bad_header(error: HeaderError) -> Failure {
    let bad = |message: String| Failure::new(Exit::BadImage, message);
    match error {
        HeaderError::Truncated | HeaderError::Magic => bad(format!(
            "the file ends inside the {HEADER_LEN}-byte image header"
        ))
        .help(MAKE_AGAIN),
        HeaderError::FormatVersion(version) => bad(format!(
            "image header of format version {version}, this iapctl knows up to {CURRENT_FORMAT_VERSION}"
        ))
        .help("use the iapctl that wrote the file, or a newer one"),
        HeaderError::HeaderSize(size) => bad(format!(
            "image header says it has {size} bytes, expected {HEADER_LEN}"
        ))
        .help(MAKE_AGAIN),
        HeaderError::Crc { computed, stored } => bad(format!(
            "image header damaged: its CRC-32 is {computed:#010x}, it says {stored:#010x}"
        ))
        .help(MAKE_AGAIN),
        HeaderError::Field(offset) => bad(format!(
            "image header has a value at offset {offset} that format version {CURRENT_FORMAT_VERSION} does not define"
        ))
        .help("use the iapctl that wrote the file, or a newer one"),
    }
}

fn faults(header: &ImageHeader, image: &Image, options: &LoadOptions) -> Vec<Finding> {
    let payload = &image.payload;
    let expected = header.payload_size as usize;
    let fatal = |check, what: String| {
        Finding::new(Severity::Fatal, check, what)
            .why("the board compares the payload with its header and refuses it")
            .mend(MAKE_AGAIN)
    };
    if payload.len() != expected {
        let came = payload.len();
        let (check, how) = if came < expected {
            ("truncated", "is cut off")
        } else {
            ("trailing-bytes", "goes on after its end")
        };
        let what =
            format!("the payload {how}: the header says {expected} bytes, the file has {came}");
        return vec![fatal(check, what)];
    }
    let mut found = Vec::new();
    let crc = image.crc32;
    if crc != header.payload_crc32 {
        let what = format!(
            "the payload is damaged: its CRC-32 is {crc:#010x}, the header says {:#010x}",
            header.payload_crc32
        );
        found.push(fatal("payload-crc", what));
    }
    match &header.digest {
        PayloadDigest::Sha256(digest) if *digest != *Sha256::digest(payload) => {
            let what = "the payload is damaged: its SHA-256 is not the one in the header";
            found.push(fatal("payload-digest", what.into()));
        }
        PayloadDigest::Sha256(_) | PayloadDigest::None => {}
    }
    if sector_crcs(&options.map.flash, header.load_address, payload) != header.sector_crc32 {
        found.push(fatal(
            "sector-crc",
            "the sector CRCs in the header are not those of the payload in this board's flash sectors".into(),
        ));
    }
    found
}
