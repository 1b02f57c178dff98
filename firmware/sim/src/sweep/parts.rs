//! The parts of the sweep: which cuts, from which states.

use iap_core::boot::Decision;
use iap_protocol::memory::MemoryMap;

use super::judge::{Fate, fate_of, judge, lives_long};
use super::pool;
use super::rules::Rules;
use super::start::{Kind, Sizes, Start};
use super::tally::Tally;
use super::track::{Point, Track};
use crate::bench::{Bench, real_map, scaled_map};
use crate::nor::{Moment, Nor};
use crate::rng::{Rng, mix};

/// Images that fill three and a half sectors of the scaled map; one sector is the same in both.
pub(super) const SCALED: Sizes = Sizes {
    old: 9_001,
    new: 7_003,
};
/// Images of two sectors of the scaled map, few enough operations for all pairs of cuts.
pub(super) const TWO_SECTORS: Sizes = Sizes {
    old: 2_200,
    new: 2_116,
};
/// Images of three sectors of the real map, larger than the RAM ring.
pub const REAL: Sizes = Sizes {
    old: 300_003,
    new: 290_003,
};

/// The parts of the whole sweep, with their titles.
#[allow(clippy::too_many_lines, reason = "a table")]
pub fn all(seed: u64) -> Vec<(&'static str, Part)> {
    let scaled = Part {
        map: scaled_map(),
        sizes: SCALED,
        kinds: Kind::ALL.to_vec(),
        rules: vec![Rules::Open, Rules::Bare],
        first: First::All,
        depth: Depth::One,
        seed,
    };
    let some = Depth::Some {
        second: 20,
        third: 2,
    };
    vec![
        ("scaled map, every operation", scaled.clone()),
        (
            "scaled map, every operation, drawn anew",
            Part {
                seed: mix(seed),
                ..scaled.clone()
            },
        ),
        (
            "scaled map, one, two and three cuts, drawn",
            Part {
                first: First::Some(250),
                depth: some,
                ..scaled.clone()
            },
        ),
        (
            "scaled map, two sectors, every operation twice",
            Part {
                sizes: TWO_SECTORS,
                kinds: vec![Kind::Application],
                rules: vec![Rules::Open],
                depth: Depth::AllTwo,
                ..scaled.clone()
            },
        ),
        ("real map, chosen operations", real(scaled.clone())),
        ("policy signed, every operation", signed(scaled.clone())),
        (
            "partial transfer, every operation",
            partial(scaled.clone(), First::All, Depth::One),
        ),
        (
            "partial transfer, one, two and three cuts, drawn",
            partial(scaled.clone(), First::Some(100), some),
        ),
        (
            "partial transfer, real map, chosen operations",
            real(partial(scaled.clone(), First::All, Depth::One)),
        ),
        (
            "policy signed, one, two and three cuts, drawn",
            Part {
                first: First::Some(60),
                depth: Depth::Some {
                    second: 8,
                    third: 2,
                },
                ..signed(scaled.clone())
            },
        ),
        (
            "policy signed, real map, one in 5 of the chosen operations",
            Part {
                first: First::Chosen(5),
                ..real(signed(scaled))
            },
        ),
    ]
}

/// By all rules: there are few of them.
fn partial(part: Part, first: First, depth: Depth) -> Part {
    Part {
        kinds: Kind::PARTIAL.to_vec(),
        rules: vec![Rules::Open, Rules::Bare, Rules::Signed],
        first,
        depth,
        ..part
    }
}

fn signed(part: Part) -> Part {
    Part {
        rules: vec![Rules::Signed],
        ..part
    }
}

fn real(part: Part) -> Part {
    Part {
        map: real_map(),
        sizes: REAL,
        first: First::Chosen(1),
        ..part
    }
}

/// A sample of all parts, small enough for the test command.
pub fn sample(seed: u64) -> Vec<(&'static str, Part)> {
    let mut parts = all(seed);
    parts.remove(1);
    // One part with signatures, which take most of the time, and one of partial transfers.
    parts.truncate(6);
    let first = [150, 6, 4, 2, 15, 10];
    for ((_, part), count) in parts.iter_mut().zip(first) {
        part.first = First::Some(count);
        if part.rules == [Rules::Signed] {
            part.kinds = vec![Kind::Application, Kind::InterruptedSame, Kind::Forged];
        }
        if part.depth == Depth::AllTwo {
            part.depth = Depth::Some {
                second: 100,
                third: 0,
            };
        }
    }
    parts
}

/// Cuts of one track that a thread takes at a time.
const CHUNK: usize = 32;

/// How many of the deeper cuts are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// None.
    One,
    /// Every second cut after every first one.
    AllTwo,
    /// After every first cut about so many second ones, drawn, and after each of them about so many third ones.
    Some {
        /// Second cuts.
        second: usize,
        /// Third cuts.
        third: usize,
    },
}

/// Where the first cuts are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum First {
    /// At every operation.
    All,
    /// Every so many-th of those that [`Track::chosen_points`] says; odd, as cuts before and inside operations come in turn.
    Chosen(usize),
    /// About so many, drawn.
    Some(usize),
}

/// One part.
#[derive(Clone, Debug)]
pub struct Part {
    /// The board's map.
    pub map: MemoryMap,
    /// The images.
    pub sizes: Sizes,
    /// The starting states.
    pub kinds: Vec<Kind>,
    /// What the boards take and start.
    pub rules: Vec<Rules>,
    /// The first cuts.
    pub first: First,
    /// The deeper ones.
    pub depth: Depth,
    /// Where everything random comes from.
    pub seed: u64,
}

