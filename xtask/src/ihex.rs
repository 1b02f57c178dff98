//! Intel HEX, for the tools that flash boards: data records of 16 bytes, and extended linear addresses (Intel, "Hexadecimal Object File
//! Format Specification", revision A).

use std::fmt::Write;

/// Bytes of a data record.
const ROW: u32 = 16;

const DATA: u8 = 0;
const END_OF_FILE: u8 = 1;
const EXTENDED_LINEAR_ADDRESS: u8 = 4;

/// The text of a file that holds these bytes at these addresses.
pub(crate) fn encode<'a>(parts: impl IntoIterator<Item = (u32, &'a [u8])>) -> String {
    let mut text = String::new();
    let mut upper = None;
    for (start, bytes) in parts {
        let mut address = start;
        let mut rest = bytes;
        while !rest.is_empty() {
            if upper != Some(address >> 16) {
                upper = Some(address >> 16);
                record(
                    &mut text,
                    EXTENDED_LINEAR_ADDRESS,
                    0,
                    &((address >> 16) as u16).to_be_bytes(),
                );
            }
            // A record does not cross a multiple of its length, and so no upper half of an address.
            let len = (ROW - address % ROW).min(rest.len() as u32);
            let (row, later) = rest.split_at(len as usize);
            record(&mut text, DATA, address as u16, row);
            rest = later;
            address = address.wrapping_add(len);
        }
    }
    record(&mut text, END_OF_FILE, 0, &[]);
    text
}

fn record(text: &mut String, kind: u8, address: u16, bytes: &[u8]) {
    let [high, low] = address.to_be_bytes();
    let mut fields = vec![bytes.len() as u8, high, low, kind];
    fields.extend_from_slice(bytes);
    let sum = fields.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    fields.push(sum.wrapping_neg());
    text.push(':');
    for byte in fields {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02X}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_checksum_of_the_specification() {
        let text = encode([(
            0x0800_0000,
            &[0x00, 0x30, 0x00, 0x10, 0x41, 0x00, 0x00, 0x08][..],
        )]);
        let expected = ":020000040800F2\n:0800000000300010410000086F\n:00000001FF\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_upper_half_is_given_again_where_it_changes() {
        let bytes = [0xAA; 32];
        let text = encode([(0x0800_FFF8, &bytes[..])]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        assert!(lines[1].starts_with(":08FFF800"), "up to the boundary");
        assert_eq!(lines[2], ":020000040801F1");
        assert!(lines[3].starts_with(":10000000"));
        assert!(lines[4].starts_with(":08001000"));
    }

    #[test]
    fn parts_keep_their_holes() {
        let text = encode([(0x0800_0000, &[1][..]), (0x0800_C000, &[2][..])]);
        assert_eq!(text.lines().nth(1), Some(":0100000001FE"));
        assert_eq!(text.lines().nth(2), Some(":01C00000023D"));
    }
}
