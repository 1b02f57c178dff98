//! The shipped profiles: they load, their maps hold, and their numbers are those of the manuals.

use std::time::Duration;

use iap_profile::{Hse, Interface, MacAddress, Pin, Policy, Profile, Warning};
use iap_protocol::memory::{Region, SectorSet};

const KIB: u32 = 1024;
/// RFC 8032 section 7.1, test 1.
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn builtin(name: &str) -> Profile {
    Profile::builtin(name).unwrap_or_else(|error| panic!("{error}"))
}

/// `top` in front of the keys of a board; `below` as tables after it.
fn variant(below: &str) -> Profile {
    let text = format!("inherits = \"sim\"\n{below}");
    Profile::from_toml(&text, "x.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn sectors(indices: impl IntoIterator<Item = u8>) -> SectorSet {
    indices.into_iter().collect()
}

#[test]
fn every_shipped_board_loads_and_its_map_checks() {
    let names: Vec<_> = Profile::builtins().collect();
    assert_eq!(
        names,
        [
            "olimex-stm32-e407",
            "sim",
            "stm324xg-eval",
            "stm324xg-eval-rmii",
            "stm32f4-discovery"
        ]
    );
    for name in names {
        let profile = builtin(name);
        assert_eq!(profile.name, name);
        assert_eq!(profile.settings.board_id, name);
        assert_eq!(profile.memory_map().check(), Ok(()));
        assert_eq!(Profile::load(name).unwrap(), profile);
    }
}

#[test]
fn the_full_map_gives_the_application_896_kib_at_0x08020000() {
    for name in Profile::builtins() {
        let profile = builtin(name);
        let map = profile.memory_map();
        assert_eq!(
            map.application,
            Region::new(0x0802_0000, 896 * KIB),
            "{name}"
        );
        assert_eq!(map.iap_sectors, sectors([0, 3, 4]), "{name}");
        assert_eq!(map.record_sectors, [1, 2], "{name}");
        assert_eq!(map.data_sectors, SectorSet::EMPTY, "{name}");
        assert!(profile.has_http(), "{name}");
    }
}

#[test]
fn the_compact_map_gives_the_application_960_kib_at_0x08010000() {
    let profile = variant("[iap]\nflash-map = \"compact\"\n");
    let map = profile.memory_map();
    assert_eq!(map.application, Region::new(0x0801_0000, 960 * KIB));
    assert_eq!(map.record_sectors, [2, 3]);
    assert_eq!(map.iap_sectors, sectors([0, 1]));
    assert_eq!(map.check(), Ok(()));
    assert!(!profile.has_http());
}

#[test]
fn the_chip_is_the_one_of_rm0090_and_ds8626() {
    let profile = builtin("sim");
    let map = profile.memory_map();
    assert_eq!(map.flash.region(), Region::new(0x0800_0000, 1024 * KIB));
    let sizes: Vec<_> = map
        .flash
        .sectors()
        .map(|sector| sector.region.len / KIB)
        .collect();
    assert_eq!(
        sizes,
        [16, 16, 16, 16, 64, 128, 128, 128, 128, 128, 128, 128]
    );
    assert_eq!(
        map.ram_regions().collect::<Vec<_>>(),
        [
            Region::new(0x2000_0000, 128 * KIB),
            Region::new(0x1000_0000, 64 * KIB)
        ]
    );
    assert_eq!(
        profile.dma_ram().collect::<Vec<_>>(),
        [Region::new(0x2000_0000, 128 * KIB)]
    );
    assert_eq!(map.vector_count, 98);
    let core = &profile.settings.core;
    assert_eq!(
        (core.unique_id_address, core.flash_size_address),
        (0x1FFF_7A10, 0x1FFF_7A22)
    );
    assert_eq!(core.max_sysclk_hz, 168_000_000);
    assert_eq!(profile.settings.supply.pvd_mv, 2900);
    assert_eq!(profile.settings.flash.erase_cycles, 10_000);
}

#[test]
fn the_virtual_board_has_the_times_of_the_datasheet() {
    let times = |parallelism: &str| {
        let profile = variant(&format!("[flash]\nparallelism = \"{parallelism}\"\n"));
        [0, 3, 4, 5, 11].map(|index| {
            let time = profile.erase_time(index).unwrap();
            (time.typical.as_millis(), time.maximum.as_millis())
        })
    };
    assert_eq!(
        times("x32"),
        [
            (250, 500),
            (250, 500),
            (550, 1100),
            (1000, 2000),
            (1000, 2000)
        ]
    );
    assert_eq!(
        times("x16"),
        [
            (300, 600),
            (300, 600),
            (700, 1400),
            (1300, 2600),
            (1300, 2600)
        ]
    );
    assert_eq!(
        times("x8"),
        [
            (400, 800),
            (400, 800),
            (1200, 2400),
            (2000, 4000),
            (2000, 4000)
        ]
    );
    let sim = builtin("sim");
    assert_eq!(sim.erase_time(5).unwrap().typical, Duration::from_secs(1));
    assert_eq!(sim.erase_time(12), None);
    let program = sim.program_time();
    assert_eq!(
        (program.typical.as_micros(), program.maximum.as_micros()),
        (16, 100)
    );
}

#[test]
fn settings_not_named_by_a_board_are_those_of_an3968() {
    let settings = builtin("stm324xg-eval").settings;
    assert!(settings.network.use_dhcp);
    assert_eq!(settings.network.dhcp_fallback_s, 30);
    assert_eq!(settings.network.address.to_string(), "192.168.0.10/24");
    assert_eq!(settings.network.address.mask().to_string(), "255.255.255.0");
    assert_eq!(
        (settings.http.user.as_str(), settings.http.password.as_str()),
        ("user", "stm32")
    );
    let iap = &settings.iap;
    assert_eq!(
        (iap.auto_start_s, iap.iap_idle_s, iap.power_on_window_s),
        (5, 300, 0)
    );
    assert_eq!(
        (iap.request_backup_register, iap.policy),
        (19, Policy::Open)
    );
    assert_eq!(settings.ethernet.mac_address, MacAddress::UniqueId);
}

#[test]
fn the_bare_rule_is_on_for_sim_and_discovery_only() {
    let on: Vec<_> = Profile::builtins()
        .filter(|name| builtin(name).settings.iap.bare_rule)
        .collect();
    assert_eq!(on, ["sim", "stm32f4-discovery"]);
}

#[test]
fn boards_differ_in_phy_clock_and_pins() {
    let wiring = |name: &str| {
        let settings = builtin(name).settings;
        let ethernet = &settings.ethernet;
        (
            ethernet.interface,
            ethernet.phy_address,
            settings.clock.hse_hz,
            ethernet.pins.tx_en.to_string(),
        )
    };
    assert_eq!(
        wiring("stm324xg-eval"),
        (Interface::Mii, 1, 25_000_000, "PG11".to_owned())
    );
    assert_eq!(
        wiring("stm324xg-eval-rmii"),
        (Interface::Rmii, 1, 25_000_000, "PG11".to_owned())
    );
    assert_eq!(
        wiring("stm32f4-discovery"),
        (Interface::Rmii, 0, 8_000_000, "PB11".to_owned())
    );
    assert_eq!(
        wiring("olimex-stm32-e407"),
        (Interface::Rmii, 0, 12_000_000, "PG11".to_owned())
    );
    assert_eq!(builtin("sim").settings.clock.hse, Hse::Crystal);
    let reset = builtin("stm32f4-discovery").settings.ethernet.phy_reset_pin;
    assert_eq!(
        reset,
        Some(Pin {
            port: 'E',
            number: 2
        })
    );
}

#[test]
fn mii_has_seventeen_pins_and_rmii_nine() {
    let pins = |name: &str| -> Vec<String> {
        let pins = builtin(name).ethernet_pins();
        pins.iter()
            .map(|(signal, pin)| format!("{signal} {pin}"))
            .collect()
    };
    assert_eq!(
        pins("stm324xg-eval").join(", "),
        "MDIO PA2, MDC PC1, RX_CLK PA1, RX_DV PA7, RXD0 PC4, RXD1 PC5, TX_EN PG11, TXD0 PG13, TXD1 PG14, \
         TX_CLK PC3, TXD2 PC2, TXD3 PB8, RXD2 PH6, RXD3 PH7, RX_ER PI10, CRS PH2, COL PH3"
    );
    assert_eq!(
        pins("stm32f4-discovery").join(", "),
        "MDIO PA2, MDC PC1, REF_CLK PA1, CRS_DV PA7, RXD0 PC4, RXD1 PC5, TX_EN PB11, TXD0 PB12, TXD1 PB13"
    );
    assert_eq!(pins("stm324xg-eval-rmii").len(), 9);
}

#[test]
fn the_resolved_view_is_a_profile_again_and_says_where_values_come_from() {
    for name in Profile::builtins() {
        let profile = builtin(name);
        let again = Profile::from_toml(&profile.to_toml(), "resolved.toml")
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.settings, profile.settings, "{name}");
        assert_eq!(again.memory_map(), profile.memory_map(), "{name}");
    }
    let text = builtin("stm324xg-eval-rmii").to_toml();
    for line in [
        "interface = \"rmii\" # boards/stm324xg-eval-rmii.toml:7",
        "phy-address = 1 # boards/stm324xg-eval.toml:20",
        "password = \"stm32\" # defaults.toml:",
        "user-flash-first-page-address = 0x08020000 # chips/stm32f407xg.toml:",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn warnings_name_the_default_login_the_open_policy_and_the_shared_mac_address() {
    assert_eq!(
        builtin("sim").warnings(),
        [Warning::DefaultPassword, Warning::PolicyOpen]
    );
    let safe = format!(
        "[http]\npassword = \"correct-horse\"\n[iap]\npolicy = \"signed\"\npublic-keys = [\"{PUBLIC_KEY}\"]\nbare-rule = false\n"
    );
    assert_eq!(variant(&safe).warnings(), []);
    let shared = format!("{safe}[ethernet]\nmac-address = \"00:00:00:00:00:02\"\n");
    assert_eq!(variant(&shared).warnings(), [Warning::An3968MacAddress]);
    assert_eq!(
        Warning::DefaultPassword.to_string(),
        "the board has the default HTTP login user / stm32, which everybody knows: set `user` and `password` in [http]"
    );
    assert_eq!(
        Warning::PolicyOpen.to_string(),
        "the board's policy is open, anybody on its network may install anything over TFTP: set `policy` in [iap] to \"signed\""
    );
}

#[test]
fn a_board_that_only_its_application_can_bring_to_iap_mode_is_warned_of() {
    let without_key = "[iap-key]\npin = \"none\"\n";
    let warnings = variant(without_key).warnings();
    assert!(warnings.contains(&Warning::NoWayBack), "{warnings:?}");
    assert_eq!(
        Warning::NoWayBack.to_string(),
        "the board has no IAP key and waits for nobody at power-on: once an application runs that does not ask for an update itself, only a probe helps: set `pin` in [iap-key] or `power-on-window-s` in [iap]"
    );
    let window = format!("{without_key}[iap]\npower-on-window-s = 3\n");
    assert!(!variant(&window).warnings().contains(&Warning::NoWayBack));
}

#[test]
fn json_shows_pins_and_addresses_as_the_profile_spells_them() {
    let settings = builtin("sim").settings;
    let value = toml::Value::try_from(&settings).unwrap();
    assert_eq!(value["iap-key"]["pin"].as_str(), Some("PA0"));
    assert_eq!(
        value["ethernet"]["mac-address"].as_str(),
        Some("02:00:00:00:00:02")
    );
    assert_eq!(
        value["network"]["address"].as_str(),
        Some("192.168.0.10/24")
    );
    assert_eq!(value["iap"]["policy"].as_str(), Some("open"));
    let keys = format!("[iap]\npublic-keys = [\"{}\"]\n", PUBLIC_KEY.to_uppercase());
    let value = toml::Value::try_from(variant(&keys).settings).unwrap();
    assert_eq!(value["iap"]["public-keys"][0].as_str(), Some(PUBLIC_KEY));
}
