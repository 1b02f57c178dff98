//! The writing half of an update: sector by sector from the ring into the flash, and the record entries that go with it.
//!
//! Each step is one flash operation or some milliseconds of work, so that the network is served in between. A step that fails for
//! a low supply has changed nothing but the record and is simply tried again.

mod commit;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::{Flags, HeaderBytes};
use iap_protocol::memory::{MAX_SECTORS, Region, Sector, SectorSet};
use iap_protocol::packed;
use iap_protocol::status::{Phase, Policy};

use super::judge;
use super::ring::Ring;
use super::upload::Upload;
use crate::config::{Config, RAW_IMAGES};
use crate::defect::{Defect, has};
use crate::digest::FlashDigest;
use crate::flash::{Flash, FlashError, FlashFault, Window};
use crate::record::Record;

/// Bytes programmed in one step: 512 words at 16 µs typical (DS8626 table 40) are eight milliseconds, in which a window fits the DMA's
/// receive ring. Looking after the network costs as much as it takes to program some twenty words.
const STEP_LEN: usize = 2048;

/// What a step works with.
pub(super) struct Work<'s, 'r> {
    pub(super) flash: &'s mut dyn Flash,
    pub(super) config: &'s Config,
    pub(super) record: &'s mut Record,
    pub(super) ring: &'s mut Ring<'r>,
    pub(super) upload: &'s Upload,
    /// Its image.
    pub(super) image: &'s HeaderBytes,
    /// What was refused, if something was.
    pub(super) why: &'s mut Refusal,
}

/// What a step achieved.
pub(super) enum Done {
    /// Nothing: more bytes must come first.
    Waiting,
    /// Something, and there is more.
    Worked,
    /// Everything.
    Committed,
}

/// Why a step failed.
pub(super) enum Stop {
    Flash(FlashError),
    Image(Refused),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Image(refused)
    }
}

impl From<FlashError> for Stop {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

enum State {
    /// At the first payload byte of a sector.
    Enter,
    /// The sector holds the right bytes; those in the ring are dropped.
    Skip(Sector),
    /// About to be erased.
    Erase(Sector),
    Program(Sector),
    Verify(Sector),
    /// All sectors are right; the whole is looked at once more.
    Check,
    /// The digest of what is in flash.
    Digest(FlashDigest),
    Commit,
}

/// Where the writing is.
pub(super) struct Writer {
    state: State,
    /// Payload bytes that have left the ring.
    cursor: u32,
    /// CRC of what was programmed into the sector at work.
    running: u32,
    /// CRCs of what was programmed, for a raw image that is longer than the ring.
    programmed: [u32; MAX_SECTORS],
    begun: bool,
    changed: bool,
    written: u8,
    skipped: u8,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            state: State::Enter,
            cursor: 0,
            running: 0,
            programmed: [0; MAX_SECTORS],
            begun: false,
            changed: false,
            written: 0,
            skipped: 0,
        }
    }
}

impl Writer {
    /// Sectors written and skipped.
    pub(super) fn counts(&self) -> (u8, u8) {
        (self.written, self.skipped)
    }

    /// The sector at work.
    pub(super) fn sector(&self) -> Option<u8> {
        match &self.state {
            State::Skip(sector)
            | State::Erase(sector)
            | State::Program(sector)
            | State::Verify(sector) => Some(sector.index),
            _ => None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Enter | State::Skip(_) => Phase::Receiving,
            State::Erase(_) => Phase::Erasing,
            State::Program(_) => Phase::Programming,
            _ => Phase::Verifying,
        }
    }

    pub(super) fn is_before_erase(&self) -> bool {
        matches!(self.state, State::Erase(_))
    }

    /// Does the next piece of work.
    pub(super) fn step(&mut self, work: &mut Work<'_, '_>) -> Result<Done, Stop> {
        let end = payload_end(work.image, work.upload);
        match self.state {
            State::Enter => self.enter(work, end),
            State::Skip(sector) => Ok(self.skip(work, sector, end)),
            State::Erase(sector) => self.erase(work, sector),
            State::Program(sector) => self.program(work, sector, end),
            State::Verify(sector) => self.verify(work, sector),
            State::Check => self.check(work),
            State::Digest(_) => self.digest(work),
            State::Commit => self.commit(work),
        }
    }

