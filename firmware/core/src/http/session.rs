//! Who is logged in. A session is a random number in a cookie.

use smoltcp::time::{Duration, Instant};

/// Sessions at a time; the one that was idle longest gives way.
const SESSIONS: usize = 4;
/// A session ends when it was not used for so long.
const IDLE_LIMIT: Duration = Duration::from_secs(10 * 60);
/// A session ends so long after its login, used or not. Also the cookie's Max-Age.
pub(super) const ABSOLUTE_LIMIT: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Copy)]
struct Session {
    id: u128,
    begun: Instant,
    used: Instant,
}

impl Session {
    fn is_alive(&self, now: Instant) -> bool {
        now < self.used + IDLE_LIMIT && now < self.begun + ABSOLUTE_LIMIT
    }
}

/// The sessions.
pub(super) struct Sessions([Option<Session>; SESSIONS]);

impl Sessions {
    /// Nobody is logged in.
    pub(super) const fn new() -> Self {
        Self([None; SESSIONS])
    }

    /// Begins a session; its id.
    pub(super) fn log_in(&mut self, now: Instant, random: &mut dyn FnMut() -> u32) -> u128 {
        let id = (0..4).fold(0, |id, _| id << 32 | u128::from(random()));
        // A dead session goes first, then the one idle longest.
        let idlest = self.0.iter_mut().min_by_key(|slot| {
            slot.filter(|session| session.is_alive(now))
                .map(|session| session.used)
        });
        if let Some(slot) = idlest {
            *slot = Some(Session {
                id,
                begun: now,
                used: now,
            });
        }
        id
    }

    /// Whether `id` is a living session, which is used hereby.
    pub(super) fn is_logged_in(&mut self, now: Instant, id: Option<u128>) -> bool {
        let mut known = false;
        for session in self.0.iter_mut().flatten() {
            if Some(session.id) == id && session.is_alive(now) {
                session.used = now;
                known = true;
            }
        }
        known
    }

    /// Ends a session.
    pub(super) fn log_out(&mut self, id: Option<u128>) {
        for slot in &mut self.0 {
            slot.take_if(|session| Some(session.id) == id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_secs(1000 + seconds)
    }

    fn counter() -> impl FnMut() -> u32 {
        let mut last = 0;
        move || {
            last += 1;
            last
        }
    }

    #[test]
    fn a_session_ends_after_ten_idle_minutes_and_after_one_hour() {
        let (mut sessions, mut random) = (Sessions::new(), counter());
        let id = Some(sessions.log_in(at(0), &mut random));
        assert!(sessions.is_logged_in(at(599), id));
        assert!(!sessions.is_logged_in(at(599 + 600), id));

        let id = Some(sessions.log_in(at(0), &mut random));
        for minute in 1..60 {
            assert!(sessions.is_logged_in(at(60 * minute), id));
        }
        assert!(!sessions.is_logged_in(at(3600), id));
        assert!(!sessions.is_logged_in(at(0), None));
    }

    #[test]
    fn the_session_idle_longest_gives_way_to_a_fifth_one() {
        let (mut sessions, mut random) = (Sessions::new(), counter());
        let ids: [_; 4] = core::array::from_fn(|i| sessions.log_in(at(i as i64), &mut random));
        assert!(sessions.is_logged_in(at(5), Some(ids[0])));
        let fifth = sessions.log_in(at(6), &mut random);
        for (id, alive) in [
            (ids[0], true),
            (ids[1], false),
            (ids[2], true),
            (ids[3], true),
            (fifth, true),
        ] {
            assert_eq!(sessions.is_logged_in(at(7), Some(id)), alive);
        }
    }

    #[test]
    fn a_dead_session_gives_way_before_a_living_one() {
        let (mut sessions, mut random) = (Sessions::new(), counter());
        let living = sessions.log_in(at(0), &mut random);
        for _ in 0..3 {
            sessions.log_in(at(1), &mut random);
        }
        assert!(sessions.is_logged_in(at(599), Some(living)));
        sessions.log_in(at(700), &mut random);
        assert!(sessions.is_logged_in(at(700), Some(living)));
    }

    #[test]
    fn log_out_ends_this_session_only() {
        let (mut sessions, mut random) = (Sessions::new(), counter());
        let (mine, other) = (
            sessions.log_in(at(0), &mut random),
            sessions.log_in(at(0), &mut random),
        );
        sessions.log_out(Some(mine));
        sessions.log_out(None);
        assert!(!sessions.is_logged_in(at(1), Some(mine)));
        assert!(sessions.is_logged_in(at(1), Some(other)));
    }
}
