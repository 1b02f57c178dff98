//! `status.json`: what a board says about itself, over HTTP (`GET /status.json`) and TFTP (read request for `status.json`).
//!
//! JSON with the fields below in this order; unknown fields are to be ignored, so that later versions can add some. Texts hold
//! printable ASCII without characters that JSON or HTML would escape.

mod json;

pub use json::{ApplicationView, UpdateView, View};

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

use crate::error::RefusalReport;
use crate::header::BOARD_LEN;
use crate::memory::MAX_SECTORS;

/// The name of the status file over TFTP.
pub const FILE_NAME: &str = "status.json";
/// Bytes a status takes at most.
pub const MAX_LEN: usize = 1536;

/// What the board is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing: an update may begin.
    Idle,
    /// Taking bytes; the flash is untouched so far.
    Receiving,
    /// Erasing a sector.
    Erasing,
    /// Programming.
    Programming,
    /// Reading back.
    Verifying,
    /// The last update is in flash and recorded.
    Committed,
    /// The last update failed, see `last_error`.
    Failed,
    /// Waiting for the supply voltage.
    SupplyLow,
    /// Read from a newer board: a value this crate does not know. Never sent.
    #[serde(other)]
    Unknown,
}

/// Why the board is in IAP mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IapReason {
    /// No application has been installed.
    NoApplication,
    /// An update began and did not end.
    UpdateUnfinished,
    /// The application in flash is not the one that was committed.
    ApplicationDamaged,
    /// The IAP key was held at reset.
    KeyHeld,
    /// The application asked for it.
    Requested,
    /// The application was started three times and never confirmed.
    NotConfirmed,
    /// The window at power-on in which a push is awaited.
    PowerOnWindow,
    /// Read from a newer board: a value this crate does not know. Never sent.
    #[serde(other)]
    Unknown,
}

/// Who may do what, from the board's profile. A closed set, unlike the two above: profiles are read with it, and a misspelt policy
/// must never pass for an unknown one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Anybody may install anything over TFTP; HTTP asks for the login (AN3968's behaviour).
    Open,
    /// HTTP with login only.
    Login,
    /// Signed images only.
    Signed,
}

/// The application in flash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ApplicationStatus {
    /// As in the image header; `0.0.0` when unknown.
    pub version: String<48>,
    /// Board id in the image header.
    pub board: String<BOARD_LEN>,
    /// First address.
    pub load_address: u32,
    /// Bytes.
    pub size: u32,
    /// CRC-32 of the payload.
    pub crc32: u32,
    /// CRC-32 of the payload's bytes in each sector from the first of user flash on; empty where the policy hides them.
    pub sector_crc32: Vec<u32, MAX_SECTORS>,
}

/// An update, running or ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UpdateStatus {
    /// `tftp` or `http`.
    pub transport: String<8>,
    /// Address of the client.
    pub peer: String<24>,
    /// Bytes taken from the client, header included.
    pub received: u32,
    /// Bytes that are to come in all, 0 when unknown.
    pub total: u32,
    /// Sectors erased and programmed so far.
    pub sectors_written: u8,
    /// Sectors left alone because they hold the right bytes.
    pub sectors_skipped: u8,
    /// The sector at work.
    pub sector: Option<u8>,
}

/// The status record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of this record: 1.
    pub status_version: u8,
    /// Board id from the profile.
    pub board: String<BOARD_LEN>,
    /// Version of the IAP firmware.
    pub iap_version: String<24>,
    /// Who may do what.
    pub policy: Policy,
    /// The HTTP login is still the well-known default.
    pub default_password: bool,
    /// What the board is doing.
    pub phase: Phase,
    /// Why it is in IAP mode.
    pub iap_reason: IapReason,
    /// USER_FLASH_FIRST_PAGE_ADDRESS.
    pub user_flash_first_page_address: u32,
    /// Bytes of user flash.
    pub user_flash_size: u32,
    /// Milliseconds since the reset.
    pub uptime_ms: u32,
    /// Lowest security counter an image may have.
    pub security_counter: u32,
    /// The application that the next reset starts, if any.
    pub application: Option<ApplicationStatus>,
    /// The running update or, after its end, the last one since the reset.
    pub update: Option<UpdateStatus>,
    /// Why the last update since the reset failed.
    pub last_error: Option<RefusalReport>,
    /// Flash erase operations since the reset.
    pub flash_erases: u32,
    /// Flash words programmed since the reset.
    pub flash_words: u32,
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn filled<const N: usize>() -> String<N> {
        core::iter::repeat_n('x', N).collect()
    }

    /// Every text full, every number as long as it gets, every option present.
    fn longest() -> Status {
        let sector_crc32 = core::iter::repeat_n(u32::MAX, MAX_SECTORS).collect();
        Status {
            status_version: u8::MAX,
            board: filled(),
            iap_version: filled(),
            policy: Policy::Signed,
            default_password: false,
            phase: Phase::Programming,
            iap_reason: IapReason::ApplicationDamaged,
            user_flash_first_page_address: u32::MAX,
            user_flash_size: u32::MAX,
            uptime_ms: u32::MAX,
            security_counter: u32::MAX,
            application: Some(ApplicationStatus {
                version: filled(),
                board: filled(),
                load_address: u32::MAX,
                size: u32::MAX,
                crc32: u32::MAX,
                sector_crc32,
            }),
            update: Some(UpdateStatus {
                transport: filled(),
                peer: filled(),
                received: u32::MAX,
                total: u32::MAX,
                sectors_written: u8::MAX,
                sectors_skipped: u8::MAX,
                sector: Some(u8::MAX),
            }),
            last_error: Some(RefusalReport {
                code: u16::MAX,
                text: filled(),
            }),
            flash_erases: u32::MAX,
            flash_words: u32::MAX,
        }
    }

    #[test]
    fn the_longest_status_fits() {
        let text = serde_json::to_string(&longest()).unwrap();
        assert!(text.len() <= MAX_LEN, "{} bytes: {text}", text.len());
    }
}
