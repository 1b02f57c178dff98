//! Whether MAC and PHY can hear each other: MII or RMII, pins, clocks, the PHY's reset.

use iap_profile::{Interface, Level, Pin};

use super::Chip;
use crate::time::Time;

/// Signals of MDIO.
const MANAGEMENT: [&str; 2] = ["MDIO", "MDC"];
/// Signals that full duplex does without.
const OPTIONAL: [&str; 3] = ["CRS", "COL", "RX_ER"];

/// What of the board matters to the chip's pins.
#[derive(Clone, Debug)]
pub(crate) struct Soldering {
    pub(crate) interface: Interface,
    pub(crate) ethernet_pins: Vec<(&'static str, Pin)>,
    pub(crate) phy_reset: Option<(Pin, Level)>,
    /// The PHY is clocked by MCO1 at this frequency; 0: by an oscillator of its own.
    pub(crate) mco1_hz: u64,
}

impl Chip {
    /// Whether MAC and PHY can hear each other, given clocks, pins and resets.
    pub(super) fn refresh_media(&mut self, now: Time) {
        use crate::blocks::MAC_GATE;
        let (rcc, gpio) = (&self.devices.rcc, &self.devices.gpio);
        self.wires.mac_clocked = rcc.is_enabled(MAC_GATE) && !rcc.is_held_in_reset(MAC_GATE);
        let released = self.board.phy_reset.is_none_or(|(pin, active)| {
            // The PHY's own pull-up keeps it running while nobody drives the pin.
            !gpio.is_output(pin) || gpio.level(pin) != (active == Level::High)
        });
        let clocked = self.board.mco1_hz == 0 || self.wires.clocks.mco1_hz == self.board.mco1_hz;
        self.wires.phy_alive = released && clocked;
        self.wires.media_fault = self.media_fault();
        self.wires.management_fault = self.pin_fault(|signal| MANAGEMENT.contains(&signal));
        self.devices.eth.follow(&self.wires, now);
    }

    fn media_fault(&self) -> Option<String> {
        let wanted = self.board.interface == Interface::Rmii;
        if self.wires.rmii != wanted {
            let name = |rmii| if rmii { "RMII" } else { "MII" };
            return Some(format!(
                "SYSCFG_PMC selects {}, the board has {}",
                name(self.wires.rmii),
                name(wanted)
            ));
        }
        self.pin_fault(|signal| !MANAGEMENT.contains(&signal) && !OPTIONAL.contains(&signal))
    }

    /// The first of the chosen signals whose pin is not connected to the MAC.
    fn pin_fault(&self, chosen: impl Fn(&str) -> bool) -> Option<String> {
        let mut pins = self
            .board
            .ethernet_pins
            .iter()
            .filter(|(signal, _)| chosen(signal));
        let (signal, pin) =
            pins.find(|(_, pin)| self.devices.gpio.alternate_function(*pin) != Some(11))?;
        Some(format!(
            "{signal} on {pin} is not alternate function 11 (RM0090 section 33.3)"
        ))
    }
}
