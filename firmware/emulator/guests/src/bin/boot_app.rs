//! Plays the IAP firmware's part around an application at 0x08020000: hands the reset cause on, counts starts that are to be confirmed (if the
//! argument is 1) with the watchdog running, and starts it. Result 1 is the word in the request register when it stays instead.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;
use iap_emulator_guests::{PWR_CR, RCC};

const APPLICATION: usize = 0x0802_0000;
const CAUSE: usize = guest::BKP0R + 4 * 18;
const REQUEST: usize = guest::BKP0R + 4 * 19;
const IWDG: usize = 0x4000_3000;

/// The words of `iap_protocol::mailbox`, typed from its documentation.
const UPDATE: u32 = 0x4941_5055;
const UNCONFIRMED: u32 = 0x4941_4300;
const CAUSE_WORD: u32 = 0x4941_5200;

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    guest::open_backup();
    let request = guest::read(REQUEST);
    let starts = if request & !0xFF == UNCONFIRMED {
        request & 0xFF
    } else {
        0
    };
    if request == UPDATE || starts >= 3 {
        guest::result(1, request);
        guest::done();
    }
    guest::write(CAUSE, CAUSE_WORD | guest::read(RCC + 0x74) >> 24 & 0xFE);
    guest::set(RCC + 0x74, 1 << 24);
    if guest::read(guest::ARGUMENT) == 1 {
        guest::write(REQUEST, UNCONFIRMED | (starts + 1));
        // 512 ms, as it comes out of reset (RM0090 section 21.3.3).
        guest::write(IWDG, 0xCCCC);
    }
    // As after a reset: the application has to open the backup domain itself.
    guest::write(PWR_CR, guest::read(PWR_CR) & !(1 << 8));
    guest::write(RCC + 0x40, 0);
    let (stack, entry) = (guest::read(APPLICATION), guest::read(APPLICATION + 4));
    // SAFETY: the first two words of an application's vector table; nothing of this program is needed any more.
    unsafe {
        core::arch::asm!("msr msp, {0}", "bx {1}", in(reg) stack, in(reg) entry, options(noreturn))
    }
}
