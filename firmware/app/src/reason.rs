//! Why the chip was reset, as the IAP firmware found it in RCC_CSR. The application cannot look there itself: the flags add up over resets,
//! so the firmware has cleared them.

/// The flags of the last reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BootReason(u8);

/// The one cause behind the flags. Several flags are set at once: NRST is pulled low by every reset (RM0090 section 7.1.1), so PINRSTF
/// says something only when it is alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetCause {
    /// The supply came up.
    PowerOn,
    /// The supply was below the brown-out level and came back.
    BrownOut,
    /// The independent watchdog was not fed.
    IndependentWatchdog,
    /// The window watchdog was not fed, or too early.
    WindowWatchdog,
    /// Stop or Standby was entered although the option bytes make that a reset.
    LowPower,
    /// SYSRESETREQ: the IAP firmware after an update, or this application.
    Software,
    /// The reset pin, and nothing else.
    Pin,
    /// No flag was set.
    Unknown,
}

impl BootReason {
    /// From the byte in the cause register: bits 25 to 31 of RCC_CSR in bits 1 to 7 (RM0090 section 7.3.21).
    pub const fn from_flags(flags: u8) -> Self {
        Self(flags)
    }

    /// The flags as they were in RCC_CSR, in bits 1 to 7.
    pub const fn flags(self) -> u8 {
        self.0
    }

    /// The one cause, the rarest first: what a power-on sets comes last but for the pin.
    pub const fn cause(self) -> ResetCause {
        match self.0 {
            flags if flags & 1 << 7 != 0 => ResetCause::LowPower, // LPWRRSTF
            flags if flags & 1 << 6 != 0 => ResetCause::WindowWatchdog, // WWDGRSTF
            flags if flags & 1 << 5 != 0 => ResetCause::IndependentWatchdog, // IWDGRSTF
            flags if flags & 1 << 4 != 0 => ResetCause::Software, // SFTRSTF
            flags if flags & 1 << 3 != 0 => ResetCause::PowerOn,  // PORRSTF
            flags if flags & 1 << 1 != 0 => ResetCause::BrownOut, // BORRSTF
            flags if flags & 1 << 2 != 0 => ResetCause::Pin,      // PINRSTF
            _ => ResetCause::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reset_of_the_manual_has_one_cause() {
        for (csr, cause) in [
            (0x0E00_0000_u32, ResetCause::PowerOn), // RCC_CSR's reset value
            (0x0600_0000, ResetCause::BrownOut),
            (0x2400_0000, ResetCause::IndependentWatchdog),
            (0x4400_0000, ResetCause::WindowWatchdog),
            (0x8400_0000, ResetCause::LowPower),
            (0x1400_0000, ResetCause::Software),
            (0x0400_0000, ResetCause::Pin),
            (0, ResetCause::Unknown),
        ] {
            let reason = BootReason::from_flags((csr >> 24) as u8 & 0xFE);
            assert_eq!(reason.cause(), cause, "{csr:#010x}");
        }
    }
}
