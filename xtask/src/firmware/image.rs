//! What the chip gets of an ELF file: bytes at their addresses in flash, and the sections in RAM.

use std::fmt::Write;

use anyhow::{Context, Result};
use iap_profile::Profile;
use iap_protocol::memory::{Region, Size};
use object::read::elf::{ElfFile32, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind};

/// What erased flash reads as.
const ERASED: u8 = 0xFF;

/// Bytes that belong into flash.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) address: u32,
    pub(super) bytes: Vec<u8>,
}

impl Part {
    pub(super) fn region(&self) -> Region {
        Region::new(self.address, self.bytes.len() as u32)
    }
}

/// A section with an address.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    pub(super) region: Region,
}

/// The firmware.
#[derive(Debug)]
pub(super) struct FirmwareImage {
    /// In ascending addresses.
    pub(super) parts: Vec<Part>,
    pub(super) sections: Vec<Section>,
    /// The mangled names of its functions.
    pub(super) functions: Vec<String>,
}

impl FirmwareImage {
    pub(super) fn parse(elf: &[u8]) -> Result<Self> {
        let file: ElfFile32 = ElfFile32::parse(elf).context("this is no ELF file")?;
        let endian = Endianness::Little;
        let mut parts = Vec::new();
        for header in file.elf_program_headers() {
            let bytes = header.data(endian, elf).unwrap_or_default();
            if header.p_type(endian) == object::elf::PT_LOAD && !bytes.is_empty() {
                // By p_paddr: `.data` is loaded elsewhere than it runs.
                parts.push(Part {
                    address: header.p_paddr(endian),
                    bytes: bytes.to_vec(),
                });
            }
        }
        parts.sort_by_key(|part| part.address);
        let sections = file.sections().filter(|section| section.address() != 0);
        let sections = sections.map(|section| Section {
            name: section.name().unwrap_or_default().to_owned(),
            region: Region::new(section.address() as u32, section.size() as u32),
        });
        let functions = file.symbols().filter(|s| s.kind() == SymbolKind::Text);
        let functions = functions.map(|s| s.name().unwrap_or_default().to_owned());
        Ok(Self {
            parts,
            sections: sections.filter(|section| section.region.len > 0).collect(),
            functions: functions.collect(),
        })
    }

    /// Bytes of flash, holes not counted.
    pub(super) fn flash_len(&self) -> u32 {
        self.parts.iter().map(|part| part.region().len).sum()
    }

    /// All bytes from the first to the last, holes as erased flash.
    pub(super) fn flat(&self) -> Vec<u8> {
        let start = self.parts.first().map_or(0, |part| part.address);
        let mut flat = Vec::new();
        for part in &self.parts {
            flat.resize((part.address - start) as usize, ERASED);
            flat.extend_from_slice(&part.bytes);
        }
        flat
    }

    /// What is used of each run of IAP sectors and of each RAM region.
    pub(super) fn table(&self, profile: &Profile) -> String {
        let map = profile.memory_map();
        let sectors = map.iap_sectors.iter().filter_map(|i| map.flash.sector(i));
        let flash = sectors.map(|sector| (format!("flash sector {}", sector.index), sector.region));
        let ram = profile.settings.ram.iter();
        let ram = ram.map(|ram| (ram.name.clone(), ram.region()));
        let mut text = String::new();
        for (name, region) in flash.chain(ram) {
            let used = self.used(region);
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "  {name:<15} {used:>7} of {:>7}  {region}",
                region.len
            );
        }
        let _ = writeln!(
            text,
            "  flash in all    {:>7}  ({})",
            self.flash_len(),
            Size(self.flash_len())
        );
        text
    }

    fn used(&self, region: Region) -> u64 {
        let parts = self.parts.iter().map(Part::region);
        let sections = self.sections.iter().map(|section| section.region);
        // Flash is counted by what is loaded, RAM by what is laid out there.
        let loaded: u64 = parts.map(|part| overlap(part, region)).sum();
        match loaded {
            0 => sections.map(|section| overlap(section, region)).sum(),
            loaded => loaded,
        }
    }
}

fn overlap(a: Region, b: Region) -> u64 {
    let start = u64::from(a.start.max(b.start));
    a.end().min(b.end()).saturating_sub(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_erased_flash_in_a_flat_image() {
        let part = |address, byte| Part {
            address,
            bytes: vec![byte; 2],
        };
        let image = FirmwareImage {
            parts: vec![part(0x0800_0000, 1), part(0x0800_0004, 2)],
            sections: Vec::new(),
            functions: Vec::new(),
        };
        assert_eq!(image.flat(), [1, 1, 0xFF, 0xFF, 2, 2]);
        assert_eq!(image.flash_len(), 4);
    }

    #[test]
    fn the_overlap_of_neighbours_is_nothing() {
        let first = Region::new(0x100, 0x10);
        assert_eq!(overlap(first, Region::new(0x110, 0x10)), 0);
        assert_eq!(overlap(first, Region::new(0x108, 0x10)), 8);
        assert_eq!(overlap(first, Region::new(0x300, 0x10)), 0);
    }
}
