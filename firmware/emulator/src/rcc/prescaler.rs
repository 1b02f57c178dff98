//! The prescalers of CFGR.

/// CFGR.HPRE (RM0090 section 7.3.3): 0xxx undivided, 1000 to 1111 by 2, 4, 8, 16, 64, 128, 256, 512.
pub(super) const fn ahb_shift(bits: u32) -> u32 {
    match bits {
        0..=7 => 0,
        8..=11 => bits - 7,
        _ => bits - 6,
    }
}

/// CFGR.PPRE (RM0090 section 7.3.3): 0xx undivided, 100 to 111 by 2, 4, 8, 16.
pub(super) const fn apb_shift(bits: u32) -> u32 {
    match bits {
        0..=3 => 0,
        _ => bits - 3,
    }
}
