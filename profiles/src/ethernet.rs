//! The tables `[ethernet]` and `[ethernet.pins]`: how the MAC reaches its PHY.

use serde::{Deserialize, Serialize};

use crate::schema::Level;
use crate::value::{MacAddress, Pin, pin_or_none, range};

/// How MAC and PHY are connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interface {
    /// Media-independent interface, 4 bits wide (AN3968's MII_MODE).
    Mii,
    /// Reduced media-independent interface, 2 bits wide with a 50 MHz clock (AN3968's RMII_MODE).
    Rmii,
}

/// MAC and PHY.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EthernetSettings {
    /// MII or RMII.
    pub interface: Interface,
    /// The PHY's name, for people.
    pub phy: String,
    /// The PHY's address on MDIO.
    #[serde(deserialize_with = "range::<_, _, 0, 31>")]
    pub phy_address: u8,
    /// The board's own address.
    pub mac_address: MacAddress,
    /// The clock that PA8 (MCO1) puts out, in Hz: HSE divided by 1 to 5; 0 for none.
    #[serde(deserialize_with = "range::<_, _, 0, 50_000_000>")]
    pub mco1_hz: u32,
    /// The pin that resets the PHY.
    #[serde(deserialize_with = "pin_or_none")]
    pub phy_reset_pin: Option<Pin>,
    /// The level at which it resets.
    pub phy_reset_active: Level,
    /// How long the reset is held, in ms.
    #[serde(deserialize_with = "range::<_, _, 1, 1000>")]
    pub phy_reset_hold_ms: u16,
    /// How long the PHY is left alone after it, in ms.
    #[serde(deserialize_with = "range::<_, _, 0, 1000>")]
    pub phy_reset_settle_ms: u16,
    /// Which signal is on which pin.
    pub pins: EthernetPins,
}

/// The pins of MII and RMII, alternate function 11.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EthernetPins {
    /// MDIO.
    pub mdio: Pin,
    /// MDC.
    pub mdc: Pin,
    /// RX_CLK; REF_CLK in RMII.
    pub rx_clk: Pin,
    /// RX_DV; CRS_DV in RMII.
    pub rx_dv: Pin,
    /// RXD0.
    pub rxd0: Pin,
    /// RXD1.
    pub rxd1: Pin,
    /// TX_EN.
    pub tx_en: Pin,
    /// TXD0.
    pub txd0: Pin,
    /// TXD1.
    pub txd1: Pin,
    /// TX_CLK, MII only.
    #[serde(deserialize_with = "pin_or_none")]
    pub tx_clk: Option<Pin>,
    /// TXD2, MII only.
    #[serde(deserialize_with = "pin_or_none")]
    pub txd2: Option<Pin>,
    /// TXD3, MII only.
    #[serde(deserialize_with = "pin_or_none")]
    pub txd3: Option<Pin>,
    /// RXD2, MII only.
    #[serde(deserialize_with = "pin_or_none")]
    pub rxd2: Option<Pin>,
    /// RXD3, MII only.
    #[serde(deserialize_with = "pin_or_none")]
    pub rxd3: Option<Pin>,
    /// RX_ER, MII only.
    #[serde(deserialize_with = "pin_or_none")]
    pub rx_er: Option<Pin>,
    /// CRS, MII only.
    #[serde(deserialize_with = "pin_or_none")]
    pub crs: Option<Pin>,
    /// COL, MII only.
    #[serde(deserialize_with = "pin_or_none")]
    pub col: Option<Pin>,
}

/// A signal: its key in the profile, its names in RM0090 section 33.3 for MII and RMII, its pin.
pub(crate) struct Signal {
    pub(crate) key: &'static str,
    mii: &'static str,
    rmii: &'static str,
    pub(crate) pin: Option<Pin>,
}

impl EthernetPins {
    /// The signals of `interface`; RMII has the first nine.
    pub(crate) fn signals(&self, interface: Interface) -> Vec<Signal> {
        let signal = |key, mii, rmii, pin| Signal {
            key,
            mii,
            rmii,
            pin,
        };
        let mut signals = vec![
            signal("mdio", "MDIO", "MDIO", Some(self.mdio)),
            signal("mdc", "MDC", "MDC", Some(self.mdc)),
            signal("rx-clk", "RX_CLK", "REF_CLK", Some(self.rx_clk)),
            signal("rx-dv", "RX_DV", "CRS_DV", Some(self.rx_dv)),
            signal("rxd0", "RXD0", "RXD0", Some(self.rxd0)),
            signal("rxd1", "RXD1", "RXD1", Some(self.rxd1)),
            signal("tx-en", "TX_EN", "TX_EN", Some(self.tx_en)),
            signal("txd0", "TXD0", "TXD0", Some(self.txd0)),
            signal("txd1", "TXD1", "TXD1", Some(self.txd1)),
        ];
        if interface == Interface::Mii {
            let only = |key, name, pin| signal(key, name, "", pin);
            signals.extend([
                only("tx-clk", "TX_CLK", self.tx_clk),
                only("txd2", "TXD2", self.txd2),
                only("txd3", "TXD3", self.txd3),
                only("rxd2", "RXD2", self.rxd2),
                only("rxd3", "RXD3", self.rxd3),
                only("rx-er", "RX_ER", self.rx_er),
                only("crs", "CRS", self.crs),
                only("col", "COL", self.col),
            ]);
        }
        signals
    }

    /// The pins of `interface` under the names of RM0090 section 33.3.
    pub(crate) fn in_use(&self, interface: Interface) -> Vec<(&'static str, Pin)> {
        let name = |signal: &Signal| match interface {
            Interface::Mii => signal.mii,
            Interface::Rmii => signal.rmii,
        };
        let signals = self.signals(interface).into_iter();
        signals
            .filter_map(|signal| Some((name(&signal), signal.pin?)))
            .collect()
    }
}
