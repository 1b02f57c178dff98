//! What a sweep has counted and found.

use std::time::Duration;

/// The exit code of a sweep that has no part of the title asked for: nothing was tried.
pub const NO_SUCH_PART: u8 = 3;

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
    /// Cuts of transfers through the servers that left out sectors.
    pub partial: u64,
    /// Pushes to boards whose power was cut that left out whatever read right, and were taken.
    pub tempted: u64,
    /// Those that were refused, because a cut may have touched what they left out; the whole image followed.
    pub refused: u64,
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
        self.partial += other.partial;
        self.tempted += other.tempted;
        self.refused += other.refused;
        self.violations += other.violations;
        let room = KEPT.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }

    /// What was tried and found, for people: a line, and one for each violation that was kept.
    pub fn told(&self, title: &str, took: Duration) -> String {
        let partial = match self.partial {
            0 => String::new(),
            partial => format!(", {partial} of them in transfers that left out sectors"),
        };
        let tempted = match (self.tempted, self.refused) {
            (0, 0) => String::new(),
            (taken, refused) => {
                format!(
                    ", {taken} without what read right, {refused} whole because that was refused"
                )
            }
        };
        let line = format!(
            "{title}: {} cuts planned, {} fired{partial}, {} of them after others; {} boots, {} pushes mended{tempted}; {} violations; {} s",
            self.planned,
            self.fired,
            self.deeper,
            self.boots,
            self.pushes,
            self.violations,
            took.as_secs()
        );
        let violations = self.first.iter();
        violations.fold(line, |lines, what| lines + "\n  violation: " + what)
    }

    /// Whether there were cuts, every one of them fired, and nothing was found.
    pub fn is_good(&self) -> bool {
        self.violations == 0 && self.planned > 0 && self.planned == self.fired
    }
}
