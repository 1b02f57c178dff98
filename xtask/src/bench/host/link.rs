//! A long and lossy way, without I/O: datagrams go in with the time, and come out later or never.
//!
//! Which ones are lost depends on the seed, the direction and the datagram's number in that direction, on nothing else: the same for
//! every client that is compared.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How bad the way is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Way {
    /// From one end to the other.
    pub(super) delay: Duration,
    /// Datagrams lost of 1000.
    pub(super) lost_per_mille: u32,
    pub(super) seed: u64,
}

/// One direction of it.
pub(super) struct Link<T> {
    way: Way,
    sent: u64,
    lost: u64,
    flying: VecDeque<(Instant, T)>,
}

impl<T> Link<T> {
    /// `direction` tells the two of a way from each other.
    pub(super) fn new(way: Way, direction: u64) -> Self {
        Self {
            way: Way {
                seed: mixed(way.seed ^ (direction << 56)),
                ..way
            },
            sent: 0,
            lost: 0,
            flying: VecDeque::new(),
        }
    }

    /// Sends something.
    pub(super) fn send(&mut self, now: Instant, what: T) {
        let draw = mixed(self.way.seed.wrapping_add(self.sent)) % 1000;
        self.sent += 1;
        if draw < u64::from(self.way.lost_per_mille) {
            self.lost += 1;
        } else {
            self.flying.push_back((now + self.way.delay, what));
        }
    }

    /// What has arrived.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<T> {
        if self.next_at()? > now {
            return None;
        }
        self.flying.pop_front().map(|(_, what)| what)
    }

    /// When the next arrives.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.flying.front().map(|(at, _)| *at)
    }

    /// How many were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
fn mixed(state: u64) -> u64 {
    let state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_lost_and_the_others_arrive_in_order_and_late() {
        let way = Way {
            delay: Duration::from_millis(25),
            lost_per_mille: 10,
            seed: 7,
        };
        let begun = Instant::now();
        let mut link = Link::new(way, 0);
        (0..10_000).for_each(|number| link.send(begun, number));
        assert!((60..140).contains(&link.lost()), "{} lost", link.lost());
        assert_eq!(link.arrived(begun + Duration::from_millis(24)), None);
        let late = begun + Duration::from_millis(25);
        let arrived: Vec<i32> = std::iter::from_fn(|| link.arrived(late)).collect();
        assert_eq!(arrived.len() as u64, 10_000 - link.lost());
        assert!(arrived.is_sorted());
        let mut again = Link::new(way, 0);
        (0..10_000).for_each(|number| again.send(begun, number));
        let same: Vec<i32> = std::iter::from_fn(|| again.arrived(late)).collect();
        assert_eq!(same, arrived);
        let mut other = Link::new(way, 1);
        (0..10_000).for_each(|number| other.send(begun, number));
        let others: Vec<i32> = std::iter::from_fn(|| other.arrived(late)).collect();
        assert_ne!(others, arrived);
    }
}
