//! From pieces with addresses to one run of bytes for the flash.
//!
//! Pieces outside flash and pieces on top of each other are mistakes of the linker script that objcopy turns into files of hundreds
//! of megabytes or silently wrong bytes. Here they are fatal findings that name section, address, size and the likely mistake.

use iap_protocol::memory::{MemoryMap, Region, Size};

use super::finding::{Finding, Severity};
use super::{Format, Image, LoadOptions, Piece};
use crate::failure::{Exit, Failure};

/// Puts the pieces together; fails only if none of them lies in flash.
pub(super) fn assemble(
    format: Format,
    mut pieces: Vec<Piece>,
    options: &LoadOptions,
) -> Result<Image, Failure> {
    pieces.sort_by_key(|piece| piece.address);
    let flash = options.map.flash.region();
    let mut findings: Vec<Finding> = (pieces.iter())
        .filter(|piece| !flash.contains_region(&piece.region()))
        .map(|piece| outside_flash(piece, options.map))
        .collect();
    pieces.retain(|piece| flash.contains_region(&piece.region()));
    findings.extend(overlaps(&pieces));
    let Some(first) = pieces.first() else {
        let message = format!("nothing in this file is for the flash {flash}");
        return Err(Failure {
            findings,
            ..Failure::new(Exit::BadImage, message)
        });
    };
    let mut image = Image::new(format, first.address, joined(&pieces, options.fill));
    image.pieces = pieces;
    image.findings = findings;
    Ok(image)
}

/// The bytes from the first piece's address on; all pieces lie in flash, which bounds the length.
fn joined(pieces: &[Piece], fill: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let base = pieces.first().map_or(0, |piece| piece.address);
    for piece in pieces {
        let at = piece.address.saturating_sub(base) as usize;
        let end = at.saturating_add(piece.data.len());
        if bytes.len() < end {
            bytes.resize(end, fill);
        }
        if let Some(place) = bytes.get_mut(at..end) {
            place.copy_from_slice(&piece.data);
        }
    }
    bytes
}

fn overlaps(pieces: &[Piece]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut furthest: Option<&Piece> = None;
    for piece in pieces {
        if let Some(before) = furthest.filter(|before| before.region().overlaps(&piece.region())) {
            findings.push(overlap(before, piece));
        }
        if furthest.is_none_or(|before| piece.region().end() > before.region().end()) {
            furthest = Some(piece);
        }
    }
    findings
}

fn overlap(first: &Piece, second: &Piece) -> Finding {
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

fn outside_flash(piece: &Piece, map: &MemoryMap) -> Finding {
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
