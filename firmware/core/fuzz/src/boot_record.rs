//! The boot record over sectors that hold anything.

use iap_core::boot::{BootInputs, Decision, committed_application, decide};
use iap_core::config::Config;
use iap_core::flash::Flash;
use iap_core::record::{Last, Record};
use iap_protocol::crc::crc32;
use iap_protocol::header::{Flags, HeaderBytes, ImageHeader};
use iap_protocol::record::{
    ENTRY_BODY_LEN, Entry, IMAGE_SLOTS, LOG_SLOTS, SEAL_RUN_OFFSET, SectorHeader, image_offset,
    log_offset,
};

use super::board::{BASE, Nor, config};
use super::script::Script;

const PAYLOAD_LEN: usize = 200;
/// Each attempt claims an image slot, or log slots; a sector full of garbage is left behind after so many.
const MAX_ATTEMPTS: usize = 2 * IMAGE_SLOTS as usize;

/// Two record sectors built from pieces that are right, nearly right or anything. Reading them, deciding, deciding again and updating does
/// not panic; two decisions are the same; nothing starts that is not committed in flash; and a new update gets through to its commit.
pub fn boot_record(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let config = Config {
        bare_rule: script.byte() & 1 != 0,
        ..config()
    };
    let mut flash = Nor::erased();
    if script.byte() & 1 != 0 {
        install(&mut flash, &config);
    }
    while !script.is_over() {
        build(&mut flash, &mut script, &config);
    }
    let first = decide(BootInputs::default(), &config, &mut flash);
    let again = decide(BootInputs::default(), &config, &mut flash);
    assert_eq!(first, again, "two boots, two decisions");
    check_start(&first.unwrap(), &config, &mut flash);
    let attempt = (0..MAX_ATTEMPTS).find(|_| update(&mut flash, &config).is_ok());
    assert!(attempt.is_some(), "no update gets through");
    let record = Record::load(&mut flash, &config.map).unwrap();
    assert_eq!(record.state().last, Last::Committed);
    assert_eq!(
        record.state().image,
        Some(HeaderBytes::from(&image(&config)))
    );
}

/// Something starts only if it is committed and in flash, or by the bare rule.
fn check_start(decision: &Decision, config: &Config, flash: &mut Nor) {
    let Decision::Start(start) = decision else {
        return;
    };
    let record = Record::load(flash, &config.map).unwrap();
    let committed = committed_application(record.state(), flash, &config.map);
    assert_eq!(start.image.as_ref(), committed);
    assert!(committed.is_some() || config.bare_rule);
    assert_ne!(record.state().last, Last::Begun);
}

fn payload() -> [u8; PAYLOAD_LEN] {
    let mut bytes = [0x11; PAYLOAD_LEN];
    let reset = BASE + 33 * 1024 + 65;
    for (n, word) in bytes.chunks_exact_mut(4).take(16).enumerate() {
        let value = if n == 0 { 0x2002_0000 } else { reset };
        word.copy_from_slice(&u32::to_le_bytes(value));
    }
    bytes
}

fn image(config: &Config) -> ImageHeader {
    ImageHeader {
        load_address: config.map.application.start,
        payload_size: PAYLOAD_LEN as u32,
        payload_crc32: crc32(&payload()),
        ..ImageHeader::default()
    }
}

fn install(flash: &mut Nor, config: &Config) {
    let at = (config.map.application.start - BASE) as usize;
    flash.bytes[at..at + PAYLOAD_LEN].copy_from_slice(&payload());
}

/// What an update does to the record and the flash, without its transfer.
fn update(flash: &mut Nor, config: &Config) -> Result<(), ()> {
    let map = &config.map;
    let (image, sector) = (
        HeaderBytes::from(&image(config)),
        map.flash.sector(3).unwrap(),
    );
    let mut record = Record::load(flash, map).map_err(drop)?;
    record.begin(flash, map, &image).map_err(drop)?;
    record.touch(flash, map, 3).map_err(drop)?;
    flash.erase(sector).map_err(drop)?;
    install(flash, config);
    record.done(flash, map, 3).map_err(drop)?;
    record.commit(flash, map, &image, false).map_err(drop)
}

