//! Where the image goes: link address, size, and whose sectors it touches.

use iap_protocol::header::{Flags, ImageHeader};
use iap_protocol::memory::{MemoryMap, SectorSet, Size};

use super::super::assemble::memory_line;
use super::super::finding::Finding;
use super::super::report::sector_list;
use super::super::{Format, Image, Place};
use super::{Target, error, ok, warning};

/// A gap from this size on is worth a word: it takes flash and time, and is hardly ever meant. The smallest sector of the chip.
const LARGE_GAP_BYTES: u64 = 16 * 1024;

/// All checks of this file.
pub(super) fn check(image: &Image, header: &ImageHeader, target: &Target) -> Vec<Finding> {
    let map = target.map;
    let mut findings = vec![link_address(image, map), size(image, map)];
    findings.extend(owners(image, header, target));
    findings.extend(gaps(&image.places));
    findings
}

fn link_address(image: &Image, map: &MemoryMap) -> Finding {
    let (load, user) = (image.load_address, map.user_flash_first_page_address());
    if load == user {
        let verb = match image.format {
            Format::Bin => "a raw binary is taken to be for",
            Format::Elf | Format::IntelHex | Format::Srec | Format::Iap => "linked for",
        };
        return ok(
            "link-address",
            format!("{verb} {user:#010x}, this board's USER_FLASH_FIRST_PAGE_ADDRESS"),
        );
    }
    let what = format!(
        "linked for {load:#010x}, but applications for this board begin at {user:#010x} (USER_FLASH_FIRST_PAGE_ADDRESS)"
    );
    let finding = error("link-address", what).why(format!(
        "the IAP firmware has the start of the flash for itself and looks for the application's vector table at {user:#010x}; a program linked for another address jumps into the wrong code"
    ));
    advise_address(finding, map)
}

/// How to link for the right address.
pub(super) fn advise_address(finding: Finding, map: &MemoryMap) -> Finding {
    let line = memory_line(map);
    let start = map.flash.region().start;
    let offset = map.user_flash_first_page_address().saturating_sub(start);
    finding
        .mend_c(format!("in the linker script, MEMORY {{ {line} }}"))
        .mend_c(format!(
            "in system_stm32f4xx.c: #define VECT_TAB_OFFSET {offset:#x}, and #define USER_VECT_TAB_ADDRESS where it exists"
        ))
        .mend_rust(format!("in memory.x, MEMORY {{ {line} }}; then touch build.rs or cargo clean"))
}

fn size(image: &Image, map: &MemoryMap) -> Finding {
    let (region, user) = (image.region(), map.application);
    let room = user
        .end()
        .saturating_sub(u64::from(region.start))
        .min(u64::from(user.len));
    let len = u64::from(region.len);
    if len > room {
        let excess = Size(u32::try_from(len.saturating_sub(room)).unwrap_or(u32::MAX));
        let what =
            format!("image {region} is too large: {excess} more than fits into user flash {user}");
        return error("size", what)
            .why("what does not fit would be cut off, so the board refuses the image as a whole")
            .mend_c("compile with -Os -flto, link with -Wl,--gc-sections (and compile with -ffunction-sections -fdata-sections)")
            .mend_c("what takes the room: arm-none-eabi-nm --size-sort -S app.elf")
            .mend_rust("in Cargo.toml: [profile.release] opt-level = \"s\", lto = true, codegen-units = 1; build with --release")
            .mend_rust("what takes the room: cargo bloat --release --crates");
    }
    let tenths = len.saturating_mul(1000).checked_div(user.len.into());
    let tenths = tenths.unwrap_or_default();
    let percent = format!("{}.{} %", tenths / 10, tenths % 10);
    let what = format!(
        "{} of {} of user flash ({percent})",
        Size(region.len),
        Size(user.len)
    );
    ok("size", what)
}

