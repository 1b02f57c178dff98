//! Writes `status.json` by hand: 3 KiB less of a board's flash than a serialiser. A test holds it to what serde writes.

use super::{ApplicationStatus, IapReason, Phase, Policy, Status, UpdateStatus};

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

impl Status {
    /// Writes the record as JSON; its length, or `None` if `out` is too short, which [`super::MAX_LEN`] bytes are not.
    pub fn write_json(&self, out: &mut [u8]) -> Option<usize> {
        let mut json = Json {
            out,
            at: 0,
            fits: true,
        };
        json.raw("{");
        json.number("status_version", self.status_version.into());
        json.text("board", &self.board);
        json.text("iap_version", &self.iap_version);
        json.name_of("policy", &POLICIES, self.policy as usize);
        json.word(
            "default_password",
            if self.default_password {
                "true"
            } else {
                "false"
            },
        );
        json.name_of("phase", &PHASES, self.phase as usize);
        json.name_of("iap_reason", &REASONS, self.iap_reason as usize);
        json.number(
            "user_flash_first_page_address",
            self.user_flash_first_page_address,
        );
        json.number("user_flash_size", self.user_flash_size);
        json.number("uptime_ms", self.uptime_ms);
        json.number("security_counter", self.security_counter);
        json.object("application", self.application.as_ref(), Json::application);
        json.object("update", self.update.as_ref(), Json::update);
        json.object("last_error", self.last_error.as_ref(), |json, error| {
            json.number("code", error.code.into());
            json.text("text", &error.text);
        });
        json.number("flash_erases", self.flash_erases);
        json.number("flash_words", self.flash_words);
        json.raw("}");
        json.fits.then_some(json.at)
    }
}

struct Json<'a> {
    out: &'a mut [u8],
    at: usize,
    fits: bool,
}

impl Json<'_> {
    fn application(&mut self, application: &ApplicationStatus) {
        self.text("version", &application.version);
        self.text("board", &application.board);
        self.number("load_address", application.load_address);
        self.number("size", application.size);
        self.number("crc32", application.crc32);
        self.name("sector_crc32");
        self.raw("[");
        for &crc in &application.sector_crc32 {
            self.separator();
            self.decimal(crc);
        }
        self.raw("]");
    }

    fn update(&mut self, update: &UpdateStatus) {
        self.text("transport", &update.transport);
        self.text("peer", &update.peer);
        self.number("received", update.received);
        self.number("total", update.total);
        self.number("sectors_written", update.sectors_written.into());
        self.number("sectors_skipped", update.sectors_skipped.into());
        match update.sector {
            Some(sector) => self.number("sector", sector.into()),
            None => self.word("sector", "null"),
        }
    }

    fn object<T>(&mut self, name: &str, value: Option<&T>, fields: impl FnOnce(&mut Self, &T)) {
        match value {
            None => self.word(name, "null"),
            Some(value) => {
                self.word(name, "{");
                fields(self, value);
                self.raw("}");
            }
        }
    }

    fn number(&mut self, name: &str, value: u32) {
        self.name(name);
        self.decimal(value);
    }

    fn name_of(&mut self, name: &str, names: &[&str], index: usize) {
        self.text(name, names.get(index).copied().unwrap_or("unknown"));
    }

    /// A text of printable ASCII; what JSON would have to escape is shown as a question mark.
    fn text(&mut self, name: &str, value: &str) {
        self.word(name, "\"");
        for byte in value.bytes() {
            let plain = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            self.byte(if plain { byte } else { b'?' });
        }
        self.byte(b'"');
    }

    fn word(&mut self, name: &str, value: &str) {
        self.name(name);
        self.raw(value);
    }

    fn name(&mut self, name: &str) {
        self.separator();
        self.byte(b'"');
        self.raw(name);
        self.raw("\":");
    }

    /// A comma, unless the object or list has just been opened.
    fn separator(&mut self) {
        let before = self.at.checked_sub(1).and_then(|at| self.out.get(at));
        if !matches!(before, Some(b'{' | b'[')) {
            self.byte(b',');
        }
    }

    fn decimal(&mut self, mut value: u32) {
        let mut digits = [0; 10];
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
            used += 1;
            if value == 0 {
                break;
            }
        }
        digits
            .iter()
            .skip(digits.len() - used)
            .for_each(|&digit| self.byte(digit));
    }

    fn raw(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.byte(byte));
    }

    fn byte(&mut self, byte: u8) {
        match self.out.get_mut(self.at) {
            Some(place) => {
                *place = byte;
                self.at += 1;
            }
            None => self.fits = false,
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
    use crate::error::RefusalReport;
    use crate::status::MAX_LEN;

    fn status() -> Status {
        Status {
            status_version: 1,
            board: "sim".try_into().unwrap(),
            iap_version: "0.1.0".try_into().unwrap(),
            policy: Policy::Open,
            default_password: true,
            phase: Phase::Idle,
            iap_reason: IapReason::NoApplication,
            user_flash_first_page_address: 0x0802_0000,
            user_flash_size: 896 * 1024,
            uptime_ms: u32::MAX,
            security_counter: 0,
            application: None,
            update: None,
            last_error: None,
            flash_erases: 10,
            flash_words: 109,
        }
    }

    fn full() -> Status {
        Status {
            default_password: false,
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
                text: "image is for another board".try_into().unwrap(),
            }),
            ..status()
        }
    }

    fn written(status: &Status) -> std::string::String {
        let mut out = [0; MAX_LEN];
        let len = status.write_json(&mut out).unwrap();
        std::string::String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn it_writes_what_serde_writes() {
        let no_sectors = || {
            let mut status = full();
            status.application.as_mut().unwrap().sector_crc32.clear();
            status.update.as_mut().unwrap().sector = None;
            status
        };
        for status in [status(), full(), no_sectors()] {
            assert_eq!(written(&status), serde_json::to_string(&status).unwrap());
        }
    }

    #[test]
    fn every_phase_reason_and_policy_has_serde_s_name() {
        for name in PHASES {
            let phase = serde_json::from_value(name.into()).unwrap();
            let status = Status { phase, ..status() };
            assert_eq!(written(&status), serde_json::to_string(&status).unwrap());
        }
        for name in REASONS {
            let iap_reason = serde_json::from_value(name.into()).unwrap();
            let status = Status {
                iap_reason,
                ..status()
            };
            assert_eq!(written(&status), serde_json::to_string(&status).unwrap());
        }
        for name in POLICIES {
            let policy = serde_json::from_value(name.into()).unwrap();
            let status = Status { policy, ..status() };
            assert_eq!(written(&status), serde_json::to_string(&status).unwrap());
        }
    }

    #[test]
    fn a_buffer_that_is_too_short_is_refused() {
        let len = written(&full()).len();
        assert_eq!(full().write_json(&mut std::vec![0; len - 1]), None);
        assert_eq!(full().write_json(&mut std::vec![0; len]), Some(len));
    }
}
