//! The flash and its interface (RM0090 section 3): registers, lock, errors, the time operations take, and what reading costs meanwhile.
//!
//! The cells are those of `iap-sim`: torn words, half-erased sectors, planned cuts, faults. This module adds what a driver sees:
//! - any access to the array during an operation stalls the core until it ends (section 3.6), and so does a write to FLASH_CR;
//! - the data cache answers with old content after an erase (`cache`);
//! - a reset in the middle of an erase leaves the sector half erased (section 3.6).
//!
//! An operation changes the array when it begins: nobody can read it before it has ended.

pub(crate) mod cache;
mod registers;
#[cfg(test)]
mod tests;
mod times;
mod usage;

use std::ops::Range;
use std::sync::Arc;

use iap_core::flash::{Flash as _, FlashFault};
use iap_profile::Profile;
use iap_protocol::memory::{FlashMap, Sector};
use iap_sim::nor::{Cut, FlashTimes, Moment, Nor};
use rsemu::core::space::RamStore;

use crate::board::BoardOptions;
use crate::register::{Context, Refusal, Result};
use crate::time::Time;
use cache::{Cache, LINE_BYTES};
use registers::{Control, Status};
use times::Times;
pub use times::Wear;
pub use usage::{FlashOperation, FlashUse};

/// An operation under way.
#[derive(Debug)]
struct Operation {
    ends: Time,
    /// What an erase took away, should a reset interrupt it.
    before: Option<(Box<Nor>, Vec<Sector>)>,
}

/// The flash.
#[derive(Debug)]
pub(crate) struct Flash {
    nor: Nor,
    map: FlashMap,
    times: Times,
    /// The array as it reads now: what the core executes from.
    store: Arc<RamStore>,
    status: Status,
    control: Control,
    cache: Cache,
    operation: Option<Operation>,
    stalled_until: Time,
    usage: FlashUse,
    operations: Vec<FlashOperation>,
    /// For whoever keeps a copy of the content.
    changed: Option<Range<u32>>,
}

impl Flash {
    pub(crate) fn new(profile: &Profile, options: &BoardOptions, content: &[u8]) -> Self {
        let map = profile.memory_map().flash.clone();
        let mut nor = Nor::new(map.clone(), FlashTimes::ZERO, options.seed);
        nor.load(map.region().start, content);
        let mut flash = Self {
            nor,
            times: Times::new(profile, options.wear),
            store: Arc::new(RamStore::new(map.region().len.into())),
            map,
            status: Status::default(),
            control: Control::RESET,
            cache: Cache::new(options.data_cache_lines),
            operation: None,
            stalled_until: Time::ZERO,
            usage: FlashUse::default(),
            operations: Vec::new(),
            changed: None,
        };
        flash.refresh();
        flash.changed = None;
        flash
    }

    /// The array as memory to execute from.
    pub(crate) fn store(&self) -> Arc<RamStore> {
        Arc::clone(&self.store)
    }

    pub(crate) fn nor(&self) -> &Nor {
        &self.nor
    }

    pub(crate) fn nor_mut(&mut self) -> &mut Nor {
        &mut self.nor
    }

    pub(crate) fn usage(&self) -> FlashUse {
        self.usage
    }

    /// What was done since the last call, in its order.
    pub(crate) fn take_operations(&mut self) -> Vec<FlashOperation> {
        std::mem::take(&mut self.operations)
    }

    pub(crate) fn take_changed(&mut self) -> Option<Range<u32>> {
        self.changed.take()
    }

    pub(crate) fn acr(&self) -> u32 {
        self.control.acr
    }

    /// The write protection of the option bytes, as a production line sets it.
    pub(crate) fn protect(&mut self, sector: u8) {
        self.control.optcr &= !(1 << (16 + sector));
    }

    /// The option WDG_SW, as a production line sets it: 0 starts the independent watchdog with every reset.
    pub(crate) fn use_hardware_watchdog(&mut self) {
        self.control.optcr &= !registers::WDG_SW;
    }

    pub(crate) fn has_hardware_watchdog(&self) -> bool {
        self.control.optcr & registers::WDG_SW == 0
    }

    /// Until when the core stands still.
    pub(crate) fn stalled_until(&self) -> Time {
        self.stalled_until
    }

