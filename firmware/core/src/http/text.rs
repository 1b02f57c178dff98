//! Small pieces of text handling that the parsers and the answers share, without core::fmt and its code size.
//!
//! Where the compiler is told not to inline, it had measurably made the firmware larger.

use heapless::Vec;
use iap_protocol::text::hex_digit;

/// Bytes of a connection's only buffer: a line of the request, the login form, and later the answer (a status record is the longest).
pub(super) const BUFFER_LEN: usize = 2048;

/// A connection's only buffer.
pub(super) type Buffer = Vec<u8, BUFFER_LEN>;

/// Writes a decimal number to the end of `field`.
pub(super) fn right_align(field: &mut [u8], mut number: u32) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' | (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
}

/// The 32 hexadecimal digits of a session id.
pub(super) fn id_text(id: u128, text: &mut [u8; 32]) -> &[u8] {
    let mut rest = id;
    for digit in text.iter_mut().rev() {
        *digit = hex_digit(rest as u8 & 15);
        rest >>= 4;
    }
    text
}

/// The value of a hexadecimal digit.
pub(super) fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// A session id of exactly 32 hexadecimal digits.
pub(super) fn parse_id(text: &[u8]) -> Option<u128> {
    if text.len() != 32 {
        return None;
    }
    text.iter().try_fold(0, |id: u128, &digit| {
        Some(id << 4 | u128::from(hex_value(digit)?))
    })
}

/// `text` before and after the first `separator`.
#[inline(never)]
pub(super) fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at.wrapping_add(1)..)?))
}

/// Whether `needle` occurs in `text`, in any case.
#[inline(never)]
pub(super) fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len())
        .any(|part| part.eq_ignore_ascii_case(needle))
}

/// Whether `text` begins with `start`, in any case; the rest.
#[inline(never)]
pub(super) fn strip_start<'a>(text: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = text.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start).then_some(tail)
}

/// Whether `byte` may be part of a method or a field name (RFC 9110 section 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The parameters behind the first `;` of a field value: `; name=value; name="quoted \" value"` (RFC 9110 section 5.6.6).
pub(super) struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    /// A field's value before its parameters, and the parameters.
    pub(super) fn of(value: &'a [u8]) -> (&'a [u8], Self) {
        match split_once(value, b';') {
            Some((head, tail)) => (head.trim_ascii(), Self(tail)),
            None => (value.trim_ascii(), Self(&[])),
        }
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.0.trim_ascii_start();
        if text.is_empty() {
            return None;
        }
        let end = parameter_end(text);
        let parameter = text.get(..end)?;
        self.0 = text.get(end.wrapping_add(1)..).unwrap_or_default();
        let (name, value) = split_once(parameter, b'=').unwrap_or((parameter, &[]));
        Some((name.trim_ascii(), value.trim_ascii()))
    }
}

/// Where the first `;` outside quotes is, or the end.
fn parameter_end(text: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (i, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => return i,
            _ => {}
        }
    }
    text.len()
}

/// The bytes of a parameter's value without quotes and escapes.
pub(super) fn unquoted(value: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let inner = value
        .strip_prefix(b"\"")
        .map(|rest| rest.strip_suffix(b"\"").unwrap_or(rest));
    let mut bytes = inner.unwrap_or(value).iter().copied();
    core::iter::from_fn(move || match bytes.next()? {
        b'\\' if inner.is_some() => bytes.next(),
        byte => Some(byte),
    })
}

/// Whether two texts are the same, in a time that depends on the length of `given` only.
pub(super) fn same(given: &[u8], expected: &[u8]) -> bool {
    let mut expected = expected.iter();
    let mut difference = 0;
    for byte in given {
        // 0x100: a difference no byte of the text can have, where the expected text has ended.
        difference |= expected
            .next()
            .map_or(0x100, |other| u16::from(byte ^ other));
    }
    core::hint::black_box(difference) == 0 && expected.next().is_none()
}

