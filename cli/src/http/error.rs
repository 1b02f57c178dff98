//! How a request to a board's HTTP server fails.

use std::fmt;
use std::time::Duration;

use crate::tftp::Seconds;

/// What was being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// `GET /status.json`.
    Status,
    /// `POST /checklogin.cgi`.
    Login,
    /// `POST /upload.cgi`.
    Upload,
    /// `POST /resetmcu.cgi`.
    Reset,
    /// `POST /logout.cgi`.
    Logout,
}

/// Why a request failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpError {
    /// No connection; what the operating system says.
    NoConnection(Step, String),
    /// This machine has no file descriptor left for a connection; what the operating system says.
    NoDescriptors(Step, String),
    /// The board answered with a status that is not 2xx.
    Refused {
        /// What was being done.
        step: Step,
        /// HTTP status.
        status: u16,
        /// Number of the [`iap_protocol::ErrorCode`], where the board gave one.
        code: Option<u16>,
        /// What the board says, verbatim.
        text: String,
    },
    /// The connection broke.
    Broken {
        /// What was being done.
        step: Step,
        /// Bytes of the body that had left this program, and bytes in all; 0 and 0 where there is no body.
        sent: (u64, u64),
        /// What the operating system says.
        what: String,
    },
    /// Nothing moved for so long.
    Silent {
        /// What was being done.
        step: Step,
        /// Bytes of the body that had left this program, and bytes in all.
        sent: (u64, u64),
        /// Since the last progress.
        waited: Duration,
    },
    /// The answer is not what the contract says; what is wrong with it.
    Malformed(Step, String),
}

impl HttpError {
    /// What was being done.
    pub fn step(&self) -> Step {
        match self {
            Self::NoConnection(step, _)
            | Self::NoDescriptors(step, _)
            | Self::Malformed(step, _) => *step,
            Self::Refused { step, .. } | Self::Broken { step, .. } | Self::Silent { step, .. } => {
                *step
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "status",
            Self::Login => "login",
            Self::Upload => "upload",
            Self::Reset => "reset",
            Self::Logout => "logout",
        })
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection(step, what) => write!(f, "{step}: no connection: {what}"),
            Self::NoDescriptors(step, what) => write!(f, "{step}: no file descriptor: {what}"),
            Self::Refused {
                step, status, text, ..
            } => write!(f, "{step} refused: {text} (HTTP {status})"),
            Self::Broken { step, sent, what } => {
                write!(f, "{step}: the connection broke{}: {what}", Sent(*sent))
            }
            Self::Silent { step, sent, waited } => {
                let waited = Seconds(*waited);
                write!(f, "{step}: nothing moved for {waited}{}", Sent(*sent))
            }
            Self::Malformed(step, what) => write!(f, "{step}: unexpected answer: {what}"),
        }
    }
}

impl std::error::Error for HttpError {}

struct Sent((u64, u64));

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            (_, 0) => Ok(()),
            (sent, total) => write!(f, " ({sent} of {total} bytes had left)"),
        }
    }
}
