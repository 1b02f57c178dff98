//! The registers of MAC, DMA and station management.

use cortex_m::asm;
use iap_stm32f407::board::{ETHERNET_PINS, MCO1, PHY_RESET, Pin, RMII};
use iap_stm32f407::mac_word::{
    DMABMR, DMABMR_RESET, DMAIER, DMAOMR, DMAOMR_RUN, DMASR_CLEAR, DMASR_RBUS, DMASR_TBUS, MACCR,
    MACFFR, address,
};
use iap_stm32f407::{mdio, phy};
use stm32f4xx_hal::pac::{ETHERNET_DMA, ETHERNET_MAC, RCC, SYSCFG};

use crate::chip::gpio::{self, Mode};
use crate::chip::time::Timer;

/// RCC_AHB1RSTR.ETHMACRST; RCC_AHB1ENR.ETHMACEN, TX and RX (RM0090 sections 7.3.5 and 7.3.10).
const ETHMACRST: u32 = 1 << 25;
const ETHMAC_CLOCKS: u32 = 0b111 << 25;
/// RCC_APB2ENR.SYSCFGEN (RM0090 section 7.3.14), SYSCFG_PMC.MII_RMII_SEL (RM0090 section 9.2.2).
const SYSCFGEN: u32 = 1 << 14;
const MII_RMII_SEL: u32 = 1 << 23;

/// The alternate functions of the Ethernet's pins and of MCO1 (DS8626 section 3, table 9).
const AF_ETHERNET: u8 = 11;
const AF_MCO: u8 = 0;
const PA8: Pin = Pin { port: 0, number: 8 };

/// The software reset ends some cycles after the PHY's clocks are there.
const RESET_TIMEOUT_US: u32 = 1000;
/// ES0182, successive write operations to the same register: four cycles of TX_CLK or RX_CLK must pass between two, 1.6 us at 10 Mbit/s.
const WRITE_GAP_CYCLES: u32 = 300;

/// The peripherals of the interface.
pub(crate) struct Parts {
    /// The MAC.
    pub(crate) mac: ETHERNET_MAC,
    /// Its DMA.
    pub(crate) dma: ETHERNET_DMA,
    /// Which interface to the PHY.
    pub(crate) syscfg: SYSCFG,
}

/// The MAC has no clocks: the PHY does not run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoPhyClock;

/// MAC and DMA.
pub(crate) struct Mac {
    mac: ETHERNET_MAC,
    dma: ETHERNET_DMA,
    station: [u8; 6],
    running: bool,
}

impl Mac {
    /// Chooses MII or RMII, clocks the MAC, connects the pins, and resets the PHY.
    pub(crate) fn new(parts: Parts, station: [u8; 6], rcc: &RCC, timer: &mut Timer) -> Self {
        let Parts { mac, dma, syscfg } = parts;
        // RM0090 section 33.4.4: the choice is made while the MAC is under reset and before its clocks are enabled.
        change!(rcc.apb2enr(), clear 0, set SYSCFGEN);
        // ES0182, delay after an RCC peripheral clock enabling: a dummy read.
        rcc.apb2enr().read();
        put!(rcc.ahb1rstr(), ETHMACRST);
        let interface = if RMII { MII_RMII_SEL } else { 0 };
        change!(syscfg.pmc(), clear MII_RMII_SEL, set interface);
        // SYSCFG is on APB2, RCC on AHB1: the choice has arrived when a read after it has.
        syscfg.pmc().read();
        change!(rcc.ahb1enr(), clear 0, set ETHMAC_CLOCKS);
        put!(rcc.ahb1rstr(), 0);
        for pin in ETHERNET_PINS {
            gpio::configure(rcc, *pin, Mode::Alternate(AF_ETHERNET));
        }
        if MCO1 != 0 {
            gpio::configure(rcc, PA8, Mode::Alternate(AF_MCO));
        }
        reset_phy(rcc, timer);
        Self {
            mac,
            dma,
            station,
            running: false,
        }
    }

    /// Resets MAC and DMA (RM0090 section 33.8.4, ETH_DMABMR.SR); ends only when RX_CLK and TX_CLK, or REF_CLK, are there.
    pub(super) fn reset(&mut self, timer: &mut Timer) -> Result<(), NoPhyClock> {
        self.running = false;
        put!(self.dma.dmabmr(), DMABMR_RESET);
        for _ in 0..RESET_TIMEOUT_US {
            if self.dma.dmabmr().read().bits() & DMABMR_RESET == 0 {
                return Ok(());
            }
            timer.wait_us(1);
        }
        Err(NoPhyClock)
    }

