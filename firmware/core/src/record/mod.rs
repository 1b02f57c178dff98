//! The boot record: what the board knows about its user flash, kept through power cuts.
//!
//! The bytes are `iap_protocol::record`'s. This module holds the rules under which they may be believed and written:
//!
//! - A cut leaves the word at work with bits that read differently at every boot (RM0090 section 3.6). A CRC that is right once proves
//!   nothing; a word begun after another proves the other was finished. So an entry counts once any bit of its seal is cleared, and
//!   before that it never counts: nobody has acted on it.
//! - The seal of the last entry may itself be torn, even where all of it reads cleared: only what follows in the same session proves a
//!   seal. So the last entry counts as settled if the slot before it says the same: whichever of the two reads torn one day, the other
//!   does not. COMMITTED is written twice for that, and whatever else a cut has made the last entry is appended anew, twice, before
//!   anybody acts on it. Whatever stands after it with a seal that reads blank, or torn otherwise, is voided (programmed to zero). Either
//!   way every later boot sees the same.
//! - A cut may leave no trace now and one later. So before the first append of a session the slot after the last used one is burned:
//!   an entry never goes into cells that a cut may have touched.
//! - A record sector counts once any bit of its seal run is cleared; before the first append the run is completed, so that at every
//!   later boot at least one of its words is firm, and a newer generation that is not firm is killed and erased.
//! - A sector counts before an older one only if something was appended to it, and nothing is appended to one that a move has just left:
//!   in a brown-out header and seal run may be torn together.
//! - When the log or the image slots are full, all live state moves to the other sector, whose header and seal run are written last.

mod log;
mod read;
mod state;

use iap_protocol::header::HeaderBytes;
use iap_protocol::memory::{MemoryMap, SectorSet};
use iap_protocol::record::{Entry, IMAGE_SLOTS, LOG_SLOTS, SectorHeader, Slot};

use crate::defect::{Defect, has};
use crate::flash::{Flash, FlashError, Window};
use log::{Place, SectorLog};
pub use state::{Last, RecordState};

/// Log slots that must be free before an update begins: claims, BEGUN, what a commit needs, and TOUCHED and DONE of every sector.
const UPDATE_SLOTS: u16 = 58;
/// Log slots that a commit needs: COUNTER, REVOKED, the claim of an image slot, and COMMITTED twice.
const COMMIT_SLOTS: u16 = 5;
/// Image slots an update may need: a raw image gets its final header at the commit.
const UPDATE_IMAGES: u8 = 2;
/// What must be done about the end of the log before anybody acts on the record.
#[derive(Clone, Copy, Default)]
struct Doubt {
    /// The first slot after the last entry that counts with anything in it but zeros: from here on program the slots to zero. There may
    /// be several: one whose renewal was cut stands before that, and both may read blank.
    void: Option<u16>,
    /// The last entry that counts, whose seal nothing proves: append it anew.
    renew: Option<Entry>,
}

/// The record of one board. All writes go through a window on the two record sectors.
pub struct Record {
    state: RecordState,
    /// Index into `MemoryMap::record_sectors`.
    active: Option<usize>,
    /// The head of the active sector; of generation 0 where there is none.
    head: SectorHeader,
    next_slot: u16,
    next_image: u8,
    /// The slot of the image `state.image` came from.
    image_slot: u8,
    /// What is in doubt.
    doubt: Doubt,
    /// Whether nothing proves the active sector's header and seal run.
    unproven: bool,
    /// Whether this session has made the record ready to append to.
    open: bool,
}

impl Record {
    /// A record of which nothing is known yet: [`Record::read`] follows.
    pub const fn unread() -> Self {
        Self {
            state: RecordState::unknown(),
            active: None,
            head: SectorHeader { generation: 0 },
            next_slot: 0,
            next_image: 0,
            image_slot: 0,
            doubt: Doubt {
                void: None,
                renew: None,
            },
            unproven: false,
            open: false,
        }
    }

    /// What the entries say.
    pub fn state(&self) -> &RecordState {
        &self.state
    }

    /// Settles what is in doubt about the end of the log, so that every later boot sees the same. Writes only then.
    pub fn make_firm(&mut self, flash: &mut dyn Flash, map: &MemoryMap) -> Result<(), FlashError> {
        if self.doubt.void.is_some() || self.doubt.renew.is_some() {
            self.open_session(&mut Desk::new(flash, map))
        } else {
            Ok(())
        }
    }

    /// Believes of no sector that it holds what it should, until it is written again. Kept in RAM only.
    pub(crate) fn distrust(&mut self) {
        (self.state.touched, self.state.done) = (SectorSet(u32::MAX), SectorSet::EMPTY);
    }

    /// Notes that an update to `image` begins, unless it goes on with the one that was interrupted.
    pub fn begin(
        &mut self,
        flash: &mut dyn Flash,
        map: &MemoryMap,
        image: &HeaderBytes,
    ) -> Result<(), FlashError> {
        let desk = &mut Desk::new(flash, map);
        let resumes =
            self.state.last == Last::Begun && self.state.holds(image) && !image.is_provisional();
        self.make_room(desk, UPDATE_SLOTS, UPDATE_IMAGES)?;
        if resumes {
            return Ok(());
        }
        let slot = self.store_image(desk, image)?;
        let header_crc32 = image.header_crc32();
        self.append(desk, Entry::Begun { slot, header_crc32 }, Some(image))
    }

