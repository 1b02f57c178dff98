//! `cargo xtask pairs`: finds the pairs of bytes by which `packed!` shortens the board's texts, and writes them to
//! `protocol/src/text/pairs.rs`.
//!
//! The texts are what stands in `packed!`, the table of error codes, and the parts of the pages that a board fills in. The pairs decide
//! how short a text gets, never what it says.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::command::root;

/// Pairs at most: a byte has so many values beyond ASCII.
const MAX_PAIRS: usize = 128;
/// Occurrences below which a pair costs more than it saves.
const MIN_COUNT: usize = 3;
/// Where texts are.
const SOURCES: [&str; 3] = ["protocol/src", "firmware/core/src", "firmware/core/pages"];
/// Pages that are not sent as they are.
const FILLED_IN: [&str; 3] = ["start", "state", "rows"];

/// Makes the pairs anew.
pub(crate) fn run() -> Result<()> {
    let mut texts = Vec::new();
    for folder in SOURCES {
        collect(&root().join(folder), &mut texts)?;
    }
    texts.sort();
    let path = root().join("protocol/src/text/pairs.rs");
    let (before, pairs) = (texts.iter().map(Vec::len).sum::<usize>(), pack(&mut texts));
    let after: usize = texts.iter().map(Vec::len).sum();
    println!(
        "{before} bytes of texts in {after}, with {} pairs",
        pairs.len()
    );
    fs::write(&path, source(&pairs)).with_context(|| path.display().to_string())
}

fn collect(folder: &Path, texts: &mut Vec<Vec<u8>>) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::path);
    for path in entries.iter().map(fs::DirEntry::path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (stem, kind) = name.split_once('.').unwrap_or((&name, ""));
        match kind {
            "" if path.is_dir() && stem != "tests" => collect(&path, texts)?,
            "html" if FILLED_IN.contains(&stem) => {
                // In one line, as the firmware's build makes it.
                let page = fs::read_to_string(&path)?;
                let lines: Vec<_> = page.lines().map(str::trim).collect();
                texts.push(with_placeholders(&lines.concat()));
            }
            "rs" => literals(&fs::read_to_string(&path)?, texts),
            _ => {}
        }
    }
    Ok(())
}

/// The literals in `packed!`, and those of lines that begin with a number: the table of error codes.
fn literals(source: &str, texts: &mut Vec<Vec<u8>>) {
    let packed = source.split("packed!(").skip(1);
    let packed = packed.map(|rest| {
        rest.trim_start()
            .trim_start_matches("concat!(")
            .trim_start()
    });
    let table = source.lines().map(str::trim_start);
    let table = table.filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let table = table.filter_map(|line| line.find('"').map(|at| &line[at..]));
    for rest in packed.chain(table) {
        let text = rest.strip_prefix('"').map(unescaped);
        if let Some(text) = text.filter(|text| text.is_ascii()) {
            texts.push(with_placeholders(&text));
        }
    }
}

/// What a literal says that begins here, behind its quote.
fn unescaped(literal: &str) -> String {
    let (mut text, mut rest) = (String::new(), literal.chars());
    while let Some(c) = rest.next().filter(|&c| c != '"') {
        match if c == '\\' { rest.next() } else { None } {
            None => text.push(c),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            // A line that goes on behind the next one's indentation.
            Some('\n') => rest = rest.as_str().trim_start().chars(),
            Some(other) => text.push(other),
        }
    }
    text
}

/// As `packed!` does it, so that no pair is made of half a placeholder.
fn with_placeholders(text: &str) -> Vec<u8> {
    let kinds = ["{d}", "{x}", "{s}", "{a}", "{t}"];
    let mut text = text.to_owned();
    for (number, kind) in (1u8..).zip(kinds) {
        text = text.replace(kind, &char::from(number).to_string());
    }
    text.into_bytes()
}

/// Replaces the most frequent pair by a new byte, again and again.
fn pack(texts: &mut [Vec<u8>]) -> Vec<[u8; 2]> {
    let mut pairs = Vec::new();
    while pairs.len() < MAX_PAIRS {
        let mut counts = BTreeMap::<[u8; 2], usize>::new();
        for pair in texts.iter().flat_map(|text| text.windows(2)) {
            *counts.entry([pair[0], pair[1]]).or_default() += 1;
        }
        let best = counts.into_iter().max_by_key(|&(_, count)| count);
        let Some((pair, _)) = best.filter(|&(_, count)| count >= MIN_COUNT) else {
            break;
        };
        let number = 0x80 + pairs.len() as u8;
        texts
            .iter_mut()
            .for_each(|text| replace(text, pair, number));
        pairs.push(pair);
    }
    pairs
}

fn replace(text: &mut Vec<u8>, pair: [u8; 2], number: u8) {
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        let is_pair = text[from..].starts_with(&pair);
        text[to] = if is_pair { number } else { text[from] };
        from += if is_pair { 2 } else { 1 };
        to += 1;
    }
    text.truncate(to);
}

fn source(pairs: &[[u8; 2]]) -> String {
    let mut text = String::from(
        "//! The pairs that are frequent in the board's texts. Made by `cargo xtask pairs`, to be made anew when the texts have become others.\n\n\
         /// What the bytes from 0x80 on stand for.\n#[rustfmt::skip]\n",
    );
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "pub(super) static PAIRS: [[u8; 2]; {}] = [",
        pairs.len()
    );
    for row in pairs.chunks(8) {
        let row: Vec<_> = row
            .iter()
            .map(|[a, b]| format!("[{a:#04x}, {b:#04x}]"))
            .collect();
        let _ = writeln!(text, "    {},", row.join(", "));
    }
    text + "];\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_pairs_come_first_and_build_on_each_other() {
        let mut texts = vec![b"ababab".to_vec(), b"ababx".to_vec()];
        assert_eq!(pack(&mut texts), [*b"ab", [0x80, 0x80]]);
        assert_eq!(texts, [vec![0x81, 0x80], vec![0x81, b'x']]);
    }

    #[test]
    fn literals_are_found_in_packed_and_in_the_table_of_codes() {
        let source = "f(packed!(\"{d} bytes\"), \"other\");\n    4 Empty 422 2 \"the file is empty\",\npacked!(\n  \"a\\\n  b\\r\\n\\\"c\",";
        let mut texts = Vec::new();
        literals(source, &mut texts);
        let expected = ["\u{1} bytes", "ab\r\n\"c", "the file is empty"];
        assert_eq!(texts, expected.map(|text| text.as_bytes().to_vec()));
    }
}
