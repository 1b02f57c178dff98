//! The board's numbers, which the build script takes from its profile, and what follows from them at compile time.

use iap_core::config::{Config, NetworkConfig};
use iap_protocol::memory::{FlashMap, MAX_RAM_REGIONS, MemoryMap, Region, SectorSet};
use iap_protocol::status::Policy;
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

use crate::clock::{self, Source};
use crate::flash_word;

/// A pin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin {
    /// 0 for port A.
    pub port: u8,
    /// 0 to 15.
    pub number: u8,
}

/// A pin with a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Which pin.
    pub pin: Pin,
    /// Whether a low level means "on" or "pressed".
    pub active_low: bool,
}

/// The reset of the PHY.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PhyReset {
    /// The line; on means reset.
    pub line: Line,
    /// How long it is held.
    pub hold_ms: u32,
    /// How long the PHY is left alone after it.
    pub settle_ms: u32,
}

include!(concat!(env!("OUT_DIR"), "/board.rs"));

/// RCC_PLLCFGR for the boot decision.
pub const PLLCFGR_HSI: u32 = word(clock::pllcfgr(Source::Hsi));
/// RCC_PLLCFGR for the network.
pub const PLLCFGR_HSE: u32 = word(clock::pllcfgr(Source::Hse(HSE_HZ)));
/// The bits of RCC_CFGR for MCO1; 0 where PA8 is not driven.
pub const MCO1: u32 = if MCO1_HZ == 0 {
    0
} else {
    word(clock::mco1(HSE_HZ, MCO1_HZ))
};
/// PWR_CR.PLS.
pub const PVD_LEVEL: u32 = word(flash_word::pvd_level(PVD_MV));

/// A word that the profile must lead to; the build fails where it does not.
const fn word(word: Option<u32>) -> u32 {
    match word {
        Some(word) => word,
        None => panic!(
            "the chip cannot do what the profile asks: see [clock], ethernet.mco1-hz and supply.pvd-mv"
        ),
    }
}

/// The configuration of the core.
pub static CONFIG: Config = Config {
    board: BOARD_ID,
    map: MEMORY_MAP,
    policy: POLICY,
    bare_rule: BARE_RULE,
    public_keys: PUBLIC_KEYS,
    security_counter: SECURITY_COUNTER,
    boot_signature: BOOT_SIGNATURE,
    user: HTTP_USER,
    password: HTTP_PASSWORD,
    network: NetworkConfig {
        use_dhcp: USE_DHCP,
        dhcp_fallback_s: DHCP_FALLBACK_S,
        address: Ipv4Cidr::new(ADDRESS, PREFIX_LEN),
        gateway: Some(GATEWAY),
        host_name: HOST_NAME,
    },
    auto_start_s: AUTO_START_S,
    iap_idle_s: IAP_IDLE_S,
    power_on_window_s: POWER_ON_WINDOW_S,
};

const fn flash_map(base: u32, sizes: &[u32]) -> FlashMap {
    match FlashMap::new(base, sizes) {
        Some(map) => map,
        None => panic!("the profile's reader accepted sectors that are none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_memory_map_is_one_that_the_core_accepts() {
        assert_eq!(CONFIG.map.check(), Ok(()));
        assert_eq!(CONFIG.board, BOARD_ID);
        assert!(!CONFIG.board.is_empty());
        assert_eq!(CONFIG.password, HTTP_PASSWORD);
    }

    #[test]
    fn every_sector_can_be_named_to_the_flash_interface() {
        for sector in MEMORY_MAP.flash.sectors() {
            assert!(flash_word::is_sector(sector.index), "{sector:?}");
        }
    }

    #[test]
    fn pins_exist() {
        for pin in ETHERNET_PINS.iter().chain(LEDS.iter().map(|led| &led.pin)) {
            assert!(pin.port <= 8 && pin.number <= 15, "{pin:?}");
        }
    }
}
