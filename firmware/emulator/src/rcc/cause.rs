//! Reset causes, as RCC_CSR keeps them.

use std::fmt;

/// What caused a reset: the flags of RCC_CSR (RM0090 section 7.3.21).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetCause {
    /// The supply came.
    PowerOn,
    /// AIRCR.SYSRESETREQ.
    Software,
    /// The independent watchdog.
    IndependentWatchdog,
    /// The window watchdog.
    WindowWatchdog,
    /// The NRST pin.
    Pin,
}

impl ResetCause {
    /// Every reset inside the chip also pulls NRST (RM0090 section 7.1.1), hence PINRSTF.
    pub(super) const fn flags(self) -> u32 {
        const PIN: u32 = 1 << 26;
        match self {
            Self::PowerOn => 1 << 25 | PIN | 1 << 27,
            Self::Software => PIN | 1 << 28,
            Self::IndependentWatchdog => PIN | 1 << 29,
            Self::WindowWatchdog => PIN | 1 << 30,
            Self::Pin => PIN,
        }
    }
}

impl fmt::Display for ResetCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOn => "power-on",
            Self::Software => "by software",
            Self::IndependentWatchdog => "by the independent watchdog",
            Self::WindowWatchdog => "by the window watchdog",
            Self::Pin => "by the NRST pin",
        })
    }
}
