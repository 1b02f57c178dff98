//! Goes from HSI to 168 MHz out of a crystal of 25 MHz (HSE / 25 * 336 / 2) and measures a delay loop by SysTick in both.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;
use iap_emulator_guests::{FLASH_ACR, RCC};

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    guest::write(RCC, guest::read(RCC) | 1 << 16);
    while guest::read(RCC) & 1 << 17 == 0 {}
    guest::write(RCC + 4, 7 << 24 | 1 << 22 | 336 << 6 | 25);
    guest::write(RCC, guest::read(RCC) | 1 << 24);
    while guest::read(RCC) & 1 << 25 == 0 {}
    if guest::read(guest::ARGUMENT) == 0 {
        guest::write(FLASH_ACR, 5);
    }
    guest::write(RCC + 8, 5 << 10 | 4 << 13 | 2);
    while guest::read(RCC + 8) & 0xC != 8 {}
    guest::result(1, guest::read(RCC + 8));
    guest::done();
}
