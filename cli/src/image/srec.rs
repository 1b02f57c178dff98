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
                let (address, data) = split(&content, usize::from(kind & 0x0F).saturating_add(1))
                    .ok_or_else(|| bad("is too short for its address"))?;
                run.add(address, data, line)
                    .ok_or_else(|| bad("passes 4 GiB"))?;
                records = records.saturating_add(1);
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
    let came = content.len().saturating_add(1);
    if came != usize::from(*count) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "S00600004844521B\nS3060802000001EE\nS3060802000102EC\nS5030002FA\nS70508020001EF\n";

    fn error(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().message
    }

    #[test]
    fn addresses_of_two_three_and_four_bytes_are_read() {
        let pieces = read(GOOD.as_bytes()).unwrap();
        assert_eq!(pieces.len(), 1);
        assert_eq!(
            (pieces[0].address, pieces[0].data.as_slice()),
            (0x0802_0000, &[1, 2][..])
        );
        let short = read(b"S1041234AA0B\nS205123456AAB4\nS9030000FC\n").unwrap();
        assert_eq!(
            short.iter().map(|piece| piece.address).collect::<Vec<_>>(),
            [0x1234, 0x12_3456]
        );
    }

    #[test]
    fn faults_name_their_line() {
        let change = |from: &str, to: &str| error(&GOOD.replace(from, to));
        assert_eq!(
            change("01EE", "01EF"),
            "S-record file: line 2 has the checksum 0xef, expected 0xee"
        );
        assert_eq!(
            change("0001EE", "01EE"),
            "S-record file: line 2 says 6 bytes and has 5: is the file cut off?"
        );
        assert_eq!(
            change("EE", "E"),
            "S-record file: line 2 is not an even number of hexadecimal digits"
        );
        assert_eq!(
            change("S5030002FA", "S5030003F9"),
            "S-record file: line 4 counts 3 data records, the file has 2"
        );
        assert_eq!(
            change("S5030002FA", "S4030002FA"),
            "S-record file: line 4 is a record of unknown type"
        );
        assert_eq!(
            error(&format!("{GOOD}{GOOD}")),
            "S-record file: line 6 is a record after the termination record"
        );
        assert_eq!(
            change("S70508020001EF", ""),
            "S-record file without a termination record (S7, S8 or S9): it was cut off"
        );
        assert_eq!(
            error("S306FFFFFFFF01FC\nS307FFFFFFFF0102F9\n"),
            "S-record file: line 2 passes 4 GiB"
        );
    }
}
