//! What a board's status means: for people, and against what was sent.

use iap_protocol::header::ImageHeader;
use iap_protocol::memory::Region;
use iap_protocol::status::{ApplicationStatus, IapReason, Phase, Policy, Status, UpdateStatus};
use iap_protocol::version::Version;

/// What a person who uses this board should know.
pub fn warnings(status: &Status) -> Vec<String> {
    let open = (status.policy == Policy::Open).then_some(
        "policy open: anybody in its network can install any image (policy signed prevents that)",
    );
    let default_password = status
        .default_password
        .then_some("its HTTP login is the well-known default");
    [open, default_password]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}

/// In what state a board is after something went wrong; `told` is what the user knows already.
pub fn describe(status: &Status, told: &str) -> String {
    described(status, told, "")
}

/// The same of a board that holds what it held before the push, which may be the application that was sent.
pub fn describe_kept(status: &Status, told: &str) -> String {
    described(status, told, ", as before; what was sent is not installed")
}

fn described(status: &Status, told: &str, kept: &str) -> String {
    let application = match &status.application {
        Some(application) => format!("application {} is intact{kept}", name(application)),
        None => "there is no application it would start; it stays in IAP mode and takes a new push"
            .to_owned(),
    };
    let error = match &status.last_error {
        Some(error) if !told.contains(error.text.as_str()) => {
            format!("; its last error: {}", error.text)
        }
        _ => String::new(),
    };
    match (&status.update, is_busy(status.phase)) {
        (Some(update), true) => format!(
            "an update from {} is in progress ({})",
            update.peer,
            received(update)
        ),
        _ => format!("{application}{error}"),
    }
}

/// How much of an update came, for people.
pub fn received(update: &UpdateStatus) -> String {
    match update.total {
        // The board has not learnt it: a form upload, or TFTP without tsize.
        0 => format!("{} bytes", update.received),
        total => format!("{} of {total} bytes", update.received),
    }
}

/// Whether an update runs.
pub fn is_busy(phase: Phase) -> bool {
    match phase {
        Phase::Idle | Phase::Committed | Phase::Failed | Phase::Unknown => false,
        Phase::Receiving
        | Phase::Erasing
        | Phase::Programming
        | Phase::Verifying
        | Phase::SupplyLow => true,
    }
}

/// Version and CRC of an application.
pub fn name(application: &ApplicationStatus) -> String {
    format!(
        "{} (CRC-32 {:#010x})",
        application.version, application.crc32
    )
}

/// Where an application lies.
pub fn region(application: &ApplicationStatus) -> Region {
    Region::new(application.load_address, application.size)
}

/// What a board must hold after an update.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    region: Region,
    crc32: u32,
    /// Not known for raw binaries: the board looks for it in the image by itself.
    version: Option<Version>,
    /// At least; kept by boards that check signatures.
    security_counter: u32,
}

impl Expected {
    /// What the header says; `raw` if the header was not sent.
    pub fn new(header: &ImageHeader, raw: bool) -> Self {
        Self {
            region: header.payload_region(),
            crc32: header.payload_crc32,
            version: (!raw).then(|| header.version.clone()),
            security_counter: if raw { 0 } else { header.security_counter },
        }
    }

    /// Whether the board would start exactly this; what it says if not.
    pub fn is_met_by(&self, status: &Status) -> Result<(), String> {
        let Some(application) = &status.application else {
            return Err(match &status.last_error {
                Some(error) => format!("no application, because: {}", error.text),
                None => "no application".to_owned(),
            });
        };
        let version = (self.version.as_ref())
            .is_none_or(|version| version.to_string() == application.version.as_str());
        if region(application) != self.region || application.crc32 != self.crc32 || !version {
            return Err(held(application));
        }
        // Others judge by it what they are sent, and do not keep it.
        let is_kept = status.policy == Policy::Signed;
        if is_kept && status.security_counter < self.security_counter {
            let (is, wanted) = (status.security_counter, self.security_counter);
            let application = held(application);
            return Err(format!(
                "{application}, and a security counter of {is} instead of {wanted}"
            ));
        }
        Ok(())
    }

    /// For messages.
    pub fn describe(&self) -> String {
        let version = match &self.version {
            Some(version) => format!("version {version}, "),
            None => String::new(),
        };
        format!("{version}{}, CRC-32 {:#010x}", self.region, self.crc32)
    }
}

fn held(application: &ApplicationStatus) -> String {
    format!(
        "version {}, {}, CRC-32 {:#010x}",
        application.version,
        region(application),
        application.crc32
    )
}

