//! From pieces with addresses to one run of bytes for the flash.
//!
//! Pieces outside flash and pieces on top of each other are mistakes of the linker script that objcopy turns into files of hundreds
//! of megabytes or silently wrong bytes. Here they are fatal findings that name section, address, size and the likely mistake.

use std::fs::File;

use iap_protocol::memory::{MemoryMap, Region, Size};

use super::finding::{Finding, Severity};
use super::{Format, Image, LoadOptions, Piece, Place, file};
use crate::failure::{Exit, Failure};

/// Where the bytes of an ELF file are.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// Here.
    Memory(&'a [u8]),
    /// In a file; only those that are loaded are read.
    Disk(&'a File),
}

/// A place and the bytes for it.
pub(super) struct Part<'a> {
    pub(super) place: Place,
    pub(super) content: Content<'a>,
}

/// The bytes of a part.
pub(super) enum Content<'a> {
    /// Here.
    Bytes(Vec<u8>),
    /// From an offset of a file on.
    Within(Origin<'a>, u64),
}

/// Puts together what a text format holds.
pub(super) fn pieces(
    format: Format,
    pieces: Vec<Piece>,
    options: &LoadOptions,
) -> Result<Image, Failure> {
    let part = |piece: Piece| Part {
        place: Place {
            len: piece.region().len,
            name: piece.name,
            address: piece.address,
            run_address: piece.run_address,
        },
        content: Content::Bytes(piece.data),
    };
    assemble(format, pieces.into_iter().map(part).collect(), options)
}

/// Puts the parts together; fails only if none of them lies in flash.
pub(super) fn assemble(
    format: Format,
    mut parts: Vec<Part<'_>>,
    options: &LoadOptions,
) -> Result<Image, Failure> {
    parts.sort_by_key(|part| part.place.address);
    let flash = options.map.flash.region();
    let in_flash = |part: &Part<'_>| flash.contains_region(&part.place.region());
    let mut findings: Vec<Finding> = (parts.iter())
        .filter(|part| !in_flash(part))
        .map(|part| outside_flash(&part.place, options.map))
        .collect();
    parts.retain(in_flash);
    let Some(base) = parts.first().map(|part| part.place.address) else {
        let message = format!("nothing in this file is for the flash {flash}");
        return Err(Failure {
            findings,
            ..Failure::new(Exit::BadImage, message)
        });
    };
    let payload = joined(&parts, base, options.fill)?;
    let places: Vec<Place> = parts.into_iter().map(|part| part.place).collect();
    findings.extend(overlaps(&places));
    let mut image = Image::new(format, base, payload);
    image.places = places;
    image.findings = findings;
    Ok(image)
}

/// The bytes from the first part's address on; all parts lie in flash, which bounds the length.
fn joined(parts: &[Part<'_>], base: u32, fill: u8) -> Result<Vec<u8>, Failure> {
    let offset = |place: &Place| place.address.saturating_sub(base) as usize;
    let end = |part: &Part<'_>| offset(&part.place).saturating_add(part.place.len as usize);
    let mut bytes = Vec::with_capacity(parts.iter().map(end).max().unwrap_or(0));
    for part in parts {
        let at = offset(&part.place);
        if at >= bytes.len() {
            bytes.resize(at, fill);
            part.append_to(&mut bytes)?;
        } else {
            part.lay_over(&mut bytes, at)?;
        }
    }
    Ok(bytes)
}

impl Part<'_> {
    fn append_to(&self, bytes: &mut Vec<u8>) -> Result<(), Failure> {
        let len = u64::from(self.place.len);
        match &self.content {
            Content::Bytes(content) => bytes.extend_from_slice(content),
            Content::Within(Origin::Memory(all), offset) => {
                let end = offset.saturating_add(len) as usize;
                let content = all.get(*offset as usize..end).unwrap_or_default();
                bytes.extend_from_slice(content);
            }
            Content::Within(Origin::Disk(disk), offset) => {
                file::append(disk, *offset, len, bytes).map_err(|error| {
                    let what = format!("{} cannot be read: {error}", self.place.name);
                    Failure::new(Exit::Local, what)
                })?;
            }
        }
        Ok(())
    }

    /// On top of what another part has put there: such an image is refused, but shown.
    fn lay_over(&self, bytes: &mut Vec<u8>, at: usize) -> Result<(), Failure> {
        let mut content = Vec::new();
        self.append_to(&mut content)?;
        let end = at.saturating_add(content.len());
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        if let Some(place) = bytes.get_mut(at..end) {
            place.copy_from_slice(&content);
        }
        Ok(())
    }
}