    /// Programs filter, rings and modes, and starts (RM0090 sections 33.6.1, 33.8.1 and 33.8.4).
    pub(super) fn start(&mut self, rx_ring: u32, tx_ring: u32) {
        let [high, low] = address(self.station);
        put!(self.mac.maca0hr(), high);
        put!(self.mac.maca0lr(), low);
        put!(self.mac.macffr(), MACFFR);
        put!(self.dma.dmabmr(), DMABMR);
        put!(self.dma.dmardlar(), rx_ring);
        put!(self.dma.dmatdlar(), tx_ring);
        self.mask_counter_interrupts();
        put!(self.dma.dmasr(), DMASR_CLEAR);
        put!(self.dma.dmaier(), DMAIER);
        put!(self.mac.maccr(), MACCR);
        put!(self.dma.dmaomr(), DMAOMR);
        gap();
        put!(self.dma.dmaomr(), DMAOMR_RUN);
        self.running = true;
    }

    /// RM0090 section 33.8.2: the counters of the MMC could raise the interrupt when they are half full; nothing clears them.
    fn mask_counter_interrupts(&self) {
        // SAFETY: the only access to the MMC, whose registers touch no memory.
        let mmc = unsafe { stm32f4xx_hal::pac::ETHERNET_MMC::steal() };
        put!(mmc.mmcrimr(), u32::MAX);
        put!(mmc.mmctimr(), u32::MAX);
    }

    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// Sets speed and duplex of a link that has come up (RM0090 section 33.8.1, ETH_MACCR.FES and DM).
    pub(super) fn set_link(&self, link: phy::Link) {
        gap();
        put!(self.mac.maccr(), MACCR | link.maccr());
        gap();
    }

    /// Clears all flags of the DMA (RM0090 section 33.8.4, ETH_DMASR) but those that [`Mac::resume_reception`] and [`Mac::resume_transmission`] look at.
    pub(super) fn acknowledge(&self) {
        put!(self.dma.dmasr(), DMASR_CLEAR & !(DMASR_RBUS | DMASR_TBUS));
    }

    /// Has the DMA look at the receive descriptors again if it has found none free (RM0090 section 33.6.8).
    pub(super) fn resume_reception(&self) {
        if self.dma.dmasr().read().bits() & DMASR_RBUS != 0 {
            put!(self.dma.dmasr(), DMASR_RBUS);
            put!(self.dma.dmarpdr(), 1);
        }
    }

    /// Has the DMA look at the transmit descriptors again (RM0090 section 33.6.7).
    pub(super) fn resume_transmission(&self) {
        put!(self.dma.dmasr(), DMASR_TBUS);
        put!(self.dma.dmatpdr(), 1);
    }

    /// ETH_DMAMFBOCR, which reading clears.
    pub(super) fn missed(&self) -> u32 {
        self.dma.dmamfbocr().read().bits()
    }

    /// Reads a register of the PHY (RM0090 section 33.4.1); `None` if the transfer does not end.
    pub(super) fn read_phy(&self, phy: u8, register: u8, timer: &mut Timer) -> Option<u16> {
        put!(self.mac.macmiiar(), mdio::read(phy, register));
        self.wait_mdio(timer)?;
        Some(self.mac.macmiidr().read().bits() as u16)
    }

    /// Writes a register of the PHY (RM0090 section 33.4.1).
    pub(super) fn write_phy(
        &self,
        phy: u8,
        register: u8,
        value: u16,
        timer: &mut Timer,
    ) -> Option<()> {
        put!(self.mac.macmiidr(), u32::from(value));
        put!(self.mac.macmiiar(), mdio::write(phy, register));
        self.wait_mdio(timer)
    }

    fn wait_mdio(&self, timer: &mut Timer) -> Option<()> {
        for _ in 0..mdio::TIMEOUT_US {
            if self.mac.macmiiar().read().bits() & mdio::BUSY == 0 {
                return Some(());
            }
            timer.wait_us(1);
        }
        None
    }
}

/// The pause between two writes to the same register of the MAC.
fn gap() {
    asm::delay(WRITE_GAP_CYCLES);
}

/// Pulses the PHY's reset where the board has a pin for it.
fn reset_phy(rcc: &RCC, timer: &mut Timer) {
    let Some(reset) = PHY_RESET else {
        return;
    };
    gpio::make_output(rcc, reset.line, true);
    timer.wait_us(reset.hold_ms * 1000);
    gpio::set(reset.line, false);
    timer.wait_us(reset.settle_ms * 1000);
}
