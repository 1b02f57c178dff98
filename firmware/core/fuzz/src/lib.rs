//! What the fuzz targets of this crate do with their bytes. The corpora are replayed through the same functions by
//! `tests/fuzz_corpus.rs`, which includes this file, so that target and test cannot drift apart.
//!
//! Each input is a script: some bytes say what happens (a datagram, a step of the flash, time), others are what comes over the wire. A
//! property that is broken is a panic, as any panic of the code itself.
#![allow(unreachable_pub)] // public in the fuzz crate, private in the test

mod board;
mod boot_record;
mod http_server;
mod network;
mod script;
mod tftp_server;
mod update;

pub use boot_record::boot_record;
pub use http_server::http_server;
pub use network::network;
pub use tftp_server::tftp_server;
pub use update::update;
