//! What no single value can say: sectors without holes, owners without overlap, settings that exclude each other, pins used twice.

use iap_protocol::memory::{FlashMap, MapError, MemoryMap, Region, SectorSet};
use iap_protocol::status::Policy;

use crate::RamSlots;
use crate::document::Document;
use crate::error::ProfileError;
use crate::schema::{FlashMapSettings, Hse, Settings};
use crate::value::Pin;

/// Checks everything and gives the memory map.
pub(crate) fn check(
    document: &Document<'_>,
    settings: &Settings,
) -> Result<MemoryMap, ProfileError> {
    let checker = Checker { document, settings };
    checker.clock()?;
    checker.network()?;
    checker.pins()?;
    checker.iap()?;
    let flash = checker.flash()?;
    let map = checker.memory_map(flash)?;
    checker.owners(&map)?;
    Ok(map)
}

struct Checker<'c> {
    document: &'c Document<'c>,
    settings: &'c Settings,
}

impl Checker<'_> {
    fn rule(&self, path: &[&str], message: String) -> ProfileError {
        ProfileError::Rule {
            key: path.join("."),
            at: self.document.at(path),
            message,
        }
    }

    fn value(&self, path: &[&str], expected: String) -> ProfileError {
        ProfileError::Value {
            key: path.join("."),
            at: self.document.at(path),
            value: self.document.text(path),
            expected,
        }
    }

    fn clock(&self) -> Result<(), ProfileError> {
        let (clock, mco1_hz) = (&self.settings.clock, self.settings.ethernet.mco1_hz);
        // DS8626 section 5.3.8, HSE oscillator characteristics
        if clock.hse == Hse::Crystal && !(4_000_000..=26_000_000).contains(&clock.hse_hz) {
            return Err(self.value(
                &["clock", "hse-hz"],
                "4000000 to 26000000 for a crystal".to_owned(),
            ));
        }
        // RM0090 section 7.3.3, RCC_CFGR.MCO1PRE
        let dividers = 1..=5;
        if mco1_hz != 0
            && !dividers
                .into_iter()
                .any(|divider| mco1_hz * divider == clock.hse_hz)
        {
            return Err(self.value(
                &["ethernet", "mco1-hz"],
                format!("0, or {} Hz divided by 1 to 5", clock.hse_hz),
            ));
        }
        Ok(())
    }

    fn network(&self) -> Result<(), ProfileError> {
        let network = &self.settings.network;
        let good = network.address.is_station(network.gateway)
            && network.gateway != network.address.address;
        if good {
            return Ok(());
        }
        Err(self.value(
            &["network", "gateway"],
            format!("another station in the network of {}", network.address),
        ))
    }

    fn iap(&self) -> Result<(), ProfileError> {
        let iap = &self.settings.iap;
        if iap.bare_rule && iap.policy == Policy::Signed {
            let message = "bare-rule starts applications that nobody signed: set it to false, or policy to another value than \"signed\"";
            return Err(self.rule(&["iap", "bare-rule"], message.to_owned()));
        }
        if iap.request_backup_register == iap.reset_cause_backup_register {
            let expected = format!(
                "another register than request-backup-register, {}",
                iap.request_backup_register
            );
            return Err(self.value(&["iap", "reset-cause-backup-register"], expected));
        }
        Ok(())
    }

    /// MII needs all its pins, and no pin does two things.
    fn pins(&self) -> Result<(), ProfileError> {
        let ethernet = &self.settings.ethernet;
        let mut used: Vec<(String, Pin)> = Vec::new();
        for (key, pin) in ethernet.pins.keys(ethernet.interface) {
            let path = ["ethernet", "pins", key];
            let pin = pin.ok_or_else(|| {
                self.value(&path, "a pin, because interface is \"mii\"".to_owned())
            })?;
            self.claim(&mut used, &path, pin)?;
        }
        if ethernet.mco1_hz != 0 {
            // RM0090 section 7.2.10: MCO1 has no other pin
            self.claim(
                &mut used,
                &["ethernet", "mco1-hz"],
                Pin {
                    port: 'A',
                    number: 8,
                },
            )?;
        }
        for (path, pin) in [
            (["ethernet", "phy-reset-pin"], ethernet.phy_reset_pin),
            (["iap-key", "pin"], self.settings.iap_key.pin),
        ] {
            if let Some(pin) = pin {
                self.claim(&mut used, &path, pin)?;
            }
        }
        for (index, led) in self.settings.leds.iter().enumerate() {
            if let Some((owner, _)) = used.iter().find(|(_, pin)| *pin == led.pin) {
                return Err(ProfileError::Rule {
                    key: format!("leds[{index}]"),
                    at: self.document.item_at(&["leds"], index),
                    message: format!("pin {} is taken by `{owner}`", led.pin),
                });
            }
            used.push((format!("leds[{index}]"), led.pin));
        }
        Ok(())
    }

    fn claim(
        &self,
        used: &mut Vec<(String, Pin)>,
        path: &[&str],
        pin: Pin,
    ) -> Result<(), ProfileError> {
        if let Some((owner, _)) = used.iter().find(|(_, taken)| *taken == pin) {
            return Err(self.rule(path, format!("pin {pin} is taken by `{owner}`")));
        }
        used.push((path.join("."), pin));
        Ok(())
    }

    /// The sectors, each run beginning where the last one ends.
    fn flash(&self) -> Result<FlashMap, ProfileError> {
        let flash = &self.settings.flash;
        let path = ["flash", "sectors"];
        let mut sizes = Vec::new();
        let mut end = u64::from(flash.base);
        for (index, run) in flash.sectors.iter().enumerate() {
            let wrong = |message| ProfileError::Rule {
                key: format!("flash.sectors[{index}]"),
                at: self.document.item_at(&path, index),
                message,
            };
            if usize::from(run.first) != sizes.len() {
                return Err(wrong(format!(
                    "the run begins with sector {}, expected {}",
                    run.first,
                    sizes.len()
                )));
            }
            if u64::from(run.address) != end {
                let what = if u64::from(run.address) > end {
                    "there is a hole before"
                } else {
                    "the runs overlap at"
                };
                return Err(wrong(format!(
                    "{what} sector {}: it begins at {:#010x}, expected {end:#010x}",
                    run.first, run.address
                )));
            }
            let size = run.size_kib.saturating_mul(1024);
            sizes.extend(std::iter::repeat_n(size, run.count.into()));
            end += u64::from(size) * u64::from(run.count);
        }
        let listed_kib = (end - u64::from(flash.base)) / 1024;
        if listed_kib != u64::from(flash.size_kib) {
            return Err(self.rule(
                &path,
                format!(
                    "the sectors are {listed_kib} KiB, expected {} KiB as flash.size-kib says",
                    flash.size_kib
                ),
            ));
        }
        FlashMap::new(flash.base, &sizes).ok_or_else(|| {
            self.rule(
                &path,
                "the flash has no sector, more than 24, or goes past 4 GiB".to_owned(),
            )
        })
    }

    fn memory_map(&self, flash: FlashMap) -> Result<MemoryMap, ProfileError> {
        let map = self.flash_map()?;
        let iap = &self.settings.iap;
        let all = flash.region();
        let start = iap
            .user_flash_first_page_address
            .unwrap_or(map.user_flash_first_page_address);
        let len = u32::try_from(all.end().saturating_sub(u64::from(start))).unwrap_or(0);
        let application = Region::new(start, len);
        if !all.contains(start) {
            let path = self.decided_by("user-flash-first-page-address");
            return Err(self.value(&borrow(&path), format!("an address in the flash, {all}")));
        }
        Ok(MemoryMap {
            iap_sectors: self.sectors(
                &flash,
                &self.decided_by("iap-sectors"),
                iap.iap_sectors.as_ref().unwrap_or(&map.iap_sectors),
            )?,
            record_sectors: iap.record_sectors.unwrap_or(map.record_sectors),
            application,
            data_sectors: self.sectors(
                &flash,
                &["iap", "data-sectors"].map(str::to_owned),
                &iap.data_sectors,
            )?,
            ram: self.ram()?,
            vector_count: self.settings.core.vector_count,
            flash,
        })
    }

    fn flash_map(&self) -> Result<&FlashMapSettings, ProfileError> {
        let maps = &self.settings.flash_maps;
        maps.get(&self.settings.iap.flash_map).ok_or_else(|| {
            let names: Vec<_> = maps.keys().map(|name| format!("\"{name}\"")).collect();
            self.value(
                &["iap", "flash-map"],
                format!("the name of a flash map: {}", names.join(" or ")),
            )
        })
    }

    /// The path of the key that decides: the board's own, or the flash map's.
    fn decided_by(&self, key: &str) -> Vec<String> {
        if self.document.has(&["iap", key]) {
            return vec!["iap".to_owned(), key.to_owned()];
        }
        vec![
            "flash-maps".to_owned(),
            self.settings.iap.flash_map.clone(),
            key.to_owned(),
        ]
    }

    /// The set of `indices`, all of which the chip must have: a set silently leaves out what it cannot hold.
    fn sectors(
        &self,
        flash: &FlashMap,
        path: &[String],
        indices: &[u8],
    ) -> Result<SectorSet, ProfileError> {
        match indices.iter().find(|&&index| flash.sector(index).is_none()) {
            Some(&index) => Err(self.map_error(path, MapError::NoSuchSector(index))),
            None => Ok(indices.iter().copied().collect()),
        }
    }

    fn ram(&self) -> Result<RamSlots, ProfileError> {
        let mut slots = RamSlots::default();
        let ram = &self.settings.ram;
        if ram.is_empty() || ram.len() > slots.len() {
            return Err(self.value(&["ram"], format!("1 to {} regions", slots.len())));
        }
        for (index, (slot, region)) in slots
            .iter_mut()
            .zip(ram.iter().map(|ram| ram.region()))
            .enumerate()
        {
            *slot = region;
            let clash = ram
                .iter()
                .take(index)
                .find(|other| other.region().overlaps(&region));
            if let Some(other) = clash {
                return Err(ProfileError::Rule {
                    key: format!("ram[{index}]"),
                    at: self.document.item_at(&["ram"], index),
                    message: format!(
                        "RAM region {region} overlaps {} {}",
                        other.name,
                        other.region()
                    ),
                });
            }
        }
        Ok(slots)
    }

    fn map_error(&self, path: &[String], error: MapError) -> ProfileError {
        ProfileError::Map {
            key: path.join("."),
            at: self.document.at(&borrow(path)),
            error,
        }
    }

    /// Every sector has one owner.
    fn owners(&self, map: &MemoryMap) -> Result<(), ProfileError> {
        map.check()
            .map_err(|error| self.map_error(&self.culprit(map, error), error))?;
        let mut owned = map.application_sectors().union(map.iap_sectors);
        map.record_sectors
            .into_iter()
            .for_each(|index| owned.insert(index));
        match map
            .flash
            .sectors()
            .find(|sector| !owned.contains(sector.index))
        {
            Some(sector) => {
                let path = self.decided_by("iap-sectors");
                let message = format!(
                    "flash sector {} {} has no owner: add it to iap-sectors, or begin user flash with it",
                    sector.index, sector.region
                );
                Err(self.rule(&borrow(&path), message))
            }
            None => Ok(()),
        }
    }

    /// The key that a person has to change.
    fn culprit(&self, map: &MemoryMap, error: MapError) -> Vec<String> {
        match error {
            MapError::ApplicationNotOnSectors(_) => {
                self.decided_by("user-flash-first-page-address")
            }
            MapError::DataOutsideApplication(_) => {
                vec!["iap".to_owned(), "data-sectors".to_owned()]
            }
            MapError::Overlap(index) | MapError::NoSuchSector(index)
                if !map.record_sectors.contains(&index) =>
            {
                self.decided_by("iap-sectors")
            }
            _ => self.decided_by("record-sectors"),
        }
    }
}

fn borrow(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}
