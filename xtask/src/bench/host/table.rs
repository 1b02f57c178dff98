//! Medians, ratios, verdicts, and the table of them.

use std::fmt;

use super::measure::Measured;
use super::rounds::Rounds;

/// Median, mean, least and largest of some runs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` without a value.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self {
            median: f64::midpoint(lower, upper),
            mean: values.iter().sum::<f64>() / values.len() as f64,
            min,
            max,
        })
    }
}

/// What is measured of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Quantity {
    Wall,
    /// Its mean, where chance decides how long a run takes: the median of some does not see what happens to the others.
    MeanWall,
    Cpu,
    Memory,
    /// A number of its own.
    Count,
}

impl Quantity {
    /// Its value in a run.
    pub(super) fn of(self, run: &Measured) -> f64 {
        match self {
            Self::Wall | Self::MeanWall | Self::Count => run.wall_s,
            Self::Cpu => run.cpu_s,
            Self::Memory => run.peak_kib,
        }
    }

    /// The number that counts of some runs.
    fn middle(self, spread: &Spread) -> f64 {
        match self {
            Self::MeanWall => spread.mean,
            _ => spread.median,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Memory => format!("{:.1} MiB", value / 1024.0),
            Self::Count => format!("{value}"),
            Self::Wall | Self::MeanWall | Self::Cpu => match value {
                10.0.. => format!("{value:.1} s"),
                1.0.. => format!("{value:.2} s"),
                0.01.. => format!("{:.1} ms", value * 1e3),
                _ => format!("{:.2} ms", value * 1e3),
            },
        }
    }
}

/// The runs of one program in one row.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) runs: Vec<Measured>,
}