    fn enter(&mut self, work: &mut Work<'_, '_>, end: Option<u32>) -> Result<Done, Stop> {
        let image = work.image;
        // What is skipped is skipped because the record says so; the boot has not settled it if the IAP key was held.
        work.record.make_firm(work.flash, &work.config.map)?;
        if end == Some(self.cursor) {
            if !work.upload.is_finished() {
                return Ok(Done::Waiting);
            }
            self.state = State::Check;
            return Ok(Done::Worked);
        }
        if end.is_none() && work.ring.is_empty() {
            return Ok(Done::Waiting);
        }
        let map = &work.config.map;
        let address = image.load_address().saturating_add(self.cursor);
        let outside = FlashError::new(FlashFault::OutsideWindow, address);
        let sector = map.flash.sector_at(address).ok_or(outside)?;
        if map.data_sectors.contains(sector.index) && !image.flags().contains(Flags::DATA) {
            return Err(judge::sector(ErrorCode::DataSectors, sector.index, work.why).into());
        }
        let holds = work.record.state().is_firm(sector.index)
            && holds_already(work.flash, image, sector, end)?;
        let is_sent = |sent: SectorSet| sent.contains(sector.index);
        if !work.upload.sent().is_none_or(is_sent) {
            return self.leave_out(holds, sector, image, end, work.why);
        }
        self.state = match holds {
            true => {
                self.skipped = self.skipped.saturating_add(1);
                State::Skip(sector)
            }
            false => State::Erase(sector),
        };
        Ok(Done::Worked)
    }

    /// Goes on behind a sector that the transfer leaves out. It was found right before anything was written, but may have turned out
    /// doubtful when the record was made firm.
    fn leave_out(
        &mut self,
        holds: bool,
        sector: Sector,
        image: &HeaderBytes,
        end: Option<u32>,
        why: &mut Refusal,
    ) -> Result<Done, Stop> {
        if !holds {
            let code = ErrorCode::PartialTransfer;
            return Err(judge::sector(code, sector.index, why).into());
        }
        self.skipped = self.skipped.saturating_add(1);
        self.cursor = sector_end(sector, image, end);
        Ok(Done::Worked)
    }

    fn skip(&mut self, work: &mut Work<'_, '_>, sector: Sector, end: Option<u32>) -> Done {
        let image = work.image;
        let left = sector_end(sector, image, end).saturating_sub(self.cursor);
        let count = work.ring.len().min(left as usize);
        work.ring.skip(count);
        self.cursor = self.cursor.saturating_add(count as u32);
        if count as u32 == left {
            self.state = State::Enter;
            return Done::Worked;
        }
        if count == 0 {
            Done::Waiting
        } else {
            Done::Worked
        }
    }

    fn erase(&mut self, work: &mut Work<'_, '_>, sector: Sector) -> Result<Done, Stop> {
        let image = work.image;
        if has(Defect::BegunAfterErase) {
            application_window(work.flash, work.config).erase(sector.index)?;
        }
        if !self.begun {
            work.record.begin(work.flash, &work.config.map, image)?;
            self.begun = true;
        }
        work.record
            .touch(work.flash, &work.config.map, sector.index)?;
        self.changed = true;
        if !has(Defect::BegunAfterErase) {
            application_window(work.flash, work.config).erase(sector.index)?;
        }
        if has(Defect::DoneBeforeVerify) {
            work.record
                .done(work.flash, &work.config.map, sector.index)?;
        }
        self.written = self.written.saturating_add(1);
        self.running = 0;
        self.state = State::Program(sector);
        Ok(Done::Worked)
    }

