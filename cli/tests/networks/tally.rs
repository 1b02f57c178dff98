//! What many runs came to.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::cells::Cell;
use super::trial::{self, Report};

/// One cell's runs.
#[derive(Clone, Default, Debug)]
pub(crate) struct Row {
    pub(crate) runs: u64,
    pub(crate) committed: u64,
    /// How often the fault happened.
    pub(crate) fired: u64,
    /// Of the committed ones, in milliseconds.
    pub(crate) slowest_ms: u64,
    pub(crate) sum_ms: u64,
    /// One of the errors that clients were told.
    pub(crate) error: Option<String>,
}

/// All of them.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) rows: BTreeMap<usize, (Cell, Row)>,
    pub(crate) committed: u64,
    /// Refused, failed or vanished, as the cell allows.
    pub(crate) failed: u64,
    pub(crate) violations: Vec<String>,
}

impl Tally {
    /// Faults that happened in no cell.
    pub(crate) fn kinds_that_never_fired(&self) -> Vec<String> {
        let mut kinds = BTreeMap::new();
        for (cell, row) in self.rows.values() {
            *kinds.entry(format!("{:?}", cell.fault)).or_insert(0) += row.fired;
        }
        let never = kinds.into_iter().filter(|(_, fired)| *fired == 0);
        never.map(|(kind, _)| kind).collect()
    }

    fn note(&mut self, number: usize, cell: &Cell, seed: u64, result: Result<Report, String>) {
        let entry = self.rows.entry(number);
        let (_, row) = entry.or_insert_with(|| (cell.clone(), Row::default()));
        row.runs += 1;
        let report = match result {
            Ok(report) => report,
            Err(what) => {
                self.violations
                    .push(format!("{}, seed {seed}: {what}", cell.name));
                return;
            }
        };
        row.fired += report.fired;
        match report.told {
            Some(Ok(())) => {
                let ms = report.took.total_millis();
                row.committed += 1;
                row.slowest_ms = row.slowest_ms.max(ms);
                row.sum_ms += ms;
                self.committed += 1;
            }
            told => {
                row.error = told.and_then(Result::err).or(row.error.take());
                self.failed += 1;
            }
        }
    }
}

/// Runs every cell with every seed; a panic is a violation like others.
pub(crate) fn run(cells: &[Cell], seeds: RangeInclusive<u64>, threads: usize) -> Tally {
    let work: Vec<_> = seeds
        .flat_map(|seed| (0..cells.len()).map(move |cell| (cell, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(&(number, seed)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let cell = &cells[number];
                    let result = catch_unwind(AssertUnwindSafe(|| trial::run(cell, seed)));
                    let result = result.unwrap_or_else(|_| Err("a panic".into()));
                    tally.lock().unwrap().note(number, cell, seed, result);
                }
            });
        }
    });
    tally.into_inner().unwrap()
}
