//! The flash, 32 bits at a time, one sector at a time; and the CRC unit, which reads it.
//!
//! Program code lies in the same flash: while an operation runs, every fetch that misses the cache stalls the core until it ends (RM0090
//! section 3.6). That is allowed here, as nothing else must run meanwhile: the Ethernet DMA goes on into SRAM, and the time comes from TIM2.

use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

use cortex_m::asm;
use iap_core::flash::{Block, Flash, FlashError, FlashFault};
use iap_protocol::crc::Crc32;
use iap_protocol::memory::{Region, Sector};
use iap_stm32f407::board::{CONFIG, ERASE_MAX_MS, PROGRAM_MAX_US, PSIZE};
use iap_stm32f407::clock::SYSCLK_HZ;
use iap_stm32f407::crc_unit;
use iap_stm32f407::flash_word::{
    self as word, ACR, ACR_NO_CACHE, ACR_RESET_CACHES, CR_LOCK, CR_STRT, KEYS, SR_BSY, SR_CLEAR,
};
use stm32f4xx_hal::pac::{CRC, FLASH, RCC};

use super::supply::Supply;
use super::{sha256, within};

/// RCC_AHB1ENR.CRCEN (RM0090 section 7.3.10).
const CRCEN: u32 = 1 << 12;
/// CRC_CR.RESET (RM0090 section 4.4.3).
const CRC_RESET: u32 = 1 << 0;

/// Tries that last at least as long as the operation at most: a try takes four cycles or more.
const PROGRAM_TRIES: u32 = SYSCLK_HZ / 1_000_000 / 4 * PROGRAM_MAX_US;
const ERASE_TRIES: u32 = SYSCLK_HZ / 1000 / 4 * ERASE_MAX_MS;

/// The chip's flash. FLASH_CR is locked outside each call.
pub(crate) struct ChipFlash {
    flash: FLASH,
    crc: CRC,
    supply: Supply,
}

impl ChipFlash {
    /// Takes over the flash interface and the CRC unit, which gets its clock (RM0090 section 7.3.10).
    pub(crate) fn new(flash: FLASH, crc: CRC, supply: Supply, rcc: &RCC) -> Self {
        change!(rcc.ahb1enr(), clear 0, set CRCEN);
        Self { flash, crc, supply }
    }

    /// Gives the flash interface back, for the jump.
    pub(crate) fn into_interface(self) -> FLASH {
        self.flash
    }

    /// Does one operation between unlocking and locking, if the supply allows.
    fn unlocked<T>(
        &mut self,
        address: u32,
        operation: impl FnOnce(&mut Self) -> Result<T, FlashError>,
    ) -> Result<T, FlashError> {
        if self.is_supply_low() {
            return Err(FlashError::new(FlashFault::SupplyLow, address));
        }
        // RM0090 section 3.6.1: unlocking takes both keys, in this order, and only from the locked state.
        for key in KEYS {
            put!(self.flash.keyr(), key);
        }
        put!(self.flash.sr(), SR_CLEAR);
        // RM0090 sections 3.6.3 and 3.6.4, step 1: nothing may be under way. One that did not end in its time is not waited for again.
        let result = match self.is_busy() {
            true => Err(FlashError::new(FlashFault::Sequence, address)),
            false => operation(self),
        };
        put!(self.flash.cr(), CR_LOCK);
        result
    }

    /// Programs words one after the other, the supply looked at before each (RM0090 section 3.6.4: PG, then the word).
    fn program_words(&mut self, mut address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        put!(self.flash.cr(), word::cr_program(PSIZE));
        for word in bytes.as_chunks().0 {
            if self.is_supply_low() {
                return Err(FlashError::new(FlashFault::SupplyLow, address));
            }
            write_word(address, u32::from_le_bytes(*word));
            self.finish(PROGRAM_TRIES, address, FlashFault::Program)?;
            address = address.wrapping_add(4);
        }
        Ok(())
    }

    fn is_supply_low(&self) -> bool {
        self.supply.is_low() && !cfg!(feature = "defect-no-supply-check")
    }

    fn is_busy(&self) -> bool {
        self.flash.sr().read().bits() & SR_BSY != 0
    }

    /// Waits for the operation to end and reads what has become of it (RM0090 sections 3.6.3 to 3.6.5).
    #[inline(always)] // once for every word of the application
    fn finish(&self, tries: u32, address: u32, failure: FlashFault) -> Result<(), FlashError> {
        // What has started the operation went to the flash over another bus than FLASH_SR is read over: without this the status could be
        // the one from before it (ARMv7-M ARM A3.7.3).
        asm::dsb();
        // Nearly always good: the fetch of what comes here has waited for the flash.
        let mut status = self.flash.sr().read().bits();
        if word::is_good(status) {
            return Ok(());
        }
        let ended = within(tries, || {
            status = self.flash.sr().read().bits();
            status & SR_BSY == 0
        });
        match word::fault(status, failure) {
            Some(fault) => Err(FlashError::new(fault, address)),
            None if !ended => Err(FlashError::new(failure, address)),
            None => Ok(()),
        }
    }

    /// RM0090 section 3.6.4: what the caches hold may be stale after an erase or a program operation. They are reset only while disabled.
    fn reset_caches(&self) {
        if cfg!(feature = "defect-caches-kept") {
            return;
        }
        for acr in [ACR_NO_CACHE, ACR_RESET_CACHES, ACR_NO_CACHE, ACR] {
            put!(self.flash.acr(), acr);
        }
    }

