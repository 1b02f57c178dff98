//! The independent watchdog: lengthened at every reset, because an option byte may have started it; started for images that must confirm.

use iap_stm32f407::watchdog::{KEY_ACCESS, KEY_RELOAD, KEY_START, PRESCALER_256, RELOAD};
use stm32f4xx_hal::pac::IWDG;

use super::within;

/// Five LSI cycles at most (RM0090 section 21.4.4), at 17 kHz and with the core at 168 MHz.
const UPDATE_TRIES: u32 = 1_000_000;

/// The watchdog.
pub(crate) struct Watchdog {
    iwdg: IWDG,
}

impl Watchdog {
    /// Sets the longest period. With the option WDG_SW = 0 it runs since the reset with 512 ms, less than an erase takes; without, this
    /// has no effect until it is started (RM0090 section 21.3).
    pub(crate) fn new(iwdg: IWDG) -> Self {
        let watchdog = Self { iwdg };
        watchdog.lengthen();
        watchdog.feed();
        watchdog
    }

    /// Prescaler and reload value (RM0090 section 21.3.2: after the access key).
    fn lengthen(&self) {
        put!(self.iwdg.kr(), KEY_ACCESS);
        put!(self.iwdg.pr(), PRESCALER_256);
        put!(self.iwdg.rlr(), RELOAD);
    }

    /// Reloads it, whether it runs or not (RM0090 section 21.4.1).
    pub(crate) fn feed(&self) {
        put!(self.iwdg.kr(), KEY_RELOAD);
    }

    /// Starts it (RM0090 section 21.3) for an application that must confirm. Nothing but a reset stops it.
    pub(crate) fn start(&self) {
        put!(self.iwdg.kr(), KEY_START);
        // The registers take new values only while LSI runs, which the start has switched on: wait for the values of `new`.
        within(UPDATE_TRIES, || self.iwdg.sr().read().bits() == 0);
        self.lengthen();
        within(UPDATE_TRIES, || self.iwdg.sr().read().bits() == 0);
        self.feed();
    }
}
