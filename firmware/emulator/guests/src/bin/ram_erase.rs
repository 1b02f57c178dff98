//! Erases a sector from code in SRAM: the core goes on, until it reads the flash.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;
use iap_emulator_guests::{FLASH_CR, FLASH_SR};

#[unsafe(link_section = ".ramcode")]
#[inline(never)]
extern "C" fn erase() -> ! {
    guest::write(FLASH_CR, 5 << 3 | 2 | 2 << 8 | 1 << 16);
    let mut polls = 0;
    let start = guest::read(guest::TIM2 + 0x24);
    while guest::read(guest::TIM2 + 0x24) - start < 16_000 {
        polls += 1;
    }
    guest::write(guest::RESULTS + 4, polls);
    guest::write(guest::RESULTS + 8, guest::read(FLASH_SR));
    // This stalls for the rest.
    guest::write(guest::RESULTS + 12, guest::read(0x0808_0000));
    guest::write(guest::RESULTS + 16, guest::read(guest::TIM2 + 0x24) - start);
    guest::write(guest::RESULTS, guest::DONE);
    loop {}
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    guest::start_timer();
    guest::unlock_flash();
    erase()
}