fn overlaps(places: &[Place]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut furthest: Option<&Place> = None;
    for piece in places {
        if let Some(before) = furthest.filter(|before| before.region().overlaps(&piece.region())) {
            findings.push(overlap(before, piece));
        }
        if furthest.is_none_or(|before| piece.region().end() > before.region().end()) {
            furthest = Some(piece);
        }
    }
    findings
}

fn overlap(first: &Place, second: &Place) -> Finding {
    let what = format!(
        "{} at {} and {} at {} lie on top of each other in flash",
        first.name,
        first.region(),
        second.name,
        second.region()
    );
    Finding::new(Severity::Fatal, "overlap", what)
        .why("only one of them can be in the flash; the other would be overwritten, and the program would read wrong initial values")
        .mend_c("give the sections one region after the other: `> RAM AT> FLASH` instead of fixed AT(0x...) addresses")
        .mend_c("or move the second one: AT(LOADADDR(.data) + SIZEOF(.data))")
        .mend_rust("place extra sections with INSERT AFTER .data and `AT> FLASH`, without fixed AT(0x...) addresses")
}

fn outside_flash(piece: &Place, map: &MemoryMap) -> Finding {
    let (name, region, flash) = (&piece.name, piece.region(), map.flash.region());
    let what = format!("{name} loads to {region}, outside the flash {flash}");
    let finding = Finding::new(Severity::Fatal, "outside-flash", what);
    if map.ram_regions().any(|ram| ram.contains(piece.address)) {
        return finding
            .why("its initial values would have to be in RAM before the program starts; nothing puts them there, because RAM is lost at reset")
            .mend_c(format!("forgotten AT> in the linker script? {} : {{ ... }} > RAM AT> FLASH, and copy it in Reset_Handler", bare(name)))
            .mend_c("or, if it needs no initial values, mark it (NOLOAD)")
            .mend_rust(format!("in the linker script: {} : {{ ... }} > RAM AT> FLASH; cortex-m-rt copies only .data by itself", bare(name)))
            .mend_rust("or, if it needs no initial values, put it into .uninit");
    }
    if piece.address >= flash.start && u64::from(piece.address) <= flash.end() {
        return finding
            .why(format!("the chip has {} of flash and ends before it", Size(flash.len)))
            .mend("is the LENGTH of FLASH in the linker script larger than the chip, or the address of the section fixed?")
            .mend(memory_line(map));
    }
    finding
        .why(likely_memory(&region))
        .mend("write it with the tool that programs that memory, and leave it out of this image (a second ELF, or NOLOAD)")
}

/// What the region is on an STM32F407 (RM0090 section 2.3, memory map; section 3.9 option bytes).
fn likely_memory(region: &Region) -> &'static str {
    match region.start {
        0x1FFF_0000..=0x1FFF_FFFF => {
            "system memory and option bytes are not part of an application; the IAP firmware never writes them"
        }
        0x6000_0000..=0x9FFF_FFFF => {
            "external memory (QSPI or FSMC) is not programmed by the IAP firmware, which writes the internal flash only"
        }
        _ => "the IAP firmware writes the internal flash only",
    }
}

/// The MEMORY line of a linker script for applications on this board.
pub(super) fn memory_line(map: &MemoryMap) -> String {
    let user = map.application;
    format!(
        "FLASH : ORIGIN = {:#010x}, LENGTH = {}K",
        user.start,
        user.len / 1024
    )
}

fn bare(name: &str) -> &str {
    name.trim_matches('`')
}
