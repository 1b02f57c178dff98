//! The independent watchdog's numbers (section 21).
//!
//! It cannot be stopped, so whoever starts it must give the application a period that it can keep: the longest there is.

/// IWDG_KR: start.
pub const KEY_START: u16 = 0xCCCC;
/// IWDG_KR: allow writes to IWDG_PR and IWDG_RLR.
pub const KEY_ACCESS: u16 = 0x5555;
/// IWDG_KR: reload.
pub const KEY_RELOAD: u16 = 0xAAAA;
/// IWDG_PR: LSI divided by 256.
pub const PRESCALER_256: u16 = 6;
/// IWDG_RLR: the largest.
pub const RELOAD: u16 = 0xFFF;

/// The period in ms with an LSI of `lsi_hz`.
pub const fn period_ms(lsi_hz: u32) -> u32 {
    (RELOAD as u32 + 1) * 256 * 1000 / lsi_hz
}

const LSI_MAX_HZ: u32 = 47_000; // DS8626 section 5.3.9: 17 to 47 kHz
const LONGEST_ERASE_MS: u32 = 4000; // DS8626 section 5.3.12: a sector of 128 KiB at x8
const _: () = assert!(period_ms(LSI_MAX_HZ) > 2 * LONGEST_ERASE_MS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_period_is_32_s_and_never_shorter_than_22_s() {
        assert_eq!(period_ms(32_000), 32_768, "section 21.3.3, table 107");
        assert_eq!(period_ms(LSI_MAX_HZ), 22_310);
    }
}
