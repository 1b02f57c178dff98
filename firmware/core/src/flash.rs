//! The flash as the core sees it: sectors that erase, words that program, and windows that cannot reach what they must not touch.
//!
//! The calls are synchronous, because the chip is: it has one bank, and any fetch from flash stalls until the operation ends
//! (RM0090 section 3.6). Time passes inside them.

use core::fmt;

use iap_protocol::ErrorCode;
use iap_protocol::crc::Crc32;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::memory::{FlashMap, Region, Sector, SectorSet};
use iap_protocol::packed;

use crate::defect::{Defect, has};

/// What can go wrong in a flash operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlashFault {
    /// The sector did not erase.
    Erase,
    /// The word was not programmed.
    Program,
    /// The word was not programmed: PGAERR, programming alignment.
    Alignment,
    /// The word was not programmed: PGPERR, programming parallelism.
    Parallelism,
    /// The word was not programmed: PGSERR, programming sequence.
    Sequence,
    /// The sector is write-protected (WRPERR).
    WriteProtected,
    /// The supply is below the threshold; nothing was done, the operation may be tried again.
    SupplyLow,
    /// The address is not readable flash.
    Read,
    /// The address is outside the caller's window, or not a multiple of 4; nothing was done.
    OutsideWindow,
}

/// A failed flash operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlashError {
    /// What went wrong.
    pub fault: FlashFault,
    /// Where.
    pub address: u32,
}

impl FlashError {
    /// An error at `address`.
    pub const fn new(fault: FlashFault, address: u32) -> Self {
        Self { fault, address }
    }
}

impl FlashFault {
    /// Where it happened and, if there is one, the manual's name of the status bit behind it (RM0090 section 3.9.4).
    const fn form(self) -> &'static [u8] {
        match self {
            Self::Alignment => packed!("at {x} PGAERR"),
            Self::Parallelism => packed!("at {x} PGPERR"),
            Self::Sequence => packed!("at {x} PGSERR"),
            Self::WriteProtected => packed!("at {x} WRPERR"),
            _ => packed!("at {x}"),
        }
    }
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:#010x}", self.fault, self.address)
    }
}

impl FlashError {
    /// Refuses what the flash does not do.
    #[inline(never)]
    pub fn refuse(self, why: &mut Refusal) -> Refused {
        let code = match self.fault {
            FlashFault::Erase => ErrorCode::FlashErase,
            FlashFault::Program
            | FlashFault::Alignment
            | FlashFault::Parallelism
            | FlashFault::Sequence => ErrorCode::FlashProgram,
            FlashFault::WriteProtected | FlashFault::OutsideWindow => ErrorCode::WriteProtected,
            FlashFault::SupplyLow => ErrorCode::SupplyLow,
            FlashFault::Read => ErrorCode::FlashRead,
        };
        why.refuse_with(code, self.fault.form(), &[self.address])
    }
}

/// A NOR flash with erasable sectors. Implemented by the chip's driver and by the simulator's strict model.
pub trait Flash {
    /// Copies flash content.
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError>;
    /// Erases one sector: every bit becomes 1.
    fn erase(&mut self, sector: Sector) -> Result<(), FlashError>;
    /// Programs 32-bit words in ascending order: bits can only become 0. `address` and the length are multiples of 4.
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError>;
    /// The CRC-32 of `region`, continued from `resume`, a finished CRC (0 for none). On the chip the CRC unit computes it.
    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError>;

    /// The same of bytes in RAM.
    fn crc32_of(&mut self, resume: u32, bytes: &[u8]) -> u32 {
        let mut crc = Crc32::resume(resume);
        crc.update(bytes);
        crc.finish()
    }

    /// Takes `region`, whole blocks of 64 bytes from a multiple of 4 on, into the state of a SHA-256. The chip has quicker code for it.
    fn sha256(&self, state: &mut [u32; 8], region: Region) -> Result<(), FlashError> {
        let mut block = Block([0; 64]);
        for index in 0..region.len / 64 {
            let address = region.start.saturating_add(index.saturating_mul(64));
            self.read(address, &mut block.0)?;
            self.sha256_block(state, &block);
        }
        Ok(())
    }

    /// The same with a block in RAM.
    fn sha256_block(&self, state: &mut [u32; 8], block: &Block<64>) {
        sha2::block_api::compress256(state, core::slice::from_ref(&block.0));
    }
}

/// A block of a hash, where words can be read.
#[derive(Clone)]
#[repr(align(4))]
pub struct Block<const N: usize>(pub [u8; N]);

/// The part of a flash that its holder may change: some sectors and no others.
pub struct Window<'a> {
    flash: &'a mut dyn Flash,
    map: &'a FlashMap,
    sectors: SectorSet,
}

impl<'a> Window<'a> {
    /// A window on `sectors`.
    pub fn new(flash: &'a mut dyn Flash, map: &'a FlashMap, sectors: SectorSet) -> Self {
        Self {
            flash,
            map,
            sectors,
        }
    }

    /// Erases sector `index`.
    pub fn erase(&mut self, index: u8) -> Result<(), FlashError> {
        match self.map.sector(index) {
            Some(sector) if self.sectors.contains(index) || has(Defect::WindowNotEnforced) => {
                self.flash.erase(sector)
            }
            Some(sector) => Err(FlashError::new(
                FlashFault::OutsideWindow,
                sector.region.start,
            )),
            None => Err(FlashError::new(FlashFault::OutsideWindow, 0)),
        }
    }

    /// Programs words.
    pub fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let outside = FlashError::new(FlashFault::OutsideWindow, address);
        let len = u32::try_from(bytes.len()).map_err(|_| outside)?;
        let region = Region::new(address, len);
        let touched = self.map.sectors_of(region);
        let inside = self.map.region().contains_region(&region)
            && (touched.intersection(self.sectors) == touched || has(Defect::WindowNotEnforced));
        if !inside || !address.is_multiple_of(4) || !len.is_multiple_of(4) {
            return Err(outside);
        }
        self.flash.program(address, bytes)
    }

    /// Reads anywhere: a window limits what changes.
    pub fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.flash.read(address, bytes)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    #[test]
    fn a_refusal_names_the_address_and_the_status_bit() {
        let mut refusal = Refusal::unsaid();
        FlashError::new(FlashFault::Sequence, 0x0802_0000).refuse(&mut refusal);
        assert_eq!(
            refusal.to_string(),
            "flash word was not programmed (at 0x08020000 PGSERR)"
        );
        FlashError::new(FlashFault::Erase, 0x0802_0000).refuse(&mut refusal);
        assert_eq!(
            refusal.to_string(),
            "flash sector did not erase (at 0x08020000)"
        );
    }
}
