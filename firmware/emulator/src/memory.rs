//! The memory map the core sees (RM0090 section 2.3): flash and its alias at 0, CCM, SRAM, system memory, peripherals.
//!
//! Instructions come from the flash's content directly; the core's data port goes through the flash interface, because that is where stalls
//! and stale caches are. Everything outside this map is a bus fault, as on the chip.

use std::sync::{Arc, MutexGuard, PoisonError};

use rsemu::core::error::{BusError, Error};
use rsemu::core::space::{
    AccessConstraints, AddressSpace, MemAttrs, MemOps, MemResult, Perms, RamStore, Region,
};

use crate::blocks;
use crate::chip::{Chip, Shared};
use crate::register::{Context, Refusal, Write};
use crate::report::Kind;

const FLASH: u64 = 0x0800_0000;
const CCM: u64 = 0x1000_0000;
const CCM_LEN: u64 = 64 * 1024;
const SYSTEM: u64 = 0x1FFF_7800;
const SYSTEM_LEN: u64 = 0x400;
pub(crate) const SRAM: u32 = 0x2000_0000;
pub(crate) const SRAM_LEN: u32 = 128 * 1024;
const PERIPHERALS: u64 = 0x4000_0000;
const PERIPHERALS_LEN: u64 = 0x2000_0000;
const DEBUG: u64 = 0xE004_2000;

/// The two RAMs.
#[derive(Clone, Debug)]
pub(crate) struct Rams {
    pub(crate) sram: Arc<RamStore>,
    pub(crate) ccm: Arc<RamStore>,
}

impl Rams {
    /// Power-on leaves what nobody can predict; here it comes from a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let rams = Self {
            sram: Arc::new(RamStore::new(SRAM_LEN.into())),
            ccm: Arc::new(RamStore::new(CCM_LEN)),
        };
        rams.scramble(seed);
        rams
    }

    pub(crate) fn scramble(&self, seed: u64) {
        let mut rng = iap_sim::rng::Rng::new(seed);
        for store in [&self.sram, &self.ccm] {
            for offset in (0..store.len()).step_by(8) {
                // Inside the store, whose length is a multiple of 8.
                let _ = store.write_at(offset, &rng.next().to_le_bytes());
            }
        }
    }
}

/// The core's address space.
pub(crate) fn space(shared: &Arc<Shared>, rams: &Rams) -> Result<AddressSpace, Error> {
    let store = lock(shared).devices.flash.store();
    let space = AddressSpace::new("core", 32);
    {
        let mut map = space.topology();
        for base in [0, FLASH] {
            let port = FlashPort {
                shared: Arc::clone(shared),
                store: Arc::clone(&store),
            };
            map.map(Region::io("flash", store.len(), Arc::new(port)), base)?;
        }
        // No instruction bus leads to the CCM (RM0090 section 2.1).
        map.map_with_perms(Region::ram("ccm", Arc::clone(&rams.ccm)), CCM, Perms::RW)?;
        map.map(Region::ram("sram", Arc::clone(&rams.sram)), SRAM.into())?;
        let system = Arc::new(SystemMemory(Arc::clone(shared)));
        map.map(Region::io("system", SYSTEM_LEN, system), SYSTEM)?;
        let bus = |base| {
            Arc::new(PeripheralBus {
                shared: Arc::clone(shared),
                base,
            })
        };
        map.map(
            Region::io("peripherals", PERIPHERALS_LEN, bus(PERIPHERALS)),
            PERIPHERALS,
        )?;
        map.map(Region::io("debug", 0x10, bus(DEBUG)), DEBUG)?;
    }
    Ok(space)
}

/// The chip. A panic elsewhere leaves plain data behind: it can still be used.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Chip> {
    shared.chip.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_context<T>(
    shared: &Shared,
    chip: &mut Chip,
    f: impl FnOnce(&mut crate::chip::Devices, &mut Context<'_>) -> T,
) -> T {
    let Chip {
        devices,
        wires,
        reports,
        ..
    } = chip;
    let mut context = Context::new(shared.now(), shared.pc(), wires, reports);
    f(devices, &mut context)
}

#[derive(Debug)]
struct FlashPort {
    shared: Arc<Shared>,
    store: Arc<RamStore>,
}

impl MemOps for FlashPort {
    fn read(&self, offset: u64, bytes: &mut [u8], attributes: MemAttrs) -> MemResult {
        if attributes.debug || attributes.is_fetch() {
            return self.store.read_at(offset, bytes);
        }
        let mut chip = lock(&self.shared);
        let now = self.shared.now();
        if now < chip.devices.flash.busy_until() {
            self.shared.call();
        }
        chip.devices
            .flash
            .read(offset as u32, bytes, now)
            .map_err(|_| BusError::Unassigned)
    }

    fn write(&self, offset: u64, bytes: &[u8], _: MemAttrs) -> MemResult {
        self.shared.call();
        let mut chip = lock(&self.shared);
        let program = |devices: &mut crate::chip::Devices, context: &mut Context<'_>| {
            devices.flash.program(offset as u32, bytes, context)
        };
        with_context(&self.shared, &mut chip, program).map_err(|_| BusError::Unassigned)
    }

    fn constraints(&self) -> AccessConstraints {
        AccessConstraints::IO
    }
}

