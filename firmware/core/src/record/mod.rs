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

use iap_protocol::header::HeaderBytes;
use iap_protocol::memory::{MemoryMap, SectorSet};
use iap_protocol::record::{Entry, IMAGE_SLOTS, LOG_SLOTS, Seal, SectorHeader, Slot};

use crate::config::Config;
use crate::defect::{Defect, has};
use crate::flash::{Flash, FlashError, Window};
use log::SectorLog;

/// Log slots that must be free before an update begins: claims, BEGUN, what a commit needs, and TOUCHED and DONE of every sector.
const UPDATE_SLOTS: u16 = 58;
/// Log slots that a commit needs: COUNTER, REVOKED, the claim of an image slot, and COMMITTED twice.
const COMMIT_SLOTS: u16 = 5;
/// Image slots an update may need: a raw image gets its final header at the commit.
const UPDATE_IMAGES: u8 = 2;
/// Settings that are kept.
const MAX_SETTINGS: usize = 8;

/// What the last image entry says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Last {
    /// No image was ever installed.
    Nothing,
    /// An update began and did not end: never start what is in flash.
    Begun,
    /// An image is complete in flash.
    Committed,
}

/// The state that all entries together give.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordState {
    /// What the last image entry says.
    pub last: Last,
    /// The image it speaks of; `None` with [`Last::Nothing`].
    pub image: Option<HeaderBytes>,
    /// Sectors that may hold anything: erased or programmed since they were last part of a committed image.
    pub touched: SectorSet,
    /// Sectors that hold what the image in progress wants, verified.
    pub done: SectorSet,
    /// The highest security counter of the entries. Only an image whose signature was checked raises it.
    pub counter: u32,
    /// Every revoked key.
    pub revoked: u32,
    settings: heapless::Vec<(u8, [u8; 20]), MAX_SETTINGS>,
}

impl RecordState {
    /// The state of a board without a record: nothing is known about any sector.
    const fn unknown() -> Self {
        Self {
            last: Last::Nothing,
            image: None,
            touched: SectorSet(u32::MAX),
            done: SectorSet::EMPTY,
            counter: 0,
            revoked: 0,
            settings: heapless::Vec::new(),
        }
    }

    /// Whether `image` is the one it speaks of.
    fn holds(&self, image: &HeaderBytes) -> bool {
        self.image.as_ref().is_some_and(|known| known == image)
    }

    /// The lowest security counter an image may have.
    pub fn least_counter(&self, config: &Config) -> u32 {
        self.counter.max(config.security_counter)
    }

    /// Whether a commit of `image` would raise the counter or revoke a key.
    fn is_behind(&self, image: &HeaderBytes) -> bool {
        image.security_counter() > self.counter || image.revoked_keys() & !self.revoked != 0
    }

    /// Whether the record says all there is to say about a commit of `image`, whose signature was checked or not.
    pub fn is_committed(&self, image: &HeaderBytes, trusted: bool) -> bool {
        self.last == Last::Committed && self.holds(image) && !(trusted && self.is_behind(image))
    }

