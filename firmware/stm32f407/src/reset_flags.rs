//! Why the chip was reset: the upper byte of RCC_CSR (section 7.3.21).

/// RCC_CSR.RMVF: clears the flags.
pub const RMVF: u32 = 1 << 24;

const BORRSTF: u32 = 1 << 25;
const PORRSTF: u32 = 1 << 27;

/// The flags as the application finds them: bits 25 to 31 of RCC_CSR, moved to bits 1 to 7.
pub const fn byte(csr: u32) -> u8 {
    (csr >> 24) as u8 & 0xFE
}

/// Whether the supply came up: power-on or brown-out.
pub const fn is_power_on(csr: u32) -> bool {
    csr & (PORRSTF | BORRSTF) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_on_sets_por_bor_and_pin() {
        // RCC_CSR's reset value is 0x0E00 0000 after a power reset.
        assert!(is_power_on(0x0E00_0000));
        assert_eq!(byte(0x0E00_0000), 0x0E);
    }

    #[test]
    fn other_resets_are_no_power_on() {
        for (csr, flags, what) in [
            (0x0400_0000, 0x04, "reset pin"),
            (0x1400_0000, 0x14, "software"),
            (0x2400_0000, 0x24, "independent watchdog"),
            (0x4400_0000, 0x44, "window watchdog"),
        ] {
            assert!(!is_power_on(csr), "{what}");
            assert_eq!(byte(csr), flags, "{what}");
        }
    }

    #[test]
    fn the_oscillator_bits_are_not_flags() {
        assert_eq!(byte(0x0100_0003), 0);
    }
}