/// Puts a piece into one of the two sectors.
fn build(flash: &mut Nor, script: &mut Script<'_>, config: &Config) {
    let action = script.byte();
    let sector = 1024 + usize::from(action >> 7) * 16 * 1024;
    let (offset, bytes) = match action & 7 {
        0 => (
            0,
            SectorHeader {
                generation: generation(script),
            }
            .encode()
            .to_vec(),
        ),
        1 => (SEAL_RUN_OFFSET, script.piece().to_vec()),
        2 | 3 => entry(action, script),
        4 => (slot_of_image(script), image_from(script, config)),
        5 => (
            log_offset(script.u16() % LOG_SLOTS),
            script.piece().to_vec(),
        ),
        6 => (u32::from(script.u16()), script.piece().to_vec()),
        _ => {
            let (offset, len) = (u32::from(script.u16()), script.u16());
            (offset, vec![script.byte(); usize::from(len)])
        }
    };
    let (start, end) = (sector + offset as usize, sector + 16 * 1024);
    if let Some(place) = flash.bytes.get_mut(start.min(end)..end) {
        let len = place.len().min(bytes.len());
        place[..len].copy_from_slice(&bytes[..len]);
    }
}

/// Generations of interest lie close to each other, or at the end.
fn generation(script: &mut Script<'_>) -> u32 {
    match script.byte() {
        near @ 0..=0x7F => near.into(),
        far @ 0x80..=0xBF => u32::MAX - u32::from(far & 0x3F),
        _ => script.u32(),
    }
}

/// A log slot with a right CRC, of any kind, and any seal.
fn entry(action: u8, script: &mut Script<'_>) -> (u32, Vec<u8>) {
    let slot = script.u16() % LOG_SLOTS;
    let mut body = match action >> 3 & 1 {
        0 => {
            let (slot, header_crc32) = (script.byte() % IMAGE_SLOTS, slot_crc(script));
            match action >> 4 & 3 {
                0 => Entry::Begun { slot, header_crc32 },
                1 => Entry::Committed { slot, header_crc32 },
                2 => Entry::Claimed { slot },
                _ => Entry::Counter {
                    value: header_crc32,
                },
            }
            .encode()
        }
        _ => {
            let mut body = [0; ENTRY_BODY_LEN];
            let piece = script.take(24);
            body[..piece.len()].copy_from_slice(piece);
            body
        }
    };
    let crc = crc32(&body[..24]).to_le_bytes();
    body[24..].copy_from_slice(&crc);
    let seal: u32 = match action >> 6 & 1 {
        0 => 0,
        _ => script.u32(),
    };
    (log_offset(slot), [&body[..], &seal.to_le_bytes()].concat())
}

/// The CRC of the header that [`image`] gives, or any.
fn slot_crc(script: &mut Script<'_>) -> u32 {
    match script.byte() {
        0 => {
            let header = image(&config()).encode();
            u32::from_le_bytes(*header.last_chunk().unwrap())
        }
        _ => script.u32(),
    }
}

fn slot_of_image(script: &mut Script<'_>) -> u32 {
    image_offset(script.byte() % IMAGE_SLOTS)
}

/// A header with a right CRC and some fields from the input.
fn image_from(script: &mut Script<'_>, config: &Config) -> Vec<u8> {
    let mut header = image(config);
    let fields = script.byte();
    if fields & 1 != 0 {
        header.load_address = script.u32();
    }
    if fields & 2 != 0 {
        header.payload_size = script.u32();
    }
    if fields & 4 != 0 {
        header.payload_crc32 = script.u32();
    }
    if fields & 8 != 0 {
        header.flags = Flags(script.u32());
    }
    header.encode().to_vec()
}
