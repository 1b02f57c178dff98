//! README's tables are what people write other programs from: they say what the code says, and their offsets leave no hole.
#![allow(clippy::unwrap_used, reason = "test code")]

use iap_protocol::ErrorCode;
use iap_protocol::crc::crc32;
use iap_protocol::mailbox;
use iap_protocol::status::Status;

const README: &str = include_str!("../README.md");

/// The rows, cell by cell, of the first table under `heading` whose first column is called `column`.
fn table(heading: &str, column: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = README
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("README has no heading {heading}"));
    let rows: Vec<Vec<&str>> = section
        .lines()
        .skip_while(|line| !line.starts_with(&format!("| {column} |")))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "no table under {heading}");
    rows
}

#[test]
fn the_table_of_error_codes_is_that_of_the_code() {
    let readme = table("## Error codes", "number");
    let code: Vec<Vec<String>> = ErrorCode::ALL
        .iter()
        .map(|&code| {
            vec![
                (code as u16).to_string(),
                format!("{code:?}"),
                code.http_status().to_string(),
                code.tftp_code().to_string(),
                code.sentence().to_string(),
            ]
        })
        .collect();
    assert_eq!(readme, code);
}

#[test]
fn layouts_have_neither_holes_nor_overlaps() {
    for (heading, total) in [
        ("### Image header", 512),
        ("### Prefix of a partial transfer", 32),
        ("### `.iap_info`", 64),
        ("## Boot record", 0x4000),
        ("### Sector header", 32),
        ("### Log slot", 32),
    ] {
        let mut next = 0;
        for row in table(heading, "offset") {
            assert_eq!(row[0].parse(), Ok(next), "{heading}: {row:?}");
            next += row[1].parse::<usize>().unwrap();
        }
        assert_eq!(next, total, "{heading}");
    }
}

#[test]
fn the_crc_vectors_are_right() {
    let counting = |len: u32| (0..len).map(|i| i as u8).collect::<Vec<_>>();
    let vectors = [
        counting(0),
        counting(1),
        counting(2),
        counting(3),
        counting(4),
        counting(5),
        counting(4095),
        b"123456789".to_vec(),
    ];
    let readme = table("## CRC-32", "bytes");
    assert_eq!(readme.len(), vectors.len());
    for (row, bytes) in readme.iter().zip(vectors) {
        assert_eq!(row[1], format!("`{:#010x}`", crc32(&bytes)), "{}", row[0]);
    }
}

#[test]
fn the_fields_of_status_are_those_of_the_code_in_their_order() {
    let full: Status = serde_json::from_str(include_str!("golden/status-full.json")).unwrap();
    let text = serde_json::to_string(&full).unwrap();
    let mut rest = text.as_str();
    let rows = table("## `status.json`", "field");
    for row in &rows {
        let path = row[0].trim_matches('`');
        let key = format!("\"{}\":", path.rsplit('.').next().unwrap());
        let (before, after) = rest
            .split_once(&key)
            .unwrap_or_else(|| panic!("{path} is not next in {rest}"));
        // Every key that was passed over would be missing in README.
        assert!(!before.contains("\":"), "{before} stands before {path}");
        rest = after;
    }
    assert!(!rest.contains("\":"), "{rest} is missing in README");
}

#[test]
fn the_words_of_the_mailbox_are_those_of_the_code() {
    let rows = table("## Mailbox", "register");
    let words: Vec<_> = rows.iter().map(|row| (row[0], row[1])).collect();
    let hex = |word: u32| format!("`{word:#010x}`");
    let expected = [
        ("request", hex(mailbox::REQUEST_UPDATE)),
        ("request", hex(mailbox::unconfirmed(0)) + " + n"),
        ("request", hex(mailbox::NOTHING)),
        ("cause", hex(mailbox::reset_cause(0)) + " + flags"),
    ];
    assert_eq!(
        words,
        expected
            .each_ref()
            .map(|(name, word)| (*name, word.as_str()))
    );
}
