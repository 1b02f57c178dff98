//! The whole network matrix: `cargo xtask networks` builds and runs it. Prints seeds and counts; exit 1 on any violation, and where a
//! fault never happened: with [`SEEDS`] or more in a cell, with fewer in all cells of its kind.
//!
//! An example and not a program of its own, because nobody needs it who does not work on this repository.
#![allow(clippy::unwrap_used, reason = "a test, in the end")]

#[path = "../tests/networks/cells.rs"]
mod cells;
#[path = "../tests/networks/disturbers.rs"]
mod disturbers;
#[path = "../tests/networks/hosts.rs"]
mod hosts;
#[path = "../tests/networks/http.rs"]
mod http;
#[path = "../tests/networks/pusher.rs"]
mod pusher;
#[path = "../tests/networks/stock.rs"]
mod stock;
#[path = "../tests/networks/tally.rs"]
mod tally;
#[path = "../tests/networks/tftp.rs"]
mod tftp;
#[path = "../tests/networks/trial.rs"]
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

/// Seeds with which every cell's fault happens. With one seed the few packets of a small push may all be spared by a loss of one percent.
const SEEDS: u64 = 20;

/// iapctl's clients and the board through bad networks, in virtual time
#[derive(Parser)]
struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds each cell is run with
    #[arg(long, default_value_t = SEEDS)]
    seeds: u64,
    /// Threads, one per core if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Only the cells whose name contains this; leaves out other people's clients
    #[arg(long, default_value = "")]
    only: String,
    /// The program for pushes after those of other people's clients; `cargo xtask networks` builds and names it
    #[arg(long)]
    iapctl: Option<PathBuf>,
    /// Seeds for each of other people's clients
    #[arg(long, default_value_t = 3)]
    stock_seeds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = arguments.threads.unwrap_or_else(cores);
    let mut cells = cells::all();
    cells.retain(|cell| cell.name.contains(&arguments.only));
    if cells.is_empty() {
        eprintln!("error: no cell has {:?} in its name", arguments.only);
        return ExitCode::FAILURE;
    }
    let seeds = arguments.seed..=arguments.seed + arguments.seeds.max(1) - 1;
    println!("{} cells, seeds {seeds:?}, {threads} threads", cells.len());
    let begun = Instant::now();
    let tally = tally::run(&cells, seeds, threads);
    for line in lines(&tally) {
        println!("{line}");
    }
    for violation in &tally.violations {
        println!("VIOLATION {violation}");
    }
    let silent = never_fired(&tally, arguments.seeds);
    for what in &silent {
        println!("VIOLATION {what}: the fault never happened");
    }
    println!(
        "{} runs: {} committed, {} failed as they may, {} violations; {} s",
        tally.committed + tally.failed + tally.violations.len() as u64,
        tally.committed,
        tally.failed,
        tally.violations.len() + silent.len(),
        begun.elapsed().as_secs()
    );
    let stock_is_good = match &arguments.iapctl {
        Some(iapctl) if arguments.only.is_empty() => stock_clients(iapctl, &arguments),
        _ => true,
    };
    match tally.violations.is_empty() && silent.is_empty() && stock_is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Cells whose fault never happened: they prove nothing. With few seeds only those of a kind of fault that happened nowhere.
fn never_fired(tally: &tally::Tally, seeds: u64) -> Vec<String> {
    if seeds < SEEDS {
        println!("fewer than {SEEDS} seeds: a fault must happen in one of the cells of its kind");
        return tally.kinds_that_never_fired();
    }
    let rows = tally.rows.values();
    rows.filter(|(_, row)| row.fired == 0)
        .map(|(cell, _)| cell.name.clone())
        .collect()
}

fn lines(tally: &tally::Tally) -> Vec<String> {
    let rows = tally.rows.values();
    rows.map(|(cell, row)| line(cell, row)).collect()
}

fn line(cell: &cells::Cell, row: &tally::Row) -> String {
    let mean = row.sum_ms.checked_div(row.committed).unwrap_or_default();
    let times = match cell.end {
        cells::End::Failed => String::new(),
        _ => format!(", mean {mean} ms, slowest {} ms", row.slowest_ms),
    };
    let error = row.error.as_ref().map(|error| format!("; or: {error}"));
    format!(
        "{}: {} of {} committed, fault {} times{times}{}",
        cell.name,
        row.committed,
        row.runs,
        row.fired,
        error.unwrap_or_default()
    )
}

/// Pushes of one client at one rate, at most.
const MAX_STOCK_SEEDS: u64 = 20;

/// All of them at once: they mostly wait. Whether no rule was broken and every loss happened.
fn stock_clients(iapctl: &Path, arguments: &Arguments) -> bool {
    let cells = stock::Stock::ALL.map(|client| [(client, 1), (client, 5)]);
    std::thread::scope(|scope| {
        let running = cells.concat().into_iter().map(|(client, loss)| {
            let pushes = move || stock_cell(client, loss, arguments, iapctl);
            scope.spawn(pushes)
        });
        let running: Vec<_> = running.collect();
        // Those that are not asked are waited for all the same.
        (running.into_iter()).all(|cell| cell.join().unwrap_or(false))
    })
}

fn stock_cell(client: stock::Stock, loss: u32, arguments: &Arguments, iapctl: &Path) -> bool {
    let name = format!("{client:?}, 16 KiB, loss {loss} %");
    if iap_peers::find(client.program()).is_none() {
        println!("SKIPPED {name}: not installed");
        return true;
    }
    let (mut lost, mut good) = (0, true);
    // More than asked for, if the wire was kind so far: one percent of fifty frames.
    for pushes in 0..MAX_STOCK_SEEDS {
        if pushes >= arguments.stock_seeds && lost > 0 {
            break;
        }
        let seed = arguments.seed + pushes;
        match stock::push(client, loss, seed, iapctl) {
            Ok(outcome) => {
                lost += outcome.lost;
                println!(
                    "{name}, seed {seed}: {}, exit {:?}, {:.1} s, {} frames to the board lost",
                    if outcome.committed {
                        "committed"
                    } else {
                        "failed, the board free in its time"
                    },
                    outcome.exit,
                    outcome.took.as_secs_f64(),
                    outcome.lost
                );
            }
            Err(what) => {
                good = false;
                println!("VIOLATION {name}, seed {seed}: {what}");
            }
        }
    }
    if lost == 0 {
        println!("VIOLATION {name}: its fault never happened");
    }
    good && lost > 0
}