    fn program(
        &mut self,
        work: &mut Work<'_, '_>,
        sector: Sector,
        end: Option<u32>,
    ) -> Result<Done, Stop> {
        let image = work.image;
        let left = sector_end(sector, image, end).saturating_sub(self.cursor);
        if left == 0 {
            self.state = State::Verify(sector);
            return Ok(Done::Worked);
        }
        let run = work.ring.front();
        let at_once = run.len().min(STEP_LEN).min(left as usize) & !3;
        // At the seam of the ring a word is put together; the payload's last one is filled up with erased bits.
        let mut word = [0xFF; 4];
        let mut words = run.get(..at_once).unwrap_or_default();
        let mut len = at_once;
        if words.is_empty() {
            len = word.len().min(left as usize);
            if !word
                .get_mut(..len)
                .is_some_and(|bytes| work.ring.peek(0, bytes))
            {
                return Ok(Done::Waiting);
            }
            words = &word;
        }
        let address = image.load_address().saturating_add(self.cursor);
        // After a low supply nothing has left the ring, and the same words are programmed again.
        application_window(work.flash, work.config).program(address, words)?;
        self.running = work
            .flash
            .crc32_of(self.running, words.get(..len).unwrap_or_default());
        work.ring.skip(len);
        self.cursor = self.cursor.saturating_add(len as u32);
        Ok(Done::Worked)
    }

    /// The CRC of what the sector holds up to the cursor.
    fn running_crc(
        &self,
        flash: &mut dyn Flash,
        image: &HeaderBytes,
        sector: Sector,
    ) -> Result<u32, FlashError> {
        let start = sector.region.start.max(image.load_address());
        let len = image
            .load_address()
            .saturating_add(self.cursor)
            .saturating_sub(start);
        flash.crc32(0, Region::new(start, len))
    }

    fn verify(&mut self, work: &mut Work<'_, '_>, sector: Sector) -> Result<Done, Stop> {
        let image = work.image;
        let programmed = self.running;
        let holds = self.running_crc(work.flash, image, sector)?;
        if holds != programmed && !has(Defect::CommitBeforeVerify) {
            let numbers = [sector.index.into(), sector.region.start];
            let form = packed!("sector {d} at {x}");
            return Err(work
                .why
                .refuse_with(ErrorCode::FlashVerify, form, &numbers)
                .into());
        }
        let announced = image.sector_crc32(sector.index);
        if !is_raw(image) && announced != programmed {
            return Err(judge::sector(ErrorCode::SectorCrc, sector.index, work.why).into());
        }
        if let Some(crc) = self.programmed.get_mut(usize::from(sector.index)) {
            *crc = programmed;
        }
        work.record
            .done(work.flash, &work.config.map, sector.index)?;
        self.state = State::Enter;
        Ok(Done::Worked)
    }
}

fn application_window<'a>(flash: &'a mut dyn Flash, config: &'a Config) -> Window<'a> {
    Window::new(flash, &config.map.flash, config.map.application_sectors())
}

/// Whether the image's signature was checked: with this policy no other image comes so far.
fn is_trusted(config: &Config) -> bool {
    config.policy() == Policy::Signed
}

/// The length of the payload, once it is known.
fn payload_end(image: &HeaderBytes, upload: &Upload) -> Option<u32> {
    let known = upload.is_finished() || !(RAW_IMAGES && image.is_provisional());
    known.then_some(image.payload_size())
}

/// Whether the board itself made the header.
fn is_raw(image: &HeaderBytes) -> bool {
    RAW_IMAGES && image.flags().contains(Flags::RAW)
}

/// The payload offset at which `sector` ends, or the payload in it.
fn sector_end(sector: Sector, image: &HeaderBytes, end: Option<u32>) -> u32 {
    let payload = Region::new(image.load_address(), end.unwrap_or(u32::MAX));
    sector.region.span_in(payload).end
}

/// Whether the sector's content is what the image wants there.
pub(crate) fn holds_already(
    flash: &mut dyn Flash,
    image: &HeaderBytes,
    sector: Sector,
    end: Option<u32>,
) -> Result<bool, FlashError> {
    let wanted = image.sector_crc32(sector.index);
    if is_raw(image) && wanted == 0 {
        return Ok(false);
    }
    let payload = Region::new(image.load_address(), end.unwrap_or(u32::MAX));
    let span = sector.region.span_in(payload);
    let part = Region::new(
        payload.start.saturating_add(span.start),
        span.end.saturating_sub(span.start),
    );
    Ok(flash.crc32(0, part)? == wanted)
}
