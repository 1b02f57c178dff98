//! The verdict on an upload of which everything has come: whether it is as long as it should be, and its CRCs and digest where all of it is
//! still in the ring. The writer judges the others as it goes.

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::packed;

use super::super::judge::{self, Kind};
use super::super::ring::Ring;
use super::{PAYLOAD_BYTES, Upload};
use crate::config::{Config, RAW_IMAGES};
use crate::flash::Flash;

impl Upload {
    /// The client has sent everything: the verdict on the whole.
    pub(in crate::update) fn finish(
        &mut self,
        flash: &mut dyn Flash,
        ring: &Ring<'_>,
        config: &Config,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        if self.finished {
            return Ok(());
        }
        match (self.received, self.kind) {
            (0, _) => return Err(why.refuse(ErrorCode::Empty)),
            (received, None) => {
                return Err(why.refuse_with(
                    ErrorCode::VectorTable,
                    packed!("{d} bytes are too short for an image"),
                    &[received],
                ));
            }
            (received, Some(_)) if !self.is_judged => {
                return Err(why.refuse_with(
                    ErrorCode::HeaderTruncated,
                    packed!("expected {d} bytes, {d} came"),
                    &[self.head_size(), received],
                ));
            }
            _ => {}
        }
        if let Some(size) = self
            .payload_size()
            .filter(|&size| size > self.payload_received)
        {
            let came = self.payload_received;
            return Err(why.refuse_with(ErrorCode::Truncated, PAYLOAD_BYTES, &[size, came]));
        }
        if !self.writing && self.brings_vectors(&config.map) {
            let size = match self.sent {
                Some(_) => self.header.payload_size(),
                None => self.payload_received,
            };
            self.judge_vectors(ring, config, Some(size), why)?;
        }
        match self.kind {
            Some(Kind::Raw) if RAW_IMAGES => {
                let (size, crc) = (self.payload_received, self.crc);
                self.header.set_payload(size, crc);
            }
            _ if self.brings_all() => self.judge_payload(flash, why)?,
            _ => {}
        }
        self.judge_sectors(flash, ring, config, why)?;
        self.finished = true;
        Ok(())
    }

    fn judge_payload(&self, flash: &dyn Flash, why: &mut Refusal) -> Result<(), Refused> {
        let (expected, crc) = (self.header.payload_crc32(), self.crc);
        if crc != expected {
            return Err(why.refuse_with(
                ErrorCode::PayloadCrc,
                packed!("expected {x}, computed {x}"),
                &[expected, crc],
            ));
        }
        match self.sha256.clone().map(|sha256| sha256.finish(flash)) {
            computed @ Some(_) if computed != self.header.sha256() => {
                Err(why.refuse(ErrorCode::PayloadDigest))
            }
            _ => Ok(()),
        }
    }

    /// The sector CRCs, where all that comes of the payload is still in the ring: those of a header are compared, those of a raw image
    /// filled in. The writer does the same with the others as it goes.
    fn judge_sectors(
        &mut self,
        flash: &mut dyn Flash,
        ring: &Ring<'_>,
        config: &Config,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        let payload = self.header.payload_region();
        let is_raw = RAW_IMAGES && self.kind == Some(Kind::Raw);
        // A transfer of some sectors has no CRC of its own that could be wrong.
        let (len, code) = match self.sent {
            Some(_) => (self.wire_len, ErrorCode::PayloadCrc),
            None => (payload.len, ErrorCode::SectorCrc),
        };
        let is_here = ring.len() == len as usize;
        let mut at = 0usize;
        for sector in config.map.flash.sectors().filter(|_| is_here) {
            if self.sent.is_some_and(|sent| !sent.contains(sector.index)) {
                continue;
            }
            let len = sector.region.span_in(payload).len();
            let crc = ring_crc(flash, ring, at, len);
            at = at.saturating_add(len);
            if is_raw {
                self.header.set_sector_crc32(sector.index, crc);
            } else if self.header.sector_crc32(sector.index) != crc {
                return Err(judge::sector(code, sector.index, why));
            }
        }
        if is_raw {
            self.header.seal();
            judge::check_data_sectors(&self.header, config, why)?;
        }
        Ok(())
    }
}

/// The CRC of `len` bytes in the ring, from offset `at` on.
fn ring_crc(flash: &mut dyn Flash, ring: &Ring<'_>, mut at: usize, mut len: usize) -> u32 {
    let (mut crc, mut chunk) = (0, [0; 64]);
    while let Some(bytes) = chunk
        .get_mut(..len.min(64))
        .filter(|bytes| !bytes.is_empty())
    {
        if !ring.peek(at, bytes) {
            break;
        }
        crc = flash.crc32_of(crc, bytes);
        at = at.saturating_add(bytes.len());
        len = len.saturating_sub(bytes.len());
    }
    crc
}
