//! The whole power cut sweep: `cargo xtask sweep` builds and runs it. Prints what was tried with its numbers; exit 1 on any violation.
//!
//! An example and not a program of its own, because nobody needs it who does not work on this repository.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use iap_sim::sweep::brown_out::{self, BEYOND, KINDS, PROMISED};
use iap_sim::sweep::rules::Rules;
use iap_sim::sweep::start::Kind;
use iap_sim::sweep::tally::{NO_SUCH_PART, Tally};
use iap_sim::sweep::{parts, served};

/// Cut the power at every flash operation, and judge what is left
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

#[allow(clippy::too_many_lines, reason = "one part after the other")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads = arguments
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    // A panic is counted and told as a violation.
    std::panic::set_hook(Box::new(|_| {}));
    println!("seed {}, {threads} threads", arguments.seed);
    let begun = Instant::now();
    let mut sum = Tally::default();
    for (title, part) in parts::all(arguments.seed) {
        if title.contains(&arguments.only) {
            let begun = Instant::now();
            let tally = part.run(threads);
            tell(title, &tally, begun);
            sum.add(tally);
        }
    }
    type Other = fn(usize, u64) -> Tally;
    let others: [(&str, Other); 6] = [
        (
            "real map, one in 11 of its cuts, through the servers: TFTP and HTTP",
            served::all,
        ),
        (
            "policy signed, real map, one in 31 of its cuts, through the servers",
            served::signed,
        ),
        (
            "scaled map, brown-outs of 1 to 8 operations",
            |threads, seed| brown_out::run(threads, (&KINDS, Rules::Open), PROMISED, seed, 1, 4),
        ),
        (
            "partial transfer, scaled map, brown-outs of 1 to 8 operations",
            |threads, seed| {
                brown_out::run(threads, (&Kind::PARTIAL, Rules::Open), PROMISED, seed, 1, 2)
            },
        ),
        (
            "partial transfer, policy signed, brown-outs of 1 to 8 operations, before one in 5",
            |threads, seed| {
                brown_out::run(
                    threads,
                    (&Kind::PARTIAL, Rules::Signed),
                    PROMISED,
                    seed,
                    5,
                    1,
                )
            },
        ),
        (
            "policy signed, brown-outs of 1 to 8 operations, before one in 5",
            |threads, seed| brown_out::run(threads, (&KINDS, Rules::Signed), PROMISED, seed, 5, 1),
        ),
    ];
    for (title, run) in others {
        if title.contains(&arguments.only) {
            let begun = Instant::now();
            let tally = run(threads, arguments.seed);
            tell(title, &tally, begun);
            sum.add(tally);
        }
    }
    let title = "beyond the promise, counted and not judged: brown-outs of 12 to 64 operations";
    if title.contains(&arguments.only) {
        let begun = Instant::now();
        let tally = brown_out::run(threads, (&KINDS, Rules::Open), BEYOND, arguments.seed, 1, 4);
        tell(title, &tally, begun);
    } else if sum.planned == 0 {
        return ExitCode::from(NO_SUCH_PART);
    }
    tell("all", &sum, begun);
    // With "beyond" alone there is nothing to judge.
    if sum.planned == 0 || sum.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn tell(title: &str, tally: &Tally, begun: Instant) {
    println!("{}", tally.told(title, begun.elapsed()));
}
