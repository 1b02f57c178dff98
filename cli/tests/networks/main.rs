//! iapctl's I/O-free clients and the board through bad networks, in virtual time: every cell of the matrix once. `cargo xtask networks`
//! runs each with many seeds.
#![allow(clippy::unwrap_used, reason = "test code")]

mod cells;
mod disturbers;
mod hosts;
mod http;
mod tally;
mod tftp;
mod trial;

use std::collections::BTreeMap;

fn kinds_that_never_fired(tally: &tally::Tally) -> Vec<String> {
    let mut kinds = BTreeMap::new();
    for (cell, row) in tally.rows.values() {
        *kinds.entry(format!("{:?}", cell.fault)).or_insert(0) += row.fired;
    }
    let never = kinds.into_iter().filter(|(_, fired)| *fired == 0);
    never.map(|(kind, _)| kind).collect()
}

/// A fault of one percent may not happen in the few packets of one small push, so what fired is judged by all cells of a kind.
#[test]
fn every_cell_ends_as_it_must_and_every_fault_happens() {
    let tally = tally::run(&cells::all(), 1..=1, 2);
    assert!(tally.violations.is_empty(), "{:#?}", tally.violations);
    assert_eq!(kinds_that_never_fired(&tally), Vec::<String>::new());
    assert!(tally.committed > 100 && tally.failed > 20, "{tally:?}");
}
