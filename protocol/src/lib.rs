//! What both ends of an update agree on, compiled into `iapctl` and into the IAP firmware alike, so that they cannot disagree.
//!
//! `protocol/README.md` documents every byte; `tests/golden` holds the literal bytes of version 1. The crate does no input or
//! output, allocates nothing and holds no policy: it says what the bytes mean, the two ends say what to do about them.
#![no_std]
// Everything here reads bytes that others wrote.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod crc;
pub mod error;
pub mod header;
mod header_bytes;
pub mod http;
pub mod info;
pub mod mailbox;
pub mod memory;
pub mod record;
pub mod status;
pub mod text;
pub mod tftp;
pub mod vectors;
pub mod version;

mod bytes;
mod prefix;

pub use error::ErrorCode;
