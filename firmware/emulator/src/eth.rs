//! Ethernet: MAC, DMA, MDIO and the PHY behind it (RM0090 section 33).
//!
//! What a driver may legally use: normal and enhanced descriptors, chained and in a ring, checksums inserted and verified, the address
//! filter, store and forward, management counters, all interrupts of the DMA, 10 and 100 Mbit/s, MII and RMII. What the manual
//! forbids is a guest error. Not modelled: time stamps, wake-up frames, flow control, loopback.
//!
//! Frames travel without preamble and check sequence; the wire's time counts both.

mod bits;
mod checksum;
mod descriptor;
mod dma;
mod filter;
mod mdio;
mod memory;
mod mmc;
mod phy;
mod rx;
#[cfg(test)]
mod tests;
mod tx;
mod usage;

use std::collections::VecDeque;
use std::sync::Arc;

use iap_profile::Profile;
use rsemu::core::space::RamStore;

use crate::register::{Context, Refusal, Registers, Result, Write};
use crate::time::Time;
use crate::wires::Wires;
use bits::*;
use dma::Dma;
use filter::Filter;
use mdio::Mdio;
use memory::DmaMemory;
use mmc::Mmc;
use phy::{Mode, Phy};
use rx::Receiver;
use tx::Departure;
pub use usage::EthernetUse;

/// Without the check sequence.
const MIN_FRAME_BYTES: usize = 60;
/// Preamble, start delimiter, check sequence.
const OVERHEAD_BYTES: usize = 12;
const INTER_FRAME_BYTES: u64 = 12;
/// Within so long of a link a driver should know its speed.
const DRIVER_NOTICES: Time = Time::from_millis(2000);
/// How long a software reset takes once all clocks are there.
const SOFTWARE_RESET: Time = Time::from_nanos(500);

/// The MAC's own registers.
#[derive(Debug)]
struct Mac {
    cr: u32,
    filter: Filter,
    /// MACFCR, MACVLANTR, MACIMR.
    plain: [u32; 3],
}

impl Mac {
    const RESET: Self = Self {
        cr: maccr::RESET,
        filter: Filter::RESET,
        plain: [0; 3],
    };
}

#[derive(Debug)]
pub(crate) struct Ethernet {
    mac: Mac,
    mmc: Mmc,
    mdio: Mdio,
    dma: Dma,
    phy: Phy,
    memory: DmaMemory,
    receiver: Receiver,
    departures: VecDeque<Departure>,
    transmit_free: Time,
    sent: VecDeque<(Time, Vec<u8>)>,
    usage: EthernetUse,
    /// A software reset under way: it ends at this time, or waits for a clock.
    resetting: Option<Option<Time>>,
    clocked: bool,
    media_fault: Option<String>,
}

impl Ethernet {
    pub(crate) fn new(profile: &Profile, sram: Arc<RamStore>, link_up: Time) -> Self {
        let settings = &profile.settings.ethernet;
        Self {
            mac: Mac::RESET,
            mmc: Mmc::default(),
            mdio: Mdio::default(),
            dma: Dma::new(),
            phy: Phy::new(&settings.phy, settings.phy_address, link_up),
            memory: DmaMemory::new(sram),
            receiver: Receiver::default(),
            departures: VecDeque::new(),
            transmit_free: Time::ZERO,
            sent: VecDeque::new(),
            usage: EthernetUse::default(),
            resetting: None,
            clocked: false,
            media_fault: None,
        }
    }

    /// By RCC, with the chip, or by DMABMR.SR: everything but the PHY and the wire.
    pub(crate) fn reset(&mut self, _: Time) {
        self.mac = Mac::RESET;
        self.mmc = Mmc::default();
        self.mdio = Mdio::default();
        self.dma = Dma::new();
        self.receiver.clear();
        self.departures.clear();
        self.resetting = None;
    }

    pub(crate) fn reset_phy(&mut self, now: Time) {
        self.phy.reset(now);
    }

    pub(crate) fn set_cable(&mut self, plugged: bool, now: Time) {
        self.phy.set_cable(plugged, now);
    }

    /// The next so many frames arrive with a wrong check sequence.
    pub(crate) fn break_frames(&mut self, count: u32) {
        self.receiver.broken = count;
    }

    /// The transmitter stands still until MAC and DMA are reset.
    pub(crate) fn stall_transmitter(&mut self) {
        self.dma.transmit_stalled = true;
    }

    pub(crate) fn usage(&self) -> EthernetUse {
        self.usage
    }

    /// Frames that left, and when.
    pub(crate) fn take_sent(&mut self) -> VecDeque<(Time, Vec<u8>)> {
        std::mem::take(&mut self.sent)
    }

