//! When IAP mode ends by itself: after a commit over TFTP, when nobody comes any more, and when the window at power-on closes.
//!
//! It only says when and why. What the reset then starts is decided in [`crate::boot`], which is why none of these rules fires without an
//! application that would start.

use iap_protocol::status::{IapReason, Phase};
use smoltcp::time::{Duration, Instant};

use crate::config::Config;

/// Why the board resets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetReason {
    /// `auto-start-s` after a commit over TFTP, which has no reset button.
    AutoStart,
    /// `iap-idle-s` without any client.
    Idle,
    /// `power-on-window-s` without a push.
    PowerOnWindow,
    /// A client wrote `iap-reset`.
    TftpRequest,
    /// A client pressed the reset button.
    HttpRequest,
}

/// What the rules look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Situation {
    /// When IAP mode began.
    pub started_at: Instant,
    /// Why.
    pub iap_reason: IapReason,
    /// When a client was last heard, if ever.
    pub last_heard: Option<Instant>,
    /// When a commit was last acknowledged over TFTP, if ever.
    pub commit_acked_at: Option<Instant>,
    /// What the update is doing.
    pub phase: Phase,
    /// Whether an update runs.
    pub is_busy: bool,
    /// Whether the next reset would start an application.
    pub is_startable: bool,
}

/// The next reset by itself: when, and why; none while nothing would be started or an update runs.
pub fn next_reset(config: &Config, situation: &Situation) -> Option<(Instant, ResetReason)> {
    if situation.is_busy || !situation.is_startable {
        return None;
    }
    let first = auto_start(config, situation);
    let first = sooner(first, power_on_window(config, situation));
    sooner(first, idle(config, situation))
}

type Reset = (Instant, ResetReason);

#[inline(never)]
fn sooner(first: Option<Reset>, second: Option<Reset>) -> Option<Reset> {
    match (first, second) {
        (Some((first_at, _)), Some((second_at, _))) if second_at < first_at => second,
        (None, second) => second,
        (first, _) => first,
    }
}

fn auto_start(config: &Config, situation: &Situation) -> Option<(Instant, ResetReason)> {
    let at = situation.commit_acked_at? + seconds(config.auto_start_s)?;
    Some((at, ResetReason::AutoStart))
}

fn power_on_window(config: &Config, situation: &Situation) -> Option<(Instant, ResetReason)> {
    // A push that came in time closes the window, whatever became of it.
    let open = situation.iap_reason == IapReason::PowerOnWindow && situation.phase == Phase::Idle;
    let at = situation.started_at + seconds(config.power_on_window_s)?;
    open.then_some((at, ResetReason::PowerOnWindow))
}

fn idle(config: &Config, situation: &Situation) -> Option<(Instant, ResetReason)> {
    let stay = match situation.iap_reason {
        IapReason::KeyHeld => true,
        // The boot would end here again, unless the application is a new one.
        IapReason::NotConfirmed => situation.phase != Phase::Committed,
        _ => false,
    };
    let contact = situation.last_heard.max(situation.commit_acked_at);
    let since = contact.map_or(situation.started_at, |at| at.max(situation.started_at));
    let at = since + seconds(config.iap_idle_s)?;
    (!stay).then_some((at, ResetReason::Idle))
}

/// A time from the profile, where 0 switches the rule off.
fn seconds(s: u16) -> Option<Duration> {
    (s > 0).then(|| Duration::from_secs(s.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    const START: Instant = Instant::from_micros_const(10_000_000);

    fn situation(iap_reason: IapReason) -> Situation {
        Situation {
            started_at: START,
            iap_reason,
            last_heard: None,
            commit_acked_at: None,
            phase: Phase::Idle,
            is_busy: false,
            is_startable: true,
        }
    }

    fn all_rules() -> Config {
        Config {
            auto_start_s: 5,
            iap_idle_s: 300,
            power_on_window_s: 3,
            ..config()
        }
    }

    fn after(s: u64, reason: ResetReason) -> Option<(Instant, ResetReason)> {
        Some((START + Duration::from_secs(s), reason))
    }

    #[test]
    fn the_window_at_power_on_closes_unless_somebody_pushes() {
        let open = situation(IapReason::PowerOnWindow);
        let next = next_reset(&all_rules(), &open);
        assert_eq!(next, after(3, ResetReason::PowerOnWindow));
        let pushed = Situation {
            phase: Phase::Failed,
            ..open
        };
        let next = next_reset(&all_rules(), &pushed);
        assert_eq!(next, after(300, ResetReason::Idle));
    }

    #[test]
    fn a_held_key_keeps_the_board_in_iap_mode_but_a_commit_starts_the_application() {
        let held = situation(IapReason::KeyHeld);
        assert_eq!(next_reset(&all_rules(), &held), None);
        let committed = Situation {
            commit_acked_at: Some(START + Duration::from_secs(60)),
            phase: Phase::Committed,
            ..held
        };
        let next = next_reset(&all_rules(), &committed);
        assert_eq!(next, after(65, ResetReason::AutoStart));
    }

    #[test]
    fn an_application_that_never_confirmed_is_not_tried_again_but_a_new_one_is() {
        let old = situation(IapReason::NotConfirmed);
        assert_eq!(next_reset(&all_rules(), &old), None);
        let new = Situation {
            phase: Phase::Committed,
            ..old
        };
        let next = next_reset(&all_rules(), &new);
        assert_eq!(next, after(300, ResetReason::Idle));
    }

    #[test]
    fn nothing_resets_during_an_update_or_without_an_application() {
        let base = situation(IapReason::Requested);
        for (is_busy, is_startable) in [(true, true), (false, false)] {
            let situation = Situation {
                is_busy,
                is_startable,
                ..base
            };
            assert_eq!(next_reset(&all_rules(), &situation), None);
        }
    }

    #[test]
    fn a_time_of_0_switches_a_rule_off() {
        let base = Situation {
            commit_acked_at: Some(START),
            ..situation(IapReason::PowerOnWindow)
        };
        assert_eq!(next_reset(&config(), &base), None);
    }

    #[test]
    fn every_contact_puts_the_idle_reset_off() {
        let heard = Situation {
            last_heard: Some(START + Duration::from_secs(100)),
            ..situation(IapReason::Requested)
        };
        let next = next_reset(&all_rules(), &heard);
        assert_eq!(next, after(400, ResetReason::Idle));
    }
}
