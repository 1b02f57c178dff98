//! The signals between peripherals that are more than a register of one of them.
//!
//! Whoever owns a signal writes it here when its registers change; everybody may read it.

/// The clocks that RCC puts out, in Hz; 0 for one that stands still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// SYSCLK.
    pub sysclk_hz: u64,
    /// HCLK: core, AHB, flash.
    pub hclk_hz: u64,
    /// PCLK1: APB1.
    pub pclk1_hz: u64,
    /// PCLK2: APB2.
    pub pclk2_hz: u64,
    /// Timers on APB1: PCLK1, or twice that where APB1 is divided (RM0090 section 7.2).
    pub timers1_hz: u64,
    /// PLL48CLK: RNG.
    pub pll48_hz: u64,
    /// MCO1 on PA8.
    pub mco1_hz: u64,
}

impl Clocks {
    /// HSI, nothing divided: the state after a reset (RM0090 section 7.2.6).
    pub(crate) const RESET: Self = Self {
        sysclk_hz: crate::rcc::HSI_HZ,
        hclk_hz: crate::rcc::HSI_HZ,
        pclk1_hz: crate::rcc::HSI_HZ,
        pclk2_hz: crate::rcc::HSI_HZ,
        timers1_hz: crate::rcc::HSI_HZ,
        pll48_hz: 0,
        mco1_hz: crate::rcc::HSI_HZ,
    };
}

/// All signals.
#[derive(Clone, Debug)]
pub(crate) struct Wires {
    pub(crate) clocks: Clocks,
    /// PWR_CR.DBP: the backup domain may be written.
    pub(crate) backup_writable: bool,
    /// Voltage scale 1 (PWR_CR.VOS): needed above 144 MHz.
    pub(crate) voltage_scale_1: bool,
    /// The supply, in mV.
    pub(crate) supply_mv: u32,
    /// SYSCFG_PMC.MII_RMII_SEL.
    pub(crate) rmii: bool,
    /// RCC: the clock of the Ethernet MAC runs; the MAC is not held in reset.
    pub(crate) mac_clocked: bool,
    /// The PHY has a clock and is not held in reset.
    pub(crate) phy_alive: bool,
    /// Why the MAC and the PHY cannot hear each other (pins, MII against RMII), or nothing.
    pub(crate) media_fault: Option<String>,
    /// Why MDIO does not reach the PHY, or nothing.
    pub(crate) management_fault: Option<String>,
}

impl Wires {
    pub(crate) fn new(supply_mv: u32) -> Self {
        Self {
            clocks: Clocks::RESET,
            backup_writable: false,
            voltage_scale_1: true,
            supply_mv,
            rmii: false,
            mac_clocked: false,
            phy_alive: true,
            media_fault: None,
            management_fault: None,
        }
    }
}
