//! Turns a board profile into the linker script `memory.x` and the constants in `board.rs`.
//!
//! - `IAP_PROFILE`: name or file of the profile, default `sim`
//! - `IAP_APP_VERSION`: the version in `.iap_info`, default the version of this package
//! - `IAP_APP_CONFIRM=1`: the image has the CONFIRM flag, and the application confirms its start and feeds the watchdog
//! - `IAP_APP_BASE`: links the application at another address than USER_FLASH_FIRST_PAGE_ADDRESS. An IAP firmware must refuse
//!   the result; the demo shows that it does.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use iap_profile::{KeySettings, Level, Pin, PinSettings, Profile};
use iap_protocol::memory::{MemoryMap, Region};
use iap_protocol::version::Version;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

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
    let name = setting("IAP_PROFILE").unwrap_or("sim".into());
    if Path::new(&name).is_file() {
        println!("cargo::rerun-if-changed={name}");
    }
    let profile = Profile::load(&name)?;
    let map = profile.memory_map();
    let flash = match setting("IAP_APP_BASE") {
        Some(base) => from_address(map, parse_address(&base)?)?,
        None => user_flash(map),
    };
    let version = setting("IAP_APP_VERSION").map_or_else(|| env::var("CARGO_PKG_VERSION"), Ok)?;
    let confirm = parse_switch("IAP_APP_CONFIRM")?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("memory.x"), linker_script(flash, stack_ram(map)?))?;
    fs::write(
        out.join("board.rs"),
        constants(&profile, &parse_version(&version)?, confirm),
    )?;
    if env::var("CARGO_CFG_TARGET_OS")? == "none" {
        link(&out);
    }
    Ok(())
}

/// An environment variable that changes the build; an empty one counts as unset.
fn setting(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn parse_version(text: &str) -> Result<Version> {
    let version = text.parse();
    version.map_err(|error| format!("IAP_APP_VERSION is `{text}`: {error}").into())
}

fn parse_switch(name: &str) -> Result<bool> {
    match setting(name).as_deref() {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(format!("{name} is `{other}`, expected 1 or 0").into()),
    }
}

fn parse_address(text: &str) -> Result<u32> {
    let digits = text.strip_prefix("0x");
    let address = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    address.ok_or_else(|| {
        format!("IAP_APP_BASE is `{text}`, expected an address such as 0x08020000").into()
    })
}

/// User flash up to the first data sector, which updates leave alone.
fn user_flash(map: &MemoryMap) -> Region {
    let all = map.application;
    let data = map.data_sectors.iter().find_map(|i| map.flash.sector(i));
    match data {
        Some(sector) => Region::new(all.start, sector.region.start.saturating_sub(all.start)),
        None => all,
    }
}

fn from_address(map: &MemoryMap, base: u32) -> Result<Region> {
    let flash = map.flash.region();
    if !flash.contains(base) {
        return Err(format!("IAP_APP_BASE {base:#010x} is outside flash {flash}").into());
    }
    Ok(Region::new(base, flash.len - (base - flash.start)))
}

/// The largest RAM region: variables and stack.
fn stack_ram(map: &MemoryMap) -> Result<Region> {
    let largest = map.ram_regions().max_by_key(|ram| ram.len);
    Ok(largest.ok_or("the profile names no RAM")?)
}

fn linker_script(flash: Region, ram: Region) -> String {
    format!(
        "MEMORY
{{
  FLASH : ORIGIN = {:#010x}, LENGTH = {:#x}
  RAM : ORIGIN = {:#010x}, LENGTH = {:#x}
}}

SECTIONS
{{
  .iap_info : ALIGN(4)
  {{
    KEEP(*(.iap_info))
  }} > FLASH
}} INSERT AFTER .rodata;
",
        flash.start, flash.len, ram.start, ram.len
    )
}

fn constants(profile: &Profile, version: &Version, confirm: bool) -> String {
    let settings = &profile.settings;
    let leds: String = settings.leds.iter().map(led).collect();
    format!(
        "const BOARD: &str = {:?};
const VERSION: (u16, u16, u16) = {:?};
const VERSION_SUFFIX: &str = {:?};
const CONFIRM: bool = {confirm};
const IAP: Iap = Iap::new({}, {});
const LEDS: [Pin; {}] = [{leds}];
const KEY: Option<Pin> = {};
",
        settings.board_id,
        version.numbers(),
        version.suffix.as_str(),
        settings.iap.request_backup_register,
        settings.iap.reset_cause_backup_register,
        settings.leds.len(),
        key(&settings.iap_key),
    )
}

fn led(led: &PinSettings) -> String {
    format!("{}, ", pin(led.pin, led.active))
}

fn key(key: &KeySettings) -> String {
    match key.pin {
        Some(number) => format!("Some({})", pin(number, key.active)),
        None => "None".into(),
    }
}

fn pin(pin: Pin, active: Level) -> String {
    let active_low = active == Level::Low;
    format!(
        "Pin {{ port: {:?}, number: {}, active_low: {active_low} }}",
        pin.port, pin.number
    )
}

/// cortex-m-rt's `link.x` includes `memory.x`. `--nmagic`: sections are not padded to pages that no chip has.
fn link(memory_x_folder: &Path) {
    println!("cargo::rustc-link-search={}", memory_x_folder.display());
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}