#[derive(Debug)]
struct SystemMemory(Arc<Shared>);

impl MemOps for SystemMemory {
    fn read(&self, offset: u64, bytes: &mut [u8], _: MemAttrs) -> MemResult {
        let mut chip = lock(&self.0);
        match chip.signature_word(offset as u32 & !3) {
            Ok(word) => {
                let lanes = word.to_le_bytes().into_iter().skip((offset % 4) as usize);
                bytes
                    .iter_mut()
                    .zip(lanes)
                    .for_each(|(byte, lane)| *byte = lane);
                Ok(())
            }
            Err(_) => {
                report(
                    &self.0,
                    &mut chip,
                    format!("read of system memory at {:#010x}", SYSTEM + offset),
                );
                Err(BusError::Unassigned)
            }
        }
    }

    fn write(&self, offset: u64, _: &[u8], _: MemAttrs) -> MemResult {
        report(
            &self.0,
            &mut lock(&self.0),
            format!("write to system memory at {:#010x}", SYSTEM + offset),
        );
        Err(BusError::Protected)
    }
}

fn report(shared: &Shared, chip: &mut Chip, text: String) {
    shared.call();
    chip.reports
        .add(shared.now(), shared.pc(), Kind::NotModelled, text);
}

#[derive(Debug)]
struct PeripheralBus {
    shared: Arc<Shared>,
    base: u64,
}

impl PeripheralBus {
    fn refuse(&self, chip: &mut Chip, refusal: Refusal, address: u32, verb: &str) -> BusError {
        if refusal == Refusal::NotModelled {
            let name =
                blocks::at(address).map_or("no peripheral that is modelled", |block| block.name);
            report(
                &self.shared,
                chip,
                format!("{verb} {address:#010x}, {name}"),
            );
        }
        BusError::Unassigned
    }
}

impl MemOps for PeripheralBus {
    fn read(&self, offset: u64, bytes: &mut [u8], attributes: MemAttrs) -> MemResult {
        if attributes.debug {
            return Err(BusError::Unassigned);
        }
        self.shared.call();
        let address = (self.base + offset) as u32;
        let mut chip = lock(&self.shared);
        let word = blocks::at(address)
            .ok_or(Refusal::NotModelled)
            .and_then(|block| {
                let register = (address - block.start) & !3;
                chip.access(
                    self.shared.now(),
                    self.shared.pc(),
                    block,
                    |device, context| device.read(register, context),
                )
            });
        match word {
            Ok(word) => {
                let lanes = word
                    .unwrap_or(0)
                    .to_le_bytes()
                    .into_iter()
                    .skip((address % 4) as usize);
                bytes
                    .iter_mut()
                    .zip(lanes)
                    .for_each(|(byte, lane)| *byte = lane);
                Ok(())
            }
            Err(refusal) => Err(self.refuse(&mut chip, refusal, address, "read of")),
        }
    }

    fn write(&self, offset: u64, bytes: &[u8], attributes: MemAttrs) -> MemResult {
        if attributes.debug {
            return Err(BusError::Unassigned);
        }
        self.shared.call();
        let address = (self.base + offset) as u32;
        let (now, pc) = (self.shared.now(), self.shared.pc());
        let mut chip = lock(&self.shared);
        let done = blocks::at(address)
            .ok_or(Refusal::NotModelled)
            .and_then(|block| {
                let write = lanes(address, bytes, block.on_apb);
                let register = (address - block.start) & !3;
                let done = chip.access(now, pc, block, |device, context| {
                    device.write(register, write, context)
                });
                chip.after_write(block.id, now, pc);
                done
            });
        done.map(|_| ())
            .map_err(|refusal| self.refuse(&mut chip, refusal, address, "write to"))
    }

    fn constraints(&self) -> AccessConstraints {
        AccessConstraints::IO
    }
}

/// Which bits of its word a write of `bytes` to `address` drives.
fn lanes(address: u32, bytes: &[u8], on_apb: bool) -> Write {
    let mut word = [0; 4];
    let shift = 8 * (address % 4);
    word.iter_mut()
        .zip(bytes)
        .for_each(|(lane, byte)| *lane = *byte);
    let value = u32::from_le_bytes(word);
    match (bytes.len(), on_apb) {
        (1, true) => Write::word(value * 0x0101_0101),
        (2, true) => Write::word(value * 0x0001_0001),
        (1, false) => Write {
            value: value << shift,
            mask: 0xFF << shift,
        },
        (2, false) => Write {
            value: value << shift,
            mask: 0xFFFF << shift,
        },
        _ => Write::word(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_on_ahb_drives_its_lane_and_on_apb_all_of_them() {
        assert_eq!(
            lanes(0x4002_3C01, &[7], false),
            Write {
                value: 0x700,
                mask: 0xFF00
            }
        );
        assert_eq!(
            lanes(0x4002_0C1A, &[1, 0], false),
            Write {
                value: 0x1_0000,
                mask: 0xFFFF_0000
            }
        );
        assert_eq!(lanes(0x4000_3001, &[0xAA], true), Write::word(0xAAAA_AAAA));
        assert_eq!(
            lanes(0x4002_3C00, &[1, 2, 3, 4], false),
            Write::word(0x0403_0201)
        );
    }
}
