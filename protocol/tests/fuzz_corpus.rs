//! Every input that fuzzing kept goes through its target again: what was found once is never lost, and the corpora stay in use on
//! machines without a nightly toolchain.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../fuzz/src/lib.rs"]
#[allow(clippy::unwrap_used, missing_docs, reason = "test code")]
mod targets;

mod replay;

use replay::replay;

#[test]
fn image_header_takes_its_corpus() {
    replay("image_header", targets::image_header);
}

#[test]
fn tftp_packet_takes_its_corpus() {
    replay("tftp_packet", targets::tftp_packet);
}