    /// Notes that `sector` is about to be erased.
    pub fn touch(
        &mut self,
        flash: &mut dyn Flash,
        map: &MemoryMap,
        sector: u8,
    ) -> Result<(), FlashError> {
        self.append(&mut Desk::new(flash, map), Entry::Touched { sector }, None)
    }

    /// Notes that `sector` holds what the image wants and was verified.
    pub fn done(
        &mut self,
        flash: &mut dyn Flash,
        map: &MemoryMap,
        sector: u8,
    ) -> Result<(), FlashError> {
        self.append(&mut Desk::new(flash, map), Entry::Done { sector }, None)
    }

    /// Notes that all of `image` is in flash and was verified; of an image that is `trusted` because its signature was checked, counter and
    /// revoked keys before that: a cut in between leaves them with an update that is repeated.
    pub fn commit(
        &mut self,
        flash: &mut dyn Flash,
        map: &MemoryMap,
        image: &HeaderBytes,
        trusted: bool,
    ) -> Result<(), FlashError> {
        let desk = &mut Desk::new(flash, map);
        let stored = self.state.holds(image);
        self.make_room(desk, COMMIT_SLOTS, u8::from(!stored))?;
        if trusted && !has(Defect::CounterAfterCommit) {
            self.raise(desk, image)?;
        }
        let slot = match stored {
            true => self.image_slot,
            false => self.store_image(desk, image)?,
        };
        let header_crc32 = image.header_crc32();
        let committed = Entry::Committed { slot, header_crc32 };
        self.append(desk, committed, Some(image))?;
        if trusted && has(Defect::CounterAfterCommit) {
            self.raise(desk, image)?;
        }
        // Nothing follows for a long time, and the second one proves the first.
        self.append(desk, committed, Some(image))
    }

    /// Notes what the commit of `image` makes of security counter and revoked keys.
    fn raise(&mut self, desk: &mut Desk<'_>, image: &HeaderBytes) -> Result<(), FlashError> {
        let value = image.security_counter();
        if value > self.state.counter {
            self.append(desk, Entry::Counter { value }, None)?;
        }
        let keys = image.revoked_keys() & !self.state.revoked;
        if keys != 0 {
            self.append(desk, Entry::Revoked { keys }, None)?;
        }
        Ok(())
    }

    /// Writes a header into an image slot of its own.
    fn store_image(&mut self, desk: &mut Desk<'_>, image: &HeaderBytes) -> Result<u8, FlashError> {
        let slot = self.next_image;
        self.append(desk, Entry::Claimed { slot }, None)?;
        self.next_image = slot.saturating_add(1);
        let place = self.active_place(desk);
        log::write_image(&mut desk.window, place, slot, image)?;
        Ok(slot)
    }

    #[inline(never)]
    fn append(
        &mut self,
        desk: &mut Desk<'_>,
        entry: Entry,
        image: Option<&HeaderBytes>,
    ) -> Result<(), FlashError> {
        self.open_session(desk)?;
        if self.next_slot >= LOG_SLOTS {
            self.move_to_other_sector(desk)?;
        }
        self.append_to_active(desk, &entry)?;
        if let Entry::Begun { slot, .. } | Entry::Committed { slot, .. } = entry {
            self.image_slot = slot;
            self.state.image = image.cloned();
        }
        self.state.apply(&entry, desk.map);
        Ok(())
    }

    fn append_to_active(&mut self, desk: &mut Desk<'_>, entry: &Entry) -> Result<(), FlashError> {
        let place = self.active_place(desk);
        let written = log::write_entry(&mut desk.window, place, self.next_slot, entry);
        let log = SectorLog::new(&desk.window, place)?;
        // A supply that sinks in the middle of an entry leaves a slot that no other entry may go into.
        if !matches!(log.slot(&desk.window, self.next_slot)?, Slot::Blank) {
            self.next_slot = self.next_slot.saturating_add(1);
        }
        written
    }

    /// Makes the record ready to append to, once per session: see the head of the file.
    fn open_session(&mut self, desk: &mut Desk<'_>) -> Result<(), FlashError> {
        if self.open {
            return Ok(());
        }
        if self.active.is_none() || self.unproven {
            self.move_to_other_sector(desk)?;
            (self.unproven, self.doubt) = (false, Doubt::default());
            let rival = self.other_place(desk);
            log::discard_rival(&mut desk.window, rival, self.head)?;
            self.open = true;
            return Ok(());
        }
        let (place, other) = (self.active_place(desk), self.other_place(desk));
        log::complete_seal_run(&mut desk.window, place)?;
        log::discard_rival(&mut desk.window, other, self.head)?;
        if let Some(slot) = self.doubt.void {
            log::void(&mut desk.window, place, slot..self.next_slot)?;
            self.doubt.void = None;
        }
        self.next_slot = log::burn(&mut desk.window, place, self.next_slot)?;
        if let Some(entry) = &self.doubt.renew {
            if self.next_slot.saturating_add(2) > LOG_SLOTS {
                self.move_to_other_sector(desk)?;
            } else {
                let entry = *entry;
                self.append_to_active(desk, &entry)?;
                self.append_to_active(desk, &entry)?;
            }
            self.doubt.renew = None;
        }
        self.open = true;
        Ok(())
    }

