//! Words for the flash interface (section 3.9) and the meaning of its status.

use iap_core::flash::FlashFault;

/// FLASH_KEYR takes these two, in this order, to clear FLASH_CR.LOCK (section 3.6.1).
pub const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];

/// FLASH_ACR: seven wait states, with both caches. The core is at full speed before anything is known of the supply, and stays there while it
/// sinks, so they are those of the lowest range with such a speed (section 3.5.1, table 10): 154 to 168 MHz at 2.1 to 2.4 V, 140 to 160 MHz at
/// 1.8 to 2.1 V. Five are enough at 2.7 to 3.6 V only. No prefetch: below 2.1 V it must be off, revision A of the silicon does not support it
/// (ES0182), and with the instruction cache it gains little.
pub const ACR: u32 = ACR_NO_CACHE | 1 << 9 | 1 << 10;
/// The same with the caches disabled: they may be reset only then (section 3.9.1).
pub const ACR_NO_CACHE: u32 = 7;
/// [`ACR_NO_CACHE`] with ICRST and DCRST.
pub const ACR_RESET_CACHES: u32 = ACR_NO_CACHE | 1 << 11 | 1 << 12;

/// FLASH_CR.LOCK.
pub const CR_LOCK: u32 = 1 << 31;
/// FLASH_CR.STRT.
pub const CR_STRT: u32 = 1 << 16;

/// FLASH_SR.BSY.
pub const SR_BSY: u32 = 1 << 16;
/// The flags of FLASH_SR that are cleared by writing ones: EOP, OPERR, WRPERR, PGAERR, PGPERR, PGSERR.
pub const SR_CLEAR: u32 = SR_EOP | SR_ERRORS;

const SR_EOP: u32 = 1 << 0;
const SR_OPERR: u32 = 1 << 1;
const SR_WRPERR: u32 = 1 << 4;
const SR_PGAERR: u32 = 1 << 5;
const SR_PGPERR: u32 = 1 << 6;
const SR_PGSERR: u32 = 1 << 7;
const SR_ERRORS: u32 = SR_OPERR | SR_WRPERR | SR_PGAERR | SR_PGPERR | SR_PGSERR;

/// FLASH_CR for programming with parallelism `psize` (0 for 8 bits, 1 for 16, 2 for 32; section 3.9.7).
pub const fn cr_program(psize: u32) -> u32 {
    (psize & 0b11) << 8 | 1 << 0
}

/// FLASH_CR for the erase of sector `index`; [`CR_STRT`] is set by a second write (section 3.6.3).
pub const fn cr_erase(index: u8, psize: u32) -> u32 {
    (psize & 0b11) << 8 | (index as u32 & 0xF) << 3 | 1 << 1
}

/// Whether FLASH_CR.SNB can name the sector; its four bits also fit numbers this chip does not have.
pub const fn is_sector(index: u8) -> bool {
    index < 12
}

/// Whether FLASH_SR says that an operation has ended well.
pub const fn is_good(sr: u32) -> bool {
    sr & (SR_ERRORS | SR_BSY) == 0
}

/// What FLASH_SR says about an operation that has ended, the most telling bit first; `otherwise` is what a failure without a bit of its
/// own is called.
pub const fn fault(sr: u32, otherwise: FlashFault) -> Option<FlashFault> {
    Some(match sr & SR_ERRORS {
        0 => return None,
        bits if bits & SR_WRPERR != 0 => FlashFault::WriteProtected,
        bits if bits & SR_PGSERR != 0 => FlashFault::Sequence,
        bits if bits & SR_PGPERR != 0 => FlashFault::Parallelism,
        bits if bits & SR_PGAERR != 0 => FlashFault::Alignment,
        _ => otherwise,
    })
}

