//! What Intel HEX and S-records have in common: lines of hexadecimal digits, and data that continues from line to line.

use super::Piece;
use crate::failure::{Exit, Failure};

/// The lines that are not blank, numbered from 1; LF and CR LF.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(i, line)| (i.saturating_add(1), line.trim_ascii()))
        .filter(|(_, line)| !line.is_empty())
}

/// Bytes written as two hexadecimal digits each.
pub(super) fn bytes_of(digits: &[u8]) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(value(*high)? << 4 | value(*low)?).ok(),
            _ => None,
        })
        .collect()
}

/// A fault in a line.
pub(super) fn fault(format: &str, line: usize, what: &str) -> Failure {
    Failure::new(Exit::BadImage, format!("{format} file: line {line} {what}"))
        .help("copy the file again (in binary mode), or make it again")
}

/// Data records that follow each other become one piece.
#[derive(Default)]
pub(super) struct Run {
    pieces: Vec<Piece>,
}

impl Run {
    /// Adds a record's bytes; `None` if they pass 4 GiB.
    pub(super) fn add(&mut self, address: u32, data: &[u8], line: usize) -> Option<()> {
        if u64::from(address).saturating_add(data.len() as u64) > 1 << 32 {
            return None;
        }
        match self.pieces.last_mut() {
            Some(last) if last.region().end() == u64::from(address) => {
                last.data.extend_from_slice(data)
            }
            _ if data.is_empty() => {}
            _ => self.pieces.push(Piece {
                name: format!("data from line {line}"),
                address,
                run_address: address,
                data: data.to_vec(),
            }),
        }
        Some(())
    }

    /// The pieces.
    pub(super) fn finish(self) -> Vec<Piece> {
        self.pieces
    }
}
