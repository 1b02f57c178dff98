//! Goes wrong, as the argument says: 0 reads where nothing is, 1 reads a peripheral that is not modelled, 2 one without a clock.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;

#[inline(never)]
#[unsafe(no_mangle)]
fn the_culprit(address: usize) -> u32 {
    guest::read(address)
}

#[inline(never)]
#[unsafe(no_mangle)]
fn its_caller(address: usize) -> u32 {
    the_culprit(address).wrapping_add(1)
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let address = match guest::read(guest::ARGUMENT) {
        0 => 0x3000_0000,
        1 => 0x4001_2000, // ADC
        _ => 0x4002_0000, // GPIOA
    };
    guest::result(1, its_caller(address));
    guest::done();
}
