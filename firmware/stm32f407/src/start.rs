//! Where a reset arrives, and where everything unexpected ends: in another reset. The boot decision then finds a board that can be
//! updated, which is worth more to a board in the field than one that stands still.

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use cortex_m_rt::{ExceptionFrame, entry, exception};
use stm32f4xx_hal::pac::Peripherals;

use crate::{boot, iap_mode};

#[entry]
fn main() -> ! {
    // No interrupt is ever taken: see chip/sleep.rs. RAM is initialised, but for the large buffers.
    cortex_m::interrupt::disable();
    match Peripherals::take() {
        Some(peripherals) => iap_mode::run(boot::run(peripherals)),
        None => SCB::sys_reset(),
    }
}

/// A fault of the program or the chip.
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    SCB::sys_reset()
}

/// NMI, which the clock security system raises when HSE fails (RM0090 section 7.2.7): the next boot does without it.
#[exception]
unsafe fn DefaultHandler(_: i16) -> ! {
    SCB::sys_reset()
}

/// A panic leaves nothing to say: no text of it gets into the image.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
