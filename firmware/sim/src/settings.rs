//! From a board's profile to what the core and the models want to know: done here at run time, in the firmware by its build script.

use iap_core::config::{Config, NetworkConfig};
use iap_profile::{BootCheck, MacAddress, Profile, PublicKey, Timing};
use smoltcp::wire::{EthernetAddress, Ipv4Cidr};

use crate::nor::FlashTimes;

/// The MAC address of virtual boards whose profile derives it from the chip's unique id: locally administered.
pub const VIRTUAL_CHIP_MAC: EthernetAddress = EthernetAddress([0x02, 0x49, 0x41, 0x50, 0x53, 0x4D]);

/// Which of the datasheet's times flash operations take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlashSpeed {
    /// Typical.
    Typical,
    /// The maximum.
    Maximum,
    /// None at all.
    Zero,
}

/// The times of the profile's flash.
pub fn flash_times(profile: &Profile, speed: FlashSpeed) -> FlashTimes {
    let micros = |timing: Timing| {
        let duration = match speed {
            FlashSpeed::Typical => timing.typical,
            FlashSpeed::Maximum => timing.maximum,
            FlashSpeed::Zero => return 0,
        };
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
    };
    let sectors = profile.memory_map().flash.sectors();
    FlashTimes {
        word_us: micros(profile.program_time()),
        erase_us: sectors
            .map(|sector| profile.erase_time(sector.index).map_or(0, micros))
            .collect(),
    }
}

/// What the core knows about the board.
pub fn config(profile: &Profile) -> Config {
    let settings = &profile.settings;
    Config {
        board: leaked(&settings.board_id),
        map: profile.memory_map().clone(),
        policy: settings.iap.policy,
        bare_rule: settings.iap.bare_rule,
        public_keys: public_keys(&settings.iap.public_keys),
        security_counter: settings.iap.security_counter,
        boot_signature: settings.iap.boot_check == BootCheck::Signature,
        user: leaked(&settings.http.user),
        password: leaked(&settings.http.password),
        network: network(profile),
        auto_start_s: settings.iap.auto_start_s,
        iap_idle_s: settings.iap.iap_idle_s,
        power_on_window_s: settings.iap.power_on_window_s,
    }
}

/// On the chip texts and keys are constants: here they are given up for the life of the process, which has few boards.
fn leaked(text: &str) -> &'static str {
    text.to_owned().leak()
}

fn public_keys(keys: &[PublicKey]) -> &'static [[u8; 32]] {
    let keys: Vec<_> = keys.iter().map(|key| key.0).collect();
    keys.leak()
}

/// The board's static address and its subnet.
pub fn static_address(profile: &Profile) -> Ipv4Cidr {
    let address = profile.settings.network.address;
    Ipv4Cidr::new(address.address, address.prefix_len)
}

fn network(profile: &Profile) -> NetworkConfig {
    let settings = &profile.settings.network;
    NetworkConfig {
        use_dhcp: settings.use_dhcp,
        dhcp_fallback_s: settings.dhcp_fallback_s,
        address: static_address(profile),
        gateway: Some(settings.gateway),
        host_name: leaked(&settings.host_name),
    }
}

/// The board's MAC address.
pub fn station(profile: &Profile) -> EthernetAddress {
    match profile.settings.ethernet.mac_address {
        MacAddress::Fixed(bytes) => EthernetAddress(bytes),
        MacAddress::UniqueId => VIRTUAL_CHIP_MAC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_gives_a_configuration() {
        for name in Profile::builtins() {
            let profile = Profile::builtin(name).unwrap();
            let config = config(&profile);
            assert_eq!(config.map.check(), Ok(()), "{name}");
            assert_eq!(config.board, profile.settings.board_id);
        }
    }

    #[test]
    fn flash_times_are_the_profile_s() {
        let profile = Profile::builtin("sim").unwrap();
        let typical = flash_times(&profile, FlashSpeed::Typical);
        assert_eq!(typical.erase_us.len(), 12);
        assert_eq!((typical.word_us, typical.erase_us[5]), (16, 1_000_000));
        let maximum = flash_times(&profile, FlashSpeed::Maximum);
        assert_eq!((maximum.word_us, maximum.erase_us[4]), (100, 1_100_000));
        let zero = flash_times(&profile, FlashSpeed::Zero);
        assert!(zero.word_us == 0 && zero.erase_us.iter().all(|&us| us == 0));
    }
}
