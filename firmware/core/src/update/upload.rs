//! The receiving half of an update: what has come of an upload, and what may be done with it. Its first bytes are judged in `head`, and the
//! whole, once it is here, in `verdict`.

mod head;
mod verdict;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::HeaderBytes;
use iap_protocol::memory::{Region, SectorSet};
use iap_protocol::packed;
use iap_protocol::vectors::SYSTEM_VECTORS_LEN;
use smoltcp::time::{Duration, Instant};

use super::Progress;
use super::judge::{self, Kind};
use super::ring::Ring;
use super::writer::Writer;
use crate::config::Config;
use crate::flash::Flash;
use crate::intake::{Outcome, Source, Ticket, Transport};
use crate::record::RecordState;
use crate::sha::Sha256;

/// How long an upload of which nothing comes keeps others out.
const MAX_HOLD: Duration = Duration::from_secs(2);

/// What was expected and what came.
const PAYLOAD_BYTES: &[u8] = packed!("expected {d} bytes of payload, {d} came");

/// One upload.
pub(super) struct Upload {
    pub(super) ticket: Ticket,
    source: Source,
    declared: Option<u32>,
    /// No more bytes will come than these, where the exact number is not known.
    at_most: Option<u32>,
    begun_at: Instant,
    received: u32,
    /// The bytes before the payload: the header, or the first four of a raw image until it is known to be one.
    header: HeaderBytes,
    /// How many of them have come.
    head_len: usize,
    kind: Option<Kind>,
    /// The sectors whose bytes come, in a transfer that leaves out others.
    sent: Option<SectorSet>,
    /// Bytes of the payload that come, once the header was judged.
    wire_len: u32,
    /// Whether `header` was found good.
    is_judged: bool,
    payload_received: u32,
    /// CRC of the payload so far.
    crc: u32,
    /// Digest of the payload so far, if all of it is to be judged before the flash is touched.
    sha256: Option<Sha256>,
    vectors_judged: bool,
    finished: bool,
    writing: bool,
    outcome: Outcome,
}

impl Upload {
    pub(super) fn new(
        ticket: Ticket,
        source: Source,
        declared: Option<u32>,
        begun_at: Instant,
    ) -> Self {
        Self {
            ticket,
            source,
            declared,
            at_most: None,
            begun_at,
            received: 0,
            header: HeaderBytes::EMPTY,
            head_len: 0,
            kind: None,
            sent: None,
            wire_len: 0,
            is_judged: false,
            payload_received: 0,
            crc: 0,
            sha256: None,
            vectors_judged: false,
            finished: false,
            writing: false,
            outcome: Outcome::Running,
        }
    }

