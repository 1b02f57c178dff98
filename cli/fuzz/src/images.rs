//! Files: whatever they hold, there is an image with its findings, or a failure that says something.

use std::fmt::Write;
use std::sync::OnceLock;

use iap_protocol::header::ImageHeader;
use iap_protocol::memory::{FlashMap, MemoryMap, Region, SectorSet};
use iapctl::image::check::{Target, Trust, judge};
use iapctl::image::{Format, LoadOptions, parse};

/// Longest file of the made-up kinds, so that an input of a few bytes stays one.
const MAX_RECORDS: usize = 200;

const KIB: u32 = 1024;
/// The application's place as on real boards, but with 8 KiB: what lies between pieces is filled, and that takes most of the time.
const APPLICATION: Region = Region::new(0x0802_0000, 8 * KIB);
/// IAP firmware, two record sectors, and the application's.
const SECTORS: [u32; 6] = [KIB, 16 * KIB, 16 * KIB, 2 * KIB, 2 * KIB, 4 * KIB];

fn map() -> &'static MemoryMap {
    static MAP: OnceLock<MemoryMap> = OnceLock::new();
    MAP.get_or_init(|| {
        let map = MemoryMap {
            flash: FlashMap::new(APPLICATION.start - 33 * KIB, &SECTORS).unwrap(),
            iap_sectors: [0].into_iter().collect(),
            record_sectors: [1, 2],
            application: APPLICATION,
            data_sectors: SectorSet::EMPTY,
            ram: [
                Region::new(0x2000_0000, 128 * KIB),
                Region::new(0x1000_0000, 64 * KIB),
                Region::default(),
                Region::default(),
            ],
            vector_count: 98,
        };
        map.check().unwrap();
        map
    })
}

/// Reads a file and judges it, as `verify-image` does.
fn read(bytes: &[u8]) -> Option<Format> {
    let map = map();
    let image = match parse(bytes, &LoadOptions::new(map)) {
        Ok(image) => image,
        Err(failure) => {
            assert!(!failure.message.is_empty());
            return None;
        }
    };
    assert!(
        image.payload.len() <= bytes.len() + map.flash.region().len as usize,
        "an image larger than file and flash"
    );
    let header = image.header.clone().unwrap_or(ImageHeader {
        load_address: image.load_address,
        payload_size: image.payload.len() as u32,
        ..ImageHeader::default()
    });
    let target = Target {
        map,
        board: "sim",
        trust: Trust::OPEN,
    };
    for finding in judge(&image, &header, &target) {
        assert!(!format!("{finding:?}").is_empty());
    }
    Some(image.format)
}

/// An ELF file, its magic and class put right.
pub fn elf(bytes: &[u8]) {
    read(bytes);
    let mut mended = bytes.to_vec();
    for (byte, right) in mended.iter_mut().zip(b"\x7fELF\x01\x01\x01") {
        *byte = *right;
    }
    read(&mended);
}

/// Intel HEX: the text as it is, and records with a right length and checksum made of the same bytes.
pub fn intel_hex(bytes: &[u8]) {
    read(bytes);
    let mut text = String::new();
    for record in records(bytes) {
        let Some((head, data)) = record.split_first_chunk::<3>() else {
            continue;
        };
        let mut line = vec![data.len() as u8];
        line.extend_from_slice(head);
        line.extend_from_slice(data);
        let sum = line.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        line.push(sum.wrapping_neg());
        write_line(&mut text, ":", &line);
    }
    text.push_str(":00000001FF\n");
    read(text.as_bytes());
}

/// S-records: the text as it is, and records with a right length and checksum made of the same bytes.
pub fn srec(bytes: &[u8]) {
    read(bytes);
    let mut text = String::from("S0030000FC\n");
    for record in records(bytes) {
        let Some((kind, content)) = record.split_first() else {
            continue;
        };
        let mut line = vec![content.len() as u8 + 1];
        line.extend_from_slice(content);
        let sum = line.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        line.push(!sum);
        write_line(&mut text, &format!("S{}", kind % 10), &line);
    }
    text.push_str("S9030000FC\n");
    read(text.as_bytes());
}

/// Pieces of at most 63 bytes, each preceded by its length.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first()?;
        let (record, later) = rest.split_at(usize::from(len % 64).min(rest.len()));
        bytes = later;
        Some(record)
    })
    .take(MAX_RECORDS)
}

fn write_line(text: &mut String, mark: &str, bytes: &[u8]) {
    text.push_str(mark);
    for byte in bytes {
        let _ = write!(text, "{byte:02X}");
    }
    text.push('\n');
}
