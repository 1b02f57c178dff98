//! Turns a board profile into the linker script `iap.x` and the constants in `board.rs`.
//!
//! `IAP_PROFILE` is the name or the file of the profile, default `stm324xg-eval`.

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use iap_profile::{
    BootCheck, FIRMWARE_BOARD_SECTION, FIRMWARE_RULES_SECTION, Hse, Interface, KeySettings, Level,
    MacAddress, Parallelism, Pin, PinSettings, Policy, Profile,
};
use iap_protocol::memory::{MemoryMap, Region, SectorSet};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The core's stack, at the bottom of the CCM RAM: what overflows it faults at once instead of overwriting something.
const STACK_LEN: u32 = 12 * 1024;

fn main() -> ExitCode {
    match generate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate() -> Result<()> {
    println!("cargo::rerun-if-env-changed=IAP_PROFILE");
    println!("cargo::rerun-if-changed=iap.x.in");
    let name = env::var("IAP_PROFILE").ok().filter(|name| !name.is_empty());
    let name = name.unwrap_or("stm324xg-eval".into());
    if Path::new(&name).is_file() {
        println!("cargo::rerun-if-changed={name}");
    }
    let profile = Profile::load(&name)?;
    let signed = profile.settings.iap.policy == Policy::Signed;
    if signed != env::var_os("CARGO_FEATURE_SIGNED").is_some() {
        return Err(
            "the feature signed is for policy \"signed\" alone, and that policy needs it: with it no other image is taken, without it none"
                .into(),
        );
    }
    let login = profile.settings.iap.policy == Policy::Login;
    if login && env::var_os("CARGO_FEATURE_HTTP").is_none() {
        return Err(
            "policy \"login\" takes images over HTTP alone: without the feature http no image is taken".into(),
        );
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("board.rs"), constants(&profile)?)?;
    let script = out.join("iap.x");
    fs::write(&script, linker_script(&profile)?)?;
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        link(&script);
    }
    Ok(())
}

/// `--nmagic`: sections are not padded to pages that no chip has. `--enable-non-contiguous-regions`: what does not fit into the first
/// run of IAP sectors goes into the second one. `--icf=all`: functions that came out the same are one.
fn link(script: &Path) {
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=--enable-non-contiguous-regions");
    println!("cargo::rustc-link-arg-bins=--icf=all");
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
}

fn linker_script(profile: &Profile) -> Result<String> {
    let [boot, code] = iap_runs(profile.memory_map())?;
    let sram = profile
        .dma_ram()
        .next()
        .ok_or("the profile names no RAM that the Ethernet DMA reaches")?;
    let core_only = profile.settings.ram.iter().find(|ram| !ram.ethernet_dma);
    let ccm = core_only.ok_or("the profile names no RAM for the core alone")?;
    let values = [
        ("@BOOT@", boot),
        ("@CODE@", code),
        ("@SRAM@", sram),
        ("@CCM@", ccm.region()),
    ];
    let mut script = fs::read_to_string("iap.x.in")?;
    for (name, region) in values {
        let text = format!(
            "ORIGIN = {:#010x}, LENGTH = {:#x}",
            region.start, region.len
        );
        script = script.replace(name, &text);
    }
    let last_run = if code.len > 0 { "CODE" } else { "BOOT" };
    Ok(script
        .replace("@BOARD_SECTION@", FIRMWARE_BOARD_SECTION)
        .replace("@BOARD_ID@", &bytes(&profile.settings.board_id))
        .replace("@RULES_SECTION@", FIRMWARE_RULES_SECTION)
        .replace("@RULES@", &bytes(&profile.firmware_rules().join("\n")))
        .replace("@DATA_LOAD@", last_run)
        .replace("@STACK_LEN@", &format!("{STACK_LEN:#x}")))
}

/// The text for a linker script.
fn bytes(text: &str) -> String {
    let bytes: Vec<_> = (text.bytes().map(|byte| format!("BYTE({byte:#04x})"))).collect();
    bytes.join(" ")
}

