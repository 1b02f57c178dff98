//! The IAP firmware's file: only what lies in its own sectors is taken, it must start at the beginning of the flash, and be the one for this
//! board as far as the file tells.

use iap_profile::Profile;
use iap_protocol::memory::{MemoryMap, Region};
use iap_protocol::vectors;
use memchr::memmem;

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

/// Fails if the firmware was built for another board than that of `profile`: its pins would be wrong. Gives the board that the file names;
/// without one nobody can be sure.
///
/// An ELF file has a section for it. The bytes in flash hold the id among other text: there it is enough to see that it is another shipped
/// board's, and not to see that it is this one's.
pub fn require_board(
    file: &str,
    image: &Image,
    profile: &Profile,
) -> Result<Option<String>, Failure> {
    let board = &profile.settings.board_id;
    let other = match &image.firmware_board {
        Some(told) => Some(told.clone()).filter(|told| told != board),
        None => other_board_in(&image.payload, board),
    };
    match other {
        None => Ok(image.firmware_board.clone()),
        Some(other) => Err(Failure::new(
            Exit::BadImage,
            format!(
                "{file}: this firmware was built for board {other}, expected {board}, the board of profile {}",
                profile.name
            ),
        )
        .help("build it for this board: cargo xtask firmware --profile NAME")
        .help("or name the profile of the board it was built for with --profile")),
    }
}

/// Fails if the firmware was built with other rules than those of `profile`: what the record and the application were made for, the board would
/// not do. Gives whether the file names its rules; without them nobody can be sure.
pub fn require_rules(file: &str, image: &Image, profile: &Profile) -> Result<bool, Failure> {
    let Some(built_with) = &image.firmware_rules else {
        return Ok(false);
    };
    let differs = |rule: &&String| !built_with.lines().any(|line| line == *rule);
    let rules = profile.firmware_rules();
    let Some(rule) = rules.iter().find(differs) else {
        return Ok(true);
    };
    let key = rule.split_inclusive(" = ").next().unwrap_or_default();
    let theirs = built_with.lines().find(|line| line.starts_with(key));
    let message = format!(
        "{file}: this firmware was built with {}, but profile {} says {rule}",
        theirs.unwrap_or("other rules"),
        profile.name
    );
    Err(Failure::new(Exit::BadImage, message)
        .help("the board would go by the firmware's: build it again, cargo xtask firmware --profile FILE")
        .help("or name the profile that it was built for with --profile"))
}

/// Shorter ids occur by chance.
const TELLING_LEN: usize = 8;

/// The id of another shipped board, if it is in the bytes and that of `board` is not, or only as a part of it.
fn other_board_in(bytes: &[u8], board: &str) -> Option<String> {
    let shipped = Profile::builtins().filter_map(|name| Profile::builtin(name).ok());
    let mut found: Vec<String> = (shipped.map(|profile| profile.settings.board_id))
        .filter(|id| id.len() >= TELLING_LEN && id != board)
        .filter(|id| memmem::find(bytes, id.as_bytes()).is_some())
        .collect();
    found.sort_by_key(|id| std::cmp::Reverse(id.len()));
    let other = found.into_iter().next()?;
    let is_here = memmem::find(bytes, board.as_bytes()).is_some();
    (!is_here || other.contains(board)).then_some(other)
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
