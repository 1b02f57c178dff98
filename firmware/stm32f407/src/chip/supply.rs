//! The supply monitor (PVD), read before every flash operation.

use iap_stm32f407::board::PVD_LEVEL;
use stm32f4xx_hal::pac::PWR;

/// PWR_CR.PVDE and PLS (RM0090 section 5.4.1), PWR_CSR.PVDO (5.4.2).
const PVDE: u32 = 1 << 4;
const PLS: u32 = 0b111 << 5;
const PVDO: u32 = 1 << 2;

/// The monitor, switched on.
pub(crate) struct Supply {
    pwr: PWR,
}

impl Supply {
    /// Switches it on with the profile's threshold (RM0090 section 5.2.3). The clock of PWR must run.
    pub(crate) fn new(pwr: PWR) -> Self {
        change!(pwr.cr(), clear PLS, set PVD_LEVEL << 5 | PVDE);
        Self { pwr }
    }

    /// Whether VDD is below the threshold.
    pub(crate) fn is_low(&self) -> bool {
        self.pwr.csr().read().bits() & PVDO != 0
    }
}
