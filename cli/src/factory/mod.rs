//! A whole flash for production lines: IAP firmware, boot record and application, as if the board had installed the application itself.
//!
//! The board starts it at its first power-on, and the first update over the network finds a record that it can trust. Programming it is the
//! business of the line's tool, and so are the option bytes: `cli/FACTORY.md`.

mod firmware;
mod record;

use iap_protocol::header::ImageHeader;
use iap_protocol::memory::{MemoryMap, SectorSet};

use crate::image::Piece;

pub use firmware::{parts as firmware_parts, require_board, require_rules};
pub use record::parts as record_parts;

/// An application with its header.
#[derive(Clone, Copy, Debug)]
pub struct Application<'a> {
    /// The header, for the record.
    pub header: &'a ImageHeader,
    /// The bytes for user flash.
    pub payload: &'a [u8],
}

/// What goes into a flash.
#[derive(Clone, Debug)]
pub struct Content<'a> {
    /// The parts of the IAP firmware: [`firmware_parts`].
    pub firmware: Vec<Piece>,
    /// The application, if the line installs one.
    pub application: Option<Application<'a>>,
    /// The lowest security counter that the board takes from now on.
    pub security_counter: Option<u32>,
    /// Keys whose signatures it takes no more, one bit each.
    pub revoked_keys: u32,
}

/// Everything that is programmed, by address.
pub fn pieces(content: &Content, map: &MemoryMap) -> Vec<Piece> {
    let mut pieces = content.firmware.clone();
    pieces.extend(record_parts(map, content));
    pieces.extend(content.application.map(|application| Piece {
        name: "application".into(),
        address: application.header.load_address,
        run_address: application.header.load_address,
        data: application.payload.to_vec(),
    }));
    pieces.sort_by_key(|piece| piece.address);
    pieces
}

/// The raw content of the whole flash, erased where nothing is programmed.
pub fn flash(pieces: &[Piece], map: &MemoryMap) -> Vec<u8> {
    let region = map.flash.region();
    let mut bytes = vec![0xFF; region.len as usize];
    for piece in pieces {
        let at = piece.address.saturating_sub(region.start) as usize;
        if let Some(place) = bytes.get_mut(at..at.saturating_add(piece.data.len())) {
            place.copy_from_slice(&piece.data);
        }
    }
    bytes
}

/// The sectors that `pieces` lie in: what a tool erases.
pub fn sectors(pieces: &[Piece], map: &MemoryMap) -> SectorSet {
    pieces
        .iter()
        .map(|piece| map.flash.sectors_of(piece.region()))
        .fold(SectorSet::EMPTY, SectorSet::union)
}