    /// The last value of a setting.
    pub fn setting(&self, key: u8) -> Option<&[u8; 20]> {
        let found = self.settings.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| value)
    }

    /// Whether the flash content of `sector` is what it reads as, now and at every later boot.
    pub fn is_firm(&self, sector: u8) -> bool {
        self.done.contains(sector) || !self.touched.contains(sector) || has(Defect::SkipTouched)
    }

    /// Applies an entry; the image it refers to is in `self.image` already.
    fn apply(&mut self, entry: &Entry, map: &MemoryMap) {
        match *entry {
            Entry::Claimed { .. } => {}
            Entry::Begun { .. } => (self.last, self.done) = (Last::Begun, SectorSet::EMPTY),
            Entry::Touched { sector } => {
                self.touched.insert(sector);
                self.done.remove(sector);
            }
            Entry::Done { sector } => self.done.insert(sector),
            Entry::Committed { .. } => {
                if let Some(header) = &self.image {
                    self.touched = SectorSet(self.touched.0 & !header.sectors(&map.flash).0);
                }
                (self.last, self.done) = (Last::Committed, SectorSet::EMPTY);
            }
            Entry::Counter { value } => self.counter = self.counter.max(value),
            Entry::Revoked { keys } => self.revoked |= keys,
            Entry::Setting { key, value } => self.set(key, value),
        }
    }

    fn set(&mut self, key: u8, value: [u8; 20]) {
        match self.settings.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = value,
            // A setting beyond the limit is one this version has no use for.
            None => drop(self.settings.push((key, value))),
        }
    }
}

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
    /// Reads the record. Writes nothing.
    #[inline(never)]
    pub fn load(flash: &mut dyn Flash, map: &MemoryMap) -> Result<Self, FlashError> {
        let mut record = Self::unread();
        record.read(flash, map)?;
        Ok(record)
    }

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

    /// As [`Record::load`], in place: a record is too large to be handed around on the chip's stack.
    #[inline(never)]
    pub fn read(&mut self, flash: &mut dyn Flash, map: &MemoryMap) -> Result<(), FlashError> {
        let desk = &mut Desk::new(flash, map);
        for (index, sector) in map.record_sectors.into_iter().enumerate() {
            let log = SectorLog::new(&desk.window, sector)?;
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
        let log = SectorLog::new(window, self.active_sector(desk))?;
        self.state.touched = SectorSet::EMPTY;
        self.next_slot = log.next_slot(window)?;
        let (mut last, mut last_slot, mut is_settled) = (None, None, false);
        for slot in 0..self.next_slot {
            let entry = match log.slot(window, slot)? {
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
        let sector = self.active_sector(desk);
        log::write_image(&mut desk.window, sector, slot, image)?;
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
        let sector = self.active_sector(desk);
        let written = log::write_entry(&mut desk.window, sector, self.next_slot, entry);
        let log = SectorLog::new(&desk.window, sector)?;
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
            let rival = self.other_sector(desk);
            log::discard_rival(&mut desk.window, rival, self.head)?;
            self.open = true;
            return Ok(());
        }
        let (sector, other) = (self.active_sector(desk), self.other_sector(desk));
        log::complete_seal_run(&mut desk.window, sector)?;
        log::discard_rival(&mut desk.window, other, self.head)?;
        if let Some(slot) = self.doubt.void {
            log::void(&mut desk.window, sector, slot..self.next_slot)?;
            self.doubt.void = None;
        }
        self.next_slot = log::burn(&mut desk.window, sector, self.next_slot)?;
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
    #[inline(never)]
    fn move_to_other_sector(&mut self, desk: &mut Desk<'_>) -> Result<(), FlashError> {
        let target = self.active.map_or(0, other);
        let (sector, rival) = (
            desk.record_sector(target),
            desk.record_sector(other(target)),
        );
        let window = &mut desk.window;
        log::kill(window, sector)?;
        window.erase(sector)?;
        if has(Defect::RecordErasedBeforeCopy) {
            window.erase(rival)?;
        }
        let head = self.head.successor();
        if has(Defect::RecordHeaderFirst) {
            log::write_header(window, sector, head)?;
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
            log::write_entry(window, sector, slot, &last)
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
            log::write_image(window, sector, slot, image)?;
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
        log::write_entry(window, sector, next, &last)?;
        next = next.saturating_add(1);
        log::write_header(window, sector, head)?;
        if has(Defect::CounterAfterHeader) {
            log::write_entry(window, sector, next, &counter)?;
            next = next.saturating_add(1);
        }
        // Whoever reads anything here that the move did not write knows that the move was finished.
        self.next_slot = log::burn(window, sector, next)?;
        self.head = head;
        self.active = Some(target);
        self.next_image = u8::from(self.state.image.is_some());
        self.image_slot = 0;
        self.state.touched = self.state.touched.intersection(known);
        Ok(())
    }

    fn active_sector(&self, desk: &Desk<'_>) -> u8 {
        desk.record_sector(self.active.unwrap_or(0))
    }

    fn other_sector(&self, desk: &Desk<'_>) -> u8 {
        desk.record_sector(other(self.active.unwrap_or(0)))
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
}

impl<'a> Desk<'a> {
    #[inline(never)]
    fn new(flash: &'a mut dyn Flash, map: &'a MemoryMap) -> Self {
        let sectors = map.record_sectors.into_iter().collect();
        Self {
            window: Window::new(flash, &map.flash, sectors),
            map,
        }
    }

    fn record_sector(&self, index: usize) -> u8 {
        let [first, second] = self.map.record_sectors;
        if index == 0 { first } else { second }
    }
}
