//! The update: the only owner of the flash. Bytes come in through [`Intake`], leave through [`Updater::step`].
//!
//! ```text
//!             begin                 ring full, or all of it judged good
//!   Idle ──────────────▶ Receiving ─────────────────────────────────────▶ Writing ──▶ Committed
//!                           │  per sector: Skip | BEGUN, TOUCHED, Erase ▶ Program ▶ Verify, DONE
//!                           │                                               │
//!                           ╰──────────────▶ Failed(reason) ◀───────────────╯
//! ```
//!
//! - The header is judged when its last byte arrives, the vector table 64 bytes later: a refused image costs no flash operation.
//! - An image that fits the ring is judged whole, CRC and digest, before the old application is touched.
//! - A larger one is begun when the ring is full; if it turns out bad the board stays in IAP mode and says why.
//! - BEGUN is written before the first erase and not before it is needed: an update that finds every sector right writes nothing.
//! - A failed or interrupted update is repaired by the next one. Sectors that are DONE are not written again, unless signatures count.

mod judge;
mod ring;
mod upload;
mod writer;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::HeaderBytes;
use iap_protocol::memory::{Region, Sector};
use iap_protocol::status::{IapReason, Phase, Policy};
use smoltcp::time::Instant;

pub use ring::Ring;
pub(crate) use writer::holds_already;

use crate::boot::{self, Start};
use crate::config::Config;
use crate::defect::{Defect, has};
use crate::flash::{Block, Flash, FlashError, FlashFault};
use crate::intake::{Intake, Outcome, Source, Ticket};
use crate::record::{Last, Record, RecordState};
use upload::Upload;
use writer::{Work, Writer};

/// Free bytes under which the ring counts as full: one window of a client must always fit, or it would wait for room that only
/// its own bytes can make. The servers never ask for more than this at once.
pub const RING_RESERVE: usize = 24 * 1024;

/// What a step did, and when the next one is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing to do until more bytes come.
    Idle,
    /// A flash operation was done, and there is more.
    More,
    /// The supply is low: try again in a moment.
    SupplyLow,
}

/// The running upload or the last one, for `status.json` and the LEDs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Who is or was sending.
    pub source: Source,
    /// When it began.
    pub begun_at: Instant,
    /// Bytes taken, header included.
    pub received: u32,
    /// Bytes to come in all, if known.
    pub total: Option<u32>,
    /// Sectors erased and programmed.
    pub written: u8,
    /// Sectors left alone.
    pub skipped: u8,
    /// The sector at work.
    pub sector: Option<u8>,
}

/// A flash that counts what is done to it.
struct Counted<F> {
    flash: F,
    erases: u32,
    words: u32,
}

impl<F: Flash> Flash for Counted<F> {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.flash.read(address, bytes)
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        self.flash.erase(sector)?;
        self.erases = self.erases.saturating_add(1);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash.program(address, bytes)?;
        self.words = self.words.saturating_add(bytes.len() as u32 / 4);
        Ok(())
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        self.flash.crc32(resume, region)
    }

    fn crc32_of(&mut self, resume: u32, bytes: &[u8]) -> u32 {
        self.flash.crc32_of(resume, bytes)
    }

    fn sha256(&self, state: &mut [u32; 8], region: Region) -> Result<(), FlashError> {
        self.flash.sha256(state, region)
    }

    fn sha256_block(&self, state: &mut [u32; 8], block: &Block<64>) {
        self.flash.sha256_block(state, block);
    }
}

/// The update machine.
pub struct Updater<'a, F> {
    flash: Counted<F>,
    config: &'a Config,
    record: Record,
    ring: Ring<'a>,
    upload: Option<Upload>,
    writer: Writer,
    tickets: u32,
    supply_low: bool,
}

impl<'a, F: Flash> Updater<'a, F> {
    /// Takes the flash over; reads the boot record.
    pub fn new(flash: F, config: &'a Config, ring: Ring<'a>) -> Result<Self, FlashError> {
        let mut updater = Self::unread(flash, config, ring);
        updater.read_record()?;
        Ok(updater)
    }

