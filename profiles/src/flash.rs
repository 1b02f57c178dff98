//! From the flash of the chip and the choices of the board to the memory map: sectors without holes, each with one owner.

use iap_protocol::memory::{FlashMap, MAX_RAM_REGIONS, MapError, MemoryMap, Region, SectorSet};

use crate::fault::{Fault, Wrong};
use crate::schema::{FlashMapSettings, FlashSettings, SectorRun, Settings};

/// The memory map, checked.
pub(crate) fn memory_map(settings: &Settings) -> Result<MemoryMap, Fault> {
    let flash = sectors(&settings.flash)?;
    let ram = ram(settings)?;
    let owners = Owners {
        settings,
        chosen: chosen(settings)?,
    };
    let map = MemoryMap {
        iap_sectors: owners.set(&flash, "iap-sectors", owners.iap_sectors())?,
        record_sectors: settings
            .iap
            .record_sectors
            .unwrap_or(owners.chosen.record_sectors),
        application: owners.application(&flash)?,
        data_sectors: owners.set(&flash, "data-sectors", &settings.iap.data_sectors)?,
        ram,
        vector_count: settings.core.vector_count,
        flash,
    };
    owners.check(&map)?;
    Ok(map)
}

/// The sectors, each run beginning where the last one ends.
fn sectors(flash: &FlashSettings) -> Result<FlashMap, Fault> {
    let mut sizes = Vec::new();
    let mut end = u64::from(flash.base);
    for (index, run) in flash.sectors.iter().enumerate() {
        let faults = run_fault(run, sizes.len(), end).or_else(|| time_fault(run));
        if let Some(message) = faults {
            return Err(Fault::rule(&[&format!("flash.sectors[{index}]")], message));
        }
        let size = run.size_kib.saturating_mul(1024);
        sizes.extend(std::iter::repeat_n(size, run.count.into()));
        end = end.saturating_add(u64::from(size).saturating_mul(run.count.into()));
    }
    let listed_kib = end.saturating_sub(flash.base.into()) / 1024;
    if listed_kib != u64::from(flash.size_kib) {
        let message = format!(
            "the sectors make {listed_kib} KiB, but flash.size-kib is {}",
            flash.size_kib
        );
        return Err(Fault::rule(&["flash.sectors", "flash.size-kib"], message));
    }
    FlashMap::new(flash.base, &sizes).ok_or_else(|| {
        let message = "the flash has more than 24 sectors, or ends beyond 4 GiB".to_owned();
        Fault::rule(&["flash.sectors", "flash.base"], message)
    })
}

/// Why `run` does not follow `count` sectors that end at `end`.
fn run_fault(run: &SectorRun, count: usize, end: u64) -> Option<String> {
    let (first, start) = (run.first, u64::from(run.address));
    if usize::from(first) != count {
        return Some(format!(
            "the run begins with sector {first}, expected {count}"
        ));
    }
    let fault = match start.cmp(&end) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Greater => "there is a hole before sector",
        std::cmp::Ordering::Less => "the flash before overlaps sector",
    };
    Some(format!(
        "{fault} {first}: it begins at {start:#010x}, expected {end:#010x}"
    ))
}

fn time_fault(run: &SectorRun) -> Option<String> {
    let times = [run.erase_ms.x8, run.erase_ms.x16, run.erase_ms.x32];
    let [typical, maximum] = times
        .into_iter()
        .find(|[typical, maximum]| typical > maximum)?;
    Some(format!(
        "the longest erase time, {maximum} ms, is shorter than the typical one, {typical} ms"
    ))
}

fn ram(settings: &Settings) -> Result<[Region; MAX_RAM_REGIONS], Fault> {
    let mut slots = [Region::default(); MAX_RAM_REGIONS];
    let ram = &settings.ram;
    if ram.is_empty() || ram.len() > slots.len() {
        let message = format!("{} RAM regions, expected 1 to {MAX_RAM_REGIONS}", ram.len());
        return Err(Fault::rule(&["ram"], message));
    }
    for (index, (slot, own)) in slots.iter_mut().zip(ram).enumerate() {
        *slot = own.region();
        if let Some(other) = ram
            .iter()
            .take(index)
            .find(|other| other.region().overlaps(slot))
        {
            let message = format!(
                "RAM region {} {slot} overlaps {} {}",
                own.name,
                other.name,
                other.region()
            );
            return Err(Fault::rule(&[&format!("ram[{index}]")], message));
        }
    }
    Ok(slots)
}

