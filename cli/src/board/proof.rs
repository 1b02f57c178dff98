//! What a board's status proves about an update whose transfer did not end well.
//!
//! A board that holds the right application may have held it before: a push can change nothing but the header (flags, security counter,
//! keys), of which the status shows little. So something that the push changes must be seen to have changed. No I/O.

use std::time::Duration;

use iap_protocol::status::{Phase, Status};

use super::Transport;
use super::reset::was_reset;
use super::state::{self, Expected};

/// What is known when the board is asked afterwards.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    /// What the board must hold.
    pub(super) expected: &'a Expected,
    /// What the board said before anything was sent.
    pub(super) before: &'a Status,
    /// Time since then, or less.
    pub(super) elapsed: Duration,
    /// By which of its servers.
    pub(super) transport: Transport,
    /// Bytes of the file.
    pub(super) len: u64,
    /// The board took part in the transfer; over HTTP that is not seen.
    pub(super) heard: bool,
}

/// What a status says about a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is committed.
    Committed,
    /// It is not, or not yet.
    NotCommitted,
    /// The board holds the application, and held it before: nobody can tell.
    Unclear,
}

impl Transfer<'_> {
    pub(super) fn verdict(&self, after: &Status) -> Verdict {
        if state::is_busy(after.phase) || self.expected.is_met_by(after).is_err() {
            Verdict::NotCommitted
        } else if self.expected.is_met_by(self.before).is_err() || self.is_last(after) {
            Verdict::Committed
        } else if self.never_came_to_an_end(after) {
            Verdict::NotCommitted
        } else {
            Verdict::Unclear
        }
    }

    /// This transfer was the last one the board took, and it was committed.
    fn is_last(&self, after: &Status) -> bool {
        after.phase == Phase::Committed
            && self.fits(after)
            && (self.heard || work(after) != work(self.before))
    }

    /// The last transfer of the board failed, or none like this one has come since it was asked.
    fn never_came_to_an_end(&self, after: &Status) -> bool {
        let never_answered = self.transport == Transport::Tftp && !self.heard;
        let is_same_boot = !was_reset(self.before, after, self.elapsed);
        never_answered
            || after.phase == Phase::Failed
            || (is_same_boot && !self.fits(after) && work(after) == work(self.before))
    }

    /// Whether what the board says of its last transfer fits this one, all of it.
    fn fits(&self, after: &Status) -> bool {
        (after.update.as_ref()).is_some_and(|update| {
            u64::from(update.received) == self.len
                && update.transport.as_str() == self.transport.to_string()
        })
    }
}

/// What changes in a status when a board takes an update; a commit of another header writes words.
fn work(status: &Status) -> impl PartialEq + '_ {
    (&status.update, status.flash_erases, status.flash_words)
}

#[cfg(test)]
mod tests {
    use iap_protocol::header::ImageHeader;
    use iap_protocol::status::{Policy, UpdateStatus};
    use iap_protocol::version::Version;

    use super::*;
    use crate::board::state::tests::status;

    const LEN: u32 = 544;

    fn expected(security_counter: u32) -> Expected {
        let header = ImageHeader {
            version: Version::new(1, 2, 3),
            load_address: 0x0802_0000,
            payload_size: 4000,
            payload_crc32: 7,
            security_counter,
            ..ImageHeader::default()
        };
        Expected::new(&header, false)
    }

    fn update(transport: &str, received: u32) -> Option<UpdateStatus> {
        Some(UpdateStatus {
            transport: transport.try_into().unwrap(),
            peer: "192.168.0.2".try_into().unwrap(),
            received,
            total: received,
            sectors_written: 0,
            sectors_skipped: 1,
            sector: None,
        })
    }

    /// The board of [`status`] a second later, with `change`.
    fn later(change: impl FnOnce(&mut Status)) -> Status {
        let mut status = Status {
            uptime_ms: 6000,
            ..status()
        };
        change(&mut status);
        status
    }

