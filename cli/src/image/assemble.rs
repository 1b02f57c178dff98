//! From pieces with addresses to one run of bytes for the flash.
//!
//! Pieces outside flash and pieces on top of each other are mistakes of the linker script that objcopy turns into files of hundreds
//! of megabytes or silently wrong bytes. Here they are fatal findings that name section, address, size and the likely mistake.

use std::fs::File;
use std::io::{self, Seek};

use iap_protocol::memory::{MemoryMap, Region, Size};

use super::finding::{Finding, Severity};
use super::intake::{Intake, Taken};
use super::{Format, Image, LoadOptions, Piece, Place};
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
    let parts = pieces.into_iter().map(part).collect();
    assemble(format, parts, options, Intake::new(None))
}

/// Puts the parts together; fails only if none of them lies in flash.
pub(super) fn assemble(
    format: Format,
    mut parts: Vec<Part<'_>>,
    options: &LoadOptions,
    intake: Intake<'_>,
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
    let overlaps = overlaps(&parts);
    let taken = match overlaps.is_empty() {
        true => one_after_the_other(&parts, base, options.fill, intake)?,
        false => Taken::of(&on_top_of_each_other(&parts, base, options.fill)?),
    };
    findings.extend(overlaps);
    let mut image = Image::new(format, base, taken);
    image.places = parts.into_iter().map(|part| part.place).collect();
    image.findings = findings;
    Ok(image)
}

/// The bytes from the first part's address on; all parts lie in flash, which bounds the length.
fn one_after_the_other(
    parts: &[Part<'_>],
    base: u32,
    fill: u8,
    mut intake: Intake<'_>,
) -> Result<Taken, Failure> {
    let end = |part: &Part<'_>| part.offset(base).saturating_add(part.place.len as usize);
    intake.expect(parts.last().map_or(0, end));
    for part in parts {
        let gap = part.offset(base).saturating_sub(intake.size());
        intake.fill(gap, fill);
        part.give_to(&mut intake)?;
    }
    Ok(intake.end())
}

/// The same where parts lie on others, and the later ones win: such an image is refused, but shown.
fn on_top_of_each_other(parts: &[Part<'_>], base: u32, fill: u8) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    for part in parts {
        let mut content = Intake::new(None);
        part.give_to(&mut content)?;
        let content = content.end().kept;
        let at = part.offset(base);
        let end = at.saturating_add(content.len());
        if bytes.len() < end {
            bytes.resize(end, fill);
        }
        if let Some(place) = bytes.get_mut(at..end) {
            place.copy_from_slice(&content);
        }
    }
    Ok(bytes)
}

impl Part<'_> {
    fn offset(&self, base: u32) -> usize {
        self.place.address.saturating_sub(base) as usize
    }

    fn give_to(&self, intake: &mut Intake<'_>) -> Result<(), Failure> {
        match &self.content {
            Content::Bytes(content) => intake.put(content),
            Content::Within(Origin::Memory(all), offset) => {
                let end = offset.saturating_add(self.place.len.into()) as usize;
                let content = all.get(*offset as usize..end).unwrap_or_default();
                intake.put(content);
            }
            Content::Within(Origin::Disk(disk), offset) => {
                self.read(disk, *offset, intake).map_err(|error| {
                    let what = format!("{} cannot be read: {error}", self.place.name);
                    Failure::new(Exit::Local, what)
                })?;
            }
        }
        Ok(())
    }

    fn read(&self, mut disk: &File, offset: u64, intake: &mut Intake<'_>) -> io::Result<()> {
        disk.seek(io::SeekFrom::Start(offset))?;
        intake.read(disk, self.place.len as usize)
    }
}

fn overlaps(parts: &[Part<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut furthest: Option<&Place> = None;
    for piece in parts.iter().map(|part| &part.place) {
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
