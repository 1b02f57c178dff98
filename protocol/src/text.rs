//! Text for the wire, written byte by byte: what `core::fmt` would do at 5 KiB of a board's flash.
//!
//! ASCII only. What does not fit is cut off, and the [`Writer`] remembers it.

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

    /// Appends a text of this program.
    #[inline(never)]
    pub fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            self.byte(byte);
        }
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
        self.text("0x");
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
            self.text(" KiB");
        } else {
            self.decimal(size);
            self.text(if size == 1 { " byte" } else { " bytes" });
        }
    }

    /// Appends `form` with its placeholders replaced, in order: `{d}` decimal, `{x}` hexadecimal, `{s}` size and `{a}` IPv4 address take
    /// from `numbers`, `{t}` from `texts`.
    #[inline(never)]
    pub fn fill(&mut self, form: &str, numbers: &[u32], texts: &[&[u8]]) {
        let (mut numbers, mut texts) = (numbers.iter(), texts.iter());
        let mut form = form.bytes();
        while let Some(byte) = form.next() {
            if byte != b'{' {
                self.byte(byte);
                continue;
            }
            let kind = form.next();
            form.next();
            if kind == Some(b't') {
                self.plain(texts.next().copied().unwrap_or_default());
                continue;
            }
            let number = numbers.next().copied().unwrap_or_default();
            match kind {
                Some(b'x') => self.hexadecimal(number),
                Some(b's') => self.size(number),
                Some(b'a') => self.address(number),
                _ => self.decimal(number),
            }
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
            let text = written(|out| out.fill("{d} {x} {s}", &[number; 3], &[]));
            assert_eq!(text, format!("{number} {number:#010x} {}", Size(number)));
        }
    }

    #[test]
    fn a_region_is_shown_by_its_parts() {
        let region = Region::new(0x0802_0000, 896 * 1024);
        let values = [region.start, region.end() as u32, region.len];
        let text = written(|out| out.fill("{x}..{x} ({s})", &values, &[]));
        assert_eq!(text, format!("{region}"));
    }

    #[test]
    fn addresses_and_texts_take_their_places_in_order() {
        let text =
            written(|out| out.fill("{t} from {a}: {t}", &[0xC0A8_0001], &[b"tftp", b"\"\n<"]));
        assert_eq!(text, "tftp from 192.168.0.1: ???");
        assert_eq!(written(|out| out.fill("{d}{t}.", &[], &[])), "0.");
    }

    #[test]
    fn what_does_not_fit_is_cut_off_and_remembered() {
        let mut out = [0; 4];
        let mut writer = Writer::new(&mut out);
        writer.decimal(1234);
        assert!(!writer.is_cut());
        writer.text("5");
        assert!(writer.is_cut());
        assert_eq!(writer.into_written(), b"1234");
    }
}