/// The flash map that the board chooses.
fn chosen(settings: &Settings) -> Result<&FlashMapSettings, Fault> {
    let maps = &settings.flash_maps;
    maps.get(&settings.iap.flash_map).ok_or_else(|| {
        let names: Vec<_> = maps.keys().map(|name| format!("\"{name}\"")).collect();
        Fault::value(
            "iap.flash-map",
            format!("the name of a flash map: {}", names.join(" or ")),
        )
    })
}

/// Who owns which sector: the flash map, unless the board says otherwise.
struct Owners<'c> {
    settings: &'c Settings,
    chosen: &'c FlashMapSettings,
}

impl Owners<'_> {
    fn iap_sectors(&self) -> &[u8] {
        self.settings
            .iap
            .iap_sectors
            .as_ref()
            .unwrap_or(&self.chosen.iap_sectors)
    }

    /// User flash, to the end of the flash.
    fn application(&self, flash: &FlashMap) -> Result<Region, Fault> {
        let own = self.settings.iap.user_flash_first_page_address;
        let start = own.unwrap_or(self.chosen.user_flash_first_page_address);
        let all = flash.region();
        if !all.contains(start) {
            let path = self.decided_by("user-flash-first-page-address");
            let expected = format!("an address in the flash, {all}");
            return Err(Fault::value(&path, expected));
        }
        let len = u32::try_from(all.end().saturating_sub(start.into())).unwrap_or_default();
        Ok(Region::new(start, len))
    }

    /// The set of `indices`, all of which the chip must have: a set silently leaves out what it cannot hold.
    fn set(&self, flash: &FlashMap, key: &str, indices: &[u8]) -> Result<SectorSet, Fault> {
        match indices.iter().find(|&&index| flash.sector(index).is_none()) {
            Some(&index) => {
                let error = MapError::NoSuchSector(index);
                Err(self.fault(&[key], Wrong::Map(error)))
            }
            None => Ok(indices.iter().copied().collect()),
        }
    }

    /// Every sector has one owner.
    fn check(&self, map: &MemoryMap) -> Result<(), Fault> {
        map.check()
            .map_err(|error| self.fault(culprits(map, error), Wrong::Map(error)))?;
        let vectors = map.flash.sector_at(map.user_flash_first_page_address());
        if let Some(sector) = vectors.filter(|sector| map.data_sectors.contains(sector.index)) {
            let message = format!(
                "data sector {} holds the application's vector table: a reset would start it without a look at it",
                sector.index
            );
            return Err(self.fault(&["data-sectors"], Wrong::Rule(message)));
        }
        let mut owned = map.application_sectors().union(map.iap_sectors);
        map.record_sectors
            .into_iter()
            .for_each(|index| owned.insert(index));
        let Some(sector) = map
            .flash
            .sectors()
            .find(|sector| !owned.contains(sector.index))
        else {
            return Ok(());
        };
        let message = format!(
            "flash sector {} {} has no owner: add it to iap-sectors, or let user flash begin with it",
            sector.index, sector.region
        );
        let keys = [
            "iap-sectors",
            "record-sectors",
            "user-flash-first-page-address",
        ];
        Err(self.fault(&keys, Wrong::Rule(message)))
    }

    fn fault(&self, keys: &[&str], wrong: Wrong) -> Fault {
        let paths = keys.iter().map(|key| self.decided_by(key)).collect();
        Fault { paths, wrong }
    }

    /// The path of the key that decides: the board's own, or the flash map's.
    fn decided_by(&self, key: &str) -> String {
        let iap = &self.settings.iap;
        let own = match key {
            "iap-sectors" => iap.iap_sectors.is_some(),
            "record-sectors" => iap.record_sectors.is_some(),
            "user-flash-first-page-address" => iap.user_flash_first_page_address.is_some(),
            _ => true,
        };
        match own {
            true => format!("iap.{key}"),
            false => format!("flash-maps.{}.{key}", iap.flash_map),
        }
    }
}

/// The keys among which a person has to change one.
fn culprits(map: &MemoryMap, error: MapError) -> &'static [&'static str] {
    match error {
        MapError::ApplicationNotOnSectors(_) => &["user-flash-first-page-address"],
        MapError::DataOutsideApplication(_) => &["data-sectors", "user-flash-first-page-address"],
        MapError::OneRecordSector(_)
        | MapError::RecordSectorTooSmall(_)
        | MapError::NoSuchSector(_) => &["record-sectors"],
        MapError::Overlap(index) => match (
            map.record_sectors.contains(&index),
            map.application_sectors().contains(index),
        ) {
            (true, true) => &["record-sectors", "user-flash-first-page-address"],
            (true, false) => &["record-sectors", "iap-sectors"],
            (false, _) => &["iap-sectors", "user-flash-first-page-address"],
        },
    }
}
