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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = ":020000040802F0\n:0400000001020304F2\n:00000001FF\n";

    fn error(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().message
    }

    #[test]
    fn records_that_follow_each_other_become_one_piece() {
        let text = ":020000021000EC\n:02000000AABB99\n:01000200CC31\n:01001000DD12\n:00000001FF\n";
        let pieces = read(text.as_bytes()).unwrap();
        assert_eq!(pieces.len(), 2);
        assert_eq!(
            (pieces[0].address, pieces[0].data.as_slice()),
            (0x1_0000, &[0xAA, 0xBB, 0xCC][..])
        );
        assert_eq!(
            (pieces[1].address, pieces[1].name.as_str()),
            (0x1_0010, "data from line 4")
        );
        assert_eq!(read(GOOD.as_bytes()).unwrap()[0].address, 0x0802_0000);
    }

    #[test]
    fn faults_name_their_line() {
        let change = |from: &str, to: &str| error(&GOOD.replace(from, to));
        assert_eq!(
            change("04F2", "04F3"),
            "Intel HEX file: line 2 has the checksum 0xf3, expected 0xf2"
        );
        assert_eq!(
            change("0304F2", "03"),
            "Intel HEX file: line 2 says 4 data bytes and has 2: is the file cut off?"
        );
        assert_eq!(
            change("F2", "G2"),
            "Intel HEX file: line 2 is not an even number of hexadecimal digits"
        );
        assert_eq!(
            change("\n:0400", "\n0400"),
            "Intel HEX file: line 2 does not begin with a colon"
        );
        assert_eq!(
            change("000001FF", "000009F7"),
            "Intel HEX file: line 3 is a record of unknown type 0x09 or of a wrong length"
        );
        assert_eq!(
            error(&format!("{GOOD}{GOOD}")),
            "Intel HEX file: line 4 is a record after the end-of-file record"
        );
        assert_eq!(
            change(":00000001FF", ""),
            "Intel HEX file without an end-of-file record: it was cut off"
        );
        assert_eq!(
            error(":02000004FFFFFC\n:02FFFF0001AB54\n"),
            "Intel HEX file: line 2 passes 4 GiB"
        );
    }
}
