//! Brown-outs: the supply sinks so slowly that operations before the cut report success and are as torn as the one that is cut.
//!
//! Here the firmware's reading back matters, so the session is not replayed: the machine runs until the power goes. The supply monitor
//! keeps a real board from all of this down to its threshold; this asks what is left when it does not.

use iap_core::boot::{self, BootInputs};

use super::judge::{Fate, fate_of, say};
use super::parts::{SCALED, TWO_SECTORS};
use super::pool;
use super::rules::Rules;
use super::start::{Kind, Start, loaded, nothing_fell};
use super::tally::Tally;
use super::track::Point;
use crate::bench::{self, Bench, Pushed, scaled_map};
use crate::nor::{Cut, Moment};
use crate::rng::mix;

/// Boots after a brown-out.
const BOOTS: u32 = 4;
/// Operations before the cut that are torn, as far as `firmware/core/SAFETY.md` promises something: an entry of the record.
pub const PROMISED: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8];
/// Beyond the promise.
pub const BEYOND: &[u32] = &[12, 16, 32, 64];
/// States with images of two sectors.
pub const KINDS: [Kind; 4] = [
    Kind::Application,
    Kind::Blank,
    Kind::InterruptedSame,
    Kind::RecordFull,
];

/// Brown-outs in updates from these states that end before every `stride`th operation, so many of them anew with other draws.
pub fn run(
    threads: usize,
    (kinds, rules): (&[Kind], Rules),
    unreliable: &[u32],
    seed: u64,
    stride: usize,
    draws: u64,
) -> Tally {
    let mut tally = Tally::default();
    for &kind in kinds {
        // Of two sectors one would be left out, and the other is a few words.
        let sizes = if kind.is_partial() {
            SCALED
        } else {
            TWO_SECTORS
        };
        let start = Start::new(kind, &scaled_map(), sizes, rules, seed);
        let ops = start.track().ops.len().div_ceil(stride);
        tally.add(pool::run(threads, ops, |item, tally| {
            let index = item * stride;
            for (unreliable, draw) in unreliable.iter().flat_map(|&n| (0..draws).map(move |draw| (n, draw))) {
                let point = Point { index, moment: Moment::Before };
                pool::guarded(tally, |tally| {
                    if let Err(what) = judge(&start, point, unreliable, mix(seed ^ draw), tally) {
                        tally.violation(format!("{kind:?}, brown-out of {unreliable} operations before operation {index}: {what}"));
                    }
                });
            }
        }));
    }
    tally
}

/// Lets `unreliable` operations before `point` be torn, cuts the power there, and judges the board.
pub fn judge(
    start: &Start,
    point: Point,
    unreliable: u32,
    seed: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut bench = start.bench.clone();
    let fired = bench.nor.cuts_fired();
    bench.nor.reseed(mix(seed
        ^ (point.index as u64) << 8
        ^ u64::from(unreliable)));
    bench.nor.forgive_violations();
    bench.nor.power_on();
    bench.nor.plan_cut(Cut {
        operations: point.index as u64,
        moment: Moment::Before,
        unreliable,
    });
    let decided = boot::decide(BootInputs::default(), &bench.config, &mut bench.nor);
    if decided.is_ok() {
        // Refused, cut or committed: whatever became of it, the power is gone afterwards.
        let _ = bench::push(&mut bench.nor, &bench.config, &start.file, start.declared);
    }
    tally.planned += 1;
    // A machine that noticed ends the update, and the supply sinks on without an operation under way.
    tally.fired += if bench.nor.is_off() {
        bench.nor.cuts_fired() - fired
    } else {
        1
    };
    bench.nor.power_off();
    after(start, &mut bench, tally)
}

fn after(start: &Start, bench: &mut Bench, tally: &mut Tally) -> Result<(), String> {
    let mut decisions = Vec::new();
    for _ in 0..BOOTS {
        tally.boots += 1;
        let decision = bench.boot().ok_or("no power")?;
        fate_of(start, bench, &decision).map_err(|e| format!("fate: {e}"))?;
        nothing_fell(&start.record, &loaded(bench))?;
        decisions.push(decision);
    }
    if decisions.windows(2).any(|pair| pair[0] != pair[1]) {
        let all: Vec<_> = decisions.iter().map(say).collect();
        return Err(format!("unstable: {}", all.join("; ")));
    }
    let mut push = || {
        let there = bench.application_bytes(start.new.len());
        start.push_again(&there, tally, |file, declared| {
            let pushed = bench::push(&mut bench.nor, &bench.config, file, declared);
            pushed.map_err(|error| format!("push: {error}"))
        })
    };
    // The first one may write to cells that only seemed erased, and say so.
    let pushed = match push()? {
        Pushed::Committed => Pushed::Committed,
        _ => push()?,
    };
    if pushed != Pushed::Committed {
        return Err(format!("push: {pushed:?}"));
    }
    tally.pushes += 1;
    for _ in 0..BOOTS {
        tally.boots += 1;
        let decision = bench.boot().ok_or("no power")?;
        if fate_of(start, bench, &decision).map_err(|e| format!("late fate: {e}"))? != Fate::New {
            return Err(format!("late: {}", say(&decision)));
        }
    }
    nothing_fell(&start.record, &loaded(bench)).map_err(|e| format!("late: {e}"))
}
