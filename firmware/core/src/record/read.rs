//! Reading the record: which of the two sectors counts, and what its entries say. Writes nothing.

use iap_protocol::memory::{MemoryMap, SectorSet};
use iap_protocol::record::{Entry, IMAGE_SLOTS, LOG_SLOTS, Seal, Slot};

use super::log::SectorLog;
use super::{Desk, Last, Record};
use crate::defect::{Defect, has};
use crate::flash::{Flash, FlashError};

impl Record {
    /// Reads the record. Writes nothing.
    #[inline(never)]
    pub fn load(flash: &mut dyn Flash, map: &MemoryMap) -> Result<Self, FlashError> {
        let mut record = Self::unread();
        record.read(flash, map)?;
        Ok(record)
    }

    /// As [`Record::load`], in place: a record is too large to be handed around on the chip's stack.
    #[inline(never)]
    pub fn read(&mut self, flash: &mut dyn Flash, map: &MemoryMap) -> Result<(), FlashError> {
        let desk = &mut Desk::new(flash, map);
        for (index, place) in desk.places.into_iter().enumerate() {
            let log = SectorLog::new(&desk.window, place)?;
            let Some(head) = log.firm_header() else {
                continue;
            };
            let unproven = !log.is_appended_to(&desk.window)?;
            // Both say the same until something was appended, and only that proves the newer one's header and seal run.
            let counts = match self.active {
                None => true,
                Some(_) if head.is_newer_than(self.head) => !unproven,
                Some(_) => self.unproven,
            };
            if counts {
                self.active = Some(index);
                self.head = head;
                self.unproven = unproven;
            }
        }
        if self.active.is_some() {
            self.replay(desk)?;
        }
        Ok(())
    }

    fn replay(&mut self, desk: &Desk<'_>) -> Result<(), FlashError> {
        let window = &desk.window;
        let log = SectorLog::new(window, self.active_place(desk))?;
        self.state.touched = SectorSet::EMPTY;
        self.next_slot = 0;
        let (mut last, mut last_slot, mut is_settled) = (None, None, false);
        for slot in 0..LOG_SLOTS {
            let read = log.slot(window, slot)?;
            if !matches!(read, Slot::Blank) {
                // Blank slots do not end the log.
                self.next_slot = slot.saturating_add(1);
            }
            let entry = match read {
                Slot::Valid(entry, Seal::Torn | Seal::Sealed) => entry,
                Slot::Valid(entry, Seal::Blank) if has(Defect::UnsealedEntry) => entry,
                Slot::Blank => continue,
                Slot::Dead if log.is_void(window, slot)? => continue,
                Slot::Dead | Slot::Valid(_, Seal::Blank) => {
                    self.doubt.void.get_or_insert(slot);
                    continue;
                }
            };
            self.doubt.void = None;
            is_settled = last_slot.is_some_and(|last: u16| last.saturating_add(1) == slot)
                && log.repeats(window, slot)?;
            last_slot = Some(slot);
            match entry {
                Entry::Begun { slot, header_crc32 } | Entry::Committed { slot, header_crc32 } => {
                    self.image_slot = slot;
                    log.image(window, slot, header_crc32, &mut self.state.image)?;
                }
                Entry::Claimed { slot } => {
                    self.next_image = self.next_image.max(slot.saturating_add(1));
                }
                _ => {}
            }
            self.state.apply(&entry, desk.map);
            last = Some(entry);
        }
        // Whatever is voided reads as anything later on: it must not stand at the end of the log.
        let is_firm = is_settled && self.doubt.void.is_none();
        if !is_firm && !has(Defect::SealBelieved) && !has(Defect::UnsealedEntry) {
            self.doubt.renew = last;
        }
        if self.state.last == Last::Begun {
            // In a brown-out the entry of an erase may be lost, and the erase not.
            self.state.touched = SectorSet(u32::MAX);
        }
        while self.next_image < IMAGE_SLOTS && !log.is_image_blank(window, self.next_image)? {
            self.next_image = self.next_image.saturating_add(1);
        }
        Ok(())
    }
}