/// Decodes `application/x-www-form-urlencoded` text in place; the decoded part. `None` where an escape is malformed.
pub(super) fn form_decoded(text: &mut [u8]) -> Option<&[u8]> {
    let (mut read, mut written) = (0, 0);
    while let Some(&byte) = text.get(read) {
        let (decoded, len) = match byte {
            b'+' => (b' ', 1),
            b'%' => {
                let (high, low) = (
                    *text.get(read.wrapping_add(1))?,
                    *text.get(read.wrapping_add(2))?,
                );
                (hex_value(high)? << 4 | hex_value(low)?, 3)
            }
            _ => (byte, 1),
        };
        *text.get_mut(written)? = decoded;
        read = read.wrapping_add(len);
        written = written.wrapping_add(1);
    }
    text.get(..written)
}

/// Decodes base64 (RFC 4648 section 4); `None` for anything else, or when it does not fit.
pub(super) fn base64_decoded<const N: usize>(text: &[u8]) -> Option<Vec<u8, N>> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let (mut out, mut bits, mut filled) = (Vec::new(), 0u32, 0);
    for &digit in text {
        bits = bits << 6 | u32::from(base64_value(digit)?);
        filled = u32::wrapping_add(filled, 6);
        if filled >= 8 {
            filled = filled.wrapping_sub(8);
            out.push((bits >> filled) as u8).ok()?;
        }
    }
    Some(out)
}

fn base64_value(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit.wrapping_sub(b'A'),
        b'a'..=b'z' => digit.wrapping_sub(b'a' - 26),
        b'0'..=b'9' => digit.wrapping_add(52 - b'0'),
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec as StdVec;

    #[test]
    fn numbers_and_ids_are_written_and_read_back() {
        let mut field = *b"    0";
        for (number, text) in [(0, b"    0"), (7, b"    7"), (1536, b" 1536")] {
            right_align(&mut field, number);
            assert_eq!(&field, text);
        }
        let id = 0x0123_4567_89AB_CDEF << 64 | 0xFF;
        let mut text = [0; 32];
        assert_eq!(id_text(id, &mut text), b"0123456789abcdef00000000000000ff");
        assert_eq!(parse_id(&text), Some(id));
        assert_eq!(parse_id(b"0123"), None);
        assert_eq!(parse_id(&[b'g'; 32]), None);
    }

    #[test]
    fn parameters_are_split_outside_quotes_only() {
        let (head, parameters) =
            Parameters::of(b"form-data; name=\"a;\\\"b\" ;filename=x.bin; flag;");
        assert_eq!(head, b"form-data");
        let all: StdVec<_> = parameters
            .map(|(name, value)| (name, unquoted(value).collect::<StdVec<_>>()))
            .collect();
        let expected: [(&[u8], StdVec<u8>); 3] = [
            (b"name", b"a;\"b".to_vec()),
            (b"filename", b"x.bin".to_vec()),
            (b"flag", StdVec::new()),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn unfinished_quotes_and_escapes_end_with_the_text() {
        for text in [
            &b"a; b=\"c"[..],
            b"a; b=\"c\\",
            b"a; b=\"",
            b"a;=;=;\"",
            b";;;",
        ] {
            let (_, parameters) = Parameters::of(text);
            let lengths: StdVec<_> = parameters
                .map(|(_, value)| unquoted(value).count())
                .collect();
            assert!(lengths.len() <= 3 && lengths.iter().all(|&len| len <= 1));
        }
    }

    #[test]
    fn only_equal_texts_are_the_same() {
        assert!(same(b"stm32", b"stm32"));
        for wrong in [&b""[..], b"stm3", b"stm322", b"Stm32", b"\0\0\0\0\0"] {
            assert!(!same(wrong, b"stm32"));
        }
        assert!(same(b"", b""));
        assert!(!same(b"\0", b""));
    }

    #[test]
    fn form_and_base64_decoding_refuse_what_is_malformed() {
        let decoded = |text: &str| form_decoded(&mut text.as_bytes().to_vec()).map(<[u8]>::to_vec);
        assert_eq!(decoded("a+b%2B%c3%A9").unwrap(), "a b+é".as_bytes());
        for wrong in ["%", "%4", "a%zz", "%+1"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
        assert_eq!(
            base64_decoded::<16>(b"dXNlcjpzdG0zMg==").unwrap(),
            b"user:stm32"
        );
        assert_eq!(
            base64_decoded::<16>(b"dXNlcjpzdG0zMg").unwrap(),
            b"user:stm32"
        );
        assert_eq!(base64_decoded::<16>(b"dXN!"), None);
        assert_eq!(base64_decoded::<4>(b"dXNlcjpzdG0zMg=="), None);
    }
}
