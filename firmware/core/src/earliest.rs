//! The earliest of several times. A chain of iterators does the same with three times the code.

use smoltcp::time::Instant;

/// The earliest of the times noted so far.
#[derive(Default)]
pub(crate) struct Earliest(Option<Instant>);

impl Earliest {
    /// Notes a time, if there is one.
    #[inline(never)]
    pub(crate) fn note(&mut self, at: Option<Instant>) {
        if let Some(at) = at
            && self.0.is_none_or(|earliest| at < earliest)
        {
            self.0 = Some(at);
        }
    }

    /// The earliest, if any was noted.
    pub(crate) fn get(self) -> Option<Instant> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_counts_wherever_it_is_noted() {
        let at = |s| Some(Instant::from_secs(s));
        for times in [[at(3), None, at(5)], [None, at(5), at(3)]] {
            let mut earliest = Earliest::default();
            times.into_iter().for_each(|at| earliest.note(at));
            assert_eq!(earliest.get(), at(3));
        }
        assert_eq!(Earliest::default().get(), None);
    }
}
