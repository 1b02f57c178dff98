//! Every function that writes a register says where the manual describes it.
#![allow(clippy::unwrap_used)] // a test

use std::fs;
use std::path::{Path, PathBuf};

const MANUALS: [&str; 4] = ["RM0090 section", "ES0182", "ARMv7-M ARM", "IEEE 802.3"];
const WRITES: [&str; 3] = ["put!(", "change!(", "write_volatile("];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .collect()
}

/// The functions of a file as rustfmt lays them out, each with the comments in front of it: its name and its text.
fn functions(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, after)) = code.split_once("fn ") else {
            continue;
        };
        let known = ["pub", "pub(crate)", "pub(super)", "const", "unsafe"];
        if !before.split_whitespace().all(|word| known.contains(&word)) {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let body = lines[number..].iter().take_while(|line| **line != end);
        let comments = lines[..number].iter().rev().take_while(|line| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with('#')
        });
        let text: Vec<&str> = comments.chain(body).copied().collect();
        let name = after.split(['(', '<']).next().unwrap_or_default();
        functions.push((name.to_owned(), text.join("\n")));
    }
    functions
}

#[test]
fn functions_that_write_registers_cite_the_manual() {
    let mut writers = 0;
    let mut without = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chip");
    for path in sources(&folder) {
        for (name, text) in functions(&fs::read_to_string(&path).unwrap()) {
            if !WRITES.iter().any(|write| text.contains(write)) {
                continue;
            }
            writers += 1;
            if !MANUALS.iter().any(|manual| text.contains(manual)) {
                without.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert_eq!(without, [""; 0]);
    assert!(writers > 30, "only {writers} functions found");
}

#[test]
fn a_function_is_found_with_its_comments() {
    let text = "    /// Doc.\n    pub(crate) fn set(&self) {\n        put!(a);\n    }\n    fn other() {\n    }\n";
    let found = functions(text);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].0, "set");
    assert!(found[0].1.contains("Doc.") && found[0].1.contains("put!(a)"));
    assert!(!found[0].1.contains("other"));
}