impl Series {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            runs: Vec::new(),
        }
    }

    /// Whether all runs succeeded, and there are some.
    pub(super) fn is_complete(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.success)
    }

    pub(super) fn spread(&self, quantity: Quantity) -> Option<Spread> {
        Spread::of(self.runs.iter().map(|run| quantity.of(run)))
    }

    /// `3 of 9`.
    pub(super) fn successes(&self) -> String {
        let good = self.runs.iter().filter(|run| run.success).count();
        format!("{good} of {}", self.runs.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Met,
    Missed,
    /// The medians miss the target, the rounds do not: see [`Rounds::are_a_toss`].
    Tie,
    /// No peer to compare with.
    Skipped,
}

/// A line of the table.
pub(super) struct Row {
    pub(super) case: String,
    pub(super) quantity: Quantity,
    /// In words.
    pub(super) target: String,
    /// The ratio that is allowed; for a count, the least number.
    pub(super) bound: f64,
    pub(super) ours: Option<Spread>,
    /// Its name and what it took.
    pub(super) best: Option<(String, Spread)>,
    pub(super) rounds: Rounds,
    /// What else is to be known: failed runs, peers that failed.
    pub(super) notes: Vec<String>,
    /// A run of ours failed.
    pub(super) failed: bool,
}

impl Row {
    /// Compares ours, the first of `series`, with the best peer that completed all its runs.
    pub(super) fn compare(case: &str, quantity: Quantity, bound: f64, series: &[Series]) -> Self {
        let (ours, peers) = match series {
            [ours, peers @ ..] => (Some(ours), peers),
            [] => (None, series),
        };
        let mut notes = Vec::new();
        for one in series.iter().filter(|one| !one.is_complete()) {
            notes.push(format!("{} succeeded in {}", one.name, one.successes()));
        }
        let best = (peers.iter())
            .filter(|peer| peer.is_complete())
            .filter_map(|peer| Some((peer, peer.spread(quantity)?)))
            .min_by(|(_, a), (_, b)| quantity.middle(a).total_cmp(&quantity.middle(b)));
        let rounds = (ours.zip(best.as_ref()))
            .map(|(ours, (best, _))| Rounds::of(quantity, bound, ours, best));
        notes.extend(all(peers, quantity));
        Self {
            case: case.to_owned(),
            quantity,
            target: format!("<= {bound} x best peer"),
            bound,
            ours: ours.and_then(|ours| ours.spread(quantity)),
            best: best.map(|(best, spread)| (best.name.clone(), spread)),
            rounds: rounds.unwrap_or_default(),
            notes,
            failed: !ours.is_some_and(Series::is_complete),
        }
    }

    /// A row about a number that must be reached.
    pub(super) fn count(case: &str, reached: u32, wanted: u32, what: &str) -> Self {
        Self {
            case: case.to_owned(),
            quantity: Quantity::Count,
            target: format!("{wanted} {what}"),
            bound: f64::from(wanted),
            ours: Spread::of([f64::from(reached)]),
            best: None,
            rounds: Rounds::default(),
            notes: Vec::new(),
            failed: reached < wanted,
        }
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn ratio(&self) -> Option<f64> {
        let (_, best) = self.best.as_ref()?;
        Some(self.quantity.middle(&self.ours?) / self.quantity.middle(best))
    }

    /// Rounds say nothing about a mean.
    fn is_a_tie(&self) -> bool {
        matches!(self.quantity, Quantity::Wall | Quantity::Cpu) && self.rounds.are_a_toss()
    }

    pub(super) fn verdict(&self) -> Verdict {
        match (self.failed, self.ratio()) {
            (true, _) => Verdict::Missed,
            (false, Some(ratio)) if ratio <= self.bound => Verdict::Met,
            (false, Some(_)) if self.is_a_tie() => Verdict::Tie,
            (false, Some(_)) => Verdict::Missed,
            (false, None) if self.quantity == Quantity::Count => Verdict::Met,
            (false, None) => Verdict::Skipped,
        }
    }

    fn cells(&self) -> [String; 7] {
        let spread = |spread: &Spread| {
            let show = |value| self.quantity.show(value);
            let (min, max) = (show(spread.min), show(spread.max));
            let middle = show(self.quantity.middle(spread));
            match self.quantity {
                Quantity::Count => middle,
                _ => format!("{middle} [{min} .. {max}]"),
            }
        };
        let best = |(name, best): &(String, Spread)| format!("{name}: {}", spread(best));
        [
            self.case.clone(),
            self.quantity.to_string(),
            self.target.clone(),
            self.ours.as_ref().map_or("-".into(), spread),
            self.best.as_ref().map_or("-".into(), best),
            self.ratio()
                .map_or("-".into(), |ratio| format!("{ratio:.2}")),
            match self.verdict() {
                Verdict::Tie => format!("tie: {}", self.rounds),
                verdict => verdict.to_string(),
            },
        ]
    }
}

/// What each peer took, where there are several to choose the best from.
fn all(peers: &[Series], quantity: Quantity) -> Option<String> {
    let one = |peer: &Series| {
        let middle = quantity.middle(&peer.spread(quantity)?);
        Some(format!("{} {}", peer.name, quantity.show(middle)))
    };
    let all: Vec<String> = peers.iter().filter_map(one).collect();
    (all.len() > 1).then(|| format!("{quantity} of all: {}", all.join(", ")))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wall => "wall",
            Self::MeanWall => "mean wall",
            Self::Cpu => "CPU",
            Self::Memory => "memory",
            Self::Count => "runs",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "pass",
            Self::Tie => "tie",
            Self::Missed => "FAIL",
            Self::Skipped => "SKIPPED",
        })
    }
}

const HEADINGS: [&str; 7] = [
    "case",
    "of",
    "target",
    "iapctl: median [min .. max]",
    "best peer: median [min .. max]",
    "ratio",
    "verdict",
];

