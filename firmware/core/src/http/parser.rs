//! Lines out of a stream of bytes, for request heads and for the headers of multipart parts (RFC 9112 sections 2.2 and 5).
//!
//! A line may come in any number of pieces. Lines end with CRLF; a bare LF is taken too, a bare CR and any other control character are
//! not. Only the first [`BUFFER_LEN`] bytes of a line are kept, which is enough to know that a field is of no interest.

use iap_protocol::ErrorCode;

use super::text::{BUFFER_LEN, Buffer, is_token, split_once};

/// Bytes of all lines up to the empty one: twice what browsers send at most.
const BLOCK_LEN: u16 = 8192;

/// Takes lines up to the empty one.
#[derive(Default)]
pub(super) struct Lines {
    after_cr: bool,
    cut: bool,
    taken: u16,
}

impl Lines {
    /// Appends to `line` up to its end; how many bytes were used, and whether the line is complete.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        line: &mut Buffer,
    ) -> Result<(usize, bool), ErrorCode> {
        for (i, &byte) in bytes.iter().enumerate() {
            self.taken = self.taken.wrapping_add(1);
            if self.taken > BLOCK_LEN {
                return Err(ErrorCode::HeadersTooLarge);
            }
            match byte {
                b'\n' => {
                    self.after_cr = false;
                    return Ok((i.wrapping_add(1), true));
                }
                _ if self.after_cr => return Err(ErrorCode::BadRequest),
                b'\r' => self.after_cr = true,
                b'\t' | b' '..=b'~' | 0x80.. => self.cut |= line.push(byte).is_err(),
                _ => return Err(ErrorCode::BadRequest),
            }
        }
        Ok((bytes.len(), false))
    }

    /// Whether the line that `take` completed was longer than [`BUFFER_LEN`]; the next one begins.
    pub(super) fn next(&mut self) -> bool {
        core::mem::take(&mut self.cut)
    }

    /// Whether not a single byte has come yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.taken == 0
    }
}

/// Name, in lower case, and value of a field line. Folded lines and space before the colon are refused: RFC 9112 sections 5.1, 5.2.
pub(super) fn field(line: &mut [u8]) -> Result<(&[u8], &[u8]), ErrorCode> {
    let end = line.iter().position(|&byte| byte == b':').unwrap_or(0);
    if let Some(name) = line.get_mut(..end) {
        name.make_ascii_lowercase();
    }
    match split_once(line, b':') {
        Some((name, value)) if !name.is_empty() && name.iter().all(|&byte| is_token(byte)) => {
            Ok((name, value.trim_ascii()))
        }
        _ if line.len() == BUFFER_LEN => Err(ErrorCode::HeadersTooLarge),
        _ => Err(ErrorCode::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn lines(bytes: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, ErrorCode> {
        let (mut lines, mut line, mut all) = (Lines::default(), Buffer::new(), Vec::new());
        for mut bytes in bytes.chunks(piece) {
            while !bytes.is_empty() {
                let (used, complete) = lines.take(bytes, &mut line)?;
                bytes = &bytes[used..];
                if complete {
                    lines.next();
                    all.push(line.to_vec());
                    line.clear();
                }
            }
        }
        Ok(all)
    }

    #[test]
    fn lines_are_the_same_wherever_they_are_cut() {
        let text = b"GET / HTTP/1.1\r\nA: \xC3\xA9\tb\r\nbare\n\r\n\n";
        let expected: [&[u8]; 5] = [b"GET / HTTP/1.1", b"A: \xC3\xA9\tb", b"bare", b"", b""];
        for piece in 1..=text.len() {
            assert_eq!(lines(text, piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn control_characters_and_bare_cr_are_refused() {
        for text in [
            &b"a\0b\n"[..],
            b"a\rb\n",
            b"a\r\r\n",
            b"\x16\x03\x01",
            b"\x7F",
        ] {
            assert_eq!(lines(text, 1), Err(ErrorCode::BadRequest), "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_and_long_blocks_refused() {
        let mut text = std::vec![b'x'; BUFFER_LEN + 1];
        text.push(b'\n');
        assert_eq!(lines(&text, 100).unwrap()[0].len(), BUFFER_LEN);
        let block = std::vec![b'x'; usize::from(BLOCK_LEN) + 1];
        assert_eq!(lines(&block, 100), Err(ErrorCode::HeadersTooLarge));
    }

    #[test]
    fn field_names_are_tokens_right_before_the_colon() {
        assert_eq!(
            field(&mut b"Host:\t 1.2.3.4:80 ".to_vec()),
            Ok((&b"host"[..], &b"1.2.3.4:80"[..]))
        );
        assert_eq!(field(&mut b"A:".to_vec()), Ok((&b"a"[..], &b""[..])));
        for wrong in [
            "Host : x",
            " folded: x",
            "\tfolded",
            ":x",
            "nothing",
            "a b: c",
            "h\u{e9}: x",
        ] {
            assert_eq!(
                field(&mut wrong.as_bytes().to_vec()),
                Err(ErrorCode::BadRequest),
                "{wrong}"
            );
        }
    }
}
