//! An emulated board on a wire with a client, in virtual time: what is done to it, and what must be true afterwards.

use iap_core::boot::Decision;
use iap_core::intake::Transport;
use iap_sim::bench::{APPLICATION, Bench};
use iap_sim::nor::Nor;
use iap_sim::sweep::rules::Rules;
use iap_sim::sweep::start::Start;
use iap_sim::sweep::tally::Tally;
use iap_sim::visitor::{Told, Visitor};
use iap_sim::wire::{Conditions, segment};

use super::{FLASH, Firmware};
use crate::board::{Board, BoardOptions, Stop, instant};
use crate::report::Kind as ReportKind;
use crate::time::Time;

/// Boots after a cut.
const BOOTS: u32 = 3;
/// An application starts within 15 ms of a reset, and within 100 ms where its signature is checked before; when this has passed, the board is in
/// IAP mode.
const BOOT: Time = Time::from_millis(60);
const SIGNED_BOOT: Time = Time::from_millis(200);
/// Virtual time for a push, from the reset on.
const PATIENCE: Time = Time::from_millis(120_000);
/// How long the board is watched after its client was told.
const AFTERWARDS: Time = Time::from_millis(3000);

fn boot_time(start: &Start) -> Time {
    match start.rules {
        Rules::Signed => SIGNED_BOOT,
        Rules::Open | Rules::Bare => BOOT,
    }
}

/// A board on its wire.
pub(super) struct Lab {
    pub(super) board: Board,
    pub(super) visitor: Visitor,
}

impl Lab {
    /// A board in this state that has been switched on, with the IAP key held where an application would start.
    pub(super) fn new(
        firmware: &Firmware,
        start: &Start,
        data_cache_lines: usize,
    ) -> Result<Self, String> {
        let options = BoardOptions {
            link_up: Time::from_millis(5),
            stop_at_application: true,
            data_cache_lines,
            ..BoardOptions::default()
        };
        let nor = start.bench.nor.clone();
        let board = Board::new(
            &firmware.profile,
            &options,
            &nor.content(),
            firmware.symbols.clone(),
        );
        let mut board = board.map_err(|error| error.to_string())?;
        board.with_flash(|cells| *cells = nor);
        let (near, far) = segment(1, Conditions::default(), Conditions::default());
        board.connect(far);
        let visitor = Visitor::new(near, &firmware.profile, instant(0));
        let mut lab = Self { board, visitor };
        let starts = matches!(start.initial, Some(Decision::Start(_)));
        lab.switch_on(starts);
        Ok(lab)
    }

    pub(super) fn switch_on(&mut self, with_key: bool) {
        self.board.press_key(with_key);
        self.board.power_on();
    }

    pub(super) fn nor(&mut self) -> Nor {
        self.board.with_flash(|nor| nor.clone())
    }

    /// Runs board and visitor until `done` says so, the time is over, or something happens to the board; `None`: nothing did.
    pub(super) fn run(
        &mut self,
        span: Time,
        mut done: impl FnMut(&Visitor) -> bool,
    ) -> Option<Stop> {
        let limit = self.board.now() + span;
        loop {
            let now = instant(self.board.now().micros_ceil());
            self.visitor.poll(now);
            self.board.look_at_wire();
            if done(&self.visitor) || self.board.now() >= limit {
                return None;
            }
            let at = self.visitor.poll_at(now);
            let at = at.map_or(Time::NEVER, |at| {
                Time::from_micros(at.total_micros().unsigned_abs())
            });
            let at = at.max(self.board.now() + Time::from_micros(1));
            match self.board.run(limit.min(at)) {
                Stop::Limit | Stop::Sent => {}
                stop => return Some(stop),
            }
        }
    }

    /// Pushes until the power goes; what the client had been told by then.
    pub(super) fn push_until_the_power_goes(
        &mut self,
        start: &Start,
        transport: Transport,
    ) -> Result<Option<Told>, String> {
        self.begin(&start.file, start, transport);
        let mut stop = self.run(PATIENCE, |visitor| visitor.told().is_some());
        if stop.is_none() {
            stop = self.run(AFTERWARDS, |_| false);
        }
        match stop {
            Some(Stop::PowerLost) => Ok(self.visitor.told().cloned()),
            stop => Err(format!(
                "the planned cut did not fire: {stop:?}, told {:?}",
                self.visitor.told()
            )),
        }
    }

