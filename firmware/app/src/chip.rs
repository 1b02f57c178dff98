//! The chip's registers, and [`Iap`]'s functions on them.

use core::ptr;

use crate::reason::BootReason;
use crate::registers::{Iap, Register, Registers, feed_watchdog_with, reset};

/// The registers of the chip this runs on.
struct Chip;

impl Registers for Chip {
    fn read(&mut self, register: Register) -> u32 {
        // SAFETY: an aligned register that is always mapped (RM0090 section 2.3: RCC 7.3.13, PWR 5.4.1, RTC 26.6.20, IWDG 21.4.1;
        // PM0214 section 4.4.5: AIRCR), no memory of this program; reading one of them has no side effect.
        unsafe { ptr::read_volatile(register.address() as usize as *const u32) }
    }

    fn write(&mut self, register: Register, value: u32) {
        // SAFETY: as above; clocks, write protection, backup registers, watchdog and reset cannot break Rust's memory. The callers
        // put back what they change, with interrupts masked.
        unsafe { ptr::write_volatile(register.address() as usize as *mut u32, value) }
    }

    fn barrier(&mut self) {
        cortex_m::asm::dsb();
    }
}

impl Iap {
    /// Resets into IAP mode, where the board waits for an update. Does not return; finish what must not be interrupted first.
    pub fn request_update(&self) -> ! {
        cortex_m::interrupt::disable();
        self.leave_request(&mut Chip);
        reset(&mut Chip);
        loop {
            cortex_m::asm::nop();
        }
    }

    /// Says that this start is good. Images with the CONFIRM flag must, or the board stays in IAP mode after the third start; others
    /// may. The watchdog goes on running: [`feed_watchdog`].
    pub fn confirm(&self) {
        cortex_m::interrupt::free(|_| self.confirm_with(&mut Chip));
    }

    /// How many starts in a row, this one included, were not confirmed.
    pub fn unconfirmed_starts(&self) -> u8 {
        self.unconfirmed_starts_with(&mut Chip)
    }

    /// Why the chip was reset; `None` if no IAP firmware started this application.
    pub fn boot_reason(&self) -> Option<BootReason> {
        self.boot_reason_with(&mut Chip)
    }
}

/// [`Iap::request_update`] with the registers of all shipped profiles.
pub fn request_update() -> ! {
    Iap::DEFAULT.request_update()
}

/// [`Iap::confirm`] with the registers of all shipped profiles.
pub fn confirm() {
    Iap::DEFAULT.confirm();
}

/// [`Iap::boot_reason`] with the registers of all shipped profiles.
pub fn boot_reason() -> Option<BootReason> {
    Iap::DEFAULT.boot_reason()
}

/// Feeds the independent watchdog, which the IAP firmware has started for an image with the CONFIRM flag: its period is 32 s, on the
/// slowest chip 61 s and on the fastest 22 s (RM0090 section 21.3.3; LSI of 17 to 47 kHz, DS8626 section 5.3.9). Nothing stops it.
/// Harmless where it does not run.
pub fn feed_watchdog() {
    feed_watchdog_with(&mut Chip);
}
