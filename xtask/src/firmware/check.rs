//! What must be true of a firmware image, beside its size.

use iap_profile::Profile;
use iap_protocol::memory::Region;

use super::image::{FirmwareImage, Part};

/// Texts that only messages of panics contain: they take flash, and nobody would ever read them.
const PANIC_TEXTS: [&str; 5] = [
    "panicked at",
    "index out of bounds",
    "called `Option::unwrap()`",
    "called `Result::unwrap()`",
    "attempt to ",
];
/// What the mangled names of functions in `core::fmt` contain: 5 KiB, and twice that in their callers, for what
/// [`iap_protocol::text`] does in 500 bytes.
const FORMATTING: &str = "4core3fmt";
/// The section with everything that the Ethernet DMA reads and writes.
const DMA_SECTION: &str = ".dma";

/// Everything that is wrong.
pub(super) fn faults(image: &FirmwareImage, profile: &Profile) -> Vec<String> {
    let checks = [vectors, sectors, panic_texts, formatting, dma];
    checks
        .iter()
        .flat_map(|check| check(image, profile))
        .collect()
}

/// The core takes stack pointer and reset vector from the start of the flash.
fn vectors(image: &FirmwareImage, profile: &Profile) -> Vec<String> {
    let start = profile.memory_map().flash.region().start;
    let first = image.parts.first().filter(|part| part.address == start);
    let Some(table) = first.and_then(|part| part.bytes.first_chunk::<8>()) else {
        return vec![format!("no vector table at {start:#010x}")];
    };
    let [stack_pointer, reset] = [word(table, 0), word(table, 4)];
    let in_ram = profile
        .memory_map()
        .ram_regions()
        .any(|ram| stack_pointer > ram.start && u64::from(stack_pointer) <= ram.end());
    let in_image = image
        .parts
        .iter()
        .any(|part| part.region().contains(reset & !1));
    let mut faults = Vec::new();
    if !in_ram || !stack_pointer.is_multiple_of(8) {
        faults.push(format!("initial stack pointer {stack_pointer:#010x}"));
    }
    if !in_image || reset & 1 == 0 {
        faults.push(format!("reset vector {reset:#010x}"));
    }
    faults
}

/// Nothing goes into the boot record or the application.
fn sectors(image: &FirmwareImage, profile: &Profile) -> Vec<String> {
    let map = profile.memory_map();
    let outside = |part: &&Part| {
        let touched = map.flash.sectors_of(part.region());
        let inside = map.flash.region().contains_region(&part.region());
        !inside || touched.intersection(map.iap_sectors) != touched
    };
    let outside = image.parts.iter().filter(outside);
    outside
        .map(|part| format!("{} is not in the IAP sectors alone", part.region()))
        .collect()
}

fn panic_texts(image: &FirmwareImage, _: &Profile) -> Vec<String> {
    let contains = |text: &str| {
        let found = |part: &Part| {
            part.bytes
                .windows(text.len())
                .any(|at| at == text.as_bytes())
        };
        image.parts.iter().any(found)
    };
    PANIC_TEXTS
        .into_iter()
        .filter(|text| contains(text))
        .map(|text| format!("a panic's message is in the image: `{text}`"))
        .collect()
}

fn formatting(image: &FirmwareImage, _: &Profile) -> Vec<String> {
    let names = image.functions.iter();
    names
        .filter(|name| name.contains(FORMATTING))
        .map(|name| format!("core::fmt is in the image: {name}"))
        .collect()
}

/// The Ethernet DMA reaches its descriptors and buffers.
fn dma(image: &FirmwareImage, profile: &Profile) -> Vec<String> {
    let Some(section) = image.sections.iter().find(|s| s.name == DMA_SECTION) else {
        return vec![format!("no section {DMA_SECTION}")];
    };
    let reached = |ram: Region| ram.contains_region(&section.region);
    if profile.dma_ram().any(reached) {
        Vec::new()
    } else {
        vec![format!(
            "the Ethernet DMA does not reach {}",
            section.region
        )]
    }
}

fn word(bytes: &[u8; 8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|tail| tail.first_chunk());
    word.map_or(0, |word| u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::super::image::Section;
    use super::*;

    fn profile() -> Profile {
        Profile::builtin("stm324xg-eval").unwrap()
    }

    fn image(stack_pointer: u32, reset: u32) -> FirmwareImage {
        let mut bytes = vec![0; 1024];
        bytes[..4].copy_from_slice(&stack_pointer.to_le_bytes());
        bytes[4..8].copy_from_slice(&reset.to_le_bytes());
        FirmwareImage {
            parts: vec![Part {
                address: 0x0800_0000,
                bytes,
            }],
            sections: vec![Section {
                name: ".dma".into(),
                region: Region::new(0x2000_0010, 0x8000),
            }],
            functions: vec!["_ZN4core9panicking9panic_fmt17h0E".into()],
        }
    }

    fn good() -> FirmwareImage {
        image(0x1000_3000, 0x0800_0041)
    }

    #[test]
    fn a_right_image_has_no_faults() {
        assert_eq!(faults(&good(), &profile()), [""; 0]);
    }

    #[test]
    fn a_stack_outside_ram_and_an_even_reset_vector_are_faults() {
        let bad = image(0x3000_0000, 0x0800_0040);
        let expected = [
            "initial stack pointer 0x30000000",
            "reset vector 0x08000040",
        ];
        assert_eq!(faults(&bad, &profile()), expected);
    }

    #[test]
    fn an_image_that_begins_elsewhere_has_no_vectors() {
        let mut bad = good();
        bad.parts[0].address = 0x0800_C000;
        assert_eq!(faults(&bad, &profile()), ["no vector table at 0x08000000"]);
    }

    #[test]
    fn bytes_in_record_or_application_are_faults() {
        for address in [0x0800_4000, 0x0801_FF00, 0x0802_0000] {
            let mut bad = good();
            bad.parts.push(Part {
                address,
                bytes: vec![0; 0x200],
            });
            let faults = faults(&bad, &profile());
            assert_eq!(faults.len(), 1, "{address:#x}: {faults:?}");
            assert!(faults[0].ends_with("is not in the IAP sectors alone"));
        }
    }

    #[test]
    fn messages_of_panics_are_found() {
        let mut bad = good();
        bad.parts[0].bytes[100..111].copy_from_slice(b"panicked at");
        let expected = "a panic's message is in the image: `panicked at`";
        assert_eq!(faults(&bad, &profile()), [expected]);
    }

    #[test]
    fn core_fmt_is_found() {
        let mut bad = good();
        bad.functions
            .push("_ZN4core3fmt5write17h0123456789abcdefE".into());
        let faults = faults(&bad, &profile());
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn dma_buffers_in_ccm_are_a_fault() {
        let mut bad = good();
        bad.sections[0].region.start = 0x1000_0000;
        assert_eq!(faults(&bad, &profile()).len(), 1);
        bad.sections.clear();
        assert_eq!(faults(&bad, &profile()), ["no section .dma"]);
    }
}