    /// Until when an operation runs.
    pub(crate) fn busy_until(&self) -> Time {
        self.operation
            .as_ref()
            .map_or(Time::ZERO, |operation| operation.ends)
    }

    pub(crate) fn next_event(&self) -> Time {
        self.operation
            .as_ref()
            .map_or(Time::NEVER, |operation| operation.ends)
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.control.end_interrupt() && self.status.end
            || self.control.error_interrupt() && self.status.operation_error
    }

    /// An operation that has ended by `now` is over.
    pub(crate) fn advance(&mut self, now: Time) {
        if self
            .operation
            .as_ref()
            .is_some_and(|operation| operation.ends <= now)
        {
            self.operation = None;
            self.status.end |= self.control.end_interrupt();
        }
    }

    /// A reset of the chip: the registers forget, an erase under way is cut, unless a planned cut has already said what is left of it.
    pub(crate) fn reset(&mut self, now: Time) {
        self.advance(now);
        let under_way = self.operation.take().filter(|_| !self.nor.is_off());
        if let Some((before, sectors)) = under_way.and_then(|operation| operation.before) {
            self.nor = *before;
            for sector in sectors {
                self.nor.plan_cut(Cut::new(0, Moment::Inside));
                // The cut makes it fail: that is the point.
                let _ = self.nor.erase(sector);
                self.nor.power_on();
            }
        }
        self.nor.power_on();
        self.refresh();
        self.status = Status::default();
        let optcr = self.control.optcr;
        self.control = Control::RESET;
        self.control.optcr = optcr;
        self.cache.clear();
        self.stalled_until = Time::ZERO;
    }

    /// A read of the array by the core's data port.
    pub(crate) fn read(&mut self, offset: u32, bytes: &mut [u8], now: Time) -> Result<()> {
        self.stall(now);
        self.store
            .read_at(offset.into(), bytes)
            .map_err(|_| Refusal::BusError)?;
        if self.control.data_cache_on()
            && let Some(stale) = self.cache.touch(offset)
        {
            let stale = stale.iter().skip((offset % LINE_BYTES) as usize);
            bytes
                .iter_mut()
                .zip(stale)
                .for_each(|(byte, stale)| *byte = *stale);
        }
        Ok(())
    }