    /// Takes the flash over; [`Updater::read_record`] follows.
    pub fn unread(flash: F, config: &'a Config, ring: Ring<'a>) -> Self {
        Self {
            flash: Counted {
                flash,
                erases: 0,
                words: 0,
            },
            config,
            record: Record::unread(),
            ring,
            upload: None,
            writer: Writer::default(),
            tickets: 0,
            supply_low: false,
        }
    }

    /// Reads the boot record.
    pub fn read_record(&mut self) -> Result<(), FlashError> {
        self.record.read(&mut self.flash, &self.config.map)
    }

    /// Gives the flash back, for the reset.
    pub fn into_flash(self) -> F {
        self.flash.flash
    }

    /// The flash, to look at.
    pub fn flash(&self) -> &F {
        &self.flash.flash
    }

    /// The flash, for a stand-in that must switch faults on.
    pub fn flash_mut(&mut self) -> &mut F {
        &mut self.flash.flash
    }

    /// What the boot record says.
    pub fn record(&self) -> &RecordState {
        self.record.state()
    }

    /// Flash erase operations and programmed words since the reset.
    pub fn operations(&self) -> (u32, u32) {
        (self.flash.erases, self.flash.words)
    }

    /// What the next reset would start, or why nothing: checked over the whole flash content, so not for every packet.
    pub fn startable(&mut self) -> Result<Start, IapReason> {
        boot::startable(self.record.state(), self.config, &mut self.flash)
    }

    /// The running upload, or the last one since the reset.
    pub fn progress(&self) -> Option<Progress> {
        self.upload
            .as_ref()
            .map(|upload| upload.progress(&self.writer))
    }

    /// The image of the running upload, or of the last one, once it was judged.
    pub fn image(&self) -> Option<&HeaderBytes> {
        self.upload.as_ref().and_then(Upload::image)
    }

    /// Why the last upload failed.
    pub fn last_error(&self) -> Option<&Refusal> {
        self.upload.as_ref().and_then(Upload::error)
    }

    /// What the machine is doing.
    pub fn phase(&self) -> Phase {
        match &self.upload {
            None => Phase::Idle,
            Some(upload) => match upload.outcome() {
                Outcome::Committed => Phase::Committed,
                Outcome::Failed(_) => Phase::Failed,
                Outcome::Running if self.supply_low => Phase::SupplyLow,
                Outcome::Running if upload.is_writing() => self.writer.phase(),
                _ => Phase::Receiving,
            },
        }
    }

    /// Whether the next step is an erase, which stalls the board for up to two seconds.
    pub fn next_step_is_long(&self) -> bool {
        self.may_write() && self.writer.is_before_erase()
    }

    /// Does the next flash operation that is due: at most one erase, or some milliseconds of programming or verifying.
    pub fn step(&mut self) -> Step {
        if !self.may_write() {
            return Step::Idle;
        }
        let Some(upload) = &mut self.upload else {
            return Step::Idle;
        };
        upload.note_writing();
        let Some(image) = upload.image() else {
            return Step::Idle;
        };
        let mut why = Refusal::unsaid();
        let result = self.writer.step(&mut Work {
            flash: &mut self.flash,
            config: self.config,
            record: &mut self.record,
            ring: &mut self.ring,
            upload,
            image,
            why: &mut why,
        });
        self.supply_low = matches!(
            result,
            Err(writer::Stop::Flash(FlashError {
                fault: FlashFault::SupplyLow,
                ..
            }))
        );
        match result {
            Ok(writer::Done::Waiting) => Step::Idle,
            Ok(writer::Done::Worked) => Step::More,
            Ok(writer::Done::Committed) => {
                self.ring.clear();
                upload.commit();
                Step::More
            }
            Err(_) if self.supply_low => Step::SupplyLow,
            Err(stop) => {
                if let writer::Stop::Flash(error) = stop {
                    error.refuse(&mut why);
                }
                self.fail(&why);
                Step::More
            }
        }
    }

