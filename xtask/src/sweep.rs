//! `cargo xtask sweep`: power cuts at every flash operation of an update, on the virtual flash.

use anyhow::Result;

use crate::command::{cargo, run as execute};

/// Passed on to the sweep.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `--seed N`, `--threads N`, `--only TITLE`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds it with the release profile and runs it; a violation is an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut sweep = cargo();
    sweep.args(["run", "--quiet", "--release", "--package", "iap-sim"]);
    sweep
        .args(["--example", "sweep", "--"])
        .args(&options.arguments);
    execute(&mut sweep)
}
