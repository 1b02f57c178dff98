//! One record sector: reading its slots, and the writes, each in the order that a power cut forgives.

use core::ops::Range;

use iap_protocol::crc::crc32;
use iap_protocol::header::{Flags, HEADER_LEN, HeaderBytes};
use iap_protocol::record::{
    ENTRY_BODY_LEN, ENTRY_LEN, Entry, IMAGE_SLOTS, LOG_SLOTS, SEAL, SEAL_RUN_LEN, SEAL_RUN_OFFSET,
    SECTOR_HEADER_LEN, SectorHeader, Slot, image_offset, log_offset,
};

use crate::defect::{Defect, has};
use crate::flash::{FlashError, FlashFault, Window};

/// A record sector: its number, and where it lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) index: u8,
    pub(super) start: u32,
}

impl Place {
    /// Where log slot `slot` lies. An address that wraps is none of the window's.
    fn slot(self, slot: u16) -> u32 {
        self.start.wrapping_add(log_offset(slot))
    }

    /// Where image slot `slot` lies.
    fn image(self, slot: u8) -> u32 {
        self.start.wrapping_add(image_offset(slot))
    }
}

/// The head of a record sector.
pub(super) struct SectorLog {
    place: Place,
    header: Option<SectorHeader>,
    seal_begun: bool,
}

impl SectorLog {
    /// Reads the head of a record sector.
    pub(super) fn new(window: &Window<'_>, place: Place) -> Result<Self, FlashError> {
        let mut head = [0; SECTOR_HEADER_LEN + SEAL_RUN_LEN];
        window.read(place.start, &mut head)?;
        let (header, seal) = head.split_at(SECTOR_HEADER_LEN);
        Ok(Self {
            place,
            header: SectorHeader::decode(header),
            seal_begun: !holds_only(0xFF, seal),
        })
    }

    /// Its header, if it counts.
    pub(super) fn firm_header(&self) -> Option<SectorHeader> {
        self.header.filter(|_| self.seal_begun)
    }

