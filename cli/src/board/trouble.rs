//! Failures of the two transports, told to people: to whom, what happened, what to do next.

use std::fmt;

use iap_protocol::ErrorCode;

use super::Target;
use crate::failure::{Exit, Failure};
use crate::http::{HttpError, Step, is_descriptors};
use crate::tftp::run::RunError;
use crate::tftp::{NetworkError, Phase, Reason, TransferError};

pub(super) const CHECK_THE_BOARD: &str = "check power, cable and address; the board must be in IAP mode (hold its IAP key during a reset), or let --wait catch it at power-on";
const OTHER_SERVER: &str =
    "something else than the IAP firmware answers there: check the address and the port";

const MORE_DESCRIPTORS: &str =
    "fewer boards at once (--max-concurrent) or a higher limit (ulimit -n 1024)";

/// What went wrong with a board over TFTP.
pub(super) fn tftp(target: &Target, doing: &str, error: RunError) -> Failure {
    let error = match error {
        RunError::Transfer(error) => error,
        RunError::Io(error) if is_descriptors(&error) => {
            return no_descriptors(target, doing, &error);
        }
        RunError::Io(error) => {
            return Failure::new(
                Exit::Unreachable,
                format!("{target}: {doing}: the network of this machine says: {error}"),
            )
            .help("check this machine's address and route to the board");
        }
    };
    let (exit, help) = advice(&error);
    let failure = Failure::new(exit, format!("{target}: {doing}: {error}"));
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

fn advice(error: &TransferError) -> (Exit, Option<&'static str>) {
    match (&error.reason, error.phase) {
        // The board's sentence says what to do.
        (Reason::Refused { .. }, _) => (Exit::Refused, None),
        (Reason::BadOptions(_) | Reason::TooLong(_), _) => (Exit::Refused, Some(OTHER_SERVER)),
        (Reason::Cancelled, _) => (Exit::Interrupted, None),
        (Reason::Silent, Phase::Request) | (Reason::Network(NetworkError::HostUnreachable), _) => {
            (Exit::Unreachable, Some(CHECK_THE_BOARD))
        }
        (Reason::Network(NetworkError::PortClosed), Phase::Request) => (
            Exit::Unreachable,
            Some(
                "the host is there but no TFTP server: the board may be running its application; reset it into IAP mode",
            ),
        ),
        (Reason::Network(NetworkError::TooLong), _) => (
            Exit::Unreachable,
            Some("the way to the board changed: push again, smaller blocks are used then"),
        ),
        // What may have become of the peer is for those to say who know what it was sent.
        (Reason::Silent | Reason::Network(_), Phase::LastAck { .. }) => (Exit::Unreachable, None),
        (Reason::Silent | Reason::Network(_), _) => (
            Exit::Unreachable,
            Some(
                "the board may have lost power or link: push again, sectors that are right are skipped",
            ),
        ),
    }
}

fn no_descriptors(target: &Target, doing: impl fmt::Display, error: impl fmt::Display) -> Failure {
    let message = format!("{target}: {doing}: this machine gives no file descriptor: {error}");
    Failure::new(Exit::Local, message).help(MORE_DESCRIPTORS)
}

/// What went wrong with a board over HTTP.
pub(super) fn http(target: &Target, error: &HttpError) -> Failure {
    let exit = match error {
        HttpError::NoDescriptors(step, what) => return no_descriptors(target, step, what),
        HttpError::NoConnection(..) | HttpError::Broken { .. } | HttpError::Silent { .. } => {
            Exit::Unreachable
        }
        HttpError::Refused { .. } | HttpError::Malformed(..) => Exit::Refused,
    };
    let failure = Failure::new(exit, format!("{target}: {error}"));
    match error {
        HttpError::NoConnection(..) => failure.help(CHECK_THE_BOARD),
        HttpError::Silent { .. } | HttpError::Broken { .. } if error.step() == Step::Upload => {
            failure.help("push again: sectors that are right are skipped")
        }
        HttpError::Refused {
            code: Some(code), ..
        } if ErrorCode::from_number(*code) == Some(ErrorCode::WrongPassword) => {
            failure.help("check --user, and the password in IAPCTL_PASSWORD or --password-file")
        }
        HttpError::Refused { code: None, .. } | HttpError::Malformed(..) => {
            failure.help(OTHER_SERVER)
        }
        _ => failure,
    }
}

/// Whether it was no IAP firmware that answered.
pub(super) fn is_other_server(failure: &Failure) -> bool {
    failure.help.iter().any(|help| help == OTHER_SERVER)
}

/// A status that cannot be read.
pub(super) fn status(target: &Target, what: &str) -> Failure {
    Failure::new(
        Exit::Refused,
        format!("{target}: the status it sends is none of an IAP firmware: {what}"),
    )
    .help(OTHER_SERVER)
}
