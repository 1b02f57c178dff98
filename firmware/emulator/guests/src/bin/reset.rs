//! Leaves its state dirty and resets, as the argument says: 0 by software, 1 by the independent watchdog, 2 by it during an erase.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;
use iap_emulator_guests::{BKP0R, FLASH_CR, RCC};

const IWDG: usize = 0x4000_3000;

fn start_watchdog() {
    guest::write(IWDG, 0x5555);
    guest::write(IWDG + 8, 99);
    guest::write(IWDG, 0xCCCC);
    guest::write(IWDG, 0xAAAA);
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    guest::open_backup();
    let boot = guest::read(BKP0R) + 1;
    guest::write(BKP0R, boot);
    guest::result(1, boot);
    guest::result(2, guest::read(RCC + 0x74));
    guest::result(3, guest::read(FLASH_CR));
    guest::result(4, guest::read(guest::SYST_CSR));
    guest::result(5, guest::read(0xE000_E104));
    guest::result(6, guest::read(0xE000_ED08));
    if boot > 1 {
        guest::done();
    }
    guest::unlock_flash();
    guest::start_systick(1_000_000);
    guest::write(0xE000_E104, 1 << 29);
    guest::write(0xE000_ED08, 0x0800_0000);
    match guest::read(guest::ARGUMENT) {
        0 => guest::write(guest::AIRCR, 0x05FA_0004),
        1 => start_watchdog(),
        _ => {
            start_watchdog();
            guest::write(FLASH_CR, 5 << 3 | 2 | 2 << 8 | 1 << 16);
        }
    }
    loop {}
}
