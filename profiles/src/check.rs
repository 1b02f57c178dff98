//! What no single value can say: settings that exclude each other, pins used twice. Where two keys clash, the error is at the one
//! that the more specific file sets: it is the one that a person has just written.

use iap_protocol::header::MAX_PUBLIC_KEYS;
use iap_protocol::memory::MemoryMap;
use iap_protocol::status::Policy;

use crate::fault::Fault;
use crate::flash;
use crate::schema::{BootCheck, Hse, Settings};
use crate::value::Pin;

/// MCO1 has no other pin (RM0090 section 7.2.10).
const MCO1: Pin = Pin {
    port: 'A',
    number: 8,
};

/// Checks everything and gives the memory map.
pub(crate) fn check(settings: &Settings) -> Result<MemoryMap, Fault> {
    clock(settings)?;
    network(settings)?;
    iap(settings)?;
    signatures(settings)?;
    transport(settings)?;
    pins(settings)?;
    flash::memory_map(settings)
}

fn clock(settings: &Settings) -> Result<(), Fault> {
    let (clock, mco1_hz) = (&settings.clock, settings.ethernet.mco1_hz);
    // DS8626 section 5.3.8, HSE oscillator characteristics
    if clock.hse == Hse::Crystal && !(4_000_000..=26_000_000).contains(&clock.hse_hz) {
        let message = format!(
            "a crystal has 4000000 to 26000000 Hz, {} Hz need hse = \"bypass\"",
            clock.hse_hz
        );
        return Err(Fault::rule(&["clock.hse-hz", "clock.hse"], message));
    }
    // RM0090 section 7.3.3, RCC_CFGR.MCO1PRE
    if mco1_hz != 0 && !(1..=5).any(|divider| mco1_hz.checked_mul(divider) == Some(clock.hse_hz)) {
        let message = format!(
            "mco1-hz is {mco1_hz}, expected hse-hz, {}, divided by 1 to 5, or 0",
            clock.hse_hz
        );
        return Err(Fault::rule(&["ethernet.mco1-hz", "clock.hse-hz"], message));
    }
    Ok(())
}

fn network(settings: &Settings) -> Result<(), Fault> {
    let network = &settings.network;
    if network.address.is_station(network.gateway) && network.gateway != network.address.address {
        return Ok(());
    }
    let message = format!(
        "gateway {} is not another station in the network of {}",
        network.gateway, network.address
    );
    Err(Fault::rule(
        &["network.gateway", "network.address"],
        message,
    ))
}

fn iap(settings: &Settings) -> Result<(), Fault> {
    let iap = &settings.iap;
    if iap.bare_rule && iap.policy == Policy::Signed {
        let message = "policy \"signed\" and bare-rule = true exclude each other: bare-rule starts applications that nobody signed";
        return Err(Fault::rule(
            &["iap.policy", "iap.bare-rule"],
            message.to_owned(),
        ));
    }
    if iap.request_backup_register == iap.reset_cause_backup_register {
        let message = format!(
            "request-backup-register and reset-cause-backup-register are both {}, they must differ",
            iap.request_backup_register
        );
        return Err(Fault::rule(
            &[
                "iap.request-backup-register",
                "iap.reset-cause-backup-register",
            ],
            message,
        ));
    }
    Ok(())
}

/// A board that no image could ever satisfy can only be mended with a probe, and one that checks signatures at a start must have taken
/// nothing else.
fn signatures(settings: &Settings) -> Result<(), Fault> {
    let iap = &settings.iap;
    let (signed, keys) = (iap.policy == Policy::Signed, &iap.public_keys);
    if keys.len() > MAX_PUBLIC_KEYS {
        let message = format!("{} public keys, at most {MAX_PUBLIC_KEYS}", keys.len());
        return Err(Fault::rule(&["iap.public-keys"], message));
    }
    let repeated = |key| keys.iter().filter(|other| *other == key).count() > 1;
    if keys.iter().any(repeated) {
        let message = "a public key is listed twice: revoking one would leave the other";
        return Err(Fault::rule(&["iap.public-keys"], message.to_owned()));
    }
    if signed && keys.is_empty() {
        let message = "policy \"signed\" needs public-keys: iapctl keygen makes a key and shows what to write";
        return Err(Fault::rule(
            &["iap.policy", "iap.public-keys"],
            message.to_owned(),
        ));
    }
    if !signed && iap.boot_check == BootCheck::Signature {
        let message = "boot-check = \"signature\" needs policy \"signed\": any other board takes images that it would not start";
        return Err(Fault::rule(
            &["iap.boot-check", "iap.policy"],
            message.to_owned(),
        ));
    }
    Ok(())
}

/// With policy "login" TFTP takes no image, and a firmware without HTTP has nothing else.
fn transport(settings: &Settings) -> Result<(), Fault> {
    let iap = &settings.iap;
    let chosen = settings.flash_maps.get(&iap.flash_map);
    if iap.policy == Policy::Login && chosen.is_some_and(|map| !map.http) {
        let message = format!(
            "policy \"login\" takes images over HTTP alone, and the firmware for flash map `{}` has no HTTP server",
            iap.flash_map
        );
        return Err(Fault::rule(&["iap.policy", "iap.flash-map"], message));
    }
    Ok(())
}

/// MII needs all its pins, and no pin does two things.
fn pins(settings: &Settings) -> Result<(), Fault> {
    let ethernet = &settings.ethernet;
    let mut used = Vec::new();
    for signal in ethernet.pins.signals(ethernet.interface) {
        let path = format!("ethernet.pins.{}", signal.key);
        let pin = signal.pin.ok_or_else(|| {
            let message = format!(
                "interface \"mii\" needs a pin for `{}` in [ethernet.pins]",
                signal.key
            );
            Fault::rule(&[&path, "ethernet.interface"], message)
        })?;
        used.push((path, pin));
    }
    let others = [
        ("ethernet.mco1-hz", (ethernet.mco1_hz != 0).then_some(MCO1)),
        ("ethernet.phy-reset-pin", ethernet.phy_reset_pin),
        ("iap-key.pin", settings.iap_key.pin),
    ];
    used.extend(
        others
            .into_iter()
            .filter_map(|(path, pin)| Some((path.to_owned(), pin?))),
    );
    used.extend(
        settings
            .leds
            .iter()
            .enumerate()
            .map(|(index, led)| (format!("leds[{index}].pin"), led.pin)),
    );
    for (index, (path, pin)) in used.iter().enumerate() {
        if let Some((other, _)) = used.iter().take(index).find(|(_, taken)| taken == pin) {
            let message = format!("pin {pin} is used twice, by `{other}` and `{path}`");
            return Err(Fault::rule(&[path, other], message));
        }
    }
    Ok(())
}
