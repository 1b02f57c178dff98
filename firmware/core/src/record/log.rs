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

/// The head of a record sector.
pub(super) struct SectorLog {
    start: u32,
    header: Option<SectorHeader>,
    seal_begun: bool,
}

impl SectorLog {
    /// Reads the head of record sector `sector`.
    pub(super) fn new(window: &Window<'_>, sector: u8) -> Result<Self, FlashError> {
        let start = window.sector_start(sector)?;
        let mut head = [0; SECTOR_HEADER_LEN + SEAL_RUN_LEN];
        window.read(start, &mut head)?;
        let (header, seal) = head.split_at(SECTOR_HEADER_LEN);
        Ok(Self {
            start,
            header: SectorHeader::decode(header),
            seal_begun: seal.iter().any(|&byte| byte != 0xFF),
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

    /// The first slot after the last one that is not blank: blank ones do not end the log.
    pub(super) fn next_slot(&self, window: &Window<'_>) -> Result<u16, FlashError> {
        for slot in (0..LOG_SLOTS).rev() {
            if !matches!(self.slot(window, slot)?, Slot::Blank) {
                return Ok(slot.saturating_add(1));
            }
        }
        Ok(0)
    }

    /// What is in `slot`.
    pub(super) fn slot(&self, window: &Window<'_>, slot: u16) -> Result<Slot, FlashError> {
        let mut bytes = [0; ENTRY_LEN];
        window.read(slot_at(self.start, slot), &mut bytes)?;
        if has(Defect::EntryWithoutCheck) && bytes != [0xFF; ENTRY_LEN] {
            let crc = crc32(&bytes[..ENTRY_BODY_LEN - 4]).to_le_bytes();
            bytes[ENTRY_BODY_LEN - 4..ENTRY_BODY_LEN].copy_from_slice(&crc);
        }
        Ok(Entry::decode(&bytes))
    }

    /// Whether `slot` reads as zero.
    pub(super) fn is_void(&self, window: &Window<'_>, slot: u16) -> Result<bool, FlashError> {
        let mut bytes = [0xFF; ENTRY_LEN];
        window.read(slot_at(self.start, slot), &mut bytes)?;
        Ok(bytes == [0; ENTRY_LEN])
    }

    /// Whether nothing was written to image slot `slot`: a brown-out may lose the claim and not what was written after it.
    pub(super) fn is_image_blank(&self, window: &Window<'_>, slot: u8) -> Result<bool, FlashError> {
        let mut bytes = [0; HEADER_LEN];
        window.read(image_at(self.start, slot), &mut bytes)?;
        Ok(bytes == [0xFF; HEADER_LEN])
    }

    /// Whether `slot` says what the slot before it says.
    pub(super) fn repeats(&self, window: &Window<'_>, slot: u16) -> Result<bool, FlashError> {
        let (mut before, mut bytes) = ([0; ENTRY_BODY_LEN], [0; ENTRY_BODY_LEN]);
        let address = slot_at(self.start, slot);
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
            window.read(image_at(self.start, slot), &mut bytes.0)?;
        }
        let known = Flags::KNOWN.union(Flags::RAW);
        if bytes.check(known).is_err() || bytes.header_crc32() != crc32 {
            *image = None;
        }
        Ok(())
    }
}

/// Where log slot `slot` of the record sector at `start` lies. An address that wraps is none of the window's.
fn slot_at(start: u32, slot: u16) -> u32 {
    start.wrapping_add(log_offset(slot))
}

/// Where image slot `slot` of the record sector at `start` lies.
fn image_at(start: u32, slot: u8) -> u32 {
    start.wrapping_add(image_offset(slot))
}

/// Writes an entry and then its seal, and reads both back.
pub(super) fn write_entry(
    window: &mut Window<'_>,
    sector: u8,
    slot: u16,
    entry: &Entry,
) -> Result<(), FlashError> {
    let address = slot_at(window.sector_start(sector)?, slot);
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
    sector: u8,
    slot: u8,
    image: &HeaderBytes,
) -> Result<(), FlashError> {
    let address = image_at(window.sector_start(sector)?, slot);
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
    sector: u8,
    header: SectorHeader,
) -> Result<(), FlashError> {
    let start = window.sector_start(sector)?;
    window.program(start, &header.encode())?;
    complete_seal_run(window, sector)
}

/// Programs what is left of the seal run. A cut in it leaves one word in doubt, and the others firm.
pub(super) fn complete_seal_run(window: &mut Window<'_>, sector: u8) -> Result<(), FlashError> {
    let address = window.sector_start(sector)?.wrapping_add(SEAL_RUN_OFFSET);
    let mut run = [0; SEAL_RUN_LEN];
    window.read(address, &mut run)?;
    if run == [0; SEAL_RUN_LEN] {
        Ok(())
    } else {
        window.program(address, &[0; SEAL_RUN_LEN])
    }
}

/// Makes the header of a sector worthless, so that no half-erased rest of it can be taken for a valid one.
pub(super) fn kill(window: &mut Window<'_>, sector: u8) -> Result<(), FlashError> {
    match SectorLog::new(window, sector)?.header {
        Some(_) => window.program(window.sector_start(sector)?, &[0; SECTOR_HEADER_LEN]),
        None => Ok(()),
    }
}

/// Erases the other sector if it could one day pass for one that is newer than ours, or no older.
pub(super) fn discard_rival(
    window: &mut Window<'_>,
    sector: u8,
    ours: SectorHeader,
) -> Result<(), FlashError> {
    if SectorLog::new(window, sector)?
        .header
        .is_some_and(|rival| !ours.is_newer_than(rival))
    {
        kill(window, sector)?;
        window.erase(sector)?;
    }
    Ok(())
}

/// Programs whatever is in `slots` to zero.
pub(super) fn void(
    window: &mut Window<'_>,
    sector: u8,
    slots: Range<u16>,
) -> Result<(), FlashError> {
    let start = window.sector_start(sector)?;
    for slot in slots {
        window.program(slot_at(start, slot), &[0; ENTRY_LEN])?;
    }
    Ok(())
}

/// Programs slots from `slot` on to zero until one reads back as zero; the first slot after it.
pub(super) fn burn(window: &mut Window<'_>, sector: u8, slot: u16) -> Result<u16, FlashError> {
    let start = window.sector_start(sector)?;
    if has(Defect::TornSlotReused) {
        return Ok(slot);
    }
    for slot in slot..LOG_SLOTS {
        let mut bytes = [0; ENTRY_LEN];
        window.program(slot_at(start, slot), &bytes)?;
        window.read(slot_at(start, slot), &mut bytes)?;
        if bytes == [0; ENTRY_LEN] {
            return Ok(slot.saturating_add(1));
        }
    }
    Ok(LOG_SLOTS)
}
