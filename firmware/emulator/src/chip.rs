//! The chip without its core: all peripherals, what connects them, and what a reset does to each.

mod media;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use iap_profile::Profile;

use crate::blocks::{Block, Id};
use crate::eth::Ethernet;
use crate::flash::Flash;
use crate::gpio::Gpio;
use crate::pwr::Pwr;
use crate::rcc::{self, Oscillator, Rcc, ResetCause};
use crate::register::{Context, Registers, Result};
use crate::report::Reports;
use crate::system::{Backup, Crc, Debug, Random, Signature, Syscfg};
use crate::time::Time;
use crate::timer::Timer;
use crate::watchdog::{Independent, Window};
use crate::wires::Wires;
pub(crate) use media::Soldering;

/// Interrupt numbers (RM0090 section 12.2, table 62).
const IRQ_FLASH: u16 = 4;
const IRQ_TIMERS: [u16; 4] = [28, 29, 30, 50];
const IRQ_ETHERNET: u16 = 61;

/// What core and peripherals share while an instruction runs.
#[derive(Debug)]
pub(crate) struct Shared {
    now: AtomicU64,
    pc: AtomicU32,
    /// Somebody touched a peripheral: the board has to look.
    attention: AtomicBool,
    pub(crate) chip: Mutex<Chip>,
}

impl Shared {
    pub(crate) fn new(chip: Chip) -> Self {
        Self {
            now: AtomicU64::new(0),
            pc: AtomicU32::new(0),
            attention: AtomicBool::new(true),
            chip: Mutex::new(chip),
        }
    }

