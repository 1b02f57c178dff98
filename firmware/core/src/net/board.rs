//! What the board knows of itself beside its flash: since when and why it is in IAP mode, and what the next reset would start.

use iap_protocol::status::IapReason;
use smoltcp::time::Instant;

use crate::config::Config;
use crate::flash::Flash;
use crate::status::{Application, Report};
use crate::update::Updater;

/// What the board knows of itself.
#[derive(Debug)]
pub(super) struct BoardState {
    pub(super) started_at: Instant,
    pub(super) iap_reason: IapReason,
    pub(super) application: Application,
    /// The flash operations done when `application` was looked up.
    looked_up_at: Option<(u32, u32)>,
}

impl BoardState {
    pub(super) fn new(started_at: Instant, iap_reason: IapReason) -> Self {
        Self {
            started_at,
            iap_reason,
            application: Application::None,
            looked_up_at: None,
        }
    }

    /// Looks up the application if the flash has changed since the last time.
    pub(super) fn refresh<F: Flash>(&mut self, updater: &mut Updater<'_, F>) {
        let operations = updater.operations();
        if self.looked_up_at != Some(operations) {
            self.application = Application::find(updater);
            self.looked_up_at = Some(operations);
        }
    }

    pub(super) fn report<'r>(&'r self, now: Instant, config: &'r Config) -> Report<'r> {
        let uptime = now - self.started_at;
        Report {
            config,
            application: self.application,
            iap_reason: self.iap_reason,
            uptime_ms: u32::try_from(uptime.total_millis()).unwrap_or(u32::MAX),
        }
    }
}
