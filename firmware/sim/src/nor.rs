//! A strict NOR flash: the model on which power cuts and flash faults are tried.
//!
//! - Programming only clears bits, word by word; writing a 1 over a 0 is recorded as a [`Violation`] and refused.
//! - Every erase and every word programmed is one operation; a planned [`Cut`] takes the power away before, inside or after any of them.
//! - RM0090 section 3.6: what a cut operation touched is not guaranteed, even where it reads back right. So the bits touched by a cut
//!   read differently at every boot, though the same within one, until their sector is erased (`cells`).
//! - Faults on demand: operations that fail, words that read back wrong, sectors that do not erase or are protected, a low supply.
//! - Each operation takes its datasheet time; [`Nor::take_busy_us`] sums them up for whoever keeps the clock.
//!
//! Cloning is cheap (sectors are shared until one of the two is written), so that a sweep can start a million runs from one snapshot.
//! What it does not model: option bytes, wear beyond a count, bytes and half words (the firmware programs words), and the stall of
//! code that runs from flash.

mod accounts;
mod cells;
mod fault;
mod shared;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use iap_core::flash::{Flash, FlashError, FlashFault};
use iap_protocol::crc::Crc32;
use iap_protocol::memory::{FlashMap, Region, Sector, SectorSet};

pub use accounts::{Counters, FlashTimes, Violation};
use cells::Cells;
pub use fault::{Cut, Fault, Moment};
pub use shared::SharedNor;

/// The flash.
#[derive(Clone, Debug)]
pub struct Nor {
    map: FlashMap,
    sectors: Vec<Cells>,
    times: Arc<FlashTimes>,
    counters: Counters,
    busy_us: u64,
    powered: bool,
    boot: u64,
    seed: u64,
    cut: Option<Cut>,
    cuts_fired: u64,
    faults: Vec<Fault>,
    violation: Option<Violation>,
    panic_on_violation: bool,
    changed: Option<Range<u32>>,
}

impl Nor {
    /// An erased flash under power; `seed` decides how bits touched by a cut read.
    pub fn new(map: FlashMap, times: FlashTimes, seed: u64) -> Self {
        let sectors: Vec<_> = map.sectors().map(|s| Cells::erased(s.region)).collect();
        let counters = Counters {
            erases: vec![0; sectors.len()],
            ..Counters::default()
        };
        Self {
            map,
            sectors,
            times: Arc::new(times),
            counters,
            busy_us: 0,
            powered: true,
            boot: 0,
            seed,
            cut: None,
            cuts_fired: 0,
            faults: Vec::new(),
            violation: None,
            panic_on_violation: false,
            changed: None,
        }
    }

    /// Makes a violation of the 1-to-0 rule a panic instead of a failed operation: what tests want.
    pub fn panic_on_violation(mut self) -> Self {
        self.panic_on_violation = true;
        self
    }

    /// Takes [`Nor::panic_on_violation`] back: after a brown-out even good firmware programs what only seemed to be erased.
    pub fn forgive_violations(&mut self) {
        self.panic_on_violation = false;
    }

