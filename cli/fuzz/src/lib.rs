//! What the fuzz targets of this crate do with their bytes. The corpora are replayed through the same functions by
//! `tests/fuzz_corpus.rs`, which includes this file, so that target and test cannot drift apart.
#![allow(unreachable_pub)] // public in the fuzz crate, private in the test

mod images;
mod tftp_client;

pub use images::{elf, intel_hex, srec};
pub use tftp_client::tftp_client;