/// PWR_CR.PLS for a threshold of `mv` (section 5.4.1); `None` if there is none.
pub const fn pvd_level(mv: u16) -> Option<u32> {
    Some(match mv {
        2000 => 0,
        2100 => 1,
        2300 => 2,
        2500 => 3,
        2600 => 4,
        2700 => 5,
        2800 => 6,
        2900 => 7,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_words_of_the_manual() {
        assert_eq!(cr_program(2), 0x0000_0201, "PG, PSIZE = 10");
        assert_eq!(cr_erase(5, 2), 0x0000_022A, "SER, SNB = 5, PSIZE = 10");
        assert_eq!(cr_erase(11, 2) | CR_STRT, 0x0001_025A);
        assert_eq!(cr_erase(0, 0), 0x0000_0002);
        assert_eq!(CR_LOCK, 0x8000_0000);
    }

    #[test]
    fn mass_erase_is_never_in_a_control_word() {
        for index in 0..=255 {
            for psize in 0..4 {
                assert_eq!(cr_erase(index, psize) & 1 << 2, 0);
            }
        }
        assert_eq!(cr_program(3) & 1 << 2, 0);
    }

    #[test]
    fn caches_are_reset_only_while_disabled() {
        const ICEN_DCEN: u32 = 0x600;
        assert_eq!(ACR, 0x607);
        assert_eq!(ACR_RESET_CACHES, 0x1807);
        assert_eq!(ACR_RESET_CACHES & ICEN_DCEN, 0);
        assert_eq!(ACR_NO_CACHE & ICEN_DCEN, 0);
    }

    #[test]
    fn prefetch_is_never_on() {
        const PRFTEN: u32 = 1 << 8;
        assert_eq!((ACR | ACR_NO_CACHE | ACR_RESET_CACHES) & PRFTEN, 0);
    }

    /// Table 10: HCLK in MHz that each wait state is good for, from 2.7, 2.4, 2.1 and 1.8 V; below 2.1 V it ends at 160 MHz.
    #[test]
    fn the_wait_states_are_enough_at_every_supply() {
        use crate::clock::{HSI_SYSCLK_HZ, SYSCLK_HZ};
        let cycles = (ACR & 7) + 1;
        for mhz_a_cycle in [30, 24, 22] {
            assert!(cycles * mhz_a_cycle * 1_000_000 >= SYSCLK_HZ);
        }
        let fastest_hsi = HSI_SYSCLK_HZ / 1000 * 1045;
        assert!(cycles * 20_000_000 >= fastest_hsi && fastest_hsi <= 160_000_000);
    }

    #[test]
    fn each_status_bit_is_the_fault_of_its_name() {
        let named = [
            (0x02, FlashFault::Erase),
            (0x10, FlashFault::WriteProtected),
            (0x20, FlashFault::Alignment),
            (0x40, FlashFault::Parallelism),
            (0x80, FlashFault::Sequence),
        ];
        for (sr, name) in named {
            assert_eq!(fault(sr | SR_EOP, FlashFault::Erase), Some(name));
            assert_eq!(SR_CLEAR & sr, sr, "{name:?} is cleared before an operation");
        }
        assert_eq!(fault(SR_EOP, FlashFault::Erase), None);
        assert!(is_good(SR_EOP) && is_good(0));
        assert!(!is_good(SR_BSY) && !is_good(SR_EOP | SR_WRPERR));
    }

    #[test]
    fn a_protected_sector_is_told_from_the_sequence_error_that_comes_with_it() {
        let both = SR_WRPERR | SR_PGSERR;
        assert_eq!(
            fault(both, FlashFault::Program),
            Some(FlashFault::WriteProtected)
        );
    }

    #[test]
    fn the_chip_has_twelve_sectors() {
        assert!(is_sector(11));
        assert!(!is_sector(12));
    }

    #[test]
    fn thresholds_of_the_supply_monitor() {
        assert_eq!(pvd_level(2900), Some(0b111));
        assert_eq!(pvd_level(2000), Some(0));
        assert_eq!(pvd_level(2200), None, "no such step");
    }
}