/// Overlaps with sectors of the IAP firmware, of the boot record, and of the application's own data.
fn owners(image: &Image, header: &ImageHeader, target: &Target) -> Vec<Finding> {
    let map = target.map;
    let sectors = map.flash.sectors_of(image.region());
    let hit = |owned: SectorSet| sectors.intersection(owned);
    let mut findings = Vec::new();
    let iap = hit(map.iap_sectors);
    if !iap.is_empty() {
        findings.push(reserved("iap-overlap", "the IAP firmware", iap, map));
    }
    let record = hit(map.record_sectors.into_iter().collect());
    if !record.is_empty() {
        findings.push(reserved("record-overlap", "the boot record", record, map));
    }
    let data = hit(map.data_sectors);
    if !data.is_empty() && target.trust.signature_at_start {
        findings.push(data_in_digest(data, map));
    } else if !data.is_empty() && !header.flags.contains(Flags::DATA) {
        findings.push(data_overlap(data, map));
    }
    if findings.is_empty() {
        let names = sector_names(sectors, map);
        let what = format!(
            "touches {names} only: no sector of the IAP firmware, the boot record or application data"
        );
        findings.push(ok("owners", what));
    }
    findings
}

fn reserved(check: &'static str, owner: &str, sectors: SectorSet, map: &MemoryMap) -> Finding {
    let what = format!("image overlaps {owner}: {}", sector_names(sectors, map));
    error(check, what)
        .why("those sectors hold what receives and starts applications; no update can write them, so the board refuses the image")
        .mend(format!("link the application into user flash, {}, and nothing outside it", map.application))
}

fn data_overlap(sectors: SectorSet, map: &MemoryMap) -> Finding {
    let what = format!(
        "image overlaps data sectors of the application: {}",
        sector_names(sectors, map)
    );
    error("data-overlap", what)
        .why("the profile keeps these sectors for settings that survive updates; writing the image would erase them")
        .mend_c("end FLASH before them in the linker script, and give the data a region of its own: DATA_FLASH (r) : ..., sections marked (NOLOAD)")
        .mend_c("if the image is meant to bring new content for them: iapctl convert --data")
        .mend_rust("end FLASH before them in memory.x, and access the data by address, not by a static with an initial value")
        .mend_rust("if the image is meant to bring new content for them: iapctl convert --data")
}

fn data_in_digest(sectors: SectorSet, map: &MemoryMap) -> Finding {
    let what = format!(
        "image covers data sectors of the application: {}, and a start checks its digest",
        sector_names(sectors, map)
    );
    error("data-overlap", what)
        .why("the application's first change of its data would make the digest wrong, and the board would not start it again; it refuses the image")
        .mend("leave the data out, and let the application write its first values itself; or boot-check = \"crc\" in the board's profile")
}

fn gaps(pieces: &[Place]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pair in pieces.windows(2) {
        let [before, after] = pair else { continue };
        let gap = u64::from(after.address).saturating_sub(before.region().end());
        if gap < LARGE_GAP_BYTES {
            continue;
        }
        let what = format!(
            "{gap} bytes of fill between {} (ends at {:#010x}) and {} (begins at {:#010x})",
            before.name,
            before.region().end(),
            after.name,
            after.address
        );
        findings.push(
            warning("gap", what)
                .why("an image is one run of bytes: the gap is transferred, and its sectors are erased")
                .mend("if the second section holds settings, mark it NOLOAD and name its sectors in the profile's data-sectors"),
        );
    }
    findings
}

/// `sector 5 at 0x08020000..0x08040000 (128 KiB)`, or `sectors 5, 6`.
fn sector_names(sectors: SectorSet, map: &MemoryMap) -> String {
    let mut indices = sectors.iter();
    match (
        indices.next().and_then(|index| map.flash.sector(index)),
        indices.next(),
    ) {
        (Some(only), None) => format!("sector {} at {}", only.index, only.region),
        _ => sector_list(sectors),
    }
}