    /// What another client is told while this one runs.
    pub(super) fn busy(&self, why: &mut Refusal) -> Refused {
        let form = match self.source.transport {
            Transport::Tftp => packed!("tftp from {a}, {d} bytes so far"),
            Transport::Http => packed!("http from {a}, {d} bytes so far"),
        };
        let numbers = [self.source.peer.to_bits(), self.received];
        why.refuse_with(ErrorCode::Busy, form, &numbers)
    }

    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.outcome, Outcome::Running)
    }

    /// Whether it keeps others out. A client that sends nothing may never have got the answer to its request, behind a firewall for
    /// example, and then begins again and again.
    pub(super) fn holds(&self, now: Instant) -> bool {
        self.is_running() && (self.received > 0 || now < self.begun_at + MAX_HOLD)
    }

    pub(super) fn is_writing(&self) -> bool {
        self.writing
    }

    pub(super) fn error(&self) -> Option<&Refusal> {
        match &self.outcome {
            Outcome::Failed(refusal) => Some(refusal),
            _ => None,
        }
    }

    pub(super) fn fail(&mut self, why: &Refusal) {
        self.outcome = Outcome::Failed(why.clone());
    }

    pub(super) fn commit(&mut self) {
        self.outcome = Outcome::Committed;
    }

    pub(super) fn bound(&mut self, at_most: u32) {
        self.at_most = Some(at_most);
    }

    pub(super) fn note_writing(&mut self) {
        self.writing = true;
    }

    /// The image as judged; provisional while the end of a raw one is not known.
    pub(super) fn image(&self) -> Option<&HeaderBytes> {
        self.is_judged.then_some(&self.header)
    }

    /// The sectors whose bytes come; `None`: all.
    pub(super) fn sent(&self) -> Option<SectorSet> {
        self.sent
    }

    /// Whether the client has sent everything and the payload was found right.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Bytes of the payload that come, where they are known.
    fn payload_size(&self) -> Option<u32> {
        match self.kind? {
            Kind::Iap if self.is_judged => Some(self.wire_len),
            Kind::Iap | Kind::Partial => None,
            Kind::Raw => self.declared,
        }
    }

    /// Whether all of the payload fits into the ring, so that it can be judged before the flash is touched.
    fn fits(&self, capacity: usize) -> bool {
        self.payload_size()
            .or(self.at_most)
            .is_some_and(|size| size as usize <= capacity)
    }

    /// Whether the flash may be written: when everything came and was judged, or when the ring cannot hold it.
    pub(super) fn may_write(&self, capacity: usize, ring_is_full: bool) -> bool {
        let ready = self.finished || self.writing || (ring_is_full && !self.fits(capacity));
        self.is_running() && self.vectors_judged && ready
    }

    /// Bytes that may be handed over now. For an image that fits there is always room: what comes after its end is refused, not kept.
    pub(super) fn room(&self, capacity: usize, free: usize) -> usize {
        if self.kind.is_none() || self.fits(capacity) {
            capacity
        } else {
            free
        }
    }

    /// Takes bytes; an error is the verdict on the image.
    pub(super) fn accept(
        &mut self,
        mut bytes: &[u8],
        flash: &mut dyn Flash,
        ring: &mut Ring<'_>,
        config: &Config,
        state: &RecordState,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        if self.finished && !bytes.is_empty() {
            return Err(why.refuse(ErrorCode::TrailingBytes));
        }
        self.received = self.received.saturating_add(bytes.len() as u32);
        while !self.is_judged && !bytes.is_empty() {
            bytes = self.accept_head(bytes, flash, ring, config, state, why)?;
        }
        if bytes.is_empty() {
            Ok(())
        } else {
            self.accept_payload(bytes, flash, ring, config, why)
        }
    }

    fn accept_payload(
        &mut self,
        bytes: &[u8],
        flash: &mut dyn Flash,
        ring: &mut Ring<'_>,
        config: &Config,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        let total = self.payload_received.saturating_add(bytes.len() as u32);
        if let Some(size) = self.payload_size().filter(|&size| total > size) {
            return Err(why.refuse_with(ErrorCode::TrailingBytes, PAYLOAD_BYTES, &[size, total]));
        }
        judge::check_region(
            Region::new(config.map.application.start, total),
            &config.map,
            why,
        )?;
        if ring.push(bytes) < bytes.len() {
            // A server handed over more than `room`: nothing is lost silently.
            return Err(why.refuse_with(
                ErrorCode::Busy,
                packed!("more bytes than there is room for"),
                &[],
            ));
        }
        self.payload_received = total;
        self.crc = flash.crc32_of(self.crc, bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes, flash);
        }
        if !self.vectors_judged && total as usize >= SYSTEM_VECTORS_LEN {
            let size = match self.sent {
                Some(_) => Some(self.header.payload_size()),
                None => self.payload_size(),
            };
            self.judge_vectors(ring, config, size, why)?;
        }
        Ok(())
    }

    fn judge_vectors(
        &mut self,
        ring: &Ring<'_>,
        config: &Config,
        size: Option<u32>,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        let mut start = [0; SYSTEM_VECTORS_LEN];
        let readable = ring.len().min(SYSTEM_VECTORS_LEN);
        if let Some(start) = start.get_mut(..readable) {
            ring.peek(0, start);
        }
        self.vectors_judged = true;
        let start = start.get(..readable).unwrap_or_default();
        judge::vector_table(start, size, &config.map, why)
    }

    pub(super) fn progress(&self, writer: &Writer) -> Progress {
        let (written, skipped) = writer.counts();
        let header = self.head_size();
        Progress {
            source: self.source,
            begun_at: self.begun_at,
            received: self.received,
            total: self
                .payload_size()
                .map(|size| size.saturating_add(header))
                .or(self.declared),
            written,
            skipped,
            sector: self.is_running().then(|| writer.sector()).flatten(),
        }
    }
}
