//! Whether chance alone could make iapctl miss a target so often: the sign test, over rounds. It judges no means: a round has none.

use std::fmt;

use super::table::{Quantity, Series};

/// Rounds of one run each of iapctl and the best peer, and those of them in which the target was met. The two did the same work: one after
/// the other, or side by side where all they do is wait, through networks that lose by the same seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Rounds {
    met: usize,
    all: usize,
}

/// Fewer do not tell chance from speed.
const FEWEST_ROUNDS: usize = 20;

impl Rounds {
    pub(super) fn of(quantity: Quantity, bound: f64, ours: &Series, best: &Series) -> Self {
        let rounds = ours.runs.iter().zip(&best.runs);
        Self {
            all: rounds.len(),
            met: rounds
                .filter(|(ours, best)| quantity.of(ours) <= bound * quantity.of(best))
                .count(),
        }
    }

    /// Whether a coin would fall so, or worse, in more than one of twenty benches (sign test, normal approximation). Two programs of the same
    /// speed miss such a target every other time, and the best of some peers is one that was lucky.
    pub(super) fn are_a_toss(self) -> bool {
        let all = self.all as f64;
        self.all >= FEWEST_ROUNDS && self.met as f64 >= all / 2.0 - 1.64 * all.sqrt() / 2.0
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "met in {} of {} rounds", self.met, self.all)
    }
}
