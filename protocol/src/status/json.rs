//! Writes `status.json` by hand, from what a board has anyway: 3 KiB less of its flash than a serialiser. A test holds it to what serde
//! writes of a [`Status`](super::Status).

use super::{IapReason, Phase, Policy};
use crate::error::Refusal;
use crate::header::{HeaderBytes, VersionBytes};
use crate::memory::{Region, SectorSet};
use crate::packed;
use crate::text::Writer;

impl Phase {
    /// As the record spells it.
    pub fn name(self) -> &'static str {
        name_of(&PHASES, self as usize)
    }
}

impl IapReason {
    /// As the record spells it.
    pub fn name(self) -> &'static str {
        name_of(&REASONS, self as usize)
    }
}

impl Policy {
    /// As the record spells it.
    pub fn name(self) -> &'static str {
        name_of(&POLICIES, self as usize)
    }
}

fn name_of(names: &[&'static str], index: usize) -> &'static str {
    names.get(index).copied().unwrap_or("unknown")
}

const PHASES: [&str; 9] = [
    "idle",
    "receiving",
    "erasing",
    "programming",
    "verifying",
    "committed",
    "failed",
    "supply-low",
    "unknown",
];
const REASONS: [&str; 8] = [
    "no-application",
    "update-unfinished",
    "application-damaged",
    "key-held",
    "requested",
    "not-confirmed",
    "power-on-window",
    "unknown",
];
const POLICIES: [&str; 3] = ["open", "login", "signed"];

/// A [`Status`](super::Status) before it is written: its fields, borrowed.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// See [`Status::board`](super::Status::board).
    pub board: &'a str,
    /// See [`Status::iap_version`](super::Status::iap_version).
    pub iap_version: &'a str,
    /// See [`Status::policy`](super::Status::policy).
    pub policy: Policy,
    /// See [`Status::default_password`](super::Status::default_password).
    pub default_password: bool,
    /// See [`Status::phase`](super::Status::phase).
    pub phase: Phase,
    /// See [`Status::iap_reason`](super::Status::iap_reason).
    pub iap_reason: IapReason,
    /// From USER_FLASH_FIRST_PAGE_ADDRESS to the end.
    pub user_flash: Region,
    /// See [`Status::uptime_ms`](super::Status::uptime_ms).
    pub uptime_ms: u32,
    /// See [`Status::security_counter`](super::Status::security_counter).
    pub security_counter: u32,
    /// See [`Status::application`](super::Status::application).
    pub application: Option<ApplicationView<'a>>,
    /// See [`Status::update`](super::Status::update).
    pub update: Option<UpdateView>,
    /// See [`Status::last_error`](super::Status::last_error).
    pub last_error: Option<&'a Refusal>,
    /// See [`Status::flash_erases`](super::Status::flash_erases).
    pub flash_erases: u32,
    /// See [`Status::flash_words`](super::Status::flash_words).
    pub flash_words: u32,
}

/// An [`ApplicationStatus`](super::ApplicationStatus) before it is written.
#[derive(Clone, Debug)]
pub struct ApplicationView<'a> {
    /// As in the image header.
    pub version: VersionBytes<'a>,
    /// Board id in the image header.
    pub board: &'a [u8],
    /// Where it lies.
    pub region: Region,
    /// CRC-32 of the payload.
    pub crc32: u32,
    /// The sectors of which the CRCs are told, and the header that holds them.
    pub sectors: Option<(&'a HeaderBytes, SectorSet)>,
}

/// An [`UpdateStatus`](super::UpdateStatus) before it is written.
#[derive(Clone, Debug)]
pub struct UpdateView {
    /// `tftp` or `http`.
    pub transport: &'static str,
    /// Address of the client: the number that its four bytes are in network order.
    pub peer: u32,
    /// See [`UpdateStatus::received`](super::UpdateStatus::received).
    pub received: u32,
    /// See [`UpdateStatus::total`](super::UpdateStatus::total).
    pub total: u32,
    /// See [`UpdateStatus::sectors_written`](super::UpdateStatus::sectors_written).
    pub sectors_written: u8,
    /// See [`UpdateStatus::sectors_skipped`](super::UpdateStatus::sectors_skipped).
    pub sectors_skipped: u8,
    /// See [`UpdateStatus::sector`](super::UpdateStatus::sector).
    pub sector: Option<u8>,
}

impl View<'_> {
    /// Writes the record as JSON; its length, or `None` if `out` is too short, which [`super::MAX_LEN`] bytes are not.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = Writer::new(out);
        self.write_to(&mut out);
        (!out.is_cut()).then_some(out.len())
    }

    /// Writes the record as JSON.
    pub fn write_to(&self, out: &mut Writer<'_>) {
        let default_password: &[u8] = match self.default_password {
            true => b"true",
            false => b"false",
        };
        let texts = [
            self.board.as_bytes(),
            self.iap_version.as_bytes(),
            self.policy.name().as_bytes(),
            default_password,
            self.phase.name().as_bytes(),
            self.iap_reason.name().as_bytes(),
        ];
        let numbers = [
            self.user_flash.start,
            self.user_flash.len,
            self.uptime_ms,
            self.security_counter,
        ];
        out.fill(HEAD, &numbers, &texts);
        match &self.application {
            Some(application) => application.write_to(out),
            None => out.text(NULL),
        }
        out.text(packed!(",\"update\":"));
        match &self.update {
            Some(update) => update.write_to(out),
            None => out.text(NULL),
        }
        out.text(packed!(",\"last_error\":"));
        match self.last_error {
            Some(error) => {
                let form = packed!("{\"code\":{d},\"text\":\"");
                out.fill(form, &[error.code as u32], &[]);
                error.write(out);
                out.text(b"\"}");
            }
            None => out.text(NULL),
        }
        let numbers = [self.flash_erases, self.flash_words];
        out.fill(TAIL, &numbers, &[]);
    }
}