    /// Clocks, pins, resets changed.
    pub(crate) fn follow(&mut self, wires: &Wires, now: Time) {
        self.clocked = wires.mac_clocked;
        self.media_fault.clone_from(&wires.media_fault);
        self.phy.set_alive(wires.phy_alive, now);
        self.schedule_reset(now);
    }

    /// A software reset ends only when all clocks of the MAC run (RM0090 section 33.8.4, DMABMR.SR).
    fn schedule_reset(&mut self, now: Time) {
        if self.resetting == Some(None) && self.has_media_clocks() {
            self.resetting = Some(Some(now + SOFTWARE_RESET));
        }
    }

    fn has_media_clocks(&self) -> bool {
        self.clocked && self.phy.is_alive() && self.media_fault.is_none()
    }

    /// Whether MAC and PHY can work together at all.
    fn is_operational(&self) -> bool {
        self.has_media_clocks() && self.resetting.is_none()
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.dma.interrupt()
    }

    pub(crate) fn next_event(&self) -> Time {
        let departure = self
            .departures
            .front()
            .map_or(Time::NEVER, |departure| departure.ends);
        let reset = self.resetting.flatten().unwrap_or(Time::NEVER);
        departure.min(reset).min(self.receiver.next_event())
    }

    pub(crate) fn advance(&mut self, context: &mut Context<'_>) {
        if self
            .resetting
            .flatten()
            .is_some_and(|ends| ends <= context.now)
        {
            self.resetting = None;
        }
        self.finish_departures(context);
        self.finish_arrivals(context);
    }

    /// The rate of the wire.
    fn bit_hz(&self, now: Time) -> u64 {
        match self.phy.link(now) {
            Some(Mode { is_100: false, .. }) => 10_000_000,
            _ => 100_000_000,
        }
    }

    /// Whether a frame gets through: the link is up, and the MAC's speed is the PHY's.
    fn reaches_wire(&self, now: Time) -> bool {
        let link = self.phy.link(now);
        link.is_some_and(|mode| (self.mac.cr & maccr::FES != 0) == mode.is_100)
    }

    /// A frame leaves through a link that has been up for a while: by then the driver should have asked the PHY what it negotiated.
    fn check_mode(&self, context: &mut Context<'_>) {
        let has = |bit| self.mac.cr & bit != 0;
        if has(maccr::LM) {
            context.not_modelled("MACCR.LM, loopback");
        }
        let settled = self.phy.link_age(context.now) > DRIVER_NOTICES;
        let Some(mode) = self.phy.link(context.now).filter(|_| settled) else {
            return;
        };
        if has(maccr::DM) != mode.is_full {
            context.guest_error(
                "MACCR.DM differs from the duplex that the PHY negotiated (RM0090 section 33.8.1)",
            );
        }
        if has(maccr::FES) != mode.is_100 {
            context.guest_error("MACCR.FES differs from the speed that the PHY negotiated: nothing gets through (RM0090 section 33.8.1)");
        }
    }

    fn write_maccr(&mut self, write: Write, context: &mut Context<'_>) {
        let new = write.over(self.mac.cr) | maccr::RESET;
        if new & (maccr::RE | maccr::TE) != 0
            && let Some(fault) = &self.media_fault
        {
            context.guest_error(format!(
                "the MAC is enabled, but nothing gets through: {fault}"
            ));
        }
        let old = std::mem::replace(&mut self.mac.cr, new);
        if new & !old & maccr::TE != 0 {
            self.pump_transmit(context);
        }
    }