    fn may_write(&self) -> bool {
        let ring_is_full = self.ring.free() < RING_RESERVE;
        self.upload
            .as_ref()
            .is_some_and(|upload| upload.may_write(self.ring.capacity(), ring_is_full))
    }

    fn fail(&mut self, why: &Refusal) {
        self.ring.clear();
        if let Some(upload) = &mut self.upload {
            upload.fail(why);
        }
    }

    fn follow(&mut self, verdict: Result<(), Refused>, why: &Refusal) -> Result<(), Refused> {
        if verdict.is_err() {
            self.fail(why);
        }
        verdict
    }

    fn check_ticket(&self, ticket: Ticket, why: &mut Refusal) -> Result<(), Refused> {
        match self.outcome(ticket) {
            Outcome::Failed(refusal) => Err(why.refuse_as(refusal)),
            Outcome::TakenOver => Err(why.refuse(ErrorCode::TakenOver)),
            Outcome::Running | Outcome::Committed => Ok(()),
        }
    }
}

impl<F: Flash> Intake for Updater<'_, F> {
    fn begin(
        &mut self,
        now: Instant,
        source: Source,
        declared: Option<u32>,
        why: &mut Refusal,
    ) -> Result<Ticket, Refused> {
        if let Some(upload) = self.upload.as_ref().filter(|upload| upload.holds(now)) {
            return Err(upload.busy(why));
        }
        // A header may stand in front of the image, so a declared size is judged with that much to spare; the exact verdict follows.
        let most = self
            .config
            .map
            .application
            .len
            .saturating_add(iap_protocol::header::HEADER_LEN as u32);
        if let Some(size) = declared.filter(|&size| size > most) {
            judge::check_region(
                Region::new(self.config.map.application.start, size),
                &self.config.map,
                why,
            )?;
        }
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = Ticket(self.tickets);
        self.ring.clear();
        self.writer = Writer::default();
        self.supply_low = false;
        // Whoever has no key can send other bytes with the right CRC behind a signed header, and DONE says no more than the CRC. Only the
        // digest of the whole sees it: nothing of an unfinished update is believed.
        if self.config.policy() == Policy::Signed
            && self.record().last == Last::Begun
            && !has(Defect::DoneBelieved)
        {
            self.record.distrust();
        }
        self.upload = Some(Upload::new(ticket, source, declared, now));
        Ok(ticket)
    }

    fn bound(&mut self, ticket: Ticket, at_most: u32) {
        if let Some(upload) = self.upload.as_mut().filter(|it| it.ticket == ticket) {
            upload.bound(at_most);
        }
    }

    fn room(&self) -> usize {
        match &self.upload {
            Some(upload) if upload.is_running() => {
                upload.room(self.ring.capacity(), self.ring.free())
            }
            _ => 0,
        }
    }

    fn accept(&mut self, ticket: Ticket, bytes: &[u8], why: &mut Refusal) -> Result<(), Refused> {
        self.check_ticket(ticket, why)?;
        let Some(upload) = &mut self.upload else {
            return Ok(());
        };
        let verdict = upload.accept(
            bytes,
            &mut self.flash,
            &mut self.ring,
            self.config,
            self.record.state(),
            why,
        );
        self.follow(verdict, why)
    }

    fn finish(&mut self, ticket: Ticket, why: &mut Refusal) -> Result<(), Refused> {
        self.check_ticket(ticket, why)?;
        let Some(upload) = &mut self.upload else {
            return Ok(());
        };
        let verdict = upload.finish(&mut self.flash, &self.ring, self.config, why);
        self.follow(verdict, why)
    }

    fn abort(&mut self, ticket: Ticket, reason: &Refusal) {
        if matches!(self.outcome(ticket), Outcome::Running) {
            self.fail(reason);
        }
    }

    fn outcome(&self, ticket: Ticket) -> &Outcome {
        match &self.upload {
            Some(upload) if upload.ticket == ticket => upload.outcome(),
            _ => &Outcome::TakenOver,
        }
    }

    fn is_busy(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::is_running)
    }
}
