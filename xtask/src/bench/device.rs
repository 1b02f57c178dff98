//! `cargo xtask bench device`: how long pushes to the shipped firmware take, against their targets, in virtual time.

use std::path::Path;

use anyhow::Result;

use crate::command::{cargo, run as execute, target_folder};
use crate::firmware;

/// The board that is measured.
const BOARD: &str = "stm324xg-eval";
/// The same with signatures.
const SIGNED: &str = "firmware/stm32f407/stm324xg-eval-signed.toml";

/// Passed on to the bench.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `--only NAME`, `--threads N`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds what is measured, and measures it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut measure = cargo();
    measure.args(["run", "--quiet", "--release", "--package", "iap-emulator"]);
    measure.args(["--example", "speed", "--"]);
    for (profile, prefix) in [(BOARD, ""), (SIGNED, "signed-")] {
        firmware::run(&firmware::Options::board(profile))?;
        let stem = Path::new(profile).file_stem().unwrap_or_default();
        let elf = target_folder().join("firmware").join(stem).join("iap.elf");
        measure.args([format!("--{prefix}profile"), profile.to_owned()]);
        measure.arg(format!("--{prefix}firmware")).arg(elf);
    }
    execute(measure.args(&options.arguments))
}
