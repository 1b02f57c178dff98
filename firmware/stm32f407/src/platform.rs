//! What `iap-core`'s network loop asks of the chip: time, random numbers, and something to show people.

use iap_core::net::{Indication, Platform};
use iap_protocol::status::Phase;
use iap_stm32f407::board::LEDS;
use iap_stm32f407::leds::{self, SLOT_MS, Situation};
use smoltcp::time::Instant;
use stm32f4xx_hal::pac::RCC;

use crate::chip::gpio;
use crate::chip::random::Random;
use crate::chip::time::Timer;

/// Microseconds of a slot of the LEDs' patterns.
const SLOT_US: u64 = SLOT_MS as u64 * 1000;

/// The chip without its network and its flash.
pub(crate) struct ChipPlatform {
    pub(crate) timer: Timer,
    random: Random,
    situation: Situation,
}

impl ChipPlatform {
    /// Makes the LEDs outputs. `clock_failed`: the PHY's clock would come from HSE, which did not start.
    pub(crate) fn new(timer: Timer, random: Random, clock_failed: bool, rcc: &RCC) -> Self {
        for led in LEDS {
            gpio::make_output(rcc, *led, false);
        }
        Self {
            timer,
            random,
            situation: Situation {
                clock_failed,
                link: false,
                has_address: false,
                phase: Phase::Idle,
            },
        }
    }

    /// What the update is doing, as shown last.
    pub(crate) fn phase(&self) -> Phase {
        self.situation.phase
    }

    /// Shows whether the link is up, and the pattern's next slot.
    pub(crate) fn refresh(&mut self, link: bool) {
        self.situation.link = link;
        self.light();
    }

    /// When the next slot begins.
    pub(crate) fn next_slot_us(&mut self) -> u64 {
        (self.timer.now_us() / SLOT_US + 1) * SLOT_US
    }

    fn light(&mut self) {
        let slot = self.timer.now_us() / SLOT_US;
        let on = leds::on(&self.situation, slot as u32);
        for (number, led) in LEDS.iter().enumerate().take(8) {
            gpio::set(*led, on >> number & 1 != 0);
        }
    }
}

impl Platform for ChipPlatform {
    fn now(&mut self) -> Instant {
        Instant::from_micros(self.timer.now_us() as i64)
    }

    fn random(&mut self) -> u32 {
        let time = self.timer.now_us() as u32;
        self.random.next(time)
    }

    fn show(&mut self, indication: Indication) {
        self.situation.has_address = indication.has_address;
        self.situation.phase = indication.phase;
        // At once: the next thing may be an erase, in which the core stands still.
        self.light();
    }
}
