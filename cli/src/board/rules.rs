//! What a board's status says it would refuse, so that nothing has to be sent to learn it. The board judges all of it again, and more.

use iap_protocol::ErrorCode;
use iap_protocol::header::{ANY_BOARD, ImageHeader};
use iap_protocol::status::{Policy, Status};
use iap_protocol::version::Version;

use super::{Target, Transport};
use crate::failure::{BoardAfter, Exit, Failure};

/// Refuses what the board would refuse. `header` is `None` where the bare binary is sent.
pub fn check(
    target: &Target,
    header: Option<&ImageHeader>,
    status: &Status,
) -> Result<(), Failure> {
    match refusal(target.transport, header, status) {
        None => Ok(()),
        Some((code, values)) => {
            let sentence = code.sentence();
            let message =
                format!("{target}: the board would refuse this, as its status says: {sentence}");
            let message = match values {
                Some(values) => format!("{message} ({values})"),
                None => message,
            };
            Err(Failure::new(Exit::Refused, message)
                .help("nothing was sent")
                .board(BoardAfter::Untouched))
        }
    }
}

/// In the board's order.
fn refusal(
    transport: Transport,
    header: Option<&ImageHeader>,
    status: &Status,
) -> Option<(ErrorCode, Option<String>)> {
    if status.policy == Policy::Login && transport == Transport::Tftp {
        return Some((ErrorCode::TftpNotAllowed, None));
    }
    let Some(header) = header else {
        return match status.policy {
            Policy::Signed => Some((ErrorCode::RawNotAllowed, None)),
            Policy::Open | Policy::Login => counter(0, status),
        };
    };
    let (board, this) = (header.board.as_str(), status.board.as_str());
    if board != ANY_BOARD && board != this {
        let values = format!("image says {board}, this is {this}");
        return Some((ErrorCode::WrongBoard, Some(values)));
    }
    let wanted = header.min_iap_version;
    // A version that is none rules nothing out.
    let numbers = |this: Version| this.numbers();
    let this = status.iap_version.parse().ok().map(numbers);
    if this.is_some_and(|this| wanted > this) {
        let (major, minor, patch) = wanted;
        let this = &status.iap_version;
        let values = format!("image asks for {major}.{minor}.{patch}, this is {this}");
        return Some((ErrorCode::IapTooOld, Some(values)));
    }
    counter(header.security_counter, status).or_else(|| {
        let is_missing = status.policy == Policy::Signed && !header.is_signed();
        is_missing.then_some((ErrorCode::NotSigned, None))
    })
}

fn counter(counter: u32, status: &Status) -> Option<(ErrorCode, Option<String>)> {
    let least = status.security_counter;
    (counter < least).then(|| {
        let values = format!("expected at least {least}, image says {counter}");
        (ErrorCode::CounterTooLow, Some(values))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::state::tests::status;

    fn refused(
        transport: Transport,
        header: Option<&ImageHeader>,
        policy: Policy,
    ) -> Option<ErrorCode> {
        let status = Status {
            policy,
            security_counter: 3,
            ..status()
        };
        refusal(transport, header, &status).map(|(code, _)| code)
    }

    fn signed() -> ImageHeader {
        ImageHeader {
            security_counter: 3,
            signature: [1; 64],
            ..ImageHeader::default()
        }
    }

    #[test]
    fn what_the_board_would_take_is_not_refused() {
        for policy in [Policy::Open, Policy::Login, Policy::Signed] {
            assert_eq!(refused(Transport::Http, Some(&signed()), policy), None);
        }
        for policy in [Policy::Open, Policy::Signed] {
            assert_eq!(refused(Transport::Tftp, Some(&signed()), policy), None);
        }
        let this_board = ImageHeader {
            board: "sim".try_into().unwrap(),
            min_iap_version: (0, 1, 0),
            ..signed()
        };
        assert_eq!(
            refused(Transport::Http, Some(&this_board), Policy::Open),
            None
        );
    }

    #[test]
    fn each_rule_of_the_board_is_known() {
        let http = |header: &ImageHeader, policy| refused(Transport::Http, Some(header), policy);
        assert_eq!(
            refused(Transport::Tftp, Some(&signed()), Policy::Login),
            Some(ErrorCode::TftpNotAllowed)
        );
        assert_eq!(
            refused(Transport::Http, None, Policy::Signed),
            Some(ErrorCode::RawNotAllowed)
        );
        assert_eq!(
            refused(Transport::Http, None, Policy::Open),
            Some(ErrorCode::CounterTooLow)
        );
        for (header, code) in [
            (
                ImageHeader {
                    signature: [0; 64],
                    ..signed()
                },
                ErrorCode::NotSigned,
            ),
            (
                ImageHeader {
                    security_counter: 2,
                    ..signed()
                },
                ErrorCode::CounterTooLow,
            ),
            (
                ImageHeader {
                    board: "other".try_into().unwrap(),
                    ..signed()
                },
                ErrorCode::WrongBoard,
            ),
            (
                ImageHeader {
                    min_iap_version: (0, 1, 1),
                    ..signed()
                },
                ErrorCode::IapTooOld,
            ),
        ] {
            assert_eq!(http(&header, Policy::Signed), Some(code));
        }
    }

    #[test]
    fn an_iap_version_is_compared_by_its_numbers_and_one_that_is_none_rules_nothing_out() {
        let asks = |wanted: (u16, u16, u16), this: &str| {
            let header = ImageHeader {
                min_iap_version: wanted,
                ..signed()
            };
            let status = Status {
                iap_version: this.try_into().unwrap(),
                ..status()
            };
            refusal(Transport::Http, Some(&header), &status)
        };
        assert_eq!(asks((1, 2, 3), "1.2.3"), None);
        assert_eq!(asks((1, 2, 3), "1.2.3-rc.1+5"), None);
        assert_eq!(asks((1, 2, 3), "1.10.0"), None);
        for older in ["1.2.2", "0.9.9", "1.2.2-rc.1+5"] {
            let values = format!("image asks for 1.2.3, this is {older}");
            let expected = Some((ErrorCode::IapTooOld, Some(values)));
            assert_eq!(asks((1, 2, 3), older), expected);
        }
        for none in ["1.2", "one", ""] {
            assert_eq!(asks((9, 9, 9), none), None, "{none}");
        }
    }
}
