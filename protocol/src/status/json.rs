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
        let mut json = Json(out);
        json.0.text(b"{");
        json.number(packed!("status_version"), 1);
        json.text(packed!("board"), self.board.as_bytes());
        json.text(packed!("iap_version"), self.iap_version.as_bytes());
        json.text(packed!("policy"), self.policy.name().as_bytes());
        json.word(
            packed!("default_password"),
            if self.default_password {
                b"true"
            } else {
                b"false"
            },
        );
        json.text(packed!("phase"), self.phase.name().as_bytes());
        json.text(packed!("iap_reason"), self.iap_reason.name().as_bytes());
        json.number(
            packed!("user_flash_first_page_address"),
            self.user_flash.start,
        );
        json.number(packed!("user_flash_size"), self.user_flash.len);
        json.number(packed!("uptime_ms"), self.uptime_ms);
        json.number(packed!("security_counter"), self.security_counter);
        json.object(packed!("application"), self.application.is_some());
        if let Some(application) = &self.application {
            json.application(application);
        }
        json.object(packed!("update"), self.update.is_some());
        if let Some(update) = &self.update {
            json.update(update);
        }
        json.object(packed!("last_error"), self.last_error.is_some());
        if let Some(error) = self.last_error {
            json.number(packed!("code"), error.code as u32);
            json.word(packed!("text"), b"\"");
            error.write(json.0);
            json.0.text(b"\"}");
        }
        json.number(packed!("flash_erases"), self.flash_erases);
        json.number(packed!("flash_words"), self.flash_words);
        json.0.text(b"}");
    }
}

struct Json<'w, 'a>(&'w mut Writer<'a>);

impl Json<'_, '_> {
    fn application(&mut self, application: &ApplicationView<'_>) {
        self.word(packed!("version"), b"\"");
        application.version.write(self.0);
        self.0.text(b"\"");
        self.text(packed!("board"), application.board);
        self.number(packed!("load_address"), application.region.start);
        self.number(packed!("size"), application.region.len);
        self.number(packed!("crc32"), application.crc32);
        self.word(packed!("sector_crc32"), b"[");
        if let Some((header, sectors)) = application.sectors {
            for sector in sectors.iter() {
                self.separator();
                self.0.decimal(header.sector_crc32(sector));
            }
        }
        self.0.text(b"]}");
    }

    fn update(&mut self, update: &UpdateView) {
        self.text(packed!("transport"), update.transport.as_bytes());
        self.word(packed!("peer"), b"\"");
        self.0.address(update.peer);
        self.0.text(b"\"");
        self.number(packed!("received"), update.received);
        self.number(packed!("total"), update.total);
        self.number(packed!("sectors_written"), update.sectors_written.into());
        self.number(packed!("sectors_skipped"), update.sectors_skipped.into());
        match update.sector {
            Some(sector) => self.number(packed!("sector"), sector.into()),
            None => self.word(packed!("sector"), b"null"),
        }
        self.0.text(b"}");
    }

    /// Opens an object, whose fields and brace follow, or says that there is none.
    fn object(&mut self, name: &[u8], is_there: bool) {
        self.word(name, if is_there { b"{" } else { b"null" });
    }

    #[inline(never)]
    fn number(&mut self, name: &[u8], value: u32) {
        self.name(name);
        self.0.decimal(value);
    }

    /// A text; what JSON would have to escape is shown as a question mark.
    #[inline(never)]
    fn text(&mut self, name: &[u8], value: &[u8]) {
        self.word(name, b"\"");
        self.0.plain(value);
        self.0.text(b"\"");
    }

    #[inline(never)]
    fn word(&mut self, name: &[u8], value: &[u8]) {
        self.name(name);
        self.0.text(value);
    }

    #[inline(never)]
    fn name(&mut self, name: &[u8]) {
        self.separator();
        self.0.text(b"\"");
        self.0.text(name);
        self.0.text(b"\":");
    }

    /// A comma, unless the object or list has just been opened.
    fn separator(&mut self) {
        if !matches!(self.0.last(), Some(b'{' | b'[')) {
            self.0.text(b",");
        }
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
        Refusal::quoting(ErrorCode::WrongBoard, form, &[b"a", b"b"])
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
