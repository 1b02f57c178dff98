//! `cargo xtask sweep`: power cuts at every flash operation of an update on the virtual flash, also in updates that iapctl's own clients
//! send, and with `--emulator` at some hundred of the shipped binary's.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::command::{self, cargo, run as execute};
use crate::firmware;

/// The board whose firmware is tried on the emulator.
const BOARD: &str = "stm324xg-eval";
/// The same with policy `signed`.
const SIGNED: &str = "firmware/stm32f407/stm324xg-eval-signed.toml";

/// The exit code of a sweep without a part of the title asked for (`iap_sim::sweep::tally::NO_SUCH_PART`).
const NO_SUCH_PART: i32 = 3;

/// Passed on to the sweep.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build the firmware and cut its updates on the emulated chip; then also `--cuts N`
    #[arg(long)]
    emulator: bool,
    /// `--seed N`, `--threads N`, `--only TITLE`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds it with the release profile and runs it; a violation is an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.emulator {
        return on_the_emulator(options);
    }
    let mut tried = false;
    for (package, name) in [("iap-sim", "sweep"), ("iapctl", "cuts")] {
        let mut sweep = example(package, name);
        let status = sweep.args(&options.arguments).status()?;
        match status.code() {
            Some(NO_SUCH_PART) => {}
            Some(0) => tried = true,
            _ => bail!("{sweep:?} failed: {status}"),
        }
    }
    ensure!(
        tried,
        "nothing was cut: no part of the sweep has the title of --only"
    );
    Ok(())
}

fn on_the_emulator(options: &Options) -> Result<()> {
    let mut sweep = example("iap-emulator", "power_cuts");
    for (profile, prefix) in [(BOARD, ""), (SIGNED, "signed-")] {
        firmware::run(&firmware::Options::board(profile))?;
        let stem = Path::new(profile).file_stem().unwrap_or_default();
        let folder = command::target_folder().join("firmware").join(stem);
        sweep.args([format!("--{prefix}profile"), profile.to_owned()]);
        sweep.arg(format!("--{prefix}firmware"));
        sweep.arg(folder.join("iap.elf"));
    }
    execute(sweep.args(&options.arguments))
}

fn example(package: &str, name: &str) -> Command {
    let mut run = cargo();
    run.args(["run", "--quiet", "--release", "--package", package]);
    run.args(["--example", name, "--"]);
    run
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::command::root;

    /// All sources of the repository, as one text.
    fn sources() -> String {
        let mut folders: Vec<PathBuf> = ["cli", "firmware", "protocol"]
            .map(|name| root().join(name))
            .into();
        let mut text = String::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|kind| kind == "rs") {
                    text += &fs::read_to_string(path).unwrap();
                }
            }
        }
        text
    }

    #[test]
    fn every_test_that_safety_md_names_is_there() {
        let page = fs::read_to_string(root().join("firmware/core/SAFETY.md")).unwrap();
        let (_, section) = page.split_once("## Which test shows it").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let (sources, mut tests) = (sources(), 0);
        // Test names are sentences.
        let named = section
            .split('`')
            .filter(|word| word.matches('_').count() > 3);
        for test in named {
            assert!(sources.contains(&format!("fn {test}()")), "{test}");
            tests += 1;
        }
        assert!(tests > 15, "{tests} tests named");
    }
}
