//! The boot record of a new board: what its firmware would have written, had the application come over the network.

use iap_protocol::header::ImageHeader;
use iap_protocol::memory::{MemoryMap, SectorSet};
use iap_protocol::record::{
    Entry, SEAL, SEAL_RUN_LEN, SECTOR_HEADER_LEN, SectorHeader, image_offset, log_offset,
};

use super::Content;
use crate::image::Piece;

/// The first generation that a firmware writes on an erased board.
const FIRST_GENERATION: u32 = 1;
/// Bytes of a record sector without which it counts for nothing.
const HEAD_LEN: usize = SECTOR_HEADER_LEN + SEAL_RUN_LEN;

/// Both record sectors. The head of one that is not used is written as erased: the tool erases a sector in which it writes something, and
/// a board that comes back to the line must not keep a record of a newer generation there.
pub fn parts(map: &MemoryMap, content: &Content<'_>) -> Vec<Piece> {
    let image = content.application.map(|application| application.header);
    let [first, second] = map.record_sectors;
    let used = match (image, content.security_counter) {
        (None, None) => blank_head(),
        _ => sector(&entries(map, image, content), image),
    };
    let place = |index: u8, parts: Vec<Part>| {
        let start = map
            .flash
            .sector(index)
            .map_or(0, |sector| sector.region.start);
        parts.into_iter().map(move |part| Piece {
            name: format!("boot record in sector {index}"),
            address: start + part.offset,
            run_address: start + part.offset,
            data: part.bytes,
        })
    };
    place(first, used)
        .chain(place(second, blank_head()))
        .collect()
}

/// Bytes at an offset in a record sector.
struct Part {
    offset: u32,
    bytes: Vec<u8>,
}

fn blank_head() -> Vec<Part> {
    vec![Part {
        offset: 0,
        bytes: vec![0xFF; HEAD_LEN],
    }]
}

/// What is known about the board. Nobody has seen the sectors of user flash that the line leaves alone: they are in doubt until the board
/// erases them itself.
fn entries(map: &MemoryMap, image: Option<&ImageHeader>, content: &Content<'_>) -> Vec<Entry> {
    let written = image.map_or(SectorSet::EMPTY, |image| image.sectors(&map.flash));
    let unseen = map
        .application_sectors()
        .iter()
        .filter(|&sector| !written.contains(sector));
    let counter = (content.security_counter).map(|value| Entry::Counter { value });
    let keys = content.revoked_keys;
    let revoked = (keys != 0).then_some(Entry::Revoked { keys });
    let image = image.into_iter().flat_map(|image| {
        let header_crc32 = header_crc32(image);
        [
            Entry::Claimed { slot: 0 },
            Entry::Committed {
                slot: 0,
                header_crc32,
            },
        ]
    });
    counter
        .into_iter()
        .chain(revoked)
        .chain(unseen.map(|sector| Entry::Touched { sector }))
        .chain(image)
        .collect()
}

/// A firm record sector: header, completed seal run, the image in slot 0, sealed entries. The last one is there twice: that is how a board
/// knows a settled end of the log.
fn sector(entries: &[Entry], image: Option<&ImageHeader>) -> Vec<Part> {
    let header = SectorHeader {
        generation: FIRST_GENERATION,
    };
    let head = [&header.encode()[..], &[0; SEAL_RUN_LEN]].concat();
    let log = entries
        .iter()
        .chain(entries.last())
        .flat_map(|entry| entry.encode().into_iter().chain(SEAL));
    let mut parts = vec![
        Part {
            offset: 0,
            bytes: head,
        },
        Part {
            offset: log_offset(0),
            bytes: log.collect(),
        },
    ];
    parts.extend(image.map(|image| Part {
        offset: image_offset(0),
        bytes: image.encode().to_vec(),
    }));
    parts
}

/// The CRC-32 field of the encoded header.
fn header_crc32(image: &ImageHeader) -> u32 {
    let bytes = image.encode();
    bytes.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc))
}