impl Part {
    /// Tries all its cuts.
    pub fn run(&self, threads: usize) -> Tally {
        let mut tally = Tally::default();
        for &rules in &self.rules {
            for kind in rules.possible(&self.kinds) {
                let seed = rules.seed(self.seed, kind);
                pool::guarded(&mut tally, |tally| {
                    let start = Start::new(kind, &self.map, self.sizes, rules, seed);
                    tally.add(self.run_from(&start, seed, threads));
                });
            }
        }
        tally
    }

    fn run_from(&self, start: &Start, seed: u64, threads: usize) -> Tally {
        let track = start.track();
        let mut tally = Tally::default();
        // Only an application that would start can live long.
        let starts = |decision| matches!(decision, &Decision::Start(_));
        if start.initial.as_ref().is_some_and(starts) {
            let fates = fates_between(start, &track);
            if let Err(what) = fates.and_then(|fates| lives_long(start, &track, &fates)) {
                tally.violation(format!("{:?}: {what}", start.kind));
            }
        }
        let points = match self.first {
            First::All => track.all_points(),
            First::Chosen(stride) => {
                let chosen = track.chosen_points(&self.map);
                chosen.into_iter().step_by(stride).collect()
            }
            First::Some(count) => track.some_points(count, &mut Rng::new(seed)),
        };
        let chunks: Vec<_> = points.chunks(CHUNK).collect();
        tally.add(pool::run(threads, chunks.len(), |item, tally| {
            let chunk = chunks.get(item).copied().unwrap_or(&[]);
            let case = Case {
                start,
                seed,
                depth: self.depth,
            };
            case.explore(&track, chunk, &mut Vec::new(), tally);
        }));
        tally
    }
}

/// What a board decides between any two operations of an undisturbed session: the order of things.
fn fates_between(start: &Start, track: &Track) -> Result<Vec<Fate>, String> {
    let mut nor = track.base.clone();
    let mut fates = Vec::new();
    let last = |nor: &Nor| {
        let config = start.bench.config.clone();
        let mut bench = Bench {
            nor: nor.clone(),
            config,
        };
        let decision = bench.boot().ok_or("no power")?;
        fate_of(start, &bench, &decision)
    };
    for op in &track.ops {
        // Programming the application's words decides nothing.
        let decides = fates.is_empty() || op.is_record(&start.bench.config.map);
        let fate = if decides {
            last(&nor)?
        } else {
            fates[fates.len() - 1]
        };
        fates.push(fate);
        op.apply(&mut nor).map_err(|error| error.to_string())?;
    }
    fates.push(last(&nor)?);
    Ok(fates)
}

/// The cuts after a cut.
struct Case<'a> {
    start: &'a Start,
    seed: u64,
    depth: Depth,
}

impl Case<'_> {
    fn explore(&self, track: &Track, points: &[Point], before: &mut Vec<Point>, tally: &mut Tally) {
        let seed = before.iter().fold(self.seed, |seed, point| {
            mix(seed ^ (point.index as u64) << 8 ^ point.moment as u64)
        });
        for (point, nor) in track.cuts(points, seed) {
            tally.planned += 1;
            tally.deeper += u64::from(!before.is_empty());
            before.push(point);
            match nor {
                Err(what) => tally.violation(self.where_it_was(before, &what)),
                Ok(nor) => {
                    tally.fired += 1;
                    pool::guarded(tally, |tally| self.judge(nor, before, tally));
                }
            }
            before.pop();
        }
    }

    fn judge(&self, nor: Nor, cuts: &mut Vec<Point>, tally: &mut Tally) {
        match judge(self.start, nor, tally) {
            Err(what) => tally.violation(self.where_it_was(cuts, &what)),
            Ok(verdict) => {
                let points = self.deeper_points(&verdict.track, cuts);
                self.explore(&verdict.track, &points, cuts, tally);
            }
        }
    }

    fn deeper_points(&self, track: &Track, cuts: &[Point]) -> Vec<Point> {
        let mut rng = Rng::new(
            cuts.iter()
                .fold(self.seed, |seed, cut| mix(seed ^ cut.index as u64)),
        );
        match (self.depth, cuts.len()) {
            (Depth::AllTwo, 1) => track.all_points(),
            (Depth::Some { second, .. }, 1) => weighted(track, second, &self.start.bench, &mut rng),
            (Depth::Some { third, .. }, 2) => weighted(track, third, &self.start.bench, &mut rng),
            _ => Vec::new(),
        }
    }

    fn where_it_was(&self, cuts: &[Point], what: &str) -> String {
        let cut = |cut: &Point| {
            let moment = match cut.moment {
                Moment::Before => "before",
                Moment::Inside => "inside",
                Moment::After => "after",
            };
            format!("{moment} operation {}", cut.index)
        };
        let cuts: Vec<_> = cuts.iter().map(cut).collect();
        format!(
            "{:?}, {:?}, seed {:#x}, cut {}: {what}",
            self.start.kind,
            self.start.rules,
            self.seed,
            cuts.join(", then ")
        )
    }
}

/// About `count` points, half of them at operations on the record.
fn weighted(track: &Track, count: usize, bench: &Bench, rng: &mut Rng) -> Vec<Point> {
    let map = &bench.config.map;
    let all = track.all_points();
    let is_record = |point: &Point| {
        track
            .ops
            .get(point.index)
            .is_some_and(|op| op.is_record(map))
    };
    let records = all.iter().filter(|point| is_record(point)).count();
    let rate =
        |of: usize| (count as u64 / 2 * 1_000_000 / (of as u64).max(1)).min(1_000_000) as u32;
    let (record, other) = (rate(records), rate(all.len() - records));
    all.into_iter()
        .filter(|point| rng.happens(if is_record(point) { record } else { other }))
        .collect()
}
