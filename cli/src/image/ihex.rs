//! Reading and writing Intel HEX (Intel "Hexadecimal Object File Format Specification", revision A, 1988). Faults name their line.

use std::fmt::Write;

use super::Piece;
use super::text::{Run, bytes_of, fault, lines};
use crate::failure::Failure;

const NAME: &str = "Intel HEX";

/// Reads the data records; runs without a gap become one piece.
#[allow(clippy::too_many_lines, reason = "an arm per type of record")]
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
            .split_last()
            .map_or(&[][..], |(_, summed)| summed)
            .iter()
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

/// Data bytes per record when writing: what every tool reads.
const RECORD_LEN: usize = 16;

/// Writes the pieces: an extended linear address (type 04) wherever the upper half of the address changes, and no record across a
/// multiple of 64 KiB.
pub fn write(pieces: &[Piece]) -> String {
    let mut text = String::new();
    // What a reader assumes before the first extended address.
    let mut upper = 0;
    for piece in pieces {
        let mut address = piece.address;
        let mut rest = piece.data.as_slice();
        while !rest.is_empty() {
            // Up to the next multiple of the length: no record can cross 64 KiB, and rows line up.
            let room = RECORD_LEN.saturating_sub(address as usize % RECORD_LEN);
            let (data, tail) = rest.split_at(room.min(rest.len()));
            let [high, low, offset @ ..] = address.to_be_bytes();
            if upper != address >> 16 {
                upper = address >> 16;
                record(&mut text, [0, 0], 4, &[high, low]);
            }
            record(&mut text, offset, 0, data);
            address = address.wrapping_add(data.len() as u32);
            rest = tail;
        }
    }
    record(&mut text, [0, 0], 1, &[]);
    text
}

fn record(text: &mut String, offset: [u8; 2], kind: u8, data: &[u8]) {
    let head = [data.len() as u8, offset[0], offset[1], kind];
    let bytes = || head.iter().chain(data).copied();
    let checksum = bytes().fold(0u8, u8::wrapping_add).wrapping_neg();
    text.push(':');
    for byte in bytes().chain([checksum]) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text.push('\n');
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

    fn piece(address: u32, data: Vec<u8>) -> Piece {
        Piece {
            name: String::new(),
            address,
            run_address: address,
            data,
        }
    }

    #[test]
    fn records_are_those_of_the_specification() {
        let pieces = [
            piece(0x0800_0000, vec![0, 4, 0, 0x20]),
            piece(0x0801_FFFE, vec![1, 2, 3]),
        ];
        assert_eq!(
            write(&pieces),
            ":020000040800F2\n:0400000000040020D8\n:020000040801F1\n:02FFFE000102FE\n:020000040802F0\n:0100000003FC\n:00000001FF\n"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = |len: usize| (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
        let pieces = [
            piece(0x0000_0010, bytes(3)),
            piece(0x0800_0007, bytes(200_001)),
            piece(0x1FFF_FFF0, bytes(33)),
            piece(0xFFFF_FFF1, bytes(15)),
        ];
        let again = read(write(&pieces).as_bytes()).unwrap();
        let content = |pieces: &[Piece]| -> Vec<(u32, Vec<u8>)> {
            pieces
                .iter()
                .map(|piece| (piece.address, piece.data.clone()))
                .collect()
        };
        assert_eq!(content(&again), content(&pieces));
    }
}
