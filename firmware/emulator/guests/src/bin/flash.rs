//! Erases sector 5 and programs it in every width, and leaves how long that took by TIM2.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;
use iap_emulator_guests::{FLASH_ACR, FLASH_CR, FLASH_SR};

const SECTOR_5: usize = 0x0802_0000;

fn wait() {
    while guest::read(FLASH_SR) & 1 << 16 != 0 {}
}

fn timed(index: usize, f: impl FnOnce()) {
    let start = guest::timer();
    f();
    wait();
    guest::result(index, guest::timer().wrapping_sub(start));
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    guest::start_timer();
    guest::unlock_flash();
    // The data cache is on, and knows the old content.
    guest::write(FLASH_ACR, 1 << 10);
    guest::result(7, guest::read(SECTOR_5));
    timed(1, || guest::write(FLASH_CR, 5 << 3 | 2 | 2 << 8 | 1 << 16));
    guest::result(8, guest::read(SECTOR_5));
    guest::write(FLASH_ACR, 0);
    guest::write(FLASH_ACR, 1 << 12);
    guest::write(FLASH_ACR, 1 << 10);
    guest::result(9, guest::read(SECTOR_5));
    guest::write(FLASH_CR, 1 | 2 << 8);
    timed(2, || {
        (0..100).for_each(|index| guest::write(SECTOR_5 + 4 * index, index as u32))
    });
    guest::write(FLASH_CR, 1);
    // SAFETY: a register write; the flash programs a byte.
    timed(3, || unsafe {
        (SECTOR_5 as *mut u8).add(0x1000).write_volatile(0x5A)
    });
    guest::result(10, guest::read(SECTOR_5 + 0x1000));
    // The width does not match: refused.
    guest::write(SECTOR_5 + 0x2000, 0);
    guest::result(4, guest::read(FLASH_SR));
    guest::write(FLASH_SR, 0xF3);
    guest::write(FLASH_CR, 1 << 31);
    guest::write(SECTOR_5 + 0x2000, 0);
    guest::result(5, guest::read(FLASH_SR));
    guest::result(6, guest::read(SECTOR_5 + 0x2000));
    guest::done();
}
