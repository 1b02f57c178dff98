//! Reading Intel HEX (Intel "Hexadecimal Object File Format Specification", revision A, 1988). Faults name their line.

use super::Piece;
use super::text::{Run, bytes_of, fault, lines};
use crate::failure::Failure;

const NAME: &str = "Intel HEX";

/// Reads the data records; runs without a gap become one piece.
pub(super) fn read(text: &[u8]) -> Result<Vec<Piece>, Failure> {
    let mut run = Run::default();
    let mut base = 0u32;
    let mut ended = false;
    for (line, record) in lines(text) {
        let bad = |what: &str| fault(NAME, line, what);
        if ended {
            return Err(bad("is a record after the end-of-file record"));
        }
        let digits = record
            .strip_prefix(b":")
            .ok_or_else(|| bad("does not begin with a colon"))?;
        let bytes =
            bytes_of(digits).ok_or_else(|| bad("is not an even number of hexadecimal digits"))?;
        let [len, high, low, kind, data @ .., checksum] = bytes.as_slice() else {
            return Err(bad("is too short for a record"));
        };
        if data.len() != usize::from(*len) {
            return Err(bad(&format!(
                "says {len} data bytes and has {}: is the file cut off?",
                data.len()
            )));
        }
        let expected = bytes
            .iter()
            .take(bytes.len() - 1)
            .fold(0u8, |sum, b| sum.wrapping_add(*b))
            .wrapping_neg();
        if *checksum != expected {
            return Err(bad(&format!(
                "has the checksum {checksum:#04x}, expected {expected:#04x}"
            )));
        }
        let offset = u32::from(u16::from_be_bytes([*high, *low]));
        match (kind, data) {
            (0, data) => {
                let address = base
                    .checked_add(offset)
                    .ok_or_else(|| bad("passes 4 GiB"))?;
                run.add(address, data, line)
                    .ok_or_else(|| bad("passes 4 GiB"))?;
            }
            (1, []) => ended = true,
            (2, [high, low]) => base = u32::from(u16::from_be_bytes([*high, *low])) << 4,
            (4, [high, low]) => base = u32::from(u16::from_be_bytes([*high, *low])) << 16,
            // Start addresses: an application starts by its vector table.
            (3 | 5, [_, _, _, _]) => {}
            _ => {
                return Err(bad(&format!(
                    "is a record of unknown type {kind:#04x} or of a wrong length"
                )));
            }
        }
    }
    if !ended {
        return Err(Failure::new(
            crate::failure::Exit::BadImage,
            "Intel HEX file without an end-of-file record: it was cut off",
        )
        .help("copy the file again, or make it again"));
    }
    Ok(run.finish())
}
