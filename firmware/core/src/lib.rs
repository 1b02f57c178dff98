//! Every decision of the IAP firmware, and no register: what an update may do to the flash, what a reset starts, and the TFTP and HTTP
//! servers, as state machines without I/O. The chip crate and the simulator give it a flash, a clock and Ethernet frames.
//!
//! ```text
//!  Ethernet frames ─ net ─┬─ tftp ─┐
//!                         ├─ http ─┴─ intake ─ update ─┬─ record ─┐
//!                         ├─ status                    └──────────┴─ flash
//!                         └─ mode ─ reset
//!  reset ─ boot ─ record ─ flash
//! ```
#![no_std]
// Nothing that others wrote, or that a cut has left behind, may end the firmware.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod boot;
pub mod config;
pub mod defect;
mod digest;
mod earliest;
pub mod flash;
pub mod http;
pub mod intake;
pub mod mode;
pub mod net;
pub mod record;
mod sha;
#[cfg(feature = "signed")]
mod signature;
#[cfg(not(feature = "signed"))]
#[path = "no_signature.rs"]
mod signature;
pub mod status;
pub mod tftp;
pub mod update;

#[cfg(test)]
mod testing;
