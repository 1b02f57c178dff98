//! What a person, a probe or a test does to a board from outside, and what it can see there.

use iap_profile::Level;
use iap_sim::nor::Nor;

use super::Board;
use crate::eth::EthernetUse;
use crate::flash::{FlashOperation, FlashUse};
use crate::gpio::LedChange;
use crate::rcc::ResetCause;
use crate::report::Report;
use crate::time::Time;
use crate::wires::Clocks;

impl Board {
    /// Holds the IAP key, or lets it go.
    pub fn press_key(&mut self, pressed: bool) {
        let Some(key) = self.key else { return };
        let Some(pin) = key.pin else { return };
        let level = if pressed == (key.active == Level::High) {
            Level::High
        } else {
            Level::Low
        };
        self.chip().devices.gpio.drive(pin, level);
    }

    /// Sets the supply, in mV. Nothing but PVD and the flash cares: whether it is programmed, and how fast it is read.
    pub fn set_supply(&mut self, millivolts: u32) {
        let (now, pc) = (self.now(), self.shared.pc());
        self.chip().set_supply(millivolts, now, pc);
    }

    /// The crystal, or what else drives OSC_IN, stops oscillating. Before the first [`Board::run`]: it never did.
    pub fn break_crystal(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        let goes_on = self.chip().devices.rcc.break_hse(now);
        self.shared.call();
        anyhow::ensure!(
            goes_on,
            "the core runs from HSE without the clock security system: it has stopped for ever"
        );
        Ok(())
    }

    /// The random number generator has seed errors from now on (RM0090 section 24.3.2).
    pub fn break_random_numbers(&mut self) {
        self.chip().devices.random.break_down();
    }

    /// Starts the independent watchdog with every reset, as the option WDG_SW = 0 does (RM0090 section 3.7.1); from the next one on.
    pub fn use_hardware_watchdog(&mut self) {
        self.chip().devices.flash.use_hardware_watchdog();
    }

    /// Plugs the cable in or out at the PHY.
    pub fn set_link(&mut self, up: bool) {
        let now = self.now();
        self.chip().devices.eth.set_cable(up, now);
        self.shared.call();
    }

    /// The next so many frames reach the board with a wrong check sequence.
    pub fn break_frames(&mut self, count: u32) {
        self.chip().devices.eth.break_frames(count);
    }

    /// No frame leaves the board any more, until its MAC and DMA are reset.
    pub fn stall_transmitter(&mut self) {
        self.chip().devices.eth.stall_transmitter();
    }

    /// Pulls NRST.
    pub fn press_reset(&mut self) {
        self.reset(ResetCause::Pin);
    }

    /// Takes the power away and brings it back: RAM and backup domain are lost.
    pub fn power_on(&mut self) {
        self.boots += 1;
        self.rams
            .scramble(iap_sim::rng::mix(self.seed ^ self.boots));
        self.reset(ResetCause::PowerOn);
    }

    /// Whether each LED is on.
    pub fn leds(&self) -> Vec<bool> {
        self.chip().devices.gpio.leds().to_vec()
    }

    /// Every change of an LED so far.
    pub fn led_changes(&self) -> Vec<LedChange> {
        self.chip().devices.gpio.led_changes().to_vec()
    }

    /// What the firmware did that it should not have done.
    pub fn reports(&self) -> Vec<Report> {
        self.chip().reports.list().to_vec()
    }

    /// Looks at the flash's cells, or plans cuts and faults.
    pub fn with_flash<T>(&mut self, f: impl FnOnce(&mut Nor) -> T) -> T {
        f(self.chip().devices.flash.nor_mut())
    }

    /// Write-protects a sector, as option bytes do.
    pub fn protect(&mut self, sector: u8) {
        self.chip().devices.flash.protect(sector);
    }

    /// The content of the whole flash.
    pub fn flash_content(&self) -> Vec<u8> {
        self.chip().devices.flash.nor().content()
    }

    /// What the flash did.
    pub fn flash_use(&self) -> FlashUse {
        self.chip().devices.flash.usage()
    }

    /// How long the core has executed instructions: it has neither slept nor waited for the flash.
    pub fn cpu_time(&self) -> Time {
        self.executing
    }

    /// Cycles of the instructions executed since the last reset.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// How many of the cycles since the board was made passed in loops that only waited and were not executed round by round.
    pub fn skipped_cycles(&self) -> u64 {
        self.skipped
    }

    /// What was done to the flash since the last call, in its order.
    pub fn take_flash_operations(&mut self) -> Vec<FlashOperation> {
        self.chip().devices.flash.take_operations()
    }

    /// What the Ethernet did.
    pub fn ethernet_use(&self) -> EthernetUse {
        self.chip().devices.eth.usage()
    }

    /// The clocks of the chip.
    pub fn clocks(&self) -> Clocks {
        self.chip().wires.clocks
    }

    /// An RTC backup register.
    pub fn backup_register(&self, index: usize) -> Option<u32> {
        self.chip().devices.backup.word(index)
    }

    /// A word of RAM or flash.
    pub fn word(&self, address: u32) -> Option<u32> {
        self.core.peek(address)
    }

    /// Writes a word of RAM, as a debug probe does.
    pub fn set_word(&mut self, address: u32, value: u32) {
        self.core.poke(address, value);
    }

    /// A register of a peripheral or of the core's system control space, as a debugger reads it; `None` where none is modelled.
    ///
    /// Reading may clear what reading clears on the chip: look at registers in the end.
    pub fn register(&mut self, address: u32) -> Option<u32> {
        match address {
            0xE000_0000..0xE004_0000 => self.core.system_register(address),
            _ => {
                let now = self.now();
                self.chip().look(address, now)
            }
        }
    }

    /// PRIMASK, FAULTMASK, BASEPRI and CONTROL.
    pub fn core_masks(&self) -> (bool, bool, u8, u32) {
        let registers = self.core.registers();
        (
            registers.primask,
            registers.faultmask,
            registers.basepri,
            registers.control,
        )
    }

    /// The lowest main stack pointer since the last reset, once the program had set one.
    pub fn lowest_stack(&self) -> u32 {
        self.lowest_stack
    }

    /// The program counter, and where that is.
    pub fn pc(&self) -> (u32, String) {
        let pc = self.core.registers().r[15];
        (pc, self.symbols.describe(pc))
    }

    /// When the chip was reset last.
    pub fn last_reset(&self) -> Time {
        self.started
    }

    /// The range of flash addresses whose content changed since the last call.
    pub fn take_changed_flash(&mut self) -> Option<std::ops::Range<u32>> {
        self.chip().devices.flash.take_changed()
    }
}
