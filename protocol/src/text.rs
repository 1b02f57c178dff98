//! Text for the wire, written byte by byte: what `core::fmt` would do at 5 KiB of a board's flash.
//!
//! ASCII only. What does not fit is cut off, and the [`Writer`] remembers it. The board's own texts are packed at compile time: a sentence
//! takes half of its length ([`packed!`](crate::packed)).

mod pack;
mod pairs;

use core::slice::Iter;

pub use pack::{pack, packed_len};
use pairs::PAIRS;

/// A text of this program, packed: `packed!("expected {d} bytes, {d} came")`. The placeholders are explained at
/// [`Writer::fill`](crate::text::Writer::fill).
#[macro_export]
macro_rules! packed {
    ($text:expr) => {{
        const TEXT: &str = $text;
        const PACKED: [u8; $crate::text::packed_len(TEXT)] = $crate::text::pack(TEXT);
        const BYTES: &[u8] = &PACKED;
        BYTES
    }};
}

/// Where placeholders take their values from.
struct Values<'v> {
    numbers: Iter<'v, u32>,
    texts: Iter<'v, &'v [u8]>,
}

/// Appends text to a slice of bytes.
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
    is_cut: bool,
}

impl<'a> Writer<'a> {
    /// A writer to the front of `out`.
    pub fn new(out: &'a mut [u8]) -> Self {
        Self {
            out,
            len: 0,
            is_cut: false,
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether something did not fit.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What was written.
    pub fn into_written(self) -> &'a [u8] {
        self.out.get(..self.len).unwrap_or_default()
    }

    /// The byte written last.
    pub(crate) fn last(&self) -> Option<u8> {
        self.out.get(self.len.checked_sub(1)?).copied()
    }

    /// Appends a byte.
    #[inline(never)]
    pub fn byte(&mut self, byte: u8) {
        match self.out.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len = self.len.wrapping_add(1);
            }
            None => self.is_cut = true,
        }
    }

    /// Appends a text of this program, packed or plain.
    #[inline(never)]
    pub fn text(&mut self, text: &[u8]) {
        self.fill(text, &[], &[]);
    }

    /// Appends somebody else's text: what is not printable ASCII, or would have to be escaped in JSON or HTML, becomes a question mark.
    #[inline(never)]
    pub fn plain(&mut self, text: &[u8]) {
        for &byte in text {
            let plain =
                matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
            self.byte(if plain { byte } else { b'?' });
        }
    }

    /// Appends a decimal number.
    #[allow(
        clippy::arithmetic_side_effects,
        reason = "the unit is a power of ten that is not above the number"
    )]
    #[inline(never)]
    pub fn decimal(&mut self, number: u32) {
        let mut unit = 1;
        while number / unit >= 10 {
            unit *= 10;
        }
        while unit > 0 {
            self.byte(b'0' + (number / unit % 10) as u8);
            unit /= 10;
        }
    }

    /// Appends `0x` and eight hexadecimal digits.
    fn hexadecimal(&mut self, number: u32) {
        self.text(b"0x");
        for shift in (0..8u32).rev() {
            self.byte(hex_digit((number >> (shift << 2)) as u8 & 15));
        }
    }

    /// Appends an IPv4 address, given as the number that its four bytes are in network order.
    pub fn address(&mut self, address: u32) {
        for (i, byte) in address.to_be_bytes().into_iter().enumerate() {
            if i > 0 {
                self.byte(b'.');
            }
            self.decimal(byte.into());
        }
    }

    /// Appends a number of bytes as [`crate::memory::Size`] shows it.
    fn size(&mut self, size: u32) {
        if size >= 1024 && size.is_multiple_of(1024) {
            self.decimal(size / 1024);
            self.text(b" KiB");
        } else {
            self.decimal(size);
            self.text(
                b" bytes"
                    .get(..if size == 1 { 5 } else { 6 })
                    .unwrap_or_default(),
            );
        }
    }

    /// Appends `form`, a [`packed!`](crate::packed) text, with its placeholders replaced, in order: `{d}` decimal, `{x}` hexadecimal,
    /// `{s}` size and `{a}` IPv4 address take from `numbers`, `{t}` from `texts`.
    #[inline(never)]
    pub fn fill(&mut self, form: &[u8], numbers: &[u32], texts: &[&[u8]]) {
        let mut values = Values {
            numbers: numbers.iter(),
            texts: texts.iter(),
        };
        for &byte in form {
            self.expand(byte, &mut values);
        }
    }

    /// Appends what one byte of a packed text stands for: itself, a pair, or a placeholder.
    // Ends: both halves of a pair are of a lower number than the pair, which a test holds.
    fn expand(&mut self, byte: u8, values: &mut Values<'_>) {
        if let Some(&[first, second]) = PAIRS.get(usize::from(byte).wrapping_sub(0x80)) {
            self.expand(first, values);
            return self.expand(second, values);
        }
        if byte == pack::TEXT {
            return self.plain(values.texts.next().copied().unwrap_or_default());
        }
        if byte > pack::TEXT {
            return self.byte(byte);
        }
        let number = values.numbers.next().copied().unwrap_or_default();
        match byte {
            pack::HEXADECIMAL => self.hexadecimal(number),
            pack::SIZE => self.size(number),
            pack::ADDRESS => self.address(number),
            _ => self.decimal(number),
        }
    }
}

