//! The firmware's core on the host: a virtual board for tests, and for people who have no board.
//!
//! `nor` is the strict flash model, `wire` the Ethernet segment, `clock` the time; all three are seeded and deterministic when they run on
//! virtual time. `gateway` connects the segment to ports of this machine.

pub mod clock;
pub mod flash_file;
pub mod gateway;
pub mod image;
pub mod nor;
pub mod rng;
pub mod settings;
pub mod wire;
