//! Power cuts in updates of the shipped binary: `cargo xtask sweep --emulator` builds the firmware and runs this. Exit 1 on any violation.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use iap_emulator::sweep::{self, Firmware};
use iap_sim::sweep::start::Kind;
use iap_sim::sweep::tally::Tally;

/// Cut the power at operations of an update of the firmware's own binary, and judge what is left
#[derive(Parser)]
struct Arguments {
    /// Profile that the firmware was built for
    #[arg(long)]
    profile: String,
    /// The firmware
    #[arg(long)]
    firmware: PathBuf,
    /// Profile of a board that checks signatures
    #[arg(long)]
    signed_profile: String,
    /// Its firmware
    #[arg(long)]
    signed_firmware: PathBuf,
    /// Where everything random comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads, one per core if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Cuts of an update of a board with an application and policy `open`; a third as many or fewer of each other kind
    #[arg(long, default_value_t = 220)]
    cuts: usize,
    /// Run only the parts whose title contains this
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let threads = arguments
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let open = Firmware::load(&arguments.profile, &arguments.firmware)?;
    let signed = Firmware::load(&arguments.signed_profile, &arguments.signed_firmware)?;
    // A panic is counted and told as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    println!("seed {}, {threads} threads", arguments.seed);
    let (all, some) = (arguments.cuts, arguments.cuts / 3);
    let parts = [
        ("policy open", &open, Kind::Application, all),
        ("policy open", &open, Kind::RecordFull, some),
        ("policy open", &open, Kind::InterruptedSame, some),
        // Longer images, and signatures: the emulated chip takes its time for both.
        ("policy open", &open, Kind::Partial, some / 3),
        ("policy signed", &signed, Kind::Application, some / 2),
        ("policy signed", &signed, Kind::RecordFull, some / 6),
        ("policy signed", &signed, Kind::Partial, some / 6),
    ];
    let (mut sum, all_begun) = (Tally::default(), Instant::now());
    for (policy, firmware, kind, cuts) in parts {
        let title = format!("shipped binary, {policy}, {kind:?}");
        if !title.contains(&arguments.only) {
            continue;
        }
        let begun = Instant::now();
        let tally = sweep::run(firmware, &[kind], cuts, arguments.seed, threads);
        println!("{}", tally.told(&title, begun.elapsed()));
        sum.add(tally);
    }
    println!("{}", sum.told("all", all_begun.elapsed()));
    Ok(if sum.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
