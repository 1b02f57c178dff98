//! `status.json` from what the board knows: the same text over TFTP and HTTP.
//!
//! Nothing is decided here. The record itself, and how long it gets, is [`iap_protocol::status`].

use iap_protocol::header::{ANY_BOARD, VersionBytes};
use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER};
use iap_protocol::memory::Region;
use iap_protocol::status::{ApplicationView, IapReason, Policy, UpdateView, View};

use crate::config::{Config, IAP_VERSION};
use crate::defect::{Defect, has};
use crate::flash::Flash;
use crate::record::RecordState;
use crate::update::{Progress, Updater};

/// What the next reset would start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Application {
    /// Nothing.
    #[default]
    None,
    /// An application that was programmed with a probe: it starts by the bare rule, and all that is known is that it would.
    Bare,
    /// The committed image, whose header is in the boot record.
    Committed,
}

impl Application {
    /// Looks into the flash; reads the whole image, so not for every packet.
    pub fn find<F: Flash>(updater: &mut Updater<'_, F>) -> Self {
        match updater.startable() {
            Ok(start) if start.image.is_some() => Self::Committed,
            Ok(_) => Self::Bare,
            Err(_) if has(Defect::StatusAfterBegun) => Self::Committed,
            Err(_) => Self::None,
        }
    }

    /// Its version, 0.0.0 where it is not known.
    pub fn version(self, record: &RecordState) -> Option<VersionBytes<'_>> {
        match (self, &record.image) {
            (Self::Bare, _) => Some(VersionBytes::default()),
            (Self::Committed, Some(header)) => Some(header.version()),
            _ => None,
        }
    }

    /// Whether there is one.
    pub fn is_startable(self) -> bool {
        self != Self::None
    }
}

/// What the status says beside what the updater knows.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The board.
    pub config: &'a Config,
    /// What the next reset starts.
    pub application: Application,
    /// Why the board is in IAP mode.
    pub iap_reason: IapReason,
    /// Milliseconds since the reset.
    pub uptime_ms: u32,
}

impl Report<'_> {
    /// Writes `status.json`; its length, 0 if `json` is too short, which [`iap_protocol::status::MAX_LEN`] bytes are not.
    pub fn write<F: Flash>(&self, updater: &Updater<'_, F>, json: &mut [u8]) -> usize {
        self.view(updater).write(json).unwrap_or(0)
    }

    /// All of it.
    pub fn view<'v, F: Flash>(&'v self, updater: &'v Updater<'_, F>) -> View<'v> {
        let config = self.config;
        let (flash_erases, flash_words) = updater.operations();
        View {
            board: config.board,
            iap_version: IAP_VERSION,
            policy: config.policy(),
            default_password: config.user == DEFAULT_USER && config.password == DEFAULT_PASSWORD,
            phase: updater.phase(),
            iap_reason: self.iap_reason,
            user_flash: config.map.application,
            uptime_ms: self.uptime_ms,
            security_counter: updater.record().least_counter(config),
            application: self.application_view(updater.record()),
            update: updater.progress().map(update_view),
            last_error: updater.last_error(),
            flash_erases,
            flash_words,
        }
    }

    fn application_view<'r>(&self, record: &'r RecordState) -> Option<ApplicationView<'r>> {
        let (flash, start) = (&self.config.map.flash, self.config.map.application.start);
        match (self.application, &record.image) {
            (Application::Bare, _) => Some(ApplicationView {
                version: VersionBytes::default(),
                board: ANY_BOARD.as_bytes(),
                region: Region::new(start, 0),
                crc32: 0,
                sectors: None,
            }),
            (Application::Committed, Some(header)) => Some(ApplicationView {
                version: header.version(),
                board: header.board(),
                region: header.payload_region(),
                crc32: header.payload_crc32(),
                // The CRCs tell what a board holds, which the policy `login` keeps from those who have not logged in.
                sectors: (self.config.policy() != Policy::Login)
                    .then(|| (header, header.sectors(flash))),
            }),
            _ => None,
        }
    }
}

fn update_view(progress: Progress) -> UpdateView {
    UpdateView {
        transport: progress.source.transport.name(),
        peer: progress.source.peer.to_bits(),
        received: progress.received,
        total: progress.total.unwrap_or(0),
        sectors_written: progress.written,
        sectors_skipped: progress.skipped,
        sector: progress.sector,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::testing::{Clock, Nor, config};
    use crate::update::Ring;
    use iap_protocol::header::{HeaderBytes, ImageHeader};
    use iap_protocol::memory::MAX_SECTORS;
    use iap_protocol::status::{MAX_LEN, Status};
    use iap_protocol::version::Version;

    /// An image over the first two sectors of user flash.
    fn image() -> HeaderBytes {
        let mut sector_crc32 = [0; MAX_SECTORS];
        (sector_crc32[5], sector_crc32[6]) = (55, 66);
        HeaderBytes::from(&ImageHeader {
            version: Version::new(1, 2, 3),
            load_address: 0x0802_0000,
            payload_size: 130 * 1024,
            sector_crc32,
            ..ImageHeader::default()
        })
    }

    /// The status of a board with this image in its record.
    fn status(config: &Config, application: Application) -> Status {
        let mut flash = Nor::new(&Clock::default());
        let mut record = Record::load(&mut flash, &config.map).unwrap();
        record
            .commit(&mut flash, &config.map, &image(), false)
            .unwrap();
        let updater = Updater::new(flash, config, Ring::new([&mut [], &mut []])).unwrap();
        let report = Report {
            config,
            application,
            iap_reason: IapReason::Requested,
            uptime_ms: 1234,
        };
        let mut json = [0; MAX_LEN];
        let len = report.write(&updater, &mut json);
        serde_json::from_slice(&json[..len]).unwrap()
    }

    #[test]
    fn sector_crcs_are_public_unless_the_policy_is_login() {
        for (policy, crcs) in [
            (Policy::Open, &[55, 66][..]),
            (Policy::Signed, &[55, 66]),
            (Policy::Login, &[]),
        ] {
            let config = Config { policy, ..config() };
            let shown = status(&config, Application::Committed).application.unwrap();
            assert_eq!(shown.sector_crc32, crcs, "{policy:?}");
            assert_eq!((shown.version.as_str(), shown.size), ("1.2.3", 130 * 1024));
        }
    }

    #[test]
    fn an_application_from_a_probe_is_shown_without_a_version() {
        let shown = status(&config(), Application::Bare).application.unwrap();
        assert_eq!(shown.version, "0.0.0");
        assert_eq!((shown.load_address, shown.size), (0x0802_0000, 0));
        assert_eq!(status(&config(), Application::None).application, None);
    }

    #[test]
    fn the_well_known_login_is_told_from_one_of_the_owner_s_choice() {
        assert!(status(&config(), Application::None).default_password);
        let mut own = config();
        own.password = "other";
        assert!(!status(&own, Application::None).default_password);
    }
}
