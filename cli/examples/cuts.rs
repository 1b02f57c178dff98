//! Power cuts in updates that iapctl sends without what the board holds already: the second half of `cargo xtask sweep`. Exit 1 on any violation.
//!
//! An example and not a program of its own, because nobody needs it who does not work on this repository.

#[path = "../tests/cuts/client.rs"]
mod client;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "../tests/networks/hosts.rs"]
mod hosts;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "../tests/networks/http.rs"]
mod http;
#[allow(dead_code, reason = "the tests of bad networks use all of it")]
#[path = "../tests/networks/tftp.rs"]
mod tftp;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use iap_sim::sweep::parts::REAL;
use iap_sim::sweep::rules::Rules;
use iap_sim::sweep::served::{self, Plan};
use iap_sim::sweep::start::Kind;
use iap_sim::sweep::tally::{NO_SUCH_PART, Tally};

/// Cut the power in partial transfers of iapctl through the board's servers, and judge what is left
#[derive(Parser)]
struct Arguments {
    /// Where everything random comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads, one per core if not given
    #[arg(long)]
    threads: Option<usize>,
    /// Run only the parts whose title contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// Title, rules, and every so many-th cut: signatures take time.
const PARTS: [(&str, &[Rules], usize); 2] = [
    (
        "iapctl's partial transfers, real map, all of its cuts, through the servers: TFTP and HTTP",
        &[Rules::Open, Rules::Bare],
        1,
    ),
    (
        "iapctl's partial transfers, policy signed, real map, one in 3 of its cuts, through the servers",
        &[Rules::Signed],
        3,
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = arguments.threads.unwrap_or_else(cores);
    // A panic is counted and told as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut is_good, mut tried) = (true, false);
    for (title, rules, stride) in PARTS {
        if title.contains(&arguments.only) {
            let begun = Instant::now();
            let tally = cut(rules, stride, arguments.seed, threads);
            println!("{}", tally.told(title, begun.elapsed()));
            tried = true;
            is_good &= tally.is_good() && tally.partial == tally.fired;
        }
    }
    match (tried, is_good) {
        (false, _) => ExitCode::from(NO_SUCH_PART),
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::FAILURE,
    }
}

fn cut(rules: &[Rules], stride: usize, seed: u64, threads: usize) -> Tally {
    let last = 12;
    let plan = Plan { stride, last, seed };
    served::run_with(&client::invite, threads, &Kind::PARTIAL, rules, REAL, plan)
}