/// What a board is doing, in a word or two.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "idle",
        Phase::Receiving => "receiving, flash untouched so far",
        Phase::Erasing => "erasing",
        Phase::Programming => "programming",
        Phase::Verifying => "verifying",
        Phase::Committed => "last update committed",
        Phase::Failed => "last update failed",
        Phase::SupplyLow => "waiting for the supply voltage",
        Phase::Unknown => "in a phase this iapctl does not know",
    }
}

/// Why a board came into IAP mode: how things were at its last reset.
pub fn reason(reason: IapReason) -> &'static str {
    match reason {
        IapReason::NoApplication => "no application was installed",
        IapReason::UpdateUnfinished => "an update had begun and not ended",
        IapReason::ApplicationDamaged => "the application in flash was not the one committed",
        IapReason::KeyHeld => "the IAP key was held at reset",
        IapReason::Requested => "the application asked for it",
        IapReason::NotConfirmed => "the application never confirmed its start",
        IapReason::PowerOnWindow => "power-on window",
        IapReason::Unknown => "for a reason this iapctl does not know",
    }
}

/// Who may do what.
pub fn policy(policy: Policy) -> &'static str {
    match policy {
        Policy::Open => "open",
        Policy::Login => "login",
        Policy::Signed => "signed",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use iap_protocol::error::{ErrorCode, Refusal};
    use iap_protocol::status::UpdateStatus;

    /// A board with an application of 4000 bytes.
    pub(in crate::board) fn status() -> Status {
        let text = r#"{"status_version":1,"board":"sim","iap_version":"0.1.0","policy":"signed","default_password":false,
            "phase":"committed","iap_reason":"requested","user_flash_first_page_address":134348800,"user_flash_size":917504,
            "uptime_ms":5000,"security_counter":0,"application":{"version":"1.2.3","board":"any","load_address":134348800,
            "size":4000,"crc32":7,"sector_crc32":[7]},"update":null,"last_error":null,"flash_erases":0,"flash_words":0}"#;
        serde_json::from_str(text).unwrap()
    }

    fn header() -> ImageHeader {
        ImageHeader {
            version: Version::new(1, 2, 3),
            load_address: 0x0802_0000,
            payload_size: 4000,
            payload_crc32: 7,
            ..ImageHeader::default()
        }
    }

    #[test]
    fn a_board_meets_the_expectation_only_with_the_same_place_content_and_version() {
        let met = |header: &ImageHeader, raw| Expected::new(header, raw).is_met_by(&status());
        assert_eq!(met(&header(), false), Ok(()));
        for other in [
            ImageHeader {
                load_address: 0x0801_0000,
                ..header()
            },
            ImageHeader {
                payload_size: 4001,
                ..header()
            },
            ImageHeader {
                payload_crc32: 8,
                ..header()
            },
            ImageHeader {
                version: Version::new(1, 2, 4),
                ..header()
            },
        ] {
            let held = "version 1.2.3, 0x08020000..0x08020fa0 (4000 bytes), CRC-32 0x00000007";
            assert_eq!(met(&other, false), Err(held.into()));
        }
        let unversioned = ImageHeader {
            version: Version::default(),
            ..header()
        };
        assert_eq!(
            met(&unversioned, true),
            Ok(()),
            "a raw binary has no header"
        );
        let empty = Status {
            application: None,
            ..status()
        };
        assert!(Expected::new(&header(), false).is_met_by(&empty).is_err());
    }

    #[test]
    fn the_state_after_a_failure_is_told_without_repetition() {
        assert_eq!(
            describe(&status(), ""),
            "application 1.2.3 (CRC-32 0x00000007) is intact"
        );
        let failed = Status {
            application: None,
            last_error: Some((&Refusal::new(ErrorCode::PayloadCrc)).into()),
            ..status()
        };
        let known = ErrorCode::PayloadCrc.sentence();
        assert!(describe(&failed, "").ends_with(known));
        assert!(!describe(&failed, &format!("refused: {known}")).contains(known));
        let busy = Status {
            phase: Phase::Erasing,
            update: Some(UpdateStatus {
                transport: "tftp".try_into().unwrap(),
                peer: "192.168.0.2".try_into().unwrap(),
                received: 10,
                total: 20,
                sectors_written: 0,
                sectors_skipped: 0,
                sector: None,
            }),
            ..status()
        };
        assert_eq!(
            describe(&busy, ""),
            "an update from 192.168.0.2 is in progress (10 of 20 bytes)"
        );
    }

    #[test]
    fn open_boards_and_default_passwords_are_warned_about() {
        assert!(warnings(&status()).is_empty());
        let open = Status {
            policy: Policy::Open,
            default_password: true,
            ..status()
        };
        assert_eq!(warnings(&open).len(), 2);
    }
}
