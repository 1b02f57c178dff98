//! The board's clock: virtual for tests and sweeps, or tied to wall time for real clients.
//!
//! Time passes in two ways: the board waits for something ([`Clock::wait_until`]) or its flash is at work ([`Clock::spend`]), which on the
//! chip stops everything else. Microseconds since the clock was made; it survives resets of the board.

use std::thread;
use std::time::{Duration as WallDuration, Instant as WallInstant};

use smoltcp::time::{Duration, Instant};

/// How the board's time relates to wall time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// Not at all: waiting and flash operations only count. Runs are deterministic.
    Virtual,
    /// Wall time. Flash operations sleep for as long as they take on the chip, so that clients meet real delays.
    Paced,
    /// Wall time, except that flash operations are added on top without anybody waiting for them.
    Charged,
}

/// A clock.
#[derive(Clone, Debug)]
pub struct Clock {
    pace: Pace,
    origin: WallInstant,
    /// Virtual: the time. Paced: the least it can be. Charged: what is added to wall time.
    micros: u64,
}

impl Clock {
    /// A clock that stands at 0.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            origin: WallInstant::now(),
            micros: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        let micros = match self.pace {
            Pace::Virtual => self.micros,
            Pace::Paced => self.wall().max(self.micros),
            Pace::Charged => self.wall() + self.micros,
        };
        Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Lets `duration` pass in which the board can do nothing else.
    pub fn spend(&mut self, duration: Duration) {
        let micros = duration.total_micros();
        match self.pace {
            Pace::Virtual | Pace::Charged => self.micros += micros,
            Pace::Paced => {
                self.micros = self.wall().max(self.micros) + micros;
                thread::sleep(WallDuration::from_micros(
                    self.micros.saturating_sub(self.wall()),
                ));
            }
        }
    }

    /// Moves a virtual clock forward to `then`; never back. Clocks tied to wall time move by themselves.
    pub fn wait_until(&mut self, then: Instant) {
        if self.pace == Pace::Virtual {
            let then = u64::try_from(then.total_micros()).unwrap_or(0);
            self.micros = self.micros.max(then);
        }
    }

    fn wall(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_moves_only_when_told_and_never_back() {
        let mut clock = Clock::new(Pace::Virtual);
        thread::sleep(WallDuration::from_millis(2));
        assert_eq!(clock.now(), Instant::ZERO);
        clock.spend(Duration::from_secs(2));
        clock.wait_until(Instant::from_secs(1));
        assert_eq!(clock.now(), Instant::from_secs(2));
        clock.wait_until(Instant::from_secs(3));
        assert_eq!(clock.now(), Instant::from_secs(3));
    }

    #[test]
    fn paced_time_is_never_ahead_of_wall_time() {
        let start = WallInstant::now();
        let mut clock = Clock::new(Pace::Paced);
        for _ in 0..10 {
            clock.spend(Duration::from_millis(3));
            clock.wait_until(Instant::from_secs(1000));
            let now = WallDuration::from_micros(clock.now().total_micros() as u64);
            assert!(now <= start.elapsed());
        }
        assert!(start.elapsed() >= WallDuration::from_millis(30));
    }

    #[test]
    fn charged_time_counts_flash_operations_without_waiting() {
        let start = WallInstant::now();
        let mut clock = Clock::new(Pace::Charged);
        clock.spend(Duration::from_secs(3600));
        assert!(clock.now() >= Instant::from_secs(3600));
        assert!(start.elapsed() < WallDuration::from_secs(60));
    }
}
