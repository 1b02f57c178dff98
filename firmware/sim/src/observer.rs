//! Tells what the board does by comparing what it shows from one turn to the next: the core does not talk.

use iap_core::intake::Source;
use iap_core::update::Progress;
use iap_protocol::error::RefusalReport;
use iap_protocol::memory::FlashMap;
use iap_protocol::status::Phase;
use smoltcp::time::Instant;
use smoltcp::wire::Ipv4Address;

use crate::event::{Event, SectorEvent};

/// What a board in IAP mode shows.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Seen {
    pub(crate) address: Option<Ipv4Address>,
    pub(crate) phase: Phase,
    pub(crate) progress: Option<Progress>,
    pub(crate) error: Option<RefusalReport>,
    /// Erases by sector since the simulator began.
    pub(crate) erases: Vec<u32>,
}

/// Compares one turn with the last.
#[derive(Debug)]
pub(crate) struct Observer {
    map: FlashMap,
    address: Option<Option<Ipv4Address>>,
    upload: Option<UploadSeen>,
    erases: Vec<u32>,
}

#[derive(Debug)]
struct UploadSeen {
    source: Source,
    begun_at: Instant,
    is_accepted: bool,
    skipped: u8,
    /// The sector that was erased and is not programmed yet.
    open: Option<SectorEvent>,
    is_over: bool,
}

impl Observer {
    /// An observer of a board that has just come out of reset; `erases` as in [`Seen`].
    pub(crate) fn new(map: FlashMap, erases: Vec<u32>) -> Self {
        Self {
            map,
            address: None,
            upload: None,
            erases,
        }
    }

    /// What has happened since the last call.
    pub(crate) fn look(&mut self, now: Instant, seen: Seen) -> Vec<Event> {
        let mut events = Vec::new();
        if self.address.replace(seen.address) != Some(seen.address) {
            events.push(Event::Address {
                address: seen.address.map(|address| address.to_string()),
            });
        }
        if let Some(progress) = &seen.progress {
            self.upload(now, progress, &seen, &mut events);
        }
        self.erases = seen.erases;
        events
    }

    fn upload(&mut self, now: Instant, progress: &Progress, seen: &Seen, events: &mut Vec<Event>) {
        let same = |known: &UploadSeen| {
            known.begun_at == progress.begun_at && known.source == progress.source
        };
        let mut known = match self.upload.take().filter(same) {
            Some(known) => known,
            None => {
                events.push(Event::UpdateBegun {
                    source: progress.source.to_string(),
                    bytes: progress.total,
                });
                UploadSeen::new(progress)
            }
        };
        let version = progress.version.as_ref().map(|version| match version {
            version if version.is_unknown() => "unknown".to_owned(),
            version => version.to_string(),
        });
        let is_new = !known.is_accepted && seen.phase != Phase::Failed;
        if let Some(version) = version.as_ref().filter(|_| is_new) {
            known.is_accepted = true;
            events.push(Event::ImageAccepted {
                version: version.clone(),
                bytes: progress.total,
            });
        }
        self.sectors(&mut known, progress, seen, events);
        if !known.is_over {
            known.is_over = true;
            match (&seen.error, seen.phase) {
                (_, Phase::Committed) => events.push(Event::Committed {
                    version: version.unwrap_or_default(),
                    bytes: progress.received,
                    written: progress.written,
                    skipped: progress.skipped,
                    ms: (now - progress.begun_at).total_millis(),
                }),
                (Some(error), Phase::Failed) => events.push(Event::Refused {
                    code: error.code,
                    sentence: error.text.as_str().to_owned(),
                }),
                _ => known.is_over = false,
            }
        }
        self.upload = Some(known);
    }

    fn sectors(
        &self,
        known: &mut UploadSeen,
        progress: &Progress,
        seen: &Seen,
        events: &mut Vec<Event>,
    ) {
        let sector = |index: u8| self.map.sector(index).map(SectorEvent::from);
        let moved_on = |open: &SectorEvent| {
            progress.sector != Some(open.sector) && seen.phase != Phase::Failed
        };
        if known.open.as_ref().is_some_and(moved_on) {
            events.extend(known.open.take().map(Event::SectorProgrammed));
        }
        if progress.skipped > known.skipped {
            known.skipped = progress.skipped;
            let skipped = progress.sector.and_then(sector);
            events.extend(skipped.map(Event::SectorSkipped));
        }
        // An erase of the sector at work; those of the record are not the update's.
        if let Some(erased) = progress.sector.and_then(sector) {
            let count = |erases: &[u32]| erases.get(usize::from(erased.sector)).copied();
            if count(&seen.erases) > count(&self.erases) {
                events.push(Event::SectorErased(erased));
                known.open = Some(erased);
            }
        }
    }
}

impl UploadSeen {
    fn new(progress: &Progress) -> Self {
        Self {
            source: progress.source,
            begun_at: progress.begun_at,
            is_accepted: false,
            skipped: 0,
            open: None,
            is_over: false,
        }
    }
}
