//! Follows the PHY: negotiates once, then looks four times a second whether the link is up and what was agreed.

use iap_stm32f407::board::{PHY_ADDRESS, PHY_PRESENT};
use iap_stm32f407::phy::{
    ANAR, ANAR_ALL, ANLPAR, BMCR, BMCR_NEGOTIATE, BMCR_RESET, BMSR, Link, answers, is_up,
    negotiated,
};

use super::mac::Mac;
use crate::chip::time::Timer;

/// How often to look.
pub(crate) const PERIOD_US: u64 = 250_000;

/// IEEE 802.3 section 22.2.4.1.1: the reset ends within 500 ms.
const RESET_TRIES: u32 = 500;

/// The link without a PHY: the MAC is wired to something that is always there.
const FIXED: Link = Link {
    fast: true,
    full_duplex: true,
};

/// What is known of the link.
pub(super) struct Monitor {
    negotiating: bool,
    link: Option<Link>,
}

impl Monitor {
    pub(super) fn new() -> Self {
        Self {
            negotiating: false,
            link: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.link.is_some()
    }

    /// Resets the PHY, because an application may have left it in any state, and has it negotiate.
    pub(super) fn begin(&mut self, mac: &Mac, timer: &mut Timer) {
        self.link = None;
        self.negotiating = !PHY_PRESENT || negotiate(mac, timer).is_some();
    }

    /// Looks at the link; what it is when it has just come up.
    pub(super) fn poll(&mut self, mac: &Mac, timer: &mut Timer) -> Option<Link> {
        if !self.negotiating {
            self.begin(mac, timer);
        }
        let link = match PHY_PRESENT {
            true => read_link(mac, timer),
            false => Some(FIXED),
        };
        let changed = link != self.link;
        self.link = link;
        link.filter(|_| changed)
    }
}

fn negotiate(mac: &Mac, timer: &mut Timer) -> Option<()> {
    mac.write_phy(PHY_ADDRESS, BMCR, BMCR_RESET, timer)?;
    for _ in 0..RESET_TRIES {
        let bmcr = mac.read_phy(PHY_ADDRESS, BMCR, timer)?;
        if !answers(bmcr) {
            return None;
        }
        if bmcr & BMCR_RESET == 0 {
            mac.write_phy(PHY_ADDRESS, ANAR, ANAR_ALL, timer)?;
            return mac.write_phy(PHY_ADDRESS, BMCR, BMCR_NEGOTIATE, timer);
        }
        timer.wait_us(1000);
    }
    None
}

fn read_link(mac: &Mac, timer: &mut Timer) -> Option<Link> {
    let mut read = |register| mac.read_phy(PHY_ADDRESS, register, timer);
    let up = is_up(read(BMSR)?);
    let (ours, theirs) = (read(ANAR)?, read(ANLPAR)?);
    negotiated(ours, theirs).filter(|_| up)
}
