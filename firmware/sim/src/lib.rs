//! The firmware's core on the host: a virtual board for tests, and for people who have no board.
//!
//! ```text
//!  TFTP, HTTP clients ── gateway ── wire ── board (iap-core) ── nor ── flash_file
//!                                             └── clock
//! ```
//!
//! - [`nor`] is the strict flash model, [`wire`] the Ethernet segment, [`clock`] the time: seeded, and deterministic on virtual time.
//! - [`board`] does what the chip does around the core: from reset to reset, with the core's own decisions.
//! - [`gateway`] connects the segment to ports of this machine; [`sim`] is all of it in a thread. [`visitor`] is a client on the segment itself.
//!
//! It runs no application and no instruction of the shipped firmware: that is the emulator's part.

pub mod bench;
pub mod board;
pub mod clock;
pub mod event;
pub mod flash_file;
pub mod gateway;
pub mod image;
pub mod nor;
mod observer;
pub mod rng;
pub mod settings;
pub mod signer;
pub mod sim;
pub mod sweep;
pub mod visitor;
pub mod wire;
