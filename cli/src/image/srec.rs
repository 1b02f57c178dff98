//! Reading Motorola S-records (srec(5)). Faults name their line.

use super::Piece;
use super::text::{Run, bytes_of, fault, lines};
use crate::failure::{Exit, Failure};

const NAME: &str = "S-record";

/// Reads the data records; runs without a gap become one piece.
pub(super) fn read(text: &[u8]) -> Result<Vec<Piece>, Failure> {
    let mut run = Run::default();
    let mut records = 0u32;
    let mut ended = false;
    for (line, record) in lines(text) {
        let bad = |what: &str| fault(NAME, line, what);
        if ended {
            return Err(bad("is a record after the termination record"));
        }
        let [b'S', kind, digits @ ..] = record else {
            return Err(bad("does not begin with S and a digit"));
        };
        let content = checked(digits, line)?;
        match kind {
            b'0' => {}
            b'1'..=b'3' => {
                let (address, data) = split(&content, usize::from(kind - b'0') + 1)
                    .ok_or_else(|| bad("is too short for its address"))?;
                run.add(address, data, line)
                    .ok_or_else(|| bad("passes 4 GiB"))?;
                records += 1;
            }
            b'5' | b'6' => {
                let (count, _) =
                    split(&content, content.len()).ok_or_else(|| bad("is too long for a count"))?;
                if count != records {
                    return Err(bad(&format!(
                        "counts {count} data records, the file has {records}"
                    )));
                }
            }
            b'7'..=b'9' => ended = true,
            _ => return Err(bad("is a record of unknown type")),
        }
    }
    if !ended {
        return Err(Failure::new(
            Exit::BadImage,
            "S-record file without a termination record (S7, S8 or S9): it was cut off",
        )
        .help("copy the file again, or make it again"));
    }
    Ok(run.finish())
}

/// The bytes between count and checksum.
fn checked(digits: &[u8], line: usize) -> Result<Vec<u8>, Failure> {
    let bad = |what: &str| fault(NAME, line, what);
    let bytes =
        bytes_of(digits).ok_or_else(|| bad("is not an even number of hexadecimal digits"))?;
    let [count, content @ .., checksum] = bytes.as_slice() else {
        return Err(bad("is too short for a record"));
    };
    if content.len() + 1 != usize::from(*count) {
        let came = content.len() + 1;
        return Err(bad(&format!(
            "says {count} bytes and has {came}: is the file cut off?"
        )));
    }
    let expected = !content.iter().fold(*count, |sum, b| sum.wrapping_add(*b));
    if *checksum != expected {
        return Err(bad(&format!(
            "has the checksum {checksum:#04x}, expected {expected:#04x}"
        )));
    }
    Ok(content.to_vec())
}

/// A big-endian number of `len` bytes, and what follows it.
fn split(content: &[u8], len: usize) -> Option<(u32, &[u8])> {
    let (number, rest) = content.split_at_checked(len)?;
    (len <= 4).then(|| {
        (
            number.iter().fold(0, |sum, b| sum << 8 | u32::from(*b)),
            rest,
        )
    })
}