    pub(super) fn begin(&mut self, file: &[u8], start: &Start, transport: Transport) {
        let now = instant(self.board.now().micros_ceil());
        self.visitor
            .push(transport, file, start.declared.is_some(), now);
    }

    /// What the flash has done since it was made.
    pub(super) fn operations(&mut self) -> u64 {
        self.board.with_flash(|nor| nor.counters().operations())
    }

    /// Runs until the flash has done so many operations since it was made.
    pub(super) fn run_to_operation(&mut self, wanted: u64) -> Result<(), String> {
        let limit = self.board.now() + PATIENCE;
        while self.operations() < wanted {
            if self.board.now() >= limit || self.visitor.told().is_some() {
                let (done, told) = (self.operations(), self.visitor.told());
                return Err(format!(
                    "operation {wanted} never comes: {done} done, told {told:?}"
                ));
            }
            // Not longer than a word takes.
            self.runs(Time::from_micros(16))?;
        }
        Ok(())
    }

    /// Runs for so long; nothing may happen to the board.
    pub(super) fn runs(&mut self, span: Time) -> Result<(), String> {
        match self.run(span, |_| false) {
            None => Ok(()),
            stop => Err(format!("{stop:?} at {:x?}", self.board.pc())),
        }
    }

    /// Runs until the client is told that the image is installed.
    pub(super) fn is_told(&mut self) -> Result<(), String> {
        let stop = self.run(PATIENCE, |visitor| visitor.told().is_some());
        match (stop, self.visitor.told()) {
            (None, Some(Ok(()))) => Ok(()),
            (stop, told) => Err(format!(
                "a push was told {told:?}, {stop:?} at {:x?}",
                self.board.pc()
            )),
        }
    }

    /// A push to a board in IAP mode.
    pub(super) fn push(
        &mut self,
        file: &[u8],
        start: &Start,
        transport: Transport,
    ) -> Result<(), String> {
        self.begin(file, start, transport);
        self.is_told()
    }

    /// Boots several times, the core on the host beside it on the same cells. Leaves the board in IAP mode.
    pub(super) fn boots_as_the_host_does(
        &mut self,
        start: &Start,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let mut host = Bench {
            nor: self.nor(),
            config: start.bench.config.clone(),
        };
        let mut started = false;
        for boot in 0..BOOTS {
            tally.boots += 1;
            let expected = matches!(host.boot().ok_or("no power")?, Decision::Start(_));
            self.switch_on(false);
            started = match self.run(boot_time(start), |_| false) {
                Some(Stop::Application) => true,
                None => false,
                stop => return Err(format!("boot {boot}: {stop:?}")),
            };
            if started != expected {
                return Err(format!(
                    "boot {boot}: the binary starts the application: {started}, the host: {expected}"
                ));
            }
            let (found, expected) = (self.board.flash_content(), host.nor.content());
            if let Some(at) = found.iter().zip(&expected).position(|(a, b)| a != b) {
                let address = FLASH + at as u32;
                let (found, expected) = (found.get(at..at + 64), expected.get(at..at + 64));
                return Err(format!(
                    "boot {boot}: the binary leaves {found:02x?} at {address:#010x}, the host {expected:02x?}"
                ));
            }
        }
        if started {
            self.switch_on(true);
        }
        Ok(())
    }

    /// A reset starts the new application, and all of it is there.
    pub(super) fn starts_new(&mut self, start: &Start) -> Result<(), String> {
        self.switch_on(false);
        let stop = self.run(boot_time(start), |_| false);
        if stop != Some(Stop::Application) {
            return Err(format!(
                "the new application does not start: {stop:?} at {:x?}",
                self.board.pc()
            ));
        }
        let from = (APPLICATION - FLASH) as usize;
        match self.board.flash_content().get(from..from + start.new.len()) {
            Some(found) if found == start.new => Ok(()),
            _ => Err("what starts is not the new application".into()),
        }
    }

    /// Nothing was done that the manual forbids.
    pub(super) fn is_clean(&self) -> Result<(), String> {
        let mut errors = self
            .board
            .reports()
            .into_iter()
            .filter(|report| report.kind == ReportKind::GuestError);
        errors
            .next()
            .map_or(Ok(()), |report| Err(report.to_string()))
    }
}
