//! What all entries of the record together say.

use iap_protocol::header::HeaderBytes;
use iap_protocol::memory::{MemoryMap, SectorSet};
use iap_protocol::record::Entry;

use crate::config::Config;
use crate::defect::{Defect, has};

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
    pub(super) settings: heapless::Vec<(u8, [u8; 20]), MAX_SETTINGS>,
}

impl RecordState {
    /// The state of a board without a record: nothing is known about any sector.
    pub(super) const fn unknown() -> Self {
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
    pub(super) fn holds(&self, image: &HeaderBytes) -> bool {
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
    pub(super) fn apply(&mut self, entry: &Entry, map: &MemoryMap) {
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
