//! `cargo xtask bench`: how fast it is, against a target each; a target that is missed is an error.

mod device;
mod host;

pub(crate) use host::{MEASURED, measured};

use anyhow::Result;

/// What is measured.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// The shipped firmware on the emulated chip, iapctl's clients, virtual time; some minutes. Exit 1 when a target is missed
    Device(device::Options),
    /// iapctl on this machine against other people's clients and objcopy: half an hour, of which the rows through the bad network take most.
    Host(host::Options),
}

/// Measures it.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Device(options) => device::run(options),
        Bench::Host(options) => host::run(options),
    }
}
