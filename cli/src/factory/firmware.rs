//! The IAP firmware's file: only what lies in its own sectors is taken, and it must start at the beginning of the flash.

use iap_protocol::memory::{MemoryMap, Region};
use iap_protocol::vectors;

use crate::failure::{Exit, Failure};
use crate::image::{Format, Image, Piece, Place};

/// The parts of the firmware in `file`, one or more for each of its sectors.
pub fn parts(file: &str, image: &Image, map: &MemoryMap) -> Result<Vec<Piece>, Failure> {
    if image.format == Format::Iap {
        let message =
            format!("{file}: this is an application (IAP image), expected the IAP firmware");
        return Err(swapped(Failure::new(Exit::BadImage, message)));
    }
    let mut parts = Vec::new();
    for piece in pieces(image) {
        for part in by_sector(&piece, map) {
            if is_firmware_s(&part, map) {
                parts.push(part);
            } else if !is_gap(&part, image.format) {
                return Err(misplaced(file, &part, map));
            }
        }
    }
    check_vectors(file, &parts, map)?;
    Ok(parts)
}

/// A raw binary is one piece.
fn pieces(image: &Image) -> Vec<Piece> {
    if !image.places.is_empty() {
        let piece = |place: &Place| Piece {
            name: place.name.clone(),
            address: place.address,
            run_address: place.run_address,
            data: image.bytes_at(place).to_vec(),
        };
        return image.places.iter().map(piece).collect();
    }
    vec![Piece {
        name: "the file".into(),
        address: image.load_address,
        run_address: image.load_address,
        data: image.payload.clone(),
    }]
}

/// The piece, cut where sectors begin. What lies outside the flash was refused when the file was read, except in a raw binary: its rest
/// stays with the last sector.
fn by_sector(piece: &Piece, map: &MemoryMap) -> Vec<Piece> {
    let mut parts = Vec::new();
    let mut rest = piece.clone();
    for sector in map.flash.sectors() {
        let end = sector.region.end();
        if !sector.region.contains(rest.address) || rest.region().end() <= end {
            continue;
        }
        let Some(tail) = map.flash.sector(sector.index.saturating_add(1)) else {
            break;
        };
        let keep = (end - u64::from(rest.address)) as usize;
        let data = rest.data.split_off(keep);
        let next = Piece {
            address: tail.region.start,
            run_address: tail.region.start,
            data,
            name: rest.name.clone(),
        };
        parts.push(std::mem::replace(&mut rest, next));
    }
    parts.push(rest);
    parts
}

fn is_firmware_s(part: &Piece, map: &MemoryMap) -> bool {
    map.iap_sectors
        .iter()
        .filter_map(|index| map.flash.sector(index))
        .any(|sector| sector.region.contains_region(&part.region()))
}

/// A raw binary has something everywhere: what objcopy fills gaps with is no content.
fn is_gap(part: &Piece, format: Format) -> bool {
    let all = |fill: u8| part.data.iter().all(|&byte| byte == fill);
    format == Format::Bin && (all(0xFF) || all(0x00))
}

fn check_vectors(file: &str, parts: &[Piece], map: &MemoryMap) -> Result<(), Failure> {
    let base = map.flash.region().start;
    let Some(first) = parts.iter().find(|part| part.address == base) else {
        let message = format!("{file}: nothing in it is for {base:#010x}, where the chip starts");
        return Err(swapped(Failure::new(Exit::BadImage, message)));
    };
    let end = parts.iter().map(|part| part.region().end()).max();
    let len = end.unwrap_or_default().saturating_sub(base.into());
    let region = Region::new(base, u32::try_from(len).unwrap_or(u32::MAX));
    vectors::check(&first.data, region, map).map_err(|fault| {
        let message = format!("{file}: this firmware would not start: {fault}");
        Failure::new(Exit::BadImage, message)
            .help("build it again for this board: cargo xtask firmware --profile NAME")
    })
}

fn misplaced(file: &str, part: &Piece, map: &MemoryMap) -> Failure {
    let region = part.region();
    let owner = match map.flash.sector_at(region.start) {
        _ if map.application.overlaps(&region) => "user flash",
        Some(sector) if map.record_sectors.contains(&sector.index) => "the boot record",
        _ => "no part of this flash",
    };
    let message = format!(
        "{file}: {} at {region} is not in the IAP firmware's sectors but in {owner}",
        part.name
    );
    swapped(Failure::new(Exit::BadImage, message)).help(
        "or is the firmware for a board with another flash map? name its profile with --profile",
    )
}

fn swapped(failure: Failure) -> Failure {
    failure.help("--firmware is the IAP firmware, the application comes without a flag: iapctl factory --firmware iap.elf app.elf -o factory.hex")
}
