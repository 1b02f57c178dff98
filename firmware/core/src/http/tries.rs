//! How fast passwords may be tried. A wrong password makes the next try from the same address wait, longer each time, before it
//! is even looked at: an answer that only came late would tell by its lateness that it is a "no".
//!
//! [`SLOTS`] addresses are remembered. While each of them has wrong passwords to its account, somebody guesses from many addresses: then
//! a stranger's try waits, too, always equally long. So guesses stay few, two in a second, and the right user gets in after one wait.
//! Only tries from one and the same address stand in each other's way: who shares the address of somebody who guesses, behind one
//! router, may have to try again.

use iap_protocol::ErrorCode;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Address;

/// Addresses whose wrong tries are remembered; the one whose next try is due first gives way.
const SLOTS: usize = 8;
/// How long a stranger's try waits while all slots are taken.
const STRANGERS_DELAY: Duration = Duration::from_secs(2);
/// So many wrong tries he is taken to have made: the last of them would make him wait as long.
const STRANGERS_WRONG: u8 = 3;
/// How long the second try waits after the first wrong one; doubles with each further one.
const FIRST_DELAY_MS: u64 = 500;
/// Doublings of it, at most: 8 s.
const MAX_DOUBLINGS: u8 = 4;
/// Wrong tries are forgotten after so long.
const FORGET_AFTER: Duration = Duration::from_secs(5 * 60);

/// Wrong tries from an address.
#[derive(Clone, Copy)]
struct Slot {
    peer: Ipv4Address,
    wrong: u8,
    /// Before this, no try is looked at.
    not_before: Instant,
    /// Whether a try waits for that already.
    is_awaited: bool,
}

impl Slot {
    const EMPTY: Self = Self {
        peer: Ipv4Address::UNSPECIFIED,
        wrong: 0,
        not_before: Instant::ZERO,
        is_awaited: false,
    };
}

/// What is to be done with a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The password is right.
    Welcome,
    /// The password is wrong.
    Wrong,
    /// To be tried again at this time.
    Wait(Instant),
    /// Refused unseen, for so many seconds.
    Flood(u32),
}

/// The wrong tries that are remembered.
pub(super) struct Tries([Slot; SLOTS]);

impl Tries {
    /// No wrong ones yet.
    pub(super) const fn new() -> Self {
        Self([Slot::EMPTY; SLOTS])
    }

    /// Judges a try from `peer`, which `is_right` or not; `has_waited` as an earlier verdict said.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        peer: Ipv4Address,
        is_right: bool,
        has_waited: bool,
    ) -> Verdict {
        let [slot, others @ ..] = &mut self.0;
        let mut slot = slot;
        for other in others {
            let is_due_first = slot.peer != peer && other.not_before < slot.not_before;
            if other.peer == peer || is_due_first {
                slot = other;
            }
        }
        if now >= slot.not_before + FORGET_AFTER {
            slot.wrong = 0;
        }
        if slot.peer != peer {
            slot.peer = peer;
            slot.not_before = now;
            if slot.wrong > 0 {
                slot.wrong = STRANGERS_WRONG;
                slot.not_before += STRANGERS_DELAY;
            }
            slot.is_awaited = false;
        }
        if !has_waited && now < slot.not_before {
            if slot.is_awaited {
                // Rounded up: a client that comes back in time is not too early.
                let left_s = (slot.not_before - now).secs() as u32;
                return Verdict::Flood(left_s.wrapping_add(1));
            }
            slot.is_awaited = true;
            return Verdict::Wait(slot.not_before);
        }
        slot.is_awaited = false;
        if is_right {
            *slot = Slot::EMPTY;
            return Verdict::Welcome;
        }
        slot.not_before =
            now + Duration::from_millis(FIRST_DELAY_MS << slot.wrong.min(MAX_DOUBLINGS));
        slot.wrong = slot.wrong.saturating_add(1);
        Verdict::Wrong
    }
}

