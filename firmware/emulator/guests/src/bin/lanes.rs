//! Writes registers as real drivers do: FLASH_ACR and RCC_CR in bytes, GPIO's BSRR in half words.
#![no_std]
#![no_main]

use core::ptr;

use iap_emulator_guests as guest;
use iap_emulator_guests::{FLASH_ACR, RCC};

const GPIOD: usize = 0x4002_0C00;
const ODR: usize = GPIOD + 0x14;
const BSRR: usize = GPIOD + 0x18;

fn write_byte(address: usize, value: u8) {
    // SAFETY: registers of the guest's own.
    unsafe { ptr::write_volatile(address as *mut u8, value) }
}

fn write_half(address: usize, value: u16) {
    // SAFETY: registers of the guest's own.
    unsafe { ptr::write_volatile(address as *mut u16, value) }
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    write_byte(FLASH_ACR + 1, 6); // ICEN, DCEN
    guest::result(1, guest::read(FLASH_ACR));
    write_byte(RCC + 2, 1); // HSEON
    guest::result(2, guest::read(RCC) & 0x1_0003);
    // SAFETY: a read.
    guest::result(
        3,
        unsafe { ptr::read_volatile((RCC + 2) as *const u8) }.into(),
    );
    guest::set(RCC + 0x30, 1 << 3);
    guest::read(RCC + 0x30);
    write_half(BSRR, 0x7000);
    write_half(BSRR + 2, 0x2000);
    guest::result(4, guest::read(ODR));
    guest::done();
}