    /// A write to the array: programs, if the control register says so.
    pub(crate) fn program(
        &mut self,
        offset: u32,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> Result<()> {
        let start = self.stall(context.now);
        if !self.may_program(offset, bytes, context) {
            return Ok(());
        }
        let address = self.map.region().start + (offset & !3);
        let old = self.word(offset & !3);
        let lane = (offset % 4) as usize;
        let mut new = old;
        let slots = new.iter_mut().skip(lane).zip(bytes);
        slots.for_each(|(slot, byte)| *slot &= byte);
        if new[lane..].iter().zip(bytes).any(|(new, byte)| new != byte) {
            context.guest_error(format!(
                "programming {address:#010x} would set bits: it holds {old:02x?}, written is {bytes:02x?} (RM0090 section 3.6)"
            ));
        }
        self.operations.push(FlashOperation::Program(address));
        let done = self.nor.program(address, &new);
        self.finish(done.map_err(|error| error.fault));
        self.cache.update(offset, bytes);
        self.usage.programming += self.times.program;
        self.operation = Some(Operation {
            ends: start + self.times.program,
            before: None,
        });
        Ok(())
    }

    /// Whether the control register and the option bytes allow this; sets the error flags if not (RM0090 section 3.9.5).
    fn may_program(&mut self, offset: u32, bytes: &[u8], context: &mut Context<'_>) -> bool {
        let width_matches = bytes.len() == 1 << self.control.psize();
        let sector = self.map.sector_at(self.map.region().start + offset);
        let protected = sector.is_none_or(|sector| self.control.is_protected(sector.index));
        let error = match () {
            () if self.control.is_locked() || !self.control.programming() => Status::SEQUENCE_ERROR,
            () if offset % 16 + bytes.len() as u32 > 16 => Status::ALIGNMENT_ERROR,
            () if !width_matches => Status::PARALLELISM_ERROR,
            () if protected => Status::PROTECTION_ERROR,
            () => {
                self.check_supply(context);
                return true;
            }
        };
        self.refuse(error, context);
        false
    }

    fn refuse(&mut self, error: u32, context: &mut Context<'_>) {
        self.status.errors |= error;
        self.status.operation_error |= self.control.error_interrupt();
        context.guest_error(format!(
            "a flash operation is refused, FLASH_SR shows {error:#04x} (RM0090 section 3.9.5)"
        ));
    }

    /// RM0090 section 3.6.2, table 7: x32 needs 2.7 V, x16 2.1 V.
    fn check_supply(&self, context: &mut Context<'_>) {
        let needed = [1800, 2100, 2700, 2700][self.control.psize() as usize];
        let supply = context.wires.supply_mv;
        if supply < needed {
            context.guest_error(format!("a flash operation at {supply} mV with a width that needs {needed} mV (RM0090 section 3.6.2)"));
        }
    }

    /// FLASH_CR.STRT.
    fn start_erase(&mut self, start: Time, context: &mut Context<'_>) {
        let sectors = match self.control.erase_target() {
            Some(registers::Target::Sector(index)) => self.map.sector(index).into_iter().collect(),
            Some(registers::Target::All) => self.map.sectors().collect(),
            None => Vec::new(),
        };
        if sectors.is_empty() {
            return self.refuse(Status::SEQUENCE_ERROR, context);
        }
        if sectors
            .iter()
            .any(|sector: &Sector| self.control.is_protected(sector.index))
        {
            return self.refuse(Status::PROTECTION_ERROR, context);
        }
        self.check_supply(context);
        let before = Box::new(self.nor.clone());
        let mut ends = start;
        for sector in &sectors {
            let offset = sector.region.start - self.map.region().start;
            let store = &self.store;
            self.cache
                .keep_stale(offset, sector.region.len, |line| line_of(store, line));
            ends += self.times.erase(sector.index, self.control.psize());
            self.operations.push(FlashOperation::Erase(sector.index));
            let done = self.nor.erase(*sector);
            self.finish(done.map_err(|error| error.fault));
        }
        self.usage.erasing += ends - start;
        self.operation = Some(Operation {
            ends,
            before: Some((before, sectors)),
        });
    }

    fn finish(&mut self, done: Result<(), FlashFault>) {
        // Other faults are those that a test injected, or the power is gone: the chip sees nothing of either.
        if done == Err(FlashFault::WriteProtected) {
            self.status.errors |= Status::PROTECTION_ERROR;
        }
        self.refresh();
    }

    /// Whoever needs the array waits for the operation under way. When the next one can begin.
    fn stall(&mut self, now: Time) -> Time {
        self.advance(now);
        match self.operation.take() {
            Some(operation) => {
                self.stalled_until = operation.ends;
                // Only an erase is long enough to be cut while the core waits for it.
                let ends = operation.ends;
                self.operation = operation.before.is_some().then_some(operation);
                if self.operation.is_none() {
                    self.status.end |= self.control.end_interrupt();
                }
                ends
            }
            None => now,
        }
    }

    fn word(&self, offset: u32) -> [u8; 4] {
        let mut bytes = [0; 4];
        // Inside the array: the caller has found its sector.
        let _ = self.store.read_at(offset.into(), &mut bytes);
        bytes
    }

    /// Copies what changed in the cells to where it is read.
    fn refresh(&mut self) {
        let region = self.map.region();
        if let Some(range) = self.nor.take_changed() {
            self.changed = Some(match self.changed.take() {
                Some(old) => old.start.min(range.start)..old.end.max(range.end),
                None => range.clone(),
            });
            // Without power, too: what an operation completed before a cut is there at the next boot.
            let bytes = self.nor.content_of(range.clone());
            let _ = self
                .store
                .write_at((range.start - region.start).into(), &bytes);
        }
        if self
            .map
            .sectors()
            .any(|sector| self.nor.is_touched_by_cut(sector.index))
        {
            let _ = self.store.write_at(0, &self.nor.content());
        }
    }
}

fn line_of(store: &RamStore, offset: u32) -> [u8; LINE_BYTES as usize] {
    let mut bytes = [0; LINE_BYTES as usize];
    let _ = store.read_at(offset.into(), &mut bytes);
    bytes
}