/// Prints the table, columns as wide as their longest cell, and the notes below it.
pub(super) fn print(rows: &[Row]) {
    let table: Vec<[String; 7]> = std::iter::once(HEADINGS.map(str::to_owned))
        .chain(rows.iter().map(Row::cells))
        .collect();
    println!();
    for line in &table {
        let padded = line.iter().enumerate().map(|(column, cell)| {
            let cells = table.iter().filter_map(|line| line.get(column));
            let width = cells.map(|cell| cell.len()).max().unwrap_or(0);
            format!("{cell:width$}")
        });
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
    println!();
    let mut said = Vec::new();
    for row in rows {
        for note in &row.notes {
            let note = format!("{}: {note}", row.case);
            if !said.contains(&note) {
                println!("{note}");
                said.push(note);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, walls: &[f64], success: bool) -> Series {
        let run = |&wall_s| Measured {
            success,
            wall_s,
            cpu_s: 0.0,
            peak_kib: 0.0,
        };
        Series {
            name: name.into(),
            runs: walls.iter().map(run).collect(),
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        let spread = Spread::of([6.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.5, 1.0, 6.0));
        assert_eq!(spread.mean, 3.0);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn the_best_peer_is_the_fastest_that_completes_every_run() {
        let all = [
            series("iapctl", &[2.0, 2.0, 9.0], true),
            series("fast but broken", &[1.0], false),
            series("slow", &[4.0], true),
            series("better", &[3.0, 3.0, 3.0], true),
        ];
        let row = Row::compare("case", Quantity::Wall, 1.0, &all);
        assert_eq!(row.best.as_ref().unwrap().0, "better");
        assert_eq!(row.verdict(), Verdict::Met);
        assert_eq!(
            row.notes,
            [
                "fast but broken succeeded in 0 of 1",
                "wall of all: fast but broken 1.00 s, slow 4.00 s, better 3.00 s"
            ]
        );
    }

    #[test]
    fn a_peer_that_is_late_now_and_then_has_the_better_median_and_the_worse_mean() {
        let all = [
            series("iapctl", &[2.0, 2.0, 2.0], true),
            series("late", &[1.9, 1.9, 9.0], true),
        ];
        let ratio = |quantity| Row::compare("case", quantity, 1.0, &all).ratio().unwrap();
        assert!(ratio(Quantity::Wall) > 1.0);
        assert!(ratio(Quantity::MeanWall) < 0.5);
    }

    #[test]
    fn a_slower_median_that_a_coin_could_make_is_a_tie_and_too_few_rounds_are_none() {
        let verdict = |slower: usize, all: usize| {
            let walls: Vec<f64> = (0..all)
                .map(|round| if round < slower { 1.02 } else { 0.9 })
                .collect();
            let both = [
                series("iapctl", &walls, true),
                series("peer", &vec![1.0; all], true),
            ];
            let row = |quantity| Row::compare("case", quantity, 1.0, &both).verdict();
            assert_ne!(row(Quantity::MeanWall), Verdict::Tie);
            row(Quantity::Wall)
        };
        assert_eq!(verdict(20, 45), Verdict::Met);
        assert_eq!(verdict(23, 45), Verdict::Tie);
        assert_eq!(verdict(28, 45), Verdict::Tie);
        // 17 heads or fewer of 45: in 6.8 % of all cases; 16 or fewer: in 3.6 %.
        assert_eq!(verdict(29, 45), Verdict::Missed);
        assert_eq!(verdict(45, 45), Verdict::Missed);
        assert_eq!(verdict(10, 19), Verdict::Missed);
    }

    #[test]
    fn a_slower_median_or_a_failed_run_misses_the_target() {
        let slower = [series("iapctl", &[3.1], true), series("peer", &[3.0], true)];
        let missed = Row::compare("case", Quantity::Wall, 1.0, &slower);
        assert_eq!(missed.verdict(), Verdict::Missed);
        let failed = [
            series("iapctl", &[1.0], false),
            series("peer", &[3.0], true),
        ];
        let missed = Row::compare("case", Quantity::Wall, 1.0, &failed);
        assert_eq!(missed.verdict(), Verdict::Missed);
        let alone = [series("iapctl", &[1.0], true)];
        let skipped = Row::compare("case", Quantity::Wall, 1.0, &alone);
        assert_eq!(skipped.verdict(), Verdict::Skipped);
        assert_eq!(
            Row::count("case", 99, 100, "exact").verdict(),
            Verdict::Missed
        );
    }
}