const NULL: &[u8] = b"null";
const HEAD: &[u8] = packed!(
    "{\"status_version\":1,\"board\":\"{t}\",\"iap_version\":\"{t}\",\"policy\":\"{t}\",\"default_password\":{t},\
    \"phase\":\"{t}\",\"iap_reason\":\"{t}\",\"user_flash_first_page_address\":{d},\"user_flash_size\":{d},\
    \"uptime_ms\":{d},\"security_counter\":{d},\"application\":"
);
const APPLICATION: &[u8] = packed!(
    "{\"version\":\"{d}.{d}.{d}{t}\",\"board\":\"{t}\",\"load_address\":{d},\"size\":{d},\"crc32\":{d},\"sector_crc32\":["
);
const UPDATE: &[u8] = packed!(
    "{\"transport\":\"{t}\",\"peer\":\"{a}\",\"received\":{d},\"total\":{d},\"sectors_written\":{d},\
    \"sectors_skipped\":{d},\"sector\":"
);
const TAIL: &[u8] = packed!(",\"flash_erases\":{d},\"flash_words\":{d}}");

impl ApplicationView<'_> {
    fn write_to(&self, out: &mut Writer<'_>) {
        let [major, minor, patch] = self.version.numbers.map(u32::from);
        let (start, len) = (self.region.start, self.region.len);
        let numbers = [major, minor, patch, start, len, self.crc32];
        out.fill(APPLICATION, &numbers, &[self.version.suffix, self.board]);
        if let Some((header, sectors)) = self.sectors {
            for sector in sectors.iter() {
                if out.last() != Some(b'[') {
                    out.byte(b',');
                }
                out.decimal(header.sector_crc32(sector));
            }
        }
        out.text(b"]}");
    }
}

impl UpdateView {
    fn write_to(&self, out: &mut Writer<'_>) {
        let numbers = [
            self.peer,
            self.received,
            self.total,
            self.sectors_written.into(),
            self.sectors_skipped.into(),
        ];
        out.fill(UPDATE, &numbers, &[self.transport.as_bytes()]);
        match self.sector {
            Some(sector) => out.decimal(sector.into()),
            None => out.text(NULL),
        }
        out.byte(b'}');
    }
}

