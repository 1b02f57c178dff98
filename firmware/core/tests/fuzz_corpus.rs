//! Every input that fuzzing kept goes through its target again: what was found once is never lost, and the corpora stay in use on
//! machines without a nightly toolchain.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../fuzz/src/lib.rs"]
#[allow(clippy::unwrap_used, missing_docs, reason = "test code")]
mod targets;

use std::fs;
use std::path::Path;

/// Replays `fuzz/corpus/NAME`; the file at work is named when its input panics.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no corpus in {}", folder.display());
    for input in inputs {
        println!("{}", input.display());
        target(&fs::read(&input).unwrap());
    }
}

#[test]
fn boot_record_takes_its_corpus() {
    replay("boot_record", targets::boot_record);
}

#[test]
fn http_server_takes_its_corpus() {
    replay("http_server", targets::http_server);
}

#[test]
fn tftp_server_takes_its_corpus() {
    replay("tftp_server", targets::tftp_server);
}

#[test]
fn update_takes_its_corpus() {
    replay("update", targets::update);
}
