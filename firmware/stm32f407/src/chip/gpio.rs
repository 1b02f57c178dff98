//! Pins, chosen by data: the profile's, not the program's.

use iap_stm32f407::board::{Line, Pin};
use stm32f4xx_hal::pac::{GPIOA, RCC, gpioi};

/// What a pin is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// Input with the pull towards the level that means "not pressed".
    Input {
        /// Pull up; else down.
        pull_up: bool,
    },
    /// Push-pull output, slow, at once at this level.
    Output {
        /// The supply voltage; else 0 V.
        high: bool,
    },
    /// Alternate function of this number, fast.
    Alternate(u8),
}

/// Clocks the pin's port and sets its mode (RM0090 sections 7.3.10 and 8.4).
pub(crate) fn configure(rcc: &RCC, pin: Pin, mode: Mode) {
    change!(rcc.ahb1enr(), clear 0, set 1 << (pin.port & 0xF));
    // ES0182, delay after an RCC peripheral clock enabling: a dummy read.
    rcc.ahb1enr().read();
    let port = port(pin);
    let (moder, speed, pull) = match mode {
        Mode::Input { pull_up } => (0b00, 0b00, if pull_up { 0b01 } else { 0b10 }),
        Mode::Output { .. } => (0b01, 0b00, 0b00),
        Mode::Alternate(_) => (0b10, 0b11, 0b00),
    };
    let (shift, field) = (2 * u32::from(pin.number), 0b11);
    change!(port.pupdr(), clear field << shift, set pull << shift);
    change!(port.ospeedr(), clear field << shift, set speed << shift);
    change!(port.otyper(), clear 1 << pin.number, set 0);
    if let Mode::Alternate(function) = mode {
        let (shift, function) = (4 * u32::from(pin.number % 8), u32::from(function));
        if pin.number < 8 {
            change!(port.afrl(), clear 0xF << shift, set function << shift);
        } else {
            change!(port.afrh(), clear 0xF << shift, set function << shift);
        }
    }
    if let Mode::Output { high } = mode {
        put!(port.bsrr(), set_or_reset(pin, high));
    }
    change!(port.moder(), clear field << shift, set moder << shift);
}

/// Makes a line an output that is on or off.
pub(crate) fn make_output(rcc: &RCC, line: Line, on: bool) {
    let high = on != line.active_low;
    configure(rcc, line.pin, Mode::Output { high });
}

/// Switches an output (RM0090 section 8.4.7).
pub(crate) fn set(line: Line, on: bool) {
    let high = on != line.active_low;
    put!(port(line.pin).bsrr(), set_or_reset(line.pin, high));
}

/// The word for GPIOx_BSRR: one write that disturbs no other pin (RM0090 section 8.4.7).
fn set_or_reset(pin: Pin, high: bool) -> u32 {
    let half = if high { 0 } else { 16 };
    1 << (u32::from(pin.number) + half)
}

/// Whether an input is at its active level.
pub(crate) fn is_active(line: Line) -> bool {
    let high = port(line.pin).idr().read().bits() >> line.pin.number & 1 != 0;
    high != line.active_low
}

/// The registers of the pin's port: 0x400 apart, the same for all (RM0090 section 2.3, table 1).
fn port(pin: Pin) -> &'static gpioi::RegisterBlock {
    let address = GPIOA::ptr() as usize + 0x400 * usize::from(pin.port.min(8));
    // SAFETY: the registers of one of the ports A to I, which have the same layout and are always mapped. They are volatile cells, so
    // that shared references do no harm, and nothing runs besides this program's one thread.
    unsafe { &*(address as *const gpioi::RegisterBlock) }
}