    fn write_dma(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        if self.resetting.is_some() && offset != DMABMR {
            context.guest_error(
                "a DMA register is written before DMABMR.SR reads 0 (RM0090 section 33.8.4)",
            );
        }
        match offset {
            DMABMR => self.write_bmr(write, context),
            DMATPDR => self.demand_transmit(context),
            DMARPDR => self.demand_receive(context),
            DMARDLAR | DMATDLAR => self.write_list(offset == DMATDLAR, write.value, context),
            DMASR => self.dma.clear(write.ones()),
            DMAOMR => return self.write_omr(write, context),
            DMAIER => self.dma.set_interrupts(write.over(self.dma.ier)),
            DMARSWTR if write.ones() == 0 => {}
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }

    fn write_bmr(&mut self, write: Write, context: &mut Context<'_>) {
        let new = write.over(self.dma.bmr);
        if new & bmr::SR != 0 {
            self.reset(context.now);
            self.resetting = Some(None);
            self.schedule_reset(context.now);
        } else {
            self.dma.bmr = new;
        }
    }

    fn read_bmr(&mut self, context: &mut Context<'_>) -> u32 {
        if self.resetting == Some(None) {
            let why = match &self.media_fault {
                Some(fault) => fault.as_str(),
                None => "the PHY has no clock, or is held in reset",
            };
            context.guest_error(format!(
                "DMABMR.SR does not clear: {why} (RM0090 section 33.8.4)"
            ));
        }
        self.dma.bmr | u32::from(self.resetting.is_some())
    }

    fn write_list(&mut self, transmit: bool, address: u32, context: &mut Context<'_>) {
        let (running, name) = match transmit {
            true => (self.dma.has(omr::ST), "DMATDLAR"),
            false => (self.dma.has(omr::SR), "DMARDLAR"),
        };
        if running {
            context.guest_error(format!(
                "{name} is written while its DMA runs (RM0090 section 33.8.4)"
            ));
        }
        if !address.is_multiple_of(4) {
            context.guest_error(format!(
                "{name} is not a multiple of 4: {address:#010x} (RM0090 section 33.8.4)"
            ));
        }
        let address = address & !3;
        let dma = &mut self.dma;
        if transmit {
            (dma.transmit_list, dma.transmit_at) = (address, address);
        } else {
            (dma.receive_list, dma.receive_at) = (address, address);
        }
    }

    fn write_omr(&mut self, write: Write, context: &mut Context<'_>) -> Result<()> {
        let new = write.over(self.dma.omr);
        if new & !omr::KNOWN != 0 {
            return Err(Refusal::NotModelled);
        }
        let changed = self.dma.omr ^ new;
        self.dma.omr = new & !omr::FTF;
        if changed & omr::SR != 0 {
            self.switch_receive(new & omr::SR != 0, context);
        }
        if changed & omr::ST != 0 {
            self.switch_transmit(new & omr::ST != 0, context);
        }
        Ok(())
    }

    fn plain(&mut self, offset: u32) -> Option<&mut u32> {
        let index = [MACFCR, MACVLANTR, MACIMR]
            .iter()
            .position(|known| *known == offset)?;
        self.mac.plain.get_mut(index)
    }
}

impl Registers for Ethernet {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32> {
        self.advance(context);
        Ok(match offset {
            MACCR => self.mac.cr,
            MACFFR | MACHTHR | MACHTLR | MACA0HR..=MACA3LR => *self.mac.filter.slot(offset),
            MACMIIAR => self.mdio.address(context.now),
            MACMIIDR => self.mdio.data(context),
            MACFCR | MACVLANTR | MACIMR => self.plain(offset).copied().unwrap_or(0),
            MACPMTCSR | MACSR => 0,
            MMC_FIRST..=MMC_LAST => return self.mmc.read(offset),
            DMABMR => self.read_bmr(context),
            DMATPDR | DMARPDR | DMARSWTR => 0,
            DMARDLAR => self.dma.receive_list,
            DMATDLAR => self.dma.transmit_list,
            DMASR => self.dma.status(),
            DMAOMR => self.dma.omr,
            DMAIER => self.dma.ier,
            DMAMFBOCR => self.dma.take_missed(),
            DMACHTDR => self.dma.transmit_at,
            DMACHRDR => self.dma.receive_at,
            DMACHTBAR => self.dma.transmit_buffer,
            DMACHRBAR => self.dma.receive_buffer,
            _ => return Err(Refusal::NotModelled),
        })
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        self.advance(context);
        match offset {
            MACCR => self.write_maccr(write, context),
            MACFFR | MACHTHR | MACHTLR | MACA0HR..=MACA3LR => {
                let slot = self.mac.filter.slot(offset);
                *slot = write.over(*slot);
                // Bit 31 of the first address is always 1.
                *self.mac.filter.slot(MACA0HR) |= 1 << 31;
            }
            MACMIIAR => self.mdio.set_address(write, &mut self.phy, context),
            MACMIIDR => self.mdio.set_data(write, context),
            // FCB asks for a pause frame.
            MACFCR if write.ones() & 1 != 0 => return Err(Refusal::NotModelled),
            MACFCR | MACVLANTR | MACIMR => {
                if let Some(slot) = self.plain(offset) {
                    *slot = write.over(*slot);
                }
            }
            MACPMTCSR if write.ones() & 7 == 0 => {}
            MMC_FIRST..=MMC_LAST => return self.mmc.write(offset, write),
            DMABMR.. => return self.write_dma(offset, write, context),
            _ => return Err(Refusal::NotModelled),
        }
        Ok(())
    }
}
