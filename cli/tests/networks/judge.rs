//! What a trial holds against the board and the client: what each said, and what is in the flash.

use iap_core::boot::{self, BootInputs, Decision};
use iap_protocol::crc::crc32;
use iap_protocol::status::Status;
use iap_sim::wire::Traffic;

use super::super::cells::{End, Fault};
use super::super::pusher::{BEGIN, Pusher, payloads};
use super::{Net, Report, Stage};

/// What a reset would find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Holds {
    Old,
    New,
    Other,
    Nothing,
}

impl Net<'_> {
    fn holds(&self) -> Holds {
        let mut nor = self.nor.lock().clone();
        let decision = boot::decide(BootInputs::default(), &self.config, &mut nor);
        let Ok(Decision::Start(start)) = decision else {
            return Holds::Nothing;
        };
        let crc = start.image.map(|image| image.payload_crc32());
        let known = [Holds::Old, Holds::New, Holds::Other];
        let payloads = payloads(self.cell, &self.config);
        let base = self.config.map.application.start;
        let found = known.into_iter().zip(payloads).find(|(_, payload)| {
            let content = nor.content_of(base..base + payload.len() as u32);
            Some(crc32(payload)) == crc && content == *payload
        });
        found.map_or(Holds::Nothing, |(holds, _)| holds)
    }

    pub(super) fn check_commit(&mut self) {
        let holds = self.holds();
        if holds != Holds::New {
            return self.violate(format!("told that it is committed, but it holds {holds:?}"));
        }
        if self.cell.end == End::Failed {
            return self.violate("it was to fail".into());
        }
        self.stage = Stage::Over;
    }

    /// What iapctl would say of the board, and what is true.
    pub(super) fn compare(&mut self, answer: Result<Vec<u8>, String>) {
        let said: Status = match answer.map(|json| serde_json::from_slice(&json)) {
            Ok(Ok(status)) => status,
            other => return self.violate(format!("the status cannot be read: {other:?}")),
        };
        let holds = self.holds();
        let crc = said.application.map(|application| application.crc32);
        let payloads = payloads(self.cell, &self.config);
        let expected = match holds {
            Holds::Old => Some(crc32(&payloads[0])),
            Holds::New => Some(crc32(&payloads[1])),
            Holds::Other => Some(crc32(&payloads[2])),
            Holds::Nothing => None,
        };
        if crc != expected {
            self.violate(format!(
                "the status says {crc:?}, the flash holds {holds:?}"
            ));
        }
        let untouched = self.nor.lock().counters().erased() == 0;
        if untouched && holds != Holds::Old {
            self.violate(format!("nothing was erased, but it holds {holds:?}"));
        }
    }

    /// A client that vanishes early costs the board no flash operation, and one that vanishes late does.
    pub(super) fn check_cost(&mut self) {
        let operations = self.nor.lock().counters().operations();
        if self.main.has_vanished() && self.cell.costs_nothing != (operations == 0) {
            self.violate(format!(
                "the client is gone after {operations} flash operations"
            ));
        }
    }

    pub(super) fn check_successor(&mut self) {
        match self.holds() {
            Holds::Other => self.stage = Stage::Over,
            holds => self.violate(format!("after the push that followed it holds {holds:?}")),
        }
    }

    pub(super) fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
        self.stage = Stage::Over;
    }

    pub(super) fn report(self) -> Result<Report, String> {
        let fired = self.fired();
        if let Some(what) = self.violation {
            return Err(format!("{what}; the board: {:?}", self.refusals));
        }
        if !matches!(self.stage, Stage::Over) {
            return Err("it came to rest before its end".into());
        }
        Ok(Report {
            told: self.told,
            fired,
            took: self.told_at - BEGIN,
        })
    }

    fn fired(&self) -> u64 {
        let sum = |count: fn(&Traffic) -> u64| self.traffic.iter().map(count).sum();
        match self.cell.fault {
            Fault::Lost => sum(|it| it.lost),
            Fault::Duplicated => sum(|it| it.duplicated),
            Fault::Reordered => sum(|it| it.reordered),
            Fault::Corrupted => sum(|it| it.corrupted),
            Fault::TooLong => sum(|it| it.lost_too_long),
            Fault::LinkDown => sum(|it| it.lost_link_down),
            // There and back at least once.
            Fault::Delayed(delay) => u64::from(self.told_at - BEGIN >= delay + delay),
            Fault::Vanished => u64::from(self.main.has_vanished()),
            Fault::SecondRefused => {
                let told = self.second.as_ref().and_then(Pusher::told);
                u64::from(told.is_some_and(|told| {
                    told.is_err_and(|why| why.contains("an update is in progress"))
                }))
            }
            Fault::StrangerToldOff => self.stranger.as_ref().map_or(0, |it| it.told_off),
            Fault::FloodRefused => self.flood.as_ref().map_or(0, |it| it.refused),
        }
    }
}
