//! `cargo xtask`: the commands for work on this repository. Each is a file or a folder; this file only dispatches.
//!
//! Nothing here is part of the product. What a user needs without a clone of the repository belongs into `iapctl`.

mod bench;
mod beside;
mod command;
mod demo;
mod firmware;
mod fuzz;
mod ihex;
mod networks;
mod pairs;
mod sample_app;
mod setup;
mod sweep;
mod test;
mod virtual_board;

use std::env;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use firmware::compiler;

/// Work on iapctl: set up the machine, build the sample application, show the whole chain, test everything.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building and testing needs: rustup targets, Debian packages.
    Setup,
    /// Build the sample application for a board; the ELF goes to target/sample-app/PROFILE/.
    SampleApp(sample_app::Options),
    /// Build the IAP firmware for a board; ELF, BIN and HEX go to target/firmware/PROFILE/.
    Firmware(firmware::Options),
    /// Verify, convert and push the sample application to a virtual board, over TFTP and over HTTP.
    Demo(demo::Options),
    /// Run a fuzz target; without a name, list them.
    Fuzz(fuzz::Options),
    /// Find the pairs of bytes by which the board's texts are packed; writes protocol/src/text/pairs.rs.
    Pairs,
    /// Cut the power at every flash operation of an update, and judge what is left: half an hour of processor time; with --emulator, cuts of the shipped binary.
    Sweep(sweep::Options),
    /// Push through bad networks, in virtual time: loss, delay, duplicates, clients that vanish; some minutes.
    Networks(networks::Options),
    /// Measure against the targets; a target that is missed is an error.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run every check and every test of the project.
    Test(test::Options),
}

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let task = words.next().unwrap_or_default();
    // Before clap: what it costs would be measured too.
    if task == bench::MEASURED {
        return exit(bench::measured(words));
    }
    if compiler::is_rustc(&task) {
        let arguments: Vec<_> = words.collect();
        return compiler::rustc(&task, &arguments).unwrap_or_else(|error| exit(Err(error)));
    }
    exit(match Arguments::parse().task {
        Task::Setup => setup::run(),
        Task::SampleApp(options) => sample_app::run(&options),
        Task::Firmware(options) => firmware::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Pairs => pairs::run(),
        Task::Sweep(options) => sweep::run(&options),
        Task::Networks(options) => networks::run(&options),
        Task::Bench(bench) => bench::run(&bench),
        Task::Test(options) => test::run(&options),
    })
}

fn exit(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
