//! Virtual time: picoseconds since power-on, and clocks that divide it without drift.
//!
//! 2^64 ps are 213 days. One cycle of a 168 MHz clock is no whole number of picoseconds, so [`Clock`] carries the remainder.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

const PICOS_PER_SECOND: u128 = 1_000_000_000_000;
const PICOS_PER_MICRO: u64 = 1_000_000;

/// A point in virtual time, or a span of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(u64);

impl Time {
    /// Power-on.
    pub const ZERO: Self = Self(0);
    /// Later than anything.
    pub const NEVER: Self = Self(u64::MAX);

    /// From picoseconds.
    pub const fn from_picos(picos: u64) -> Self {
        Self(picos)
    }

    /// From nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos.saturating_mul(1000))
    }

    /// From microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(PICOS_PER_MICRO))
    }

    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1000))
    }

    /// Picoseconds.
    pub const fn picos(self) -> u64 {
        self.0
    }

    /// Microseconds, rounded down.
    pub const fn micros(self) -> u64 {
        self.0 / PICOS_PER_MICRO
    }

    /// Microseconds, rounded up.
    pub const fn micros_ceil(self) -> u64 {
        self.0.div_ceil(PICOS_PER_MICRO)
    }

    /// The span from `earlier` to this; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// Whole cycles of a clock of `hz` in this span.
    pub const fn cycles(self, hz: u64) -> u64 {
        (self.0 as u128 * hz as u128 / PICOS_PER_SECOND) as u64
    }

    /// Cycles of a clock of `hz` that cover this span.
    pub const fn cycles_ceil(self, hz: u64) -> u64 {
        (self.0 as u128 * hz as u128).div_ceil(PICOS_PER_SECOND) as u64
    }

    /// The span of `cycles` of a clock of `hz`, rounded up; [`Time::NEVER`] for a clock that stands still.
    pub const fn of_cycles(cycles: u64, hz: u64) -> Self {
        if hz == 0 {
            return Self::NEVER;
        }
        let picos = (cycles as u128 * PICOS_PER_SECOND).div_ceil(hz as u128);
        Self(if picos > u64::MAX as u128 {
            u64::MAX
        } else {
            picos as u64
        })
    }
}

impl Add for Time {
    type Output = Self;
    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign for Time {
    fn add_assign(&mut self, span: Self) {
        *self = *self + span;
    }
}

impl Sub for Time {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        self.since(earlier)
    }
}

impl From<Duration> for Time {
    fn from(duration: Duration) -> Self {
        let picos = duration.as_nanos().saturating_mul(1000);
        Self(u64::try_from(picos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Time {
    /// Seconds with microseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.micros();
        write!(f, "{}.{:06} s", micros / 1_000_000, micros % 1_000_000)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The core's clock: turns cycles into time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    now: Time,
    /// What the last cycle left over, in picoseconds times `hz`.
    rest: u64,
    hz: u64,
}

impl Clock {
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Lets `cycles` pass at `hz`.
    pub(crate) fn advance(&mut self, cycles: u64, hz: u64) {
        if hz != self.hz {
            self.rest = 0;
            self.hz = hz;
        }
        let total = u128::from(cycles) * PICOS_PER_SECOND + u128::from(self.rest);
        let hz = u128::from(hz.max(1));
        self.now += Time((total / hz) as u64);
        self.rest = (total % hz) as u64;
    }
}

/// How many cycles pass for those the interpreter counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    percent: u64,
    /// Hundredths of a cycle that are not passed on yet.
    rest: u64,
}

impl Pace {
    pub(crate) fn new(percent: u32) -> Self {
        Self {
            percent: percent.into(),
            rest: 0,
        }
    }

    /// The cycles that pass for `counted` of the interpreter's; no part of one is lost.
    pub(crate) fn passed(&mut self, counted: u64) -> u64 {
        let hundredths = counted * self.percent + self.rest;
        self.rest = hundredths % 100;
        hundredths / 100
    }

    /// The interpreter's cycles that do not take more than `passing`.
    pub(crate) fn counted(&self, passing: u64) -> u64 {
        (passing * 100).saturating_sub(self.rest) / self.percent.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_168_mhz_keeps_its_remainder() {
        let mut clock = Clock::default();
        for _ in 0..168_000 {
            clock.advance(1, 168_000_000);
        }
        assert_eq!(clock.now(), Time::from_millis(1));
    }

    #[test]
    fn at_150_percent_three_cycles_pass_for_two() {
        let mut pace = Pace::new(150);
        let passed: u64 = (0..1001).map(|_| pace.passed(1)).sum();
        assert_eq!(passed, 1501);
        assert_eq!(pace.passed(1), 2, "the half cycle left over counts");
        assert_eq!(Pace::new(100).passed(7), 7);
    }

    #[test]
    fn cycles_round_down_and_spans_round_up() {
        assert_eq!(Time::from_micros(1).cycles(168_000_000), 168);
        assert_eq!(Time::from_picos(5_952).cycles(168_000_000), 0);
        assert_eq!(Time::from_picos(5_953).cycles(168_000_000), 1);
        assert_eq!(Time::of_cycles(1, 168_000_000), Time::from_picos(5_953));
        assert_eq!(Time::of_cycles(1, 0), Time::NEVER);
        assert_eq!(Time::from_picos(1).cycles_ceil(16_000_000), 1);
    }
}
