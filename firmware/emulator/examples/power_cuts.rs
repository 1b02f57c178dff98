//! Power cuts in updates of the shipped binary: `cargo xtask sweep --emulator` builds the firmware and runs this. Exit 1 on any violation.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use iap_emulator::sweep::{self, Firmware};
use iap_sim::sweep::start::Kind;

/// Cut the power at operations of an update of the firmware's own binary, and judge what is left
#[derive(Parser)]
struct Arguments {
    /// Profile that the firmware was built for
    #[arg(long)]
    profile: String,
    /// The firmware
    #[arg(long)]
    firmware: PathBuf,
    /// Where everything random comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads, one per core if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Cuts of an update of a board with an application; a third as many from each other state
    #[arg(long, default_value_t = 220)]
    cuts: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let threads = arguments
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let firmware = Firmware::load(&arguments.profile, &arguments.firmware)?;
    // A panic is counted and told as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    println!(
        "seed {}, {threads} threads, {}",
        arguments.seed,
        arguments.firmware.display()
    );
    let mut is_good = true;
    for (kind, cuts) in [
        (Kind::Application, arguments.cuts),
        (Kind::RecordFull, arguments.cuts / 3),
        (Kind::InterruptedSame, arguments.cuts / 3),
    ] {
        let begun = Instant::now();
        let tally = sweep::run(&firmware, &[kind], cuts, arguments.seed, threads);
        let title = format!("shipped binary, {kind:?}");
        println!(
            "{title}: {} cuts planned, {} fired; {} boots, {} pushes mended; {} violations; {} s",
            tally.planned,
            tally.fired,
            tally.boots,
            tally.pushes,
            tally.violations,
            begun.elapsed().as_secs()
        );
        for violation in &tally.first {
            println!("  violation: {violation}");
        }
        is_good &= tally.is_good();
    }
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
