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
    /// What the image says of itself, once it was judged.
    pub(crate) version: Option<String>,
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
        let version = seen.version.clone();
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

#[cfg(test)]
mod tests {
    use super::*;
    use iap_core::intake::Transport;
    use smoltcp::time::Duration;

    fn observer() -> Observer {
        let map = FlashMap::new(0x0800_0000, &[1024; 4]).unwrap();
        Observer::new(map, vec![0; 4])
    }

    /// The image is known once something of it was received.
    fn seen(phase: Phase, progress: Option<Progress>, erases: [u32; 4]) -> Seen {
        let known = progress.as_ref().is_some_and(|known| known.received > 0);
        Seen {
            address: None,
            phase,
            progress,
            version: known.then(|| "1.0.0".to_owned()),
            error: None,
            erases: erases.to_vec(),
        }
    }

    fn progress() -> Progress {
        Progress {
            source: Source {
                transport: Transport::Tftp,
                peer: Ipv4Address::new(192, 168, 0, 1),
            },
            begun_at: Instant::from_millis(10),
            received: 0,
            total: Some(2000),
            written: 0,
            skipped: 0,
            sector: None,
        }
    }

    /// The events of a sequence of turns, as lines without the first one's address.
    fn told(turns: Vec<Seen>) -> Vec<String> {
        let mut observer = observer();
        let now = Instant::from_millis(10) + Duration::from_millis(1500);
        let events = turns.into_iter().flat_map(|seen| observer.look(now, seen));
        let lines = events.map(|event| event.to_string());
        lines.filter(|line| !line.contains("address")).collect()
    }

    #[test]
    fn an_update_is_told_once_step_by_step() {
        let begun = progress();
        let known = Progress {
            received: 600,
            ..begun.clone()
        };
        let skipping = Progress {
            skipped: 1,
            sector: Some(2),
            ..known.clone()
        };
        let writing = Progress {
            written: 1,
            sector: Some(3),
            ..skipping.clone()
        };
        let done = Progress {
            received: 2000,
            sector: None,
            ..writing.clone()
        };
        let turns = vec![
            seen(Phase::Idle, None, [0; 4]),
            seen(Phase::Receiving, Some(begun), [0; 4]),
            seen(Phase::Receiving, Some(known.clone()), [0; 4]),
            seen(Phase::Receiving, Some(known), [0; 4]),
            seen(Phase::Receiving, Some(skipping), [0; 4]),
            // A record sector is erased in the same turn: not the update's business.
            seen(Phase::Programming, Some(writing.clone()), [0, 1, 0, 1]),
            seen(Phase::Programming, Some(writing), [0, 1, 0, 1]),
            seen(Phase::Verifying, Some(done.clone()), [0, 1, 0, 1]),
            seen(Phase::Committed, Some(done.clone()), [0, 1, 0, 1]),
            seen(Phase::Committed, Some(done), [0, 1, 0, 1]),
        ];
        assert_eq!(
            told(turns),
            [
                "update begun: tftp from 192.168.0.1, 2000 bytes",
                "image accepted: version 1.0.0, 2000 bytes",
                "skipped, right already: sector 2, 0x08000800..0x08000c00 (1 KiB)",
                "erased: sector 3, 0x08000c00..0x08001000 (1 KiB)",
                "programmed and verified: sector 3, 0x08000c00..0x08001000 (1 KiB)",
                "committed: version 1.0.0, 2000 bytes, 1 sector written, 1 skipped, 1.500 s",
            ]
        );
    }

    #[test]
    fn a_failure_is_told_with_its_sentence_and_its_sector_is_not_called_programmed() {
        let writing = Progress {
            received: 600,
            written: 1,
            sector: Some(3),
            ..progress()
        };
        let mut failed = seen(
            Phase::Failed,
            Some(Progress {
                sector: None,
                ..writing.clone()
            }),
            [0, 0, 0, 1],
        );
        let refusal = iap_protocol::error::Refusal::new(iap_protocol::ErrorCode::PayloadCrc);
        failed.error = Some((&refusal).into());
        let writing = seen(Phase::Programming, Some(writing), [0, 0, 0, 1]);
        let lines = told(vec![writing, failed.clone(), failed]);
        assert_eq!(
            lines[1..],
            [
                "image accepted: version 1.0.0, 2000 bytes",
                "erased: sector 3, 0x08000c00..0x08001000 (1 KiB)",
                "refused: image damaged: the CRC of its payload is wrong (error 17)",
            ]
        );
    }

    #[test]
    fn a_second_upload_of_the_same_client_is_a_new_one() {
        let later = Progress {
            begun_at: Instant::from_millis(20),
            ..progress()
        };
        let turn = |progress| seen(Phase::Receiving, Some(progress), [0; 4]);
        let lines = told(vec![turn(progress()), turn(later)]);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], lines[1]);
    }
}