    fn judged(
        before: &Status,
        after: &Status,
        (transport, heard): (Transport, bool),
        counter: u32,
    ) -> Verdict {
        let expected = expected(counter);
        let transfer = Transfer {
            expected: &expected,
            before,
            elapsed: Duration::from_secs(1),
            transport,
            len: LEN.into(),
            heard,
        };
        transfer.verdict(after)
    }

    const UNANSWERED: (Transport, bool) = (Transport::Tftp, false);
    const TFTP: (Transport, bool) = (Transport::Tftp, true);
    const HTTP: (Transport, bool) = (Transport::Http, false);

    #[test]
    fn a_board_that_held_the_same_before_proves_nothing() {
        let same = later(|_| ());
        assert_eq!(
            judged(&status(), &same, UNANSWERED, 0),
            Verdict::NotCommitted
        );
        // No transfer since, so this one has not come.
        assert_eq!(judged(&status(), &same, HTTP, 0), Verdict::NotCommitted);
        // One that looks like this one, before and after.
        let before = later(|it| it.update = update("http", LEN));
        let after = Status {
            uptime_ms: 7000,
            ..before.clone()
        };
        assert_eq!(judged(&before, &after, HTTP, 0), Verdict::Unclear);
        // Reset since: it does not know any more.
        let reset = later(|it| (it.uptime_ms, it.phase) = (100, Phase::Idle));
        assert_eq!(judged(&status(), &reset, HTTP, 0), Verdict::Unclear);
        assert_eq!(judged(&status(), &reset, TFTP, 0), Verdict::Unclear);
    }

    #[test]
    fn what_was_something_else_before_proves_the_update() {
        let other = later(|it| it.application.as_mut().unwrap().crc32 = 8);
        let none = later(|it| it.application = None);
        for before in [other, none] {
            assert_eq!(judged(&before, &status(), HTTP, 0), Verdict::Committed);
            assert_eq!(judged(&before, &before, HTTP, 0), Verdict::NotCommitted);
        }
    }

    #[test]
    fn the_transfer_itself_is_known_by_its_length_and_by_what_it_wrote() {
        let done = later(|it| it.update = update("tftp", LEN));
        assert_eq!(judged(&status(), &done, TFTP, 0), Verdict::Committed);
        let again = Status {
            uptime_ms: 9000,
            ..done.clone()
        };
        assert_eq!(
            judged(&done, &again, TFTP, 0),
            Verdict::Committed,
            "it was heard to begin, and nothing is left of the one before"
        );
        let written = later(|it| (it.update, it.flash_words) = (update("http", LEN), 40));
        let before = later(|it| (it.update, it.flash_words) = (update("http", LEN), 20));
        assert_eq!(judged(&before, &written, HTTP, 0), Verdict::Committed);
        let other = later(|it| (it.update, it.flash_words) = (update("tftp", 9000), 40));
        assert_eq!(judged(&before, &other, HTTP, 0), Verdict::Unclear);
    }

    #[test]
    fn a_transfer_that_failed_or_goes_on_is_not_committed() {
        for phase in [Phase::Failed, Phase::Receiving] {
            let after = later(|it| (it.phase, it.update) = (phase, update("http", 100)));
            assert_eq!(judged(&status(), &after, HTTP, 0), Verdict::NotCommitted);
        }
    }

    #[test]
    fn the_security_counter_is_part_of_what_a_board_with_signatures_must_show() {
        let signed = |counter| later(|it| it.security_counter = counter);
        let before = signed(0);
        assert_eq!(judged(&before, &signed(0), TFTP, 5), Verdict::NotCommitted);
        assert_eq!(judged(&before, &signed(5), HTTP, 5), Verdict::Committed);
        // Others do not keep it.
        let open = |it: &mut Status| (it.policy, it.update) = (Policy::Open, update("tftp", LEN));
        let done = later(|it| {
            open(it);
        });
        assert_eq!(judged(&status(), &done, TFTP, 5), Verdict::Committed);
    }
}
