//! LEDs on GPIO pins. The only registers this application writes beside SysTick.

use core::ptr;

/// RCC_AHB1ENR, one clock enable bit per GPIO port from bit 0 (RM0090 section 7.3.10).
const RCC_AHB1ENR: Register = Register(0x4002_3800 + 0x30);
/// GPIOA; each further port lies 0x400 higher (RM0090 section 2.3, table 1).
const GPIOA: usize = 0x4002_0000;

/// An LED of the board.
pub(crate) struct Led {
    /// GPIO port, `A` to `I`.
    pub(crate) port: char,
    /// Pin, 0 to 15.
    pub(crate) pin: u8,
    /// Whether a low pin lights it.
    pub(crate) active_low: bool,
}

/// Clocks the ports, then makes each pin an output with its LED off.
pub(crate) fn configure(leds: &[Led]) {
    let clocks = leds
        .iter()
        .fold(0, |bits, led| bits | 1 << led.port_number());
    RCC_AHB1ENR.write(RCC_AHB1ENR.read() | clocks);
    // The peripheral is ready two bus cycles after its clock bit is set (ES0182, delay after an RCC peripheral clock enabling).
    RCC_AHB1ENR.read();
    for led in leds {
        led.set(false);
        led.make_output();
    }
}

impl Led {
    /// Switches it on or off, in one write that disturbs no other pin.
    pub(crate) fn set(&self, on: bool) {
        // GPIOx_BSRR: bits 0..15 set, 16..31 reset (RM0090 section 8.4.7).
        let reset_half = if on == self.active_low { 16 } else { 0 };
        self.register(0x18).write(1 << (self.pin + reset_half));
    }

    fn make_output(&self) {
        // GPIOx_MODER: two bits a pin, 01 is general purpose output (RM0090 section 8.4.1).
        let moder = self.register(0x00);
        let shift = 2 * self.pin;
        moder.write(moder.read() & !(0b11 << shift) | 0b01 << shift);
    }

    const fn port_number(&self) -> usize {
        self.port as usize - 'A' as usize
    }

    fn register(&self, offset: usize) -> Register {
        Register(GPIOA + 0x400 * self.port_number() + offset)
    }
}

/// The address of an RCC or GPIO register; only this module makes them.
#[derive(Clone, Copy)]
struct Register(usize);

impl Register {
    fn read(self) -> u32 {
        // SAFETY: an aligned register of RCC or GPIO (RM0090 sections 7.3.10 and 8.4), always mapped, no memory of this program;
        // reading it has no side effect.
        unsafe { ptr::read_volatile(self.0 as *const u32) }
    }

    fn write(self, value: u32) {
        // SAFETY: an aligned register of RCC or GPIO (RM0090 sections 7.3.10 and 8.4), always mapped, no memory of this program;
        // clocks and pins of LEDs cannot break Rust's memory.
        unsafe { ptr::write_volatile(self.0 as *mut u32, value) }
    }
}
