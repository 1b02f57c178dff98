//! The bytes before the payload: which kind of file it is, the header, and the prefix of a transfer that leaves out sectors. Everything here is
//! judged before any flash operation.

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::{HEADER_LEN, PREFIX_LEN, Prefix};
use iap_protocol::memory::{MemoryMap, SectorSet};
use iap_protocol::packed;
use iap_protocol::vectors::SYSTEM_VECTORS_LEN;

use super::super::judge::{self, KIND_LEN, Kind};
use super::super::ring::Ring;
use super::Upload;
use crate::config::Config;
use crate::flash::Flash;
use crate::record::RecordState;
use crate::sha::Sha256;

impl Upload {
    /// Collects the first bytes up to the point where they can be judged; what is left of `bytes`.
    // Not inlined: as the verdicts in `judge`.
    #[inline(never)]
    pub(super) fn accept_head<'b>(
        &mut self,
        bytes: &'b [u8],
        flash: &mut dyn Flash,
        ring: &mut Ring<'_>,
        config: &Config,
        state: &RecordState,
        why: &mut Refusal,
    ) -> Result<&'b [u8], Refused> {
        let wanted = match self.kind {
            Some(Kind::Iap) => HEADER_LEN,
            Some(Kind::Partial) => PREFIX_LEN,
            _ => KIND_LEN,
        };
        let room = self.header.0.get_mut(self.head_len..wanted);
        let room = room.unwrap_or_default();
        let taken = bytes.len().min(room.len());
        let (head, rest) = bytes.split_at(taken);
        for (place, &byte) in room.iter_mut().zip(head) {
            *place = byte;
        }
        self.head_len = self.head_len.saturating_add(taken);
        if self.head_len < wanted {
            return Ok(rest);
        }
        match self.kind {
            Some(Kind::Partial) => {
                let prefix = self.header.0.get(..PREFIX_LEN).unwrap_or_default();
                let prefix =
                    Prefix::decode(prefix).map_err(|error| judge::refuse_header(error, why))?;
                self.sent = Some(prefix.sectors);
                (self.kind, self.head_len) = (Some(Kind::Iap), 0);
                return Ok(rest);
            }
            Some(_) => {
                self.judge_header(flash, ring, config, state, why)?;
                return Ok(rest);
            }
            None => {}
        }
        let [a, b, c, d, ..] = self.header.0;
        let start = [a, b, c, d];
        let kind = judge::kind(start, why)?;
        self.kind = Some(kind);
        if kind == Kind::Raw {
            judge::raw(config, state, self.declared.or(self.at_most_raw()), why)?;
            self.header.make_raw(config.map.application.start);
            self.is_judged = true;
            self.accept_payload(&start, flash, ring, config, why)?;
        }
        Ok(rest)
    }

    /// Judges the header, and what a partial transfer leaves out.
    fn judge_header(
        &mut self,
        flash: &mut dyn Flash,
        ring: &Ring<'_>,
        config: &Config,
        state: &RecordState,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        judge::header(&self.header, config, state, why)?;
        let payload = self.header.payload_region();
        self.wire_len = payload.len;
        if let Some(sent) = self.sent {
            let sectors = config.map.flash.sectors();
            let parts = sectors.filter(|sector| sent.contains(sector.index));
            let lengths = parts.map(|sector| sector.region.span_in(payload).len() as u32);
            self.wire_len = lengths.sum();
        }
        self.check_declared(why)?;
        if let Some(sent) = self.sent {
            judge::left_out(&self.header, sent, &config.map, state, flash, why)?;
            if !self.brings_vectors(&config.map) {
                let mut start = [0; SYSTEM_VECTORS_LEN];
                flash
                    .read(payload.start, &mut start)
                    .map_err(|error| error.refuse(why))?;
                self.vectors_judged = true;
                judge::vector_table(&start, Some(payload.len), &config.map, why)?;
            }
        }
        self.is_judged = true;
        // Of a larger image the writer computes it over the flash, before the commit; twice would only take twice as long.
        let whole_fits = self.brings_all() && self.fits(ring.capacity());
        let digest = self.header.sha256().filter(|_| whole_fits);
        self.sha256 = digest.map(|_| Sha256::new());
        Ok(())
    }

    /// Whether the client's idea of the length agrees with the header's.
    fn check_declared(&self, why: &mut Refusal) -> Result<(), Refused> {
        let expected = self.wire_len.saturating_add(self.head_size());
        // A bound that is high enough says nothing.
        let bound = self.at_most.filter(|&at_most| at_most < expected);
        let Some(declared) = self.declared.or(bound) else {
            return Ok(());
        };
        let code = match declared.cmp(&expected) {
            core::cmp::Ordering::Equal => return Ok(()),
            core::cmp::Ordering::Less => ErrorCode::Truncated,
            core::cmp::Ordering::Greater => ErrorCode::TrailingBytes,
        };
        let form = packed!("expected {d} bytes, {d} announced");
        Err(why.refuse_with(code, form, &[expected, declared]))
    }

    /// Bytes before the payload.
    pub(super) fn head_size(&self) -> u32 {
        match self.kind {
            Some(Kind::Raw) | None => 0,
            _ if self.sent.is_some() => (PREFIX_LEN + HEADER_LEN) as u32,
            _ => HEADER_LEN as u32,
        }
    }

    /// Whether all of an image with a header comes, be it as a transfer that might leave out sectors.
    pub(super) fn brings_all(&self) -> bool {
        self.wire_len == self.header.payload_size()
    }

    /// Whether the payload's first bytes come.
    pub(super) fn brings_vectors(&self, map: &MemoryMap) -> bool {
        let first = map.flash.sector_at(map.application.start);
        let is_sent = |sent: SectorSet| first.is_some_and(|first| sent.contains(first.index));
        self.sent.is_none_or(is_sent)
    }

    /// The bound that a raw image is judged by, before anything is erased for one that does not fit. What may follow it in a form counts
    /// against it, but for the line end that closes nearly every form.
    fn at_most_raw(&self) -> Option<u32> {
        self.at_most.map(|at_most| at_most.saturating_sub(2))
    }
}