    /// The CRC-32 of words, continued from `resume`, by the unit (RM0090 section 4.3).
    fn feed_crc_unit(&mut self, resume: u32, words: Region) -> u32 {
        put!(self.crc.cr(), CRC_RESET);
        let feed = |address: u32| put!(self.crc.dr(), crc_unit::next_word(read_word(address)));
        let (mut address, end) = (words.start, words.start + words.len);
        if address < end {
            put!(
                self.crc.dr(),
                crc_unit::first_word(resume, read_word(address))
            );
            address += 4;
        }
        // Four at a time: the whole application passes here at every start, and a loop costs as much as a word.
        while end - address >= 16 {
            feed(address);
            feed(address + 4);
            feed(address + 8);
            feed(address + 12);
            address += 16;
        }
        while address < end {
            feed(address);
            address += 4;
        }
        crc_unit::finish(self.crc.dr().read().bits())
    }
}

impl Flash for ChipFlash {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        check_readable(Region::new(address, len))?;
        copy(address, bytes);
        Ok(())
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        let address = sector.region.start;
        if !word::is_sector(sector.index) {
            return Err(FlashError::new(FlashFault::OutsideWindow, address));
        }
        let erased = self.unlocked(address, |this| {
            // RM0090 section 3.6.3: SER and SNB, then STRT.
            let cr = word::cr_erase(sector.index, PSIZE);
            put!(this.flash.cr(), cr);
            put!(this.flash.cr(), cr | CR_STRT);
            this.finish(ERASE_TRIES, address, FlashFault::Erase)
        });
        self.reset_caches();
        erased
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_readable(Region::new(address, bytes.len() as u32))?;
        let programmed = self.unlocked(address, |this| this.program_words(address, bytes));
        self.reset_caches();
        programmed
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        check_readable(region)?;
        // The unit takes aligned words: the bytes before and after them are the software's.
        let head_len = region.start.wrapping_neg() % 4;
        let head_len = head_len.min(region.len);
        let words = Region::new(region.start + head_len, (region.len - head_len) & !3);
        let tail = Region::new(words.start + words.len, region.len - head_len - words.len);
        let head = software_crc(resume, Region::new(region.start, head_len));
        let middle = match words.len {
            0 => head,
            _ => self.feed_crc_unit(head, words),
        };
        Ok(software_crc(middle, tail))
    }

    fn crc32_of(&mut self, resume: u32, bytes: &[u8]) -> u32 {
        let (words, tail) = bytes.as_chunks();
        let mut words = words.iter().map(|word| u32::from_le_bytes(*word));
        let mut crc = resume;
        if let Some(first) = words.next() {
            // RM0090 section 4.3: reset, then word by word.
            put!(self.crc.cr(), CRC_RESET);
            put!(self.crc.dr(), crc_unit::first_word(resume, first));
            words.for_each(|word| put!(self.crc.dr(), crc_unit::next_word(word)));
            crc = crc_unit::finish(self.crc.dr().read().bits());
        }
        let mut crc = Crc32::resume(crc);
        crc.update(tail);
        crc.finish()
    }

    fn sha256(&self, state: &mut [u32; 8], region: Region) -> Result<(), FlashError> {
        check_readable(region)?;
        if !region.start.is_multiple_of(4) {
            return Err(FlashError::new(FlashFault::Read, region.start));
        }
        // SAFETY: flash is always readable, and the region lies in it from a multiple of 4 on.
        unsafe { sha256::compress(state, region.start, region.len / 64) };
        Ok(())
    }

    fn sha256_block(&self, state: &mut [u32; 8], block: &Block<64>) {
        // SAFETY: it is one block, and its alignment that of words.
        unsafe { sha256::compress(state, ptr::from_ref(block) as u32, 1) };
    }
}

/// The CRC-32 of up to three bytes, continued from `resume`.
fn software_crc(resume: u32, region: Region) -> u32 {
    let mut bytes = [0; 3];
    let Some(bytes) = bytes.get_mut(..region.len as usize) else {
        return resume;
    };
    copy(region.start, bytes);
    let mut crc = Crc32::resume(resume);
    crc.update(bytes);
    crc.finish()
}

fn check_readable(region: Region) -> Result<(), FlashError> {
    if CONFIG.map.flash.region().contains_region(&region) {
        Ok(())
    } else {
        Err(FlashError::new(FlashFault::Read, region.start))
    }
}

/// Copies flash content; the caller has checked the region.
fn copy(address: u32, bytes: &mut [u8]) {
    // What was programmed or erased changed behind the compiler's back: nothing read before is taken for what is there now.
    compiler_fence(Ordering::SeqCst);
    // SAFETY: addresses in the chip's flash, which is always mapped and readable; `bytes` is RAM of the caller's.
    unsafe { ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len()) };
}

/// Reads a word; the caller has checked the region, and the address is a multiple of 4.
fn read_word(address: u32) -> u32 {
    // SAFETY: an address in the chip's flash, which is always mapped and readable, and aligned. Volatile, because `write_word` changes it
    // behind the compiler's back.
    unsafe { ptr::read_volatile(address as *const u32) }
}

/// Programs a word (RM0090 section 3.6.4): FLASH_CR.PG is set, the caller has checked the region, the address is a multiple of 4.
fn write_word(address: u32, word: u32) {
    // SAFETY: an aligned word of the chip's flash. While FLASH_CR.PG is set the store starts a program operation, else it raises an error
    // flag; neither touches memory of this program: `iap_core::flash::Window` keeps the IAP's own sectors out of reach.
    unsafe { ptr::write_volatile(address as *mut u32, word) };
}
