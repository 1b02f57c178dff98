//! Every input that fuzzing kept goes through its target again: what was found once is never lost, and the corpora stay in use on
//! machines without a nightly toolchain.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../fuzz/src/lib.rs"]
#[allow(clippy::unwrap_used, missing_docs, reason = "test code")]
mod targets;

#[path = "../../../protocol/tests/replay/mod.rs"]
mod replay;

use replay::replay;

#[test]
fn boot_record_takes_its_corpus() {
    replay("boot_record", targets::boot_record);
}

#[test]
fn http_server_takes_its_corpus() {
    replay("http_server", targets::http_server);
}

#[test]
fn network_takes_its_corpus() {
    replay("network", targets::network);
}

#[test]
fn tftp_server_takes_its_corpus() {
    replay("tftp_server", targets::tftp_server);
}

#[test]
fn update_takes_its_corpus() {
    replay("update", targets::update);
}
