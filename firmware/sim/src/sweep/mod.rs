//! Power cuts at every flash operation: what `cargo xtask sweep` runs, and tests run samples of.
//!
//! A session is a reset, the boot decision, and a push through the update machine; every erase and every programmed word in it is one
//! operation of its [`track`]. A cut takes the power before or inside one of them: what is left is the flash, so the state after
//! a cut is the track replayed up to it, with the last operation torn. ("After" one operation is "before" the next; only the last one
//! of a track has an after of its own.) The bits touched are drawn anew for each cut and at each boot.
//!
//! After each cut the [`judge`] boots several times, looks at what starts, at counters, keys and settings, and pushes the new image; that
//! push is the track of the next, deeper cut. [`parts`] says which cuts are tried from which [`start`]ing states, [`pool`] spreads the
//! work over threads.

pub mod brown_out;
pub mod client;
pub mod judge;
mod partial;
pub mod parts;
pub mod pool;
pub mod rules;
pub mod served;
pub mod start;
pub mod tally;
pub mod track;
