//! What a sweep has counted and found.

/// Violations that are kept word for word.
const KEPT: usize = 20;

/// Counts and violations.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Cuts planned.
    pub planned: u64,
    /// Cuts that fired.
    pub fired: u64,
    /// Cuts that took away the power of a board that had cut ones behind it.
    pub deeper: u64,
    /// Boots.
    pub boots: u64,
    /// Pushes that were to succeed, and did.
    pub pushes: u64,
    /// Violations.
    pub violations: u64,
    /// The first of them.
    pub first: Vec<String>,
}

impl Tally {
    /// Notes a violation.
    pub fn violation(&mut self, what: String) {
        self.violations += 1;
        if self.first.len() < KEPT {
            self.first.push(what);
        }
    }

    /// Adds what another one found.
    pub fn add(&mut self, other: Self) {
        self.planned += other.planned;
        self.fired += other.fired;
        self.deeper += other.deeper;
        self.boots += other.boots;
        self.pushes += other.pushes;
        self.violations += other.violations;
        let room = KEPT.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }

    /// Whether every planned cut fired and nothing was found.
    pub fn is_good(&self) -> bool {
        self.violations == 0 && self.planned == self.fired
    }
}