/// The IAP sectors as at most two runs of neighbours; the first begins where the core looks for its vectors.
fn iap_runs(map: &MemoryMap) -> Result<[Region; 2]> {
    let mut runs: Vec<Region> = Vec::new();
    for sector in map.iap_sectors.iter().filter_map(|i| map.flash.sector(i)) {
        match runs.last_mut() {
            Some(run) if run.end() == u64::from(sector.region.start) => {
                run.len += sector.region.len
            }
            _ => runs.push(sector.region),
        }
    }
    let runs = match runs[..] {
        [only] => [only, Region::new(only.start, 0)],
        [first, second] => [first, second],
        _ => return Err("the IAP sectors must make one or two runs of neighbours".into()),
    };
    if runs[0].start != map.flash.region().start {
        return Err(
            "the IAP sectors must begin with the first one: the core's vectors are there".into(),
        );
    }
    Ok(runs)
}

fn constants(profile: &Profile) -> Result<String> {
    let mut text = String::new();
    wiring(profile, &mut text)?;
    memory(profile, &mut text)?;
    rules(profile, &mut text)?;
    network(profile, &mut text)?;
    Ok(text)
}

/// Adds a constant.
fn put(text: &mut String, name: &str, kind: &str, value: impl std::fmt::Display) -> Result<()> {
    let words = name.to_lowercase().replace('_', " ");
    writeln!(
        text,
        "/// From the profile: {words}.\npub const {name}: {kind} = {value};"
    )?;
    Ok(())
}

fn wiring(profile: &Profile, text: &mut String) -> Result<()> {
    let (clock, ethernet) = (&profile.settings.clock, &profile.settings.ethernet);
    put(text, "HSE_HZ", "u32", clock.hse_hz)?;
    put(text, "HSE_BYPASS", "bool", clock.hse == Hse::Bypass)?;
    put(text, "MCO1_HZ", "u32", ethernet.mco1_hz)?;
    put(text, "RMII", "bool", ethernet.interface == Interface::Rmii)?;
    put(text, "PHY_PRESENT", "bool", ethernet.phy != "none")?;
    put(text, "PHY_ADDRESS", "u8", ethernet.phy_address)?;
    let reset = ethernet.phy_reset_pin.map(|pin| {
        format!(
            "PhyReset {{ line: {}, hold_ms: {}, settle_ms: {} }}",
            line(pin, ethernet.phy_reset_active),
            ethernet.phy_reset_hold_ms,
            ethernet.phy_reset_settle_ms
        )
    });
    put(text, "PHY_RESET", "Option<PhyReset>", option(reset))?;
    let pins = profile.ethernet_pins();
    let list: Vec<_> = pins.iter().map(|(_, pin)| pin_text(*pin)).collect();
    put(
        text,
        "ETHERNET_PINS",
        "&[Pin]",
        format!("&[{}]", list.join(", ")),
    )?;
    let leds: Vec<_> = profile.settings.leds.iter().map(led).collect();
    put(text, "LEDS", "&[Line]", format!("&[{}]", leds.join(", ")))?;
    let KeySettings { pin, active } = profile.settings.iap_key;
    put(
        text,
        "IAP_KEY",
        "Option<Line>",
        option(pin.map(|pin| line(pin, active))),
    )
}

fn memory(profile: &Profile, text: &mut String) -> Result<()> {
    let (map, flash) = (profile.memory_map(), &profile.settings.flash);
    let psize = match flash.parallelism {
        Parallelism::X8 => 0,
        Parallelism::X16 => 1,
        Parallelism::X32 => 2,
    };
    let sectors: Vec<_> = map.flash.sectors().collect();
    let erase_times = sectors.iter().filter_map(|s| profile.erase_time(s.index));
    let longest = erase_times.map(|time| time.maximum.as_millis()).max();
    put(text, "PSIZE", "u32", psize)?;
    put(text, "PROGRAM_MAX_US", "u32", flash.program_max_us)?;
    put(text, "ERASE_MAX_MS", "u32", longest.unwrap_or_default())?;
    put(text, "PVD_MV", "u16", profile.settings.supply.pvd_mv)?;
    put(
        text,
        "UNIQUE_ID_ADDRESS",
        "u32",
        hex(profile.settings.core.unique_id_address),
    )?;
    let sizes: Vec<_> = sectors.iter().map(|s| hex(s.region.len)).collect();
    let value = format!(
        "MemoryMap {{ flash: flash_map({}, &[{}]), iap_sectors: {}, record_sectors: {:?}, application: {}, data_sectors: {}, \
         ram: RAM, vector_count: {} }}",
        hex(map.flash.region().start),
        sizes.join(", "),
        set(map.iap_sectors),
        map.record_sectors,
        region(map.application),
        set(map.data_sectors),
        map.vector_count
    );
    let ram: Vec<_> = map.ram.iter().copied().map(region).collect();
    put(
        text,
        "RAM",
        "[Region; MAX_RAM_REGIONS]",
        format!("[{}]", ram.join(", ")),
    )?;
    put(text, "MEMORY_MAP", "MemoryMap", value)
}

