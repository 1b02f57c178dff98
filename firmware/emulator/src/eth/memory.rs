//! What the Ethernet DMA reaches: SRAM1 and SRAM2 (RM0090 section 2.1, bus matrix). Everything else is a bus error.

use std::sync::Arc;

use rsemu::core::space::RamStore;

use crate::memory::{SRAM, SRAM_LEN};

/// An address the DMA cannot reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unreachable(pub(super) u32);

impl Unreachable {
    /// In words, for the guest error.
    pub(super) fn explain(self, what: &str) -> String {
        let place = match self.0 {
            0x0800_0000..=0x080F_FFFF => "in flash",
            0x1000_0000..=0x1000_FFFF => "in the CCM",
            _ => "not in SRAM",
        };
        format!(
            "{what} at {:#010x} is {place}: the Ethernet DMA does not reach it (RM0090 section 2.1)",
            self.0
        )
    }
}

#[derive(Clone, Debug)]
pub(super) struct DmaMemory {
    sram: Arc<RamStore>,
}

impl DmaMemory {
    pub(super) fn new(sram: Arc<RamStore>) -> Self {
        Self { sram }
    }

    fn offset(address: u32, len: usize) -> Result<u64, Unreachable> {
        let offset = address.wrapping_sub(SRAM);
        let inside = u64::from(offset) + len as u64 <= u64::from(SRAM_LEN);
        if inside {
            Ok(offset.into())
        } else {
            Err(Unreachable(address))
        }
    }

    pub(super) fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), Unreachable> {
        let offset = Self::offset(address, bytes.len())?;
        self.sram
            .read_at(offset, bytes)
            .map_err(|_| Unreachable(address))
    }

    pub(super) fn write(&self, address: u32, bytes: &[u8]) -> Result<(), Unreachable> {
        let offset = Self::offset(address, bytes.len())?;
        self.sram
            .write_at(offset, bytes)
            .map_err(|_| Unreachable(address))
    }

    pub(super) fn word(&self, address: u32) -> Result<u32, Unreachable> {
        let mut bytes = [0; 4];
        self.read(address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn set_word(&self, address: u32, value: u32) -> Result<(), Unreachable> {
        self.write(address, &value.to_le_bytes())
    }
}
