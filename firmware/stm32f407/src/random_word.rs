//! What the random number generator says (section 24.4.2), and which of its numbers may be used (section 24.3).
//!
//! A seed error spoils the numbers until the generator is started anew; a clock error stops it while the clock is too slow. After either
//! the next number only serves to compare with, as after a start (section 24.3.1, FIPS PUB 140-2): the same number twice is no number.

/// RNG_CR.RNGEN.
pub const CR_RNGEN: u32 = 1 << 2;

const SR_DRDY: u32 = 1 << 0;
/// SECS and SEIS, CECS and CEIS.
const SR_ERRORS: u32 = 1 << 2 | 1 << 6 | 1 << 1 | 1 << 5;

/// What to do after a look at RNG_SR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// Look again.
    Pending,
    /// Read RNG_DR.
    Ready,
    /// Clear the flags, RNGEN off and on (section 24.3.2).
    Restart,
}

/// Reads RNG_SR.
pub const fn status(sr: u32) -> Status {
    match sr {
        _ if sr & SR_ERRORS != 0 => Status::Restart,
        _ if sr & SR_DRDY != 0 => Status::Ready,
        _ => Status::Pending,
    }
}

/// The continuous test of the generator's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    last: Option<u32>,
}

impl Numbers {
    /// The generator was started.
    pub const fn started(&mut self) {
        self.last = None;
    }

    /// Takes what RNG_DR holds; the number, if it may be used.
    pub fn take(&mut self, number: u32) -> Option<u32> {
        let before = self.last.replace(number);
        before
            .is_some_and(|before| before != number)
            .then_some(number)
    }
}

/// The number after `state` of a generator for ports and the like, where the chip's own fails: Marsaglia's xorshift32, stirred with the time.
pub const fn substitute(state: u32, time: u32) -> u32 {
    let mut x = state ^ time.rotate_left(16);
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_rng_sr() {
        assert_eq!(status(0x0000_0000), Status::Pending);
        assert_eq!(status(0x0000_0001), Status::Ready, "DRDY");
        for (sr, what) in [
            (0x04, "SECS"),
            (0x40, "SEIS, the error is over"),
            (0x44, "SEIS, SECS"),
            (0x22, "CEIS, CECS"),
            (0x45, "a number is there, and must not be used"),
        ] {
            assert_eq!(status(sr), Status::Restart, "{what}");
        }
    }

    #[test]
    fn the_first_number_after_a_start_is_only_compared_with() {
        let mut numbers = Numbers::default();
        assert_eq!(numbers.take(7), None);
        assert_eq!(numbers.take(8), Some(8));
        numbers.started();
        assert_eq!(numbers.take(9), None);
        assert_eq!(numbers.take(10), Some(10));
    }

    #[test]
    fn a_number_that_repeats_is_none() {
        let mut numbers = Numbers::default();
        let taken = [5, 6, 6, 6, 7].map(|number| numbers.take(number));
        assert_eq!(taken, [None, Some(6), None, None, Some(7)]);
    }

    #[test]
    fn the_substitute_does_not_stand_still() {
        let mut state = 1;
        let mut seen = std::collections::HashSet::new();
        for time in 0..1000 {
            state = substitute(state, time) | 1;
            assert!(seen.insert(state), "{time}");
        }
    }
}
