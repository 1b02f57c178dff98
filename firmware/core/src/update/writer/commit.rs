//! The end of an update: what is in flash is looked at once more as a whole, then committed.

use iap_protocol::ErrorCode;
use iap_protocol::packed;
use iap_protocol::vectors::SYSTEM_VECTORS_LEN;

use super::super::judge;
use super::{Done, State, Stop, Work, Writer, is_raw, is_trusted};
use crate::defect::{Defect, has};
use crate::digest::FlashDigest;

/// Bytes whose digest is computed in one step.
const DIGEST_STEP_LEN: u32 = 16 * 1024;

impl Writer {
    pub(super) fn check(&mut self, work: &mut Work<'_, '_>) -> Result<Done, Stop> {
        let image = work.image;
        if has(Defect::CommitBeforeVerify) {
            self.state = State::Commit;
            return Ok(Done::Worked);
        }
        if work.flash.crc32(0, image.payload_region())? != image.payload_crc32() {
            // Every sector was verified or skipped for its CRC: it is the sector CRCs that do not belong to this payload.
            return Err(work.why.refuse(ErrorCode::SectorCrc).into());
        }
        let mut start = [0; SYSTEM_VECTORS_LEN];
        work.flash.read(image.load_address(), &mut start)?;
        judge::vector_table(
            &start,
            Some(image.payload_size()),
            &work.config.map,
            work.why,
        )?;
        // What was committed once had the right digest then, and its CRC is right now: as much as a start asks for.
        let is_known = !self.changed
            && !work.config.boot_signature
            && work
                .record
                .state()
                .is_committed(image, is_trusted(work.config));
        // Where nobody signs, a digest guards from accidents, as the CRCs of the sectors do, and most of them are left alone.
        let is_left_alone = work.upload.sent().is_some() && !is_trusted(work.config);
        self.state = match image.sha256() {
            Some(_) if !is_known && !is_left_alone => State::Digest(FlashDigest::new()),
            _ => State::Commit,
        };
        Ok(Done::Worked)
    }

    pub(super) fn digest(&mut self, work: &mut Work<'_, '_>) -> Result<Done, Stop> {
        let image = work.image;
        let State::Digest(digest) = &mut self.state else {
            return Ok(Done::Worked);
        };
        match digest.advance(work.flash, image, DIGEST_STEP_LEN)? {
            None => {}
            Some(true) => self.state = State::Commit,
            Some(false) => {
                // All CRCs were right. Whichever sector it is, the next push writes it anew.
                work.record.distrust();
                let form = packed!("of what is in flash: push again");
                let code = ErrorCode::PayloadDigest;
                return Err(work.why.refuse_with(code, form, &[]).into());
            }
        }
        Ok(Done::Worked)
    }

    pub(super) fn commit(&mut self, work: &mut Work<'_, '_>) -> Result<Done, Stop> {
        let mut image = work.image.clone();
        if is_raw(&image) {
            for (index, crc) in (0..).zip(self.programmed) {
                if image.sector_crc32(index) == 0 {
                    image.set_sector_crc32(index, crc);
                }
            }
            image.seal();
        }
        let trusted = is_trusted(work.config);
        if self.changed || !work.record.state().is_committed(&image, trusted) {
            work.record
                .commit(work.flash, &work.config.map, &image, trusted)?;
        }
        Ok(Done::Committed)
    }
}