/// The digit for a value from 0 to 15, in lower case.
pub const fn hex_digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' | value,
        _ => (b'a' - 10).wrapping_add(value),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::memory::{Region, Size};
    use std::format;
    use std::string::String;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut out = [0; 80];
        let mut writer = Writer::new(&mut out);
        write(&mut writer);
        String::from_utf8(writer.into_written().to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_what_core_fmt_makes_of_them() {
        for number in [
            0,
            1,
            9,
            10,
            1023,
            1024,
            3464,
            917_504,
            999_999_999,
            u32::MAX,
        ] {
            let text = written(|out| out.fill(packed!("{d} {x} {s}"), &[number; 3], &[]));
            assert_eq!(text, format!("{number} {number:#010x} {}", Size(number)));
        }
    }

    #[test]
    fn a_region_is_shown_by_its_parts() {
        let region = Region::new(0x0802_0000, 896 * 1024);
        let values = [region.start, region.end() as u32, region.len];
        let text = written(|out| out.fill(packed!("{x}..{x} ({s})"), &values, &[]));
        assert_eq!(text, format!("{region}"));
    }

    #[test]
    fn addresses_and_texts_take_their_places_in_order() {
        let text = written(|out| {
            out.fill(
                packed!("{t} from {a}: {t}"),
                &[0xC0A8_0001],
                &[b"tftp", b"\"\n<"],
            )
        });
        assert_eq!(text, "tftp from 192.168.0.1: ???");
        assert_eq!(written(|out| out.fill(packed!("{d}{t}."), &[], &[])), "0.");
    }

    #[test]
    fn every_pair_is_made_of_what_is_before_it() {
        for (number, pair) in PAIRS.iter().enumerate() {
            for &half in pair {
                assert!(usize::from(half) < 0x80 + number, "{number}");
                assert!(half >= pack::DECIMAL, "{number}");
            }
        }
    }

    #[test]
    fn packed_texts_are_shorter_and_read_the_same() {
        const SENTENCE: &str = "image is for another board: expected the size of the payload";
        let packed = packed!(SENTENCE);
        assert!(
            packed.len() * 3 < SENTENCE.len() * 2,
            "{} bytes",
            packed.len()
        );
        assert_eq!(written(|out| out.text(packed)), SENTENCE);
        assert_eq!(written(|out| out.text(SENTENCE.as_bytes())), SENTENCE);
        assert_eq!(
            written(|out| out.text(packed!("a { b } {z} {d"))),
            "a { b } {z} {d"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_off_and_remembered() {
        let mut out = [0; 4];
        let mut writer = Writer::new(&mut out);
        writer.decimal(1234);
        assert!(!writer.is_cut());
        writer.text(b"5");
        assert!(writer.is_cut());
        assert_eq!(writer.into_written(), b"1234");
    }
}
