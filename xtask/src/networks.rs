//! `cargo xtask networks`: iapctl's clients and the board through bad networks, in virtual time.

use anyhow::Result;

use crate::command::{cargo, run as execute};

/// Passed on to the matrix.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `--seed N`, `--seeds N`, `--threads N`, `--only NAME`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds it with the release profile and runs it; a violation is an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut matrix = cargo();
    matrix.args(["run", "--quiet", "--release", "--package", "iapctl"]);
    matrix
        .args(["--example", "networks", "--"])
        .args(&options.arguments);
    execute(&mut matrix)
}