/// Which images the board takes and starts, and when.
fn rules(profile: &Profile, text: &mut String) -> Result<()> {
    let iap = &profile.settings.iap;
    put(text, "BOARD_ID", "&str", quoted(&profile.settings.board_id))?;
    put(
        text,
        "POLICY",
        "Policy",
        format!("Policy::{:?}", iap.policy),
    )?;
    put(text, "BARE_RULE", "bool", iap.bare_rule)?;
    let keys: Vec<_> = iap
        .public_keys
        .iter()
        .map(|key| format!("{:?}", key.0))
        .collect();
    put(
        text,
        "PUBLIC_KEYS",
        "&[[u8; 32]]",
        format!("&[{}]", keys.join(", ")),
    )?;
    put(text, "SECURITY_COUNTER", "u32", iap.security_counter)?;
    let signature = iap.boot_check == BootCheck::Signature;
    put(text, "BOOT_SIGNATURE", "bool", signature)?;
    put(text, "AUTO_START_S", "u16", iap.auto_start_s)?;
    put(text, "IAP_IDLE_S", "u16", iap.iap_idle_s)?;
    put(text, "POWER_ON_WINDOW_S", "u16", iap.power_on_window_s)?;
    put(
        text,
        "REQUEST_BACKUP_REGISTER",
        "usize",
        iap.request_backup_register,
    )?;
    put(
        text,
        "RESET_CAUSE_BACKUP_REGISTER",
        "usize",
        iap.reset_cause_backup_register,
    )
}

fn network(profile: &Profile, text: &mut String) -> Result<()> {
    let (network, http) = (&profile.settings.network, &profile.settings.http);
    let mac = match profile.settings.ethernet.mac_address {
        MacAddress::Fixed(bytes) => Some(format!("{bytes:?}")),
        MacAddress::UniqueId => None,
    };
    put(text, "FIXED_MAC", "Option<[u8; 6]>", option(mac))?;
    put(text, "HTTP_USER", "&str", quoted(&http.user))?;
    put(text, "HTTP_PASSWORD", "&str", quoted(&http.password))?;
    put(text, "USE_DHCP", "bool", network.use_dhcp)?;
    put(text, "DHCP_FALLBACK_S", "u16", network.dhcp_fallback_s)?;
    put(
        text,
        "ADDRESS",
        "Ipv4Address",
        ipv4(network.address.address),
    )?;
    put(text, "PREFIX_LEN", "u8", network.address.prefix_len)?;
    put(text, "GATEWAY", "Ipv4Address", ipv4(network.gateway))?;
    put(text, "HOST_NAME", "&str", quoted(&network.host_name))
}

fn led(led: &PinSettings) -> String {
    line(led.pin, led.active)
}

fn line(pin: Pin, active: Level) -> String {
    let active_low = active == Level::Low;
    format!(
        "Line {{ pin: {}, active_low: {active_low} }}",
        pin_text(pin)
    )
}

fn pin_text(pin: Pin) -> String {
    let port = u32::from(pin.port) - u32::from('A');
    format!("Pin {{ port: {port}, number: {} }}", pin.number)
}

fn option(value: Option<String>) -> String {
    value.map_or("None".into(), |value| format!("Some({value})"))
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn hex(value: u32) -> String {
    format!("{value:#010x}")
}

fn region(region: Region) -> String {
    format!("Region::new({}, {})", hex(region.start), hex(region.len))
}

fn set(sectors: SectorSet) -> String {
    format!("SectorSet({})", hex(sectors.0))
}

fn ipv4(address: std::net::Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("Ipv4Address::new({a}, {b}, {c}, {d})")
}
