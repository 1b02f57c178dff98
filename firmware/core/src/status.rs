//! `status.json` from what the board knows: the same text over TFTP and HTTP.
//!
//! Nothing is decided here. The record itself, and how long it gets, is [`iap_protocol::status`].

use iap_protocol::header::{ANY_BOARD, ImageHeader};
use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER};
use iap_protocol::memory::Region;
use iap_protocol::status::{ApplicationView, IapReason, Policy, UpdateView, View};
use iap_protocol::version::Version;

use crate::config::{Config, IAP_VERSION};
use crate::flash::Flash;
use crate::update::{Progress, Updater};

/// What the next reset would start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
// No heap to put the header on; there is one of these.
#[allow(clippy::large_enum_variant)]
pub enum Application {
    /// Nothing.
    #[default]
    None,
    /// An application that was programmed with a probe: it starts by the bare rule, and all that is known is that it would.
    Bare,
    /// The committed image.
    Committed(ImageHeader),
}

impl Application {
    /// Looks into the flash; reads the whole image, so not for every packet.
    pub fn find<F: Flash>(updater: &mut Updater<'_, F>) -> Self {
        match updater.startable() {
            Ok(start) => start.image.map_or(Self::Bare, Self::Committed),
            Err(_) => Self::None,
        }
    }

    /// Its version, 0.0.0 where it is not known.
    pub fn version(&self) -> Option<&Version> {
        const UNKNOWN: &Version = &Version::new(0, 0, 0);
        match self {
            Self::None => None,
            Self::Bare => Some(UNKNOWN),
            Self::Committed(header) => Some(&header.version),
        }
    }

    /// Whether there is one.
    pub fn is_startable(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// What the status says beside what the updater knows.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The board.
    pub config: &'a Config,
    /// What the next reset starts.
    pub application: &'a Application,
    /// Why the board is in IAP mode.
    pub iap_reason: IapReason,
    /// Milliseconds since the reset.
    pub uptime_ms: u32,
}

impl Report<'_> {
    /// Writes `status.json`; its length, 0 if `json` is too short, which [`iap_protocol::status::MAX_LEN`] bytes are not.
    pub fn write<F: Flash>(&self, updater: &Updater<'_, F>, json: &mut [u8]) -> usize {
        let config = self.config;
        let (flash_erases, flash_words) = updater.operations();
        let view = View {
            board: &config.board,
            iap_version: IAP_VERSION,
            policy: config.policy,
            default_password: config.user == DEFAULT_USER && config.password == DEFAULT_PASSWORD,
            phase: updater.phase(),
            iap_reason: self.iap_reason,
            user_flash: config.map.application,
            uptime_ms: self.uptime_ms,
            security_counter: updater.record().counter,
            application: self.application_view(),
            update: updater.progress().map(update_view),
            last_error: updater.last_error(),
            flash_erases,
            flash_words,
        };
        view.write(json).unwrap_or(0)
    }

    fn application_view(&self) -> Option<ApplicationView<'_>> {
        let version = self.application.version()?;
        let Application::Committed(header) = self.application else {
            return Some(ApplicationView {
                version,
                board: ANY_BOARD,
                region: Region::new(self.config.map.application.start, 0),
                crc32: 0,
                sector_crc32: &[],
            });
        };
        Some(ApplicationView {
            version,
            board: &header.board,
            region: header.payload_region(),
            crc32: header.payload_crc32,
            sector_crc32: self.sector_crcs(header),
        })
    }

    /// The CRCs tell what a board holds, which the policy `login` keeps from those who have not logged in.
    fn sector_crcs<'h>(&self, header: &'h ImageHeader) -> &'h [u32] {
        let sectors = match self.config.policy {
            Policy::Login => 0,
            // Neighbours: the payload is in one piece.
            _ => header.sectors(&self.config.map.flash).0,
        };
        let first = sectors.trailing_zeros() as usize;
        let count = sectors.count_ones() as usize;
        let crcs = header.sector_crc32.get(first..).unwrap_or_default();
        crcs.get(..count).unwrap_or_default()
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
    use crate::testing::{Clock, Nor, config};
    use crate::update::Ring;
    use heapless::String;
    use iap_protocol::memory::MAX_SECTORS;
    use iap_protocol::status::{MAX_LEN, Status};

    /// An image over the first two sectors of user flash.
    fn application() -> Application {
        let mut sector_crc32 = [0; MAX_SECTORS];
        (sector_crc32[5], sector_crc32[6]) = (55, 66);
        Application::Committed(ImageHeader {
            version: Version::new(1, 2, 3),
            load_address: 0x0802_0000,
            payload_size: 130 * 1024,
            sector_crc32,
            ..ImageHeader::default()
        })
    }

    fn status(config: &Config, application: &Application) -> Status {
        let flash = Nor::new(&Clock::default());
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
            let shown = status(&config, &application()).application.unwrap();
            assert_eq!(shown.sector_crc32, crcs, "{policy:?}");
            assert_eq!((shown.version.as_str(), shown.size), ("1.2.3", 130 * 1024));
        }
    }

    #[test]
    fn an_application_from_a_probe_is_shown_without_a_version() {
        let shown = status(&config(), &Application::Bare).application.unwrap();
        assert_eq!(shown.version, "0.0.0");
        assert_eq!((shown.load_address, shown.size), (0x0802_0000, 0));
        assert_eq!(status(&config(), &Application::None).application, None);
    }

    #[test]
    fn the_well_known_login_is_told_from_one_of_the_owner_s_choice() {
        assert!(status(&config(), &Application::None).default_password);
        let mut own = config();
        own.password = String::try_from("other").unwrap();
        assert!(!status(&own, &Application::None).default_password);
    }
}
