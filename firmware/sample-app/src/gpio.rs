//! GPIO pins: LEDs and the key. The only registers this application touches beside SysTick's and those of `iap-app`.

use core::ptr;

/// RCC_AHB1ENR, one clock enable bit per GPIO port from bit 0 (RM0090 section 7.3.10).
const RCC_AHB1ENR: Register = Register(0x4002_3800 + 0x30);
/// GPIOA; each further port lies 0x400 higher (RM0090 section 2.3, table 1).
const GPIOA: usize = 0x4002_0000;

/// A pin of the board.
#[derive(Clone, Copy)]
pub(crate) struct Pin {
    /// GPIO port, `A` to `I`.
    pub(crate) port: char,
    /// 0 to 15.
    pub(crate) number: u8,
    /// Whether a low pin lights the LED, or says that the key is pressed.
    pub(crate) active_low: bool,
}

/// Clocks the ports of `pins`.
pub(crate) fn clock(pins: impl Iterator<Item = Pin>) {
    let clocks = pins.fold(0, |bits, pin| bits | 1 << pin.port_number());
    RCC_AHB1ENR.write(RCC_AHB1ENR.read() | clocks);
    // The peripheral is ready two bus cycles after its clock bit is set (ES0182, delay after an RCC peripheral clock enabling).
    RCC_AHB1ENR.read();
}

impl Pin {
    /// Makes it an output that is off.
    pub(crate) fn make_output(self) {
        self.set(false);
        self.set_mode(0b01);
    }

    /// Makes it an input that is at rest when nothing drives it.
    pub(crate) fn make_input(self) {
        // GPIOx_PUPDR: 01 is a pull-up, 10 a pull-down (RM0090 section 8.4.4).
        let pull = if self.active_low { 0b01 } else { 0b10 };
        self.change_pair(0x0C, pull);
        self.set_mode(0b00);
    }

    /// Switches it on or off, in one write that disturbs no other pin.
    pub(crate) fn set(self, on: bool) {
        // GPIOx_BSRR: bits 0..15 set, 16..31 reset (RM0090 section 8.4.7).
        let reset_half = if on == self.active_low { 16 } else { 0 };
        self.register(0x18).write(1 << (self.number + reset_half));
    }

    /// Whether it is at its active level.
    pub(crate) fn is_active(self) -> bool {
        // GPIOx_IDR (RM0090 section 8.4.5).
        let is_high = self.register(0x10).read() >> self.number & 1 != 0;
        is_high != self.active_low
    }

    fn set_mode(self, mode: u32) {
        // GPIOx_MODER: 00 is an input, 01 a general purpose output (RM0090 section 8.4.1).
        self.change_pair(0x00, mode);
    }

    /// Writes the pin's two bits in a register that has two for each.
    fn change_pair(self, offset: usize, bits: u32) {
        let register = self.register(offset);
        let shift = 2 * self.number;
        register.write(register.read() & !(0b11 << shift) | bits << shift);
    }

    const fn port_number(self) -> usize {
        self.port as usize - 'A' as usize
    }

    fn register(self, offset: usize) -> Register {
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
        // clocks and pins of LEDs and keys cannot break Rust's memory.
        unsafe { ptr::write_volatile(self.0 as *mut u32, value) }
    }
}