    pub(crate) fn publish(&self, now: Time, pc: u32) {
        self.now.store(now.picos(), Ordering::Relaxed);
        self.pc.store(pc, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_picos(self.now.load(Ordering::Relaxed))
    }

    pub(crate) fn pc(&self) -> u32 {
        self.pc.load(Ordering::Relaxed)
    }

    pub(crate) fn call(&self) {
        self.attention.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take_call(&self) -> bool {
        self.attention.swap(false, Ordering::Relaxed)
    }
}

/// The peripherals.
#[derive(Debug)]
pub(crate) struct Devices {
    pub(crate) rcc: Rcc,
    pub(crate) pwr: Pwr,
    pub(crate) flash: Flash,
    pub(crate) gpio: Gpio,
    pub(crate) syscfg: Syscfg,
    pub(crate) crc: Crc,
    pub(crate) random: Random,
    pub(crate) backup: Backup,
    pub(crate) debug: Debug,
    pub(crate) timers: [Timer; 4],
    pub(crate) iwdg: Independent,
    pub(crate) wwdg: Window,
    pub(crate) eth: Ethernet,
}

impl Devices {
    pub(crate) fn registers(&mut self, id: Id) -> &mut dyn Registers {
        match id {
            Id::Timer(index) => &mut self.timers[index],
            Id::Backup => &mut self.backup,
            Id::Window => &mut self.wwdg,
            Id::Independent => &mut self.iwdg,
            Id::Pwr => &mut self.pwr,
            Id::Syscfg => &mut self.syscfg,
            Id::Port(index) => &mut self.gpio.ports[index],
            Id::Crc => &mut self.crc,
            Id::Rcc => &mut self.rcc,
            Id::Flash => &mut self.flash,
            Id::Ethernet => &mut self.eth,
            Id::Random => &mut self.random,
            Id::Debug => &mut self.debug,
        }
    }

    /// RCC's peripheral reset.
    fn reset(&mut self, id: Id, now: Time) {
        match id {
            Id::Timer(index) => self.timers[index].reset(),
            Id::Window => self.wwdg = Window::new(),
            Id::Pwr => self.pwr = Pwr::new(),
            Id::Syscfg => self.syscfg = Syscfg::default(),
            Id::Crc => self.crc = Crc::new(),
            Id::Random => self.random.reset(),
            Id::Ethernet => self.eth.reset(now),
            Id::Port(index) => self.gpio.reset_port(index, now),
            Id::Backup | Id::Independent | Id::Rcc | Id::Flash | Id::Debug => {}
        }
    }
}

/// The chip.
#[derive(Debug)]
pub(crate) struct Chip {
    pub(crate) devices: Devices,
    pub(crate) signature: Signature,
    pub(crate) wires: Wires,
    pub(crate) reports: Reports,
    pub(crate) board: Soldering,
}

impl Chip {
    pub(crate) fn new(profile: &Profile, flash: Flash, eth: Ethernet, seed: u64) -> Self {
        let settings = &profile.settings;
        let phy_reset = settings.ethernet.phy_reset_pin;
        let hse = Oscillator {
            hz: settings.clock.hse_hz.into(),
            is_crystal: settings.clock.hse == iap_profile::Hse::Crystal,
            works: true,
        };
        let devices = Devices {
            rcc: Rcc::new(hse),
            pwr: Pwr::new(),
            flash,
            gpio: Gpio::new(settings.leds.clone()),
            syscfg: Syscfg::default(),
            crc: Crc::new(),
            random: Random::new(seed),
            backup: Backup::default(),
            debug: Debug::default(),
            timers: [
                Timer::new(32),
                Timer::new(16),
                Timer::new(16),
                Timer::new(32),
            ],
            iwdg: Independent::new(),
            wwdg: Window::new(),
            eth,
        };
        let id = iap_sim::rng::mix(seed);
        Self {
            devices,
            signature: Signature {
                unique_id: [
                    0x0034_0000 | (id & 0xFFFF) as u32,
                    (id >> 16) as u32,
                    (id >> 32) as u32,
                ],
                flash_kib: settings.flash.size_kib,
            },
            wires: Wires::new(3300),
            reports: Reports::default(),
            board: Soldering {
                interface: settings.ethernet.interface,
                ethernet_pins: profile.ethernet_pins(),
                phy_reset: phy_reset.map(|pin| (pin, settings.ethernet.phy_reset_active)),
                mco1_hz: settings.ethernet.mco1_hz.into(),
            },
        }
    }

    /// An access to a register, with the lanes already sorted out.
    pub(crate) fn access<T>(
        &mut self,
        now: Time,
        pc: u32,
        block: &Block,
        f: impl FnOnce(&mut dyn Registers, &mut Context<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut context = Context::new(now, pc, &self.wires, &mut self.reports);
        if block
            .gate
            .is_some_and(|gate| !self.devices.rcc.is_enabled(gate))
        {
            context.guest_error(format!(
                "{} is accessed while its clock is off in RCC (RM0090 section 7.3)",
                block.name
            ));
            return Ok(None);
        }
        f(self.devices.registers(block.id), &mut context).map(Some)
    }

    /// Passes on what a write to `id` changed for others.
    pub(crate) fn after_write(&mut self, id: Id, now: Time, pc: u32) {
        match id {
            Id::Rcc => self.after_rcc(now, pc),
            Id::Pwr => {
                self.wires.backup_writable = self.devices.pwr.backup_writable();
                self.wires.voltage_scale_1 = self.devices.pwr.voltage_scale_1();
            }
            Id::Syscfg => self.wires.rmii = self.devices.syscfg.rmii(),
            Id::Port(_) => self.devices.gpio.watch_leds(now),
            Id::Flash => self.check_clocks(now, pc),
            _ => return,
        }
        self.refresh_media(now);
    }

    fn after_rcc(&mut self, now: Time, pc: u32) {
        for block in crate::blocks::BLOCKS {
            if block
                .gate
                .is_some_and(|gate| self.devices.rcc.is_held_in_reset(gate))
            {
                self.devices.reset(block.id, now);
            }
        }
        if self.devices.rcc.backup_reset() {
            self.devices.backup.clear();
        }
        self.wires.rmii = self.devices.syscfg.rmii();
        self.follow_clocks(now, pc);
    }

    /// Takes over the clocks that RCC puts out now.
    fn follow_clocks(&mut self, now: Time, pc: u32) {
        let clocks = self.devices.rcc.clocks(now);
        if clocks == self.wires.clocks {
            return;
        }
        for timer in &mut self.devices.timers {
            timer.advance(now, self.wires.clocks.timers1_hz);
            timer.advance(now, clocks.timers1_hz);
        }
        self.wires.clocks = clocks;
        self.check_clocks(now, pc);
    }

    /// The supply changes.
    pub(crate) fn set_supply(&mut self, millivolts: u32, now: Time, pc: u32) {
        self.wires.supply_mv = millivolts;
        self.check_clocks(now, pc);
    }

    fn check_clocks(&mut self, now: Time, pc: u32) {
        let (acr, scale_1) = (self.devices.flash.acr(), self.wires.voltage_scale_1);
        let mut context = Context::new(now, pc, &self.wires, &mut self.reports);
        rcc::check_limits(&self.wires.clocks, acr, scale_1, &mut context);
    }

    /// When something happens that nobody asked for.
    pub(crate) fn next_event(&self, now: Time) -> Time {
        let devices = &self.devices;
        let timers = devices.timers.iter().map(Timer::next_event);
        let others = [
            devices.rcc.next_event(now),
            devices.flash.next_event(),
            devices.iwdg.expiry(),
            devices.wwdg.expiry(),
            devices.eth.next_event(),
        ];
        timers.chain(others).min().unwrap_or(Time::NEVER)
    }

    /// Lets everything happen that is due. The watchdog that expired, if one did.
    pub(crate) fn advance(&mut self, now: Time, pc: u32) -> Option<ResetCause> {
        self.follow_clocks(now, pc);
        self.devices.flash.advance(now);
        let hz = self.wires.clocks.timers1_hz;
        self.devices
            .timers
            .iter_mut()
            .for_each(|timer| timer.advance(now, hz));
        let mut context = Context::new(now, pc, &self.wires, &mut self.reports);
        self.devices.eth.advance(&mut context);
        match () {
            () if self.devices.iwdg.expiry() <= now => Some(ResetCause::IndependentWatchdog),
            () if self.devices.wwdg.expiry() <= now => Some(ResetCause::WindowWatchdog),
            () => None,
        }
    }

    /// The interrupt lines and their levels.
    pub(crate) fn interrupts(&self) -> [(u16, bool); 6] {
        let timer = |index: usize| (IRQ_TIMERS[index], self.devices.timers[index].interrupt());
        [
            (IRQ_FLASH, self.devices.flash.interrupt()),
            timer(0),
            timer(1),
            timer(2),
            timer(3),
            (IRQ_ETHERNET, self.devices.eth.interrupt()),
        ]
    }

    /// A reset of the whole chip. The backup domain survives unless the supply was gone.
    pub(crate) fn reset(&mut self, cause: ResetCause, now: Time) {
        let devices = &mut self.devices;
        devices.rcc.reset(cause);
        devices.pwr = Pwr::new();
        devices.flash.reset(now);
        devices.gpio.reset(now);
        devices.syscfg = Syscfg::default();
        devices.crc = Crc::new();
        devices.random.reset();
        devices.debug = Debug::default();
        devices.timers.iter_mut().for_each(Timer::reset);
        devices.iwdg = Independent::new();
        if devices.flash.has_hardware_watchdog() {
            devices.iwdg.start(now);
        }
        devices.wwdg = Window::new();
        devices.eth.reset(now);
        if self.board.phy_reset.is_none() || cause == ResetCause::PowerOn {
            devices.eth.reset_phy(now); // tied to NRST
        }
        if cause == ResetCause::PowerOn {
            devices.backup.clear();
        }
        self.wires = Wires::new(self.wires.supply_mv);
        self.refresh_media(now);
    }

    /// A register as a debugger reads it: nothing is reported.
    pub(crate) fn look(&mut self, address: u32, now: Time) -> Option<u32> {
        let block = crate::blocks::at(address)?;
        let mut reports = Reports::default();
        let mut context = Context::new(now, 0, &self.wires, &mut reports);
        self.devices
            .registers(block.id)
            .read(address - block.start, &mut context)
            .ok()
    }

    /// The word at `offset` from 0x1FFF_7800.
    pub(crate) fn signature_word(&self, offset: u32) -> Result<u32> {
        self.signature.read(offset)
    }
}
