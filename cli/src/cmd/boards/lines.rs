//! What scripts read of several boards: one JSON object per line. BOARDS.md has the shape; fields are added, never changed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::entry::{Entry, State};
use super::{BoardResult, millis};
use crate::board::Target;
use crate::failure::Failure;

/// A board's turn has come.
#[derive(Serialize)]
pub(super) struct Started<'a> {
    event: &'static str,
    target: &'a Target,
}

impl<'a> Started<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Self {
            event: "started",
            target,
        }
    }
}

/// A board is done.
#[derive(Serialize)]
pub(super) struct ResultLine<'a, T> {
    event: &'static str,
    target: &'a Target,
    state: State,
    text: String,
    /// What is known of the board after a failure.
    after: Option<&'a str>,
    time_ms: u64,
    #[serde(flatten)]
    result: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
}

impl<'a, T: BoardResult> ResultLine<'a, T> {
    pub(super) fn new(entry: &'a Entry<T>) -> Self {
        Self {
            event: "result",
            target: &entry.target,
            state: entry.state,
            text: entry.text(),
            after: entry.after(),
            time_ms: millis(entry.time),
            result: entry.result.as_ref().ok(),
            error: entry.result.as_ref().err(),
        }
    }
}

/// All boards are done.
#[derive(Serialize)]
pub(super) struct Summary {
    event: &'static str,
    boards: usize,
    /// How many of each state.
    states: BTreeMap<State, usize>,
    exit: u8,
    time_ms: u64,
}

impl Summary {
    pub(super) fn new<T: BoardResult>(entries: &[Entry<T>], exit: u8, time: Duration) -> Self {
        Self {
            event: "summary",
            boards: entries.len(),
            states: count(entries),
            exit,
            time_ms: millis(time),
        }
    }
}

/// How many boards are in each state.
pub(super) fn count<T: BoardResult>(entries: &[Entry<T>]) -> BTreeMap<State, usize> {
    let mut states = BTreeMap::new();
    for entry in entries {
        *states.entry(entry.state).or_default() += 1;
    }
    states
}
