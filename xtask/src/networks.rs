//! `cargo xtask networks`: iapctl's clients and the board through bad networks, in virtual time, and other people's clients in real time.

use anyhow::Result;

use crate::command::{cargo, run as execute, target_folder};

/// Passed on to the matrix.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `--seed N`, `--seeds N`, `--threads N`, `--only NAME`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds it with the release profile and runs it; a violation is an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut iapctl = cargo();
    execute(iapctl.args(["build", "--quiet", "--release", "--package", "iapctl"]))?;
    let mut matrix = cargo();
    matrix.args(["run", "--quiet", "--release", "--package", "iapctl"]);
    matrix
        .args(["--example", "networks", "--", "--iapctl"])
        .arg(target_folder().join("release/iapctl"))
        .args(&options.arguments);
    execute(&mut matrix)
}
