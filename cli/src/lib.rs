//! `iapctl` as a library: what the commands do, without the command line.

pub mod failure;
