//! The firmware's core on the host: a virtual board for tests, and for people who have no board.
//!
//! `nor` is the strict flash model.

pub mod nor;
pub mod rng;
