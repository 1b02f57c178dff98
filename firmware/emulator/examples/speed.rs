//! How long pushes take on the shipped firmware, in virtual time: `cargo xtask bench device` builds the firmware and runs this. Exit 1 when a
//! target is missed.
//!
//! Everything is iapctl's and the board's own: the binary on the emulated chip, the I/O-free clients, a line of 100 Mbit/s with the given
//! round trip, the flash's typical times (DS8626 section 5.3.12).
#![allow(clippy::unwrap_used, reason = "a bench: what cannot fail ends it")]

#[path = "../tests/speed/cases.rs"]
mod cases;
#[path = "../tests/speed/errand.rs"]
mod errand;
#[path = "../tests/speed/host.rs"]
mod host;
#[path = "../tests/speed/scheme.rs"]
mod scheme;
#[path = "../tests/speed/table.rs"]
mod table;
#[path = "../tests/speed/trial.rs"]
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::Parser;

use cases::Case;
use table::Row;
use trial::{Firmware, Outcome};

/// Pushes to the shipped firmware in virtual time, and the time they may take
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
    /// Only the cases whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Threads, one per core if not given
    #[arg(long)]
    threads: Option<usize>,
}

/// Cycles that pass for 100 of the interpreter's, in the two columns.
const PERCENT: [u32; 2] = [100, 150];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let firmware = [
        Firmware::load(&arguments.profile, &arguments.firmware),
        Firmware::load(&arguments.signed_profile, &arguments.signed_firmware),
    ];
    let of = |case: &Case| &firmware[usize::from(case.is_signed())];
    let cores = || thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = arguments.threads.unwrap_or_else(cores);
    let mut cases = cases::all();
    cases.retain(|case| case.name().contains(&arguments.only));
    if cases.is_empty() {
        eprintln!("error: no row has {:?} in its name", arguments.only);
        return ExitCode::FAILURE;
    }
    // One is run twice: virtual time repeats to the last cycle.
    let jobs = cases
        .iter()
        .flat_map(|case| PERCENT.map(|percent| (case, percent)));
    let jobs: Vec<_> = jobs.chain(cases.first().map(|case| (case, 100))).collect();
    let outcomes = in_threads(jobs.len(), threads, |index| {
        let (case, percent) = jobs[index];
        trial::run(of(case), case, percent)
    });
    let (rows, again) = outcomes.split_at(2 * cases.len());
    let rows: Vec<_> = (cases.into_iter().zip(rows.chunks_exact(2)))
        .map(|(case, pair)| Row {
            case,
            once: pair[0].clone(),
            half_more: pair[1].clone(),
        })
        .collect();
    table::print(&rows, &firmware[0]);
    println!();
    table::print_accounts(&rows);
    let repeats = again.iter().all(|again| *again == rows[0].once);
    println!(
        "\nthe first row, run again: {}",
        if repeats { "the same" } else { "NOT THE SAME" }
    );
    let missed = rows.iter().filter(|row| !row.is_good()).count();
    println!(
        "{} of {} rows within their targets",
        rows.len() - missed,
        rows.len()
    );
    match repeats && missed == 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs so many jobs; their results in order.
fn in_threads(count: usize, threads: usize, job: impl Fn(usize) -> Outcome + Sync) -> Vec<Outcome> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; count]));
    thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let outcome = job(index);
                    done.lock().unwrap()[index] = Some(outcome);
                }
            });
        }
    });
    done.into_inner().unwrap().into_iter().flatten().collect()
}
