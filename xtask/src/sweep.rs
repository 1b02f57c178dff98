//! `cargo xtask sweep`: power cuts at every flash operation of an update on the virtual flash, and with `--emulator` at some hundred of the
//! shipped binary's.

use anyhow::Result;

use crate::command::{self, cargo, run as execute};
use crate::firmware;

/// The board whose firmware is tried on the emulator.
const BOARD: &str = "stm324xg-eval";

/// Passed on to the sweep.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build the firmware and cut its updates on the emulated chip; then `--seed N`, `--threads N`, `--cuts N`
    #[arg(long)]
    emulator: bool,
    /// `--seed N`, `--threads N`, `--only TITLE`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds it with the release profile and runs it; a violation is an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (package, example) = match options.emulator {
        true => ("iap-emulator", "power_cuts"),
        false => ("iap-sim", "sweep"),
    };
    let mut sweep = cargo();
    sweep.args(["run", "--quiet", "--release", "--package", package]);
    sweep.args(["--example", example, "--"]);
    if options.emulator {
        firmware::run(&firmware::Options::board(BOARD))?;
        let folder = command::target_folder().join("firmware").join(BOARD);
        sweep.args(["--profile", BOARD, "--firmware"]);
        sweep.arg(folder.join("iap.elf"));
    }
    execute(sweep.args(&options.arguments))
}