    /// Moves to the other sector unless this one has room for so many more log slots and images.
    fn make_room(&mut self, desk: &mut Desk<'_>, slots: u16, images: u8) -> Result<(), FlashError> {
        self.open_session(desk)?;
        let full = self.next_slot.saturating_add(slots) > LOG_SLOTS
            || self.next_image.saturating_add(images) > IMAGE_SLOTS;
        if full {
            self.move_to_other_sector(desk)
        } else {
            Ok(())
        }
    }

    /// Writes all live state to the sector that is not active, and makes it the active one.
    #[allow(
        clippy::too_many_lines,
        reason = "one order of writes, with its reasons beside them"
    )]
    #[inline(never)]
    fn move_to_other_sector(&mut self, desk: &mut Desk<'_>) -> Result<(), FlashError> {
        let target = self.active.map_or(0, other);
        let (place, rival) = (desk.place(target), desk.place(other(target)));
        let window = &mut desk.window;
        log::kill(window, place)?;
        window.erase(place.index)?;
        if has(Defect::RecordErasedBeforeCopy) {
            window.erase(rival.index)?;
        }
        let head = self.head.successor();
        if has(Defect::RecordHeaderFirst) {
            log::write_header(window, place, head)?;
        }
        let state = &self.state;
        let counter = Entry::Counter {
            value: state.counter,
        };
        let (mut next, mut last) = (0, counter);
        let mut put = |window: &mut Window<'_>, entry: Entry| {
            let slot: u16 = next;
            next = slot.saturating_add(1);
            last = entry;
            log::write_entry(window, place, slot, &last)
        };
        if !has(Defect::CounterAfterHeader) {
            put(window, counter)?;
        }
        let keys = state.revoked;
        put(window, Entry::Revoked { keys })?;
        for &(key, value) in &state.settings {
            put(window, Entry::Setting { key, value })?;
        }
        let (slot, mut header_crc32) = (0, 0);
        if let Some(image) = &state.image {
            put(window, Entry::Claimed { slot })?;
            log::write_image(window, place, slot, image)?;
            header_crc32 = image.header_crc32();
        }
        // An image that cannot be read any more is no reason to forget that an update began: with the bare rule the rest of it would start.
        match state.last {
            Last::Nothing => {}
            Last::Begun => put(window, Entry::Begun { slot, header_crc32 })?,
            Last::Committed => put(window, Entry::Committed { slot, header_crc32 })?,
        }
        let known = desk.map.application_sectors();
        for sector in state.touched.intersection(known).iter() {
            put(window, Entry::Touched { sector })?;
        }
        for sector in state.done.intersection(known).iter() {
            put(window, Entry::Done { sector })?;
        }
        // The last entry is settled like every other one: the slot before it says the same.
        log::write_entry(window, place, next, &last)?;
        next = next.saturating_add(1);
        log::write_header(window, place, head)?;
        if has(Defect::CounterAfterHeader) {
            log::write_entry(window, place, next, &counter)?;
            next = next.saturating_add(1);
        }
        // Whoever reads anything here that the move did not write knows that the move was finished.
        self.next_slot = log::burn(window, place, next)?;
        self.head = head;
        self.active = Some(target);
        self.next_image = u8::from(self.state.image.is_some());
        self.image_slot = 0;
        self.state.touched = self.state.touched.intersection(known);
        Ok(())
    }

    fn active_place(&self, desk: &Desk<'_>) -> Place {
        desk.place(self.active.unwrap_or(0))
    }

    fn other_place(&self, desk: &Desk<'_>) -> Place {
        desk.place(other(self.active.unwrap_or(0)))
    }
}

/// The other one of the two record sectors.
fn other(index: usize) -> usize {
    usize::from(index == 0)
}

/// What the record is read and written with.
struct Desk<'a> {
    window: Window<'a>,
    map: &'a MemoryMap,
    places: [Place; 2],
}

impl<'a> Desk<'a> {
    #[inline(never)]
    fn new(flash: &'a mut dyn Flash, map: &'a MemoryMap) -> Self {
        let sectors = map.record_sectors.into_iter().collect();
        // A sector that the map does not have lies nowhere: at 0 there is no flash to be read or written.
        let start = |index| map.flash.sector(index).map_or(0, |it| it.region.start);
        Self {
            window: Window::new(flash, &map.flash, sectors),
            map,
            places: map.record_sectors.map(|index| Place {
                index,
                start: start(index),
            }),
        }
    }

    fn place(&self, index: usize) -> Place {
        let [first, second] = self.places;
        if index == 0 { first } else { second }
    }
}