impl Verdict {
    /// How a refused try is answered, and after how many seconds the next one may come.
    pub(super) fn refusal(self) -> (ErrorCode, u32) {
        match self {
            Self::Flood(seconds) => (ErrorCode::TooManyAttempts, seconds),
            _ => (ErrorCode::WrongPassword, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    const PEER: Ipv4Address = Ipv4Address::new(192, 168, 0, 1);
    const OTHER: Ipv4Address = Ipv4Address::new(192, 168, 0, 2);

    fn at(seconds: i64) -> Instant {
        Instant::from_secs(1000 + seconds)
    }

    #[test]
    fn each_wrong_password_makes_the_next_try_wait_twice_as_long_up_to_eight_seconds() {
        let mut tries = Tries::new();
        let mut now = at(0);
        assert_eq!(tries.judge(now, PEER, false, false), Verdict::Wrong);
        for delay_ms in [500, 1000, 2000, 4000, 8000, 8000] {
            let until = now + Duration::from_millis(delay_ms);
            assert_eq!(tries.judge(now, PEER, false, false), Verdict::Wait(until));
            now = until;
            assert_eq!(tries.judge(now, PEER, false, true), Verdict::Wrong);
        }
    }

    #[test]
    fn the_right_password_waits_like_a_wrong_one_and_clears_the_slot() {
        let mut tries = Tries::new();
        tries.judge(at(0), PEER, false, false);
        let until = at(0) + Duration::from_millis(500);
        assert_eq!(tries.judge(at(0), PEER, true, false), Verdict::Wait(until));
        assert_eq!(tries.judge(until, PEER, true, true), Verdict::Welcome);
        assert_eq!(tries.judge(until, PEER, true, false), Verdict::Welcome);
        assert_eq!(tries.judge(until, PEER, false, false), Verdict::Wrong);
        let next = until + Duration::from_millis(500);
        assert_eq!(tries.judge(until, PEER, false, false), Verdict::Wait(next));
    }

    #[test]
    fn only_one_try_waits_and_another_machine_is_not_held_up() {
        let mut tries = Tries::new();
        tries.judge(at(0), PEER, false, false);
        assert!(matches!(
            tries.judge(at(0), PEER, false, false),
            Verdict::Wait(_)
        ));
        assert_eq!(tries.judge(at(0), PEER, true, false), Verdict::Flood(1));
        assert_eq!(tries.judge(at(0), OTHER, true, false), Verdict::Welcome);
    }

    #[test]
    fn wrong_passwords_are_forgotten_after_five_minutes() {
        let mut tries = Tries::new();
        for second in 0..20 {
            tries.judge(at(second), PEER, false, true);
        }
        assert_eq!(tries.judge(at(400), PEER, false, false), Verdict::Wrong);
        let until = at(400) + Duration::from_millis(500);
        assert_eq!(
            tries.judge(at(400), PEER, false, false),
            Verdict::Wait(until)
        );
    }

    /// Addresses of a network larger than any table.
    fn address(number: u32) -> Ipv4Address {
        Ipv4Address::from_bits(0x0A00_0001 + number)
    }

    /// A tries to which as many addresses as it remembers have given wrong passwords.
    fn besieged() -> Tries {
        let mut tries = Tries::new();
        for number in 0..SLOTS as u32 {
            let verdict = tries.judge(at(0), address(number), false, false);
            assert_eq!(verdict, Verdict::Wrong, "not held up by the others");
        }
        tries
    }

    #[test]
    fn addresses_with_the_same_low_bits_do_not_hold_each_other_up() {
        for bits in [3, 4, 8, 16, 24] {
            let mut tries = Tries::new();
            let other = Ipv4Address::from_bits(PEER.to_bits() ^ 1 << bits);
            for _ in 0..9 {
                tries.judge(at(0), other, false, true);
            }
            tries.judge(at(0), other, false, false);
            assert_eq!(tries.judge(at(0), other, true, false), Verdict::Flood(9));
            assert_eq!(tries.judge(at(0), PEER, true, false), Verdict::Welcome);
        }
    }

    #[test]
    fn a_stranger_waits_two_seconds_while_all_slots_are_taken_and_is_never_refused() {
        let mut tries = besieged();
        let until = at(2);
        assert_eq!(tries.judge(at(0), PEER, true, false), Verdict::Wait(until));
        assert_eq!(tries.judge(at(0), OTHER, true, false), Verdict::Wait(until));
        assert_eq!(tries.judge(until, PEER, true, true), Verdict::Welcome);
        assert_eq!(tries.judge(until, OTHER, false, true), Verdict::Wrong);
        let next = until + Duration::from_secs(4);
        assert_eq!(
            tries.judge(until, OTHER, true, false),
            Verdict::Wait(next),
            "as after a fourth wrong one"
        );
        let mut tries = besieged();
        let verdict = tries.judge(at(301), PEER, true, false);
        assert_eq!(verdict, Verdict::Welcome, "wrong tries are forgotten");
    }

    #[test]
    fn the_address_whose_try_is_due_first_gives_way_to_a_stranger() {
        let mut tries = besieged();
        for number in 1..SLOTS as u32 {
            tries.judge(at(1), address(number), false, true);
        }
        tries.judge(at(1), PEER, false, false);
        let wait = |tries: &mut Tries, peer| match tries.judge(at(1), peer, false, false) {
            Verdict::Wait(until) => until - at(1),
            verdict => panic!("{verdict:?}"),
        };
        for number in 1..SLOTS as u32 {
            let kept = wait(&mut tries, address(number));
            assert_eq!(kept, Duration::from_secs(1), "{number}");
        }
        assert_eq!(wait(&mut tries, address(0)), STRANGERS_DELAY);
    }

    #[test]
    fn a_right_password_frees_a_slot_for_the_next_stranger() {
        let mut tries = besieged();
        let verdict = tries.judge(at(1), address(3), true, true);
        assert_eq!(verdict, Verdict::Welcome);
        assert_eq!(tries.judge(at(1), PEER, false, false), Verdict::Wrong);
        let verdict = tries.judge(at(1), OTHER, false, false);
        assert_eq!(verdict, Verdict::Wait(at(3)));
    }

    /// Somebody who guesses.
    #[derive(Clone, Copy)]
    struct Guesser {
        peer: Ipv4Address,
        due: Instant,
        /// Has kept its connection while it waited.
        has_waited: bool,
    }

    /// How many passwords so many addresses try in 1000 s, and how long the right user, who comes from an address of his own every 10 s,
    /// has to wait at most. Guessers wait on one of the board's connections if there is a free one; the others come back when they may.
    fn siege(addresses: u32) -> (u32, Duration) {
        let mut tries = Tries::new();
        let (mut looked_at, mut longest, mut connections) = (0, Duration::ZERO, 4);
        let mut guessers: std::vec::Vec<_> = (0..addresses)
            .map(|number| Guesser {
                peer: address(number),
                due: at(0),
                has_waited: false,
            })
            .collect();
        for tick in 0..10_000 {
            let now = at(0) + Duration::from_millis(100 * tick);
            // Those who were let wait come first, as on the board, which polls when they are due.
            guessers.sort_by_key(|guesser| !guesser.has_waited);
            for guesser in guessers.iter_mut().filter(|guesser| guesser.due <= now) {
                let has_waited = core::mem::take(&mut guesser.has_waited);
                connections += u32::from(has_waited);
                match tries.judge(now, guesser.peer, false, has_waited) {
                    Verdict::Welcome => panic!("a wrong password"),
                    Verdict::Wrong => looked_at += 1,
                    Verdict::Flood(seconds) => {
                        guesser.due = now + Duration::from_secs(seconds.into())
                    }
                    Verdict::Wait(due) => {
                        guesser.due = due;
                        guesser.has_waited = connections > 0;
                        connections -= u32::from(guesser.has_waited);
                    }
                }
            }
            if tick % 100 == 0 {
                longest = longest.max(wait_of_the_right_user(&mut tries, now));
            }
        }
        (looked_at, longest)
    }

    fn wait_of_the_right_user(tries: &mut Tries, now: Instant) -> Duration {
        match tries.judge(now, PEER, true, false) {
            Verdict::Welcome => Duration::ZERO,
            Verdict::Wait(until) => {
                assert_eq!(tries.judge(until, PEER, true, true), Verdict::Welcome);
                until - now
            }
            verdict => panic!("the right user is refused: {verdict:?}"),
        }
    }

    #[test]
    fn guesses_from_any_number_of_addresses_are_few_and_never_shut_the_right_user_out() {
        for addresses in [1, 2, 7, 8, 9, 16, 50, 250] {
            let (tries, longest) = siege(addresses);
            std::println!("{addresses} addresses: {tries} tries in 1000 s, {longest}");
            // Each of the board's four connections lets one through in two seconds; the first of each address are not held up.
            assert!(tries <= 2_200, "{addresses}: {tries}");
            assert!(longest <= STRANGERS_DELAY, "{addresses}: {longest}");
            assert!(tries >= 100, "{addresses}: the guessers do guess: {tries}");
        }
    }
}
