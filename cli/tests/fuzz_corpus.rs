//! Every input that fuzzing kept goes through its target again: what was found once is never lost, and the corpora stay in use on
//! machines without a nightly toolchain.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../fuzz/src/lib.rs"]
#[allow(clippy::unwrap_used, missing_docs, reason = "test code")]
mod targets;

#[path = "../../protocol/tests/replay/mod.rs"]
mod replay;

use replay::replay;

#[test]
fn elf_takes_its_corpus() {
    replay("elf", targets::elf);
}

#[test]
fn intel_hex_takes_its_corpus() {
    replay("intel_hex", targets::intel_hex);
}

#[test]
fn srec_takes_its_corpus() {
    replay("srec", targets::srec);
}

#[test]
fn tftp_client_takes_its_corpus() {
    replay("tftp_client", targets::tftp_client);
}