    /// Whether anything was written to the log after the record moved here: a move writes valid entries only, and whoever appends burns a
    /// slot first.
    pub(super) fn is_appended_to(&self, window: &Window<'_>) -> Result<bool, FlashError> {
        for slot in 0..LOG_SLOTS {
            if matches!(self.slot(window, slot)?, Slot::Dead) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is in `slot`.
    pub(super) fn slot(&self, window: &Window<'_>, slot: u16) -> Result<Slot, FlashError> {
        let mut bytes = [0; ENTRY_LEN];
        window.read(self.place.slot(slot), &mut bytes)?;
        if has(Defect::EntryWithoutCheck) && bytes != [0xFF; ENTRY_LEN] {
            let crc = crc32(&bytes[..ENTRY_BODY_LEN - 4]).to_le_bytes();
            bytes[ENTRY_BODY_LEN - 4..ENTRY_BODY_LEN].copy_from_slice(&crc);
        }
        Ok(Entry::decode(&bytes))
    }

    /// Whether `slot` reads as zero.
    pub(super) fn is_void(&self, window: &Window<'_>, slot: u16) -> Result<bool, FlashError> {
        let mut bytes = [0xFF; ENTRY_LEN];
        window.read(self.place.slot(slot), &mut bytes)?;
        Ok(holds_only(0, &bytes))
    }

    /// Whether nothing was written to image slot `slot`: a brown-out may lose the claim and not what was written after it.
    pub(super) fn is_image_blank(&self, window: &Window<'_>, slot: u8) -> Result<bool, FlashError> {
        let mut bytes = [0; HEADER_LEN];
        window.read(self.place.image(slot), &mut bytes)?;
        Ok(holds_only(0xFF, &bytes))
    }

    /// Whether `slot` says what the slot before it says.
    pub(super) fn repeats(&self, window: &Window<'_>, slot: u16) -> Result<bool, FlashError> {
        let (mut before, mut bytes) = ([0; ENTRY_BODY_LEN], [0; ENTRY_BODY_LEN]);
        let address = self.place.slot(slot);
        window.read(address.wrapping_sub(ENTRY_LEN as u32), &mut before)?;
        window.read(address, &mut bytes)?;
        Ok(before == bytes)
    }

    /// Puts the image in `slot` into `image`, if it is the one whose header ends in this CRC.
    pub(super) fn image(
        &self,
        window: &Window<'_>,
        slot: u8,
        crc32: u32,
        image: &mut Option<HeaderBytes>,
    ) -> Result<(), FlashError> {
        let bytes = image.insert(HeaderBytes::EMPTY);
        if slot < IMAGE_SLOTS {
            window.read(self.place.image(slot), &mut bytes.0)?;
        }
        let known = Flags::KNOWN.union(Flags::RAW);
        if bytes.check(known).is_err() || bytes.header_crc32() != crc32 {
            *image = None;
        }
        Ok(())
    }
}

/// Whether all of `bytes` are `byte`.
#[inline(never)]
fn holds_only(byte: u8, bytes: &[u8]) -> bool {
    bytes.iter().all(|&it| it == byte)
}

/// Writes an entry and then its seal, and reads both back.
pub(super) fn write_entry(
    window: &mut Window<'_>,
    place: Place,
    slot: u16,
    entry: &Entry,
) -> Result<(), FlashError> {
    let address = place.slot(slot);
    let body = entry.encode();
    window.program(address, &body)?;
    window.program(address.wrapping_add(ENTRY_BODY_LEN as u32), &SEAL)?;
    let mut written = [0xFF; ENTRY_LEN];
    window.read(address, &mut written)?;
    let (written, seal) = written.split_at(ENTRY_BODY_LEN);
    if *written == body && *seal == SEAL {
        Ok(())
    } else {
        Err(FlashError::new(FlashFault::Program, address))
    }
}

/// Writes a header into an image slot that was claimed for it.
pub(super) fn write_image(
    window: &mut Window<'_>,
    place: Place,
    slot: u8,
    image: &HeaderBytes,
) -> Result<(), FlashError> {
    let address = place.image(slot);
    window.program(address, &image.0)?;
    let mut written = [0; HEADER_LEN];
    window.read(address, &mut written)?;
    if written == image.0 {
        Ok(())
    } else {
        Err(FlashError::new(FlashFault::Program, address))
    }
}

/// Writes the sector header, then its seal run: from here on the sector counts.
pub(super) fn write_header(
    window: &mut Window<'_>,
    place: Place,
    header: SectorHeader,
) -> Result<(), FlashError> {
    window.program(place.start, &header.encode())?;
    complete_seal_run(window, place)
}

/// Programs what is left of the seal run. A cut in it leaves one word in doubt, and the others firm.
pub(super) fn complete_seal_run(window: &mut Window<'_>, place: Place) -> Result<(), FlashError> {
    let address = place.start.wrapping_add(SEAL_RUN_OFFSET);
    let mut run = [0; SEAL_RUN_LEN];
    window.read(address, &mut run)?;
    if holds_only(0, &run) {
        Ok(())
    } else {
        window.program(address, &[0; SEAL_RUN_LEN])
    }
}

/// Makes the header of a sector worthless, so that no half-erased rest of it can be taken for a valid one.
pub(super) fn kill(window: &mut Window<'_>, place: Place) -> Result<(), FlashError> {
    match SectorLog::new(window, place)?.header {
        Some(_) => window.program(place.start, &[0; SECTOR_HEADER_LEN]),
        None => Ok(()),
    }
}

/// Erases the other sector if it could one day pass for one that is newer than ours, or no older.
pub(super) fn discard_rival(
    window: &mut Window<'_>,
    place: Place,
    ours: SectorHeader,
) -> Result<(), FlashError> {
    if SectorLog::new(window, place)?
        .header
        .is_some_and(|rival| !ours.is_newer_than(rival))
    {
        kill(window, place)?;
        window.erase(place.index)?;
    }
    Ok(())
}

/// Programs whatever is in `slots` to zero.
pub(super) fn void(
    window: &mut Window<'_>,
    place: Place,
    slots: Range<u16>,
) -> Result<(), FlashError> {
    for slot in slots {
        window.program(place.slot(slot), &[0; ENTRY_LEN])?;
    }
    Ok(())
}

/// Programs slots from `slot` on to zero until one reads back as zero; the first slot after it.
pub(super) fn burn(window: &mut Window<'_>, place: Place, slot: u16) -> Result<u16, FlashError> {
    if has(Defect::TornSlotReused) {
        return Ok(slot);
    }
    for slot in slot..LOG_SLOTS {
        let mut bytes = [0; ENTRY_LEN];
        window.program(place.slot(slot), &bytes)?;
        window.read(place.slot(slot), &mut bytes)?;
        if holds_only(0, &bytes) {
            return Ok(slot.saturating_add(1));
        }
    }
    Ok(LOG_SLOTS)
}