    /// The sector map.
    pub fn map(&self) -> &FlashMap {
        &self.map
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Microseconds that the operations since the last call took; for whoever keeps the clock.
    pub fn take_busy_us(&mut self) -> u64 {
        std::mem::take(&mut self.busy_us)
    }

    /// Whether a cut has taken the power away. Every call fails until [`Nor::power_on`].
    pub fn is_off(&self) -> bool {
        !self.powered
    }

    /// How many planned cuts have fired: a sweep checks that each of its cuts did.
    pub fn cuts_fired(&self) -> u64 {
        self.cuts_fired
    }

    /// The first attempt to set bits by programming, if there was one.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// Takes the power away at an operation to come; replaces an earlier plan.
    pub fn plan_cut(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// Takes the power away now, between operations.
    pub fn power_off(&mut self) {
        self.powered = false;
        self.cut = None;
    }

    /// Power comes back, or the chip is reset: a new boot. Bits touched by a cut are drawn anew, a plan that did not fire is dropped,
    /// the supply is good.
    pub fn power_on(&mut self) {
        self.powered = true;
        self.boot += 1;
        self.cut = None;
        self.faults
            .retain(|fault| !matches!(fault, Fault::SupplyLow { .. }));
    }

    /// Lets the bits touched by cuts be drawn from another seed from the next boot on; for sweeps, whose runs begin with the same flash.
    pub fn reseed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Adds a fault.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// The faults there are, with what is left of them.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Takes all faults away. What they did to the content stays.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The whole content as it reads at this boot.
    pub fn content(&self) -> Vec<u8> {
        let region = self.map.region();
        self.content_of(region.start..region.start.saturating_add(region.len))
    }

    /// The content of these addresses as it reads at this boot; 0 outside the flash.
    pub fn content_of(&self, range: Range<u32>) -> Vec<u8> {
        let mut bytes = vec![0; range.len()];
        self.copy(range.start, &mut bytes);
        bytes
    }

    /// Replaces content from `address` on, as a debug probe or a file does: no operation is counted, no time passes. Bytes outside the
    /// flash are ignored.
    pub fn load(&mut self, address: u32, bytes: &[u8]) {
        for cells in &mut self.sectors {
            cells.load(address, bytes);
        }
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.note_change(address..address.saturating_add(len));
    }

    /// The range of addresses changed since the last call, if any; for whoever keeps a copy.
    pub fn take_changed(&mut self) -> Option<Range<u32>> {
        self.changed.take()
    }

    /// Whether sector `index` holds bits that a cut has touched.
    pub fn is_touched_by_cut(&self, index: u8) -> bool {
        self.sectors
            .get(usize::from(index))
            .is_some_and(Cells::is_shaky)
    }

    fn note_change(&mut self, range: Range<u32>) {
        self.changed = Some(match self.changed.take() {
            Some(old) => old.start.min(range.start)..old.end.max(range.end),
            None => range,
        });
    }

    /// Copies what lies inside the flash.
    fn copy(&self, address: u32, bytes: &mut [u8]) {
        let len = bytes.len();
        for cells in self
            .sectors
            .iter()
            .filter(|cells| cells.meets(address, len))
        {
            cells.read(address, bytes, self.seed, self.boot);
        }
        for fault in &self.faults {
            fault.disturb(address, bytes);
        }
    }

    fn word(&self, address: u32) -> u32 {
        let mut bytes = [0; 4];
        self.copy(address, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// Counts down to a planned cut. The answer says what becomes of the operation that is about to begin.
    fn begin_operation(&mut self) -> Fate {
        let Some(cut) = &mut self.cut else {
            return Fate::Done;
        };
        if cut.operations > 0 {
            cut.operations -= 1;
            return if cut.operations < u64::from(cut.unreliable) {
                Fate::Unreliable
            } else {
                Fate::Done
            };
        }
        let moment = cut.moment;
        self.cut = None;
        self.cuts_fired += 1;
        self.powered = false;
        match moment {
            Moment::Before => Fate::Nothing,
            Moment::Inside => Fate::Torn,
            Moment::After => Fate::DoneThenOff,
        }
    }

    /// The fault that stops operations on `sectors` before they begin.
    fn obstacle(&mut self, sectors: SectorSet) -> Option<FlashFault> {
        let mut supply_low = false;
        for fault in &mut self.faults {
            if let Fault::SupplyLow { operations } = fault
                && *operations > 0
            {
                *operations -= 1;
                supply_low = true;
            }
        }
        let protected = sectors
            .iter()
            .any(|index| self.faults.contains(&Fault::WriteProtected(index)));
        match () {
            () if supply_low => Some(FlashFault::SupplyLow),
            () if protected => Some(FlashFault::WriteProtected),
            () => None,
        }
    }

    fn program_word(&mut self, address: u32, new: u32) -> Result<(), FlashError> {
        let failed = FlashError::new(FlashFault::Program, address);
        let fate = self.begin_operation();
        if fate == Fate::Nothing {
            return Err(failed);
        }
        let old = self.word(address);
        self.counters.words += 1;
        self.counters.words_not_erased += u64::from(old != u32::MAX);
        self.busy_us += self.times.word_us;
        if new & !old != 0 {
            self.record_violation(Violation { address, old, new });
            return Err(failed);
        }
        if self.faults.contains(&Fault::ProgramFails(address)) {
            return Err(failed);
        }
        let torn = matches!(fate, Fate::Torn | Fate::Unreliable);
        if let Some(cells) = self
            .sectors
            .iter_mut()
            .find(|cells| cells.meets(address, 4))
        {
            cells.program(address, new, torn);
        }
        self.note_change(address..address.saturating_add(4));
        fate.result(failed)
    }

    fn record_violation(&mut self, violation: Violation) {
        assert!(!self.panic_on_violation, "{violation:x?}");
        self.violation.get_or_insert(violation);
    }

    /// Whether the flash has power, and the region lies inside it.
    fn reachable(&self, address: u32, len: usize) -> bool {
        let inside = u32::try_from(len).is_ok_and(|len| {
            self.map
                .region()
                .contains_region(&Region::new(address, len))
        });
        self.powered && inside
    }
}

/// What becomes of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Unreliable,
    Nothing,
    Torn,
    DoneThenOff,
}

impl Fate {
    /// What the caller gets to see: nobody receives an answer after the power went.
    fn result(self, failed: FlashError) -> Result<(), FlashError> {
        match self {
            Self::Done | Self::Unreliable => Ok(()),
            Self::Nothing | Self::Torn | Self::DoneThenOff => Err(failed),
        }
    }
}

impl Flash for Nor {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        if !self.reachable(address, bytes.len()) {
            return Err(FlashError::new(FlashFault::Read, address));
        }
        self.copy(address, bytes);
        Ok(())
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        let start = sector.region.start;
        let failed = FlashError::new(FlashFault::Erase, start);
        let known = self.map.sector(sector.index) == Some(sector);
        if !self.powered || !known {
            return Err(failed);
        }
        if let Some(fault) = self.obstacle([sector.index].into_iter().collect()) {
            return Err(FlashError::new(fault, start));
        }
        let fate = self.begin_operation();
        if fate == Fate::Nothing {
            return Err(failed);
        }
        let index = usize::from(sector.index);
        self.counters.erases[index] += 1;
        self.busy_us += self.times.erase_us(sector.index);
        if self.faults.contains(&Fault::EraseFails(sector.index)) {
            return Err(failed);
        }
        if !self.faults.contains(&Fault::EraseDoesNothing(sector.index)) {
            let torn = matches!(fate, Fate::Torn | Fate::Unreliable);
            self.sectors[index].erase(torn, self.seed, self.boot);
        }
        self.note_change(start..start.saturating_add(sector.region.len));
        fate.result(failed)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let aligned = address.is_multiple_of(4) && bytes.len().is_multiple_of(4);
        if !aligned || !self.reachable(address, bytes.len()) {
            return Err(FlashError::new(FlashFault::Program, address));
        }
        let region = Region::new(address, bytes.len() as u32);
        if let Some(fault) = self.obstacle(self.map.sectors_of(region)) {
            return Err(FlashError::new(fault, address));
        }
        let (words, _) = bytes.as_chunks();
        for (at, &word) in (address..).step_by(4).zip(words) {
            self.program_word(at, u32::from_le_bytes(word))?;
        }
        Ok(())
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        let mut bytes = vec![0; region.len as usize];
        self.read(region.start, &mut bytes)?;
        let mut crc = Crc32::resume(resume);
        crc.update(&bytes);
        Ok(crc.finish())
    }
}
