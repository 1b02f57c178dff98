//! Packs a text at compile time: placeholders become control characters, and pairs of bytes that are frequent in the board's texts become
//! one byte each, over and over (byte pair encoding, P. Gage 1994).

use super::pairs::PAIRS;

/// `{d}`.
pub(super) const DECIMAL: u8 = 1;
/// `{x}`.
pub(super) const HEXADECIMAL: u8 = 2;
/// `{s}`.
pub(super) const SIZE: u8 = 3;
/// `{a}`.
pub(super) const ADDRESS: u8 = 4;
/// `{t}`: the only one that takes a text, and the last.
pub(super) const TEXT: u8 = 5;

/// The longest text.
const MAX_LEN: usize = 2048;

/// A text at work.
struct Work {
    bytes: [u8; MAX_LEN],
    len: usize,
}

/// Bytes of `text` when it is packed.
pub const fn packed_len(text: &str) -> usize {
    work(text).len
}

/// `text` in its [`packed_len`].
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "at compile time, where a panic is an error"
)]
pub const fn pack<const N: usize>(text: &str) -> [u8; N] {
    let work = work(text);
    let mut packed = [0; N];
    let mut i = 0;
    while i < N {
        packed[i] = work.bytes[i];
        i += 1;
    }
    packed
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "at compile time, where a panic is an error"
)]
const fn work(text: &str) -> Work {
    let mut work = with_placeholders(text.as_bytes());
    let mut number = 0;
    while number < PAIRS.len() {
        let (mut from, mut to) = (0, 0);
        while from < work.len {
            let is_pair = from + 1 < work.len
                && work.bytes[from] == PAIRS[number][0]
                && work.bytes[from + 1] == PAIRS[number][1];
            work.bytes[to] = if is_pair {
                0x80 + number as u8
            } else {
                work.bytes[from]
            };
            from += if is_pair { 2 } else { 1 };
            to += 1;
        }
        work.len = to;
        number += 1;
    }
    work
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "at compile time, where a panic is an error"
)]
const fn with_placeholders(text: &[u8]) -> Work {
    let mut work = Work {
        bytes: [0; MAX_LEN],
        len: 0,
    };
    let mut from = 0;
    while from < text.len() {
        assert!(
            text[from].is_ascii() && text[from] > TEXT,
            "ASCII, and no control characters of ours"
        );
        let kind = if from + 2 < text.len() && text[from] == b'{' && text[from + 2] == b'}' {
            placeholder(text[from + 1])
        } else {
            None
        };
        (work.bytes[work.len], from) = match kind {
            Some(kind) => (kind, from + 3),
            None => (text[from], from + 1),
        };
        work.len += 1;
    }
    work
}

const fn placeholder(kind: u8) -> Option<u8> {
    match kind {
        b'd' => Some(DECIMAL),
        b'x' => Some(HEXADECIMAL),
        b's' => Some(SIZE),
        b'a' => Some(ADDRESS),
        b't' => Some(TEXT),
        _ => None,
    }
}