const _: () = assert!(Phase::Unknown as usize == PHASES.len() - 1);
const _: () = assert!(IapReason::Unknown as usize == REASONS.len() - 1);
const _: () = assert!(Policy::Signed as usize == POLICIES.len() - 1);

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::ErrorCode;
    use crate::error::RefusalReport;
    use crate::header::ImageHeader;
    use crate::status::{ApplicationStatus, MAX_LEN, Status, UpdateStatus};
    use std::string::String;

    fn view() -> View<'static> {
        View {
            board: "sim",
            iap_version: "0.1.0",
            policy: Policy::Open,
            default_password: true,
            phase: Phase::Idle,
            iap_reason: IapReason::NoApplication,
            user_flash: Region::new(0x0802_0000, 896 * 1024),
            uptime_ms: u32::MAX,
            security_counter: 0,
            application: None,
            update: None,
            last_error: None,
            flash_erases: 10,
            flash_words: 109,
        }
    }

    fn header() -> HeaderBytes {
        HeaderBytes::from(&ImageHeader {
            version: "1.2.3-rc.1+g1a2b3c4".parse().unwrap(),
            load_address: 0x0802_0000,
            payload_size: 3464,
            payload_crc32: u32::MAX,
            sector_crc32: [u32::MAX; 24],
            ..ImageHeader::default()
        })
    }

    fn full<'a>(header: &'a HeaderBytes, refusal: &'a Refusal) -> View<'a> {
        View {
            default_password: false,
            application: Some(ApplicationView {
                version: header.version(),
                board: header.board(),
                region: header.payload_region(),
                crc32: header.payload_crc32(),
                sectors: Some((header, (0..24).collect())),
            }),
            update: Some(UpdateView {
                transport: "tftp",
                peer: 0xC0A8_0001,
                received: 7,
                total: 0,
                sectors_written: 0,
                sectors_skipped: 255,
                sector: Some(5),
            }),
            last_error: Some(refusal),
            ..view()
        }
    }

    /// What `full` says, as a host reads it.
    fn full_status() -> Status {
        Status {
            status_version: 1,
            board: "sim".try_into().unwrap(),
            iap_version: "0.1.0".try_into().unwrap(),
            policy: Policy::Open,
            default_password: false,
            phase: Phase::Idle,
            iap_reason: IapReason::NoApplication,
            user_flash_first_page_address: 0x0802_0000,
            user_flash_size: 896 * 1024,
            uptime_ms: u32::MAX,
            security_counter: 0,
            application: Some(ApplicationStatus {
                version: "1.2.3-rc.1+g1a2b3c4".try_into().unwrap(),
                board: "any".try_into().unwrap(),
                load_address: 0x0802_0000,
                size: 3464,
                crc32: u32::MAX,
                sector_crc32: [u32::MAX; 24].into_iter().collect(),
            }),
            update: Some(UpdateStatus {
                transport: "tftp".try_into().unwrap(),
                peer: "192.168.0.1".try_into().unwrap(),
                received: 7,
                total: 0,
                sectors_written: 0,
                sectors_skipped: 255,
                sector: Some(5),
            }),
            last_error: Some(RefusalReport {
                code: 9,
                text: "image is for another board (image says a, this is b)"
                    .try_into()
                    .unwrap(),
            }),
            flash_erases: 10,
            flash_words: 109,
        }
    }

    fn refusal() -> Refusal {
        let form = packed!("image says {t}, this is {t}");
        let mut refusal = Refusal::unsaid();
        refusal.refuse_quoting(ErrorCode::WrongBoard, form, &[b"a", b"b"]);
        refusal
    }

    fn written(view: &View<'_>) -> String {
        let mut out = [0; MAX_LEN];
        let len = view.write(&mut out).unwrap();
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    /// What serde writes of what it reads in `text`.
    fn rewritten(text: &str) -> String {
        let status: Status = serde_json::from_str(text).unwrap();
        serde_json::to_string(&status).unwrap()
    }

    #[test]
    fn it_writes_what_serde_writes() {
        let (header, refusal) = (header(), refusal());
        let full = full(&header, &refusal);
        let expected = serde_json::to_string(&full_status()).unwrap();
        assert_eq!(written(&full), expected);
        let mut less = full.clone();
        if let (Some(application), Some(update)) = (&mut less.application, &mut less.update) {
            application.sectors = None;
            update.sector = None;
        }
        for view in [view(), less] {
            let text = written(&view);
            assert_eq!(text, rewritten(&text));
        }
    }

    #[test]
    fn every_phase_reason_and_policy_has_serde_s_name() {
        for name in PHASES {
            let phase = serde_json::from_value(name.into()).unwrap();
            let text = written(&View { phase, ..view() });
            assert!(text.contains(name) && text == rewritten(&text), "{text}");
        }
        for name in REASONS {
            let iap_reason = serde_json::from_value(name.into()).unwrap();
            let text = written(&View {
                iap_reason,
                ..view()
            });
            assert!(text.contains(name) && text == rewritten(&text), "{text}");
        }
        for name in POLICIES {
            let policy = serde_json::from_value(name.into()).unwrap();
            let text = written(&View { policy, ..view() });
            assert!(text.contains(name) && text == rewritten(&text), "{text}");
        }
    }

    #[test]
    fn a_buffer_that_is_too_short_is_refused() {
        let (header, refusal) = (header(), refusal());
        let full = full(&header, &refusal);
        let len = written(&full).len();
        assert_eq!(full.write(&mut std::vec![0; len - 1]), None);
        assert_eq!(full.write(&mut std::vec![0; len]), Some(len));
    }
}
