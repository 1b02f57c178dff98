//! A conditional store that must not happen, with an interrupt at every instruction boundary in turn.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;

static mut TICKS: u32 = 0;

#[unsafe(no_mangle)]
extern "C" fn SysTick() {
    // SAFETY: only this handler writes it.
    unsafe { (&raw mut TICKS).write_volatile((&raw const TICKS).read_volatile() + 1) }
    guest::write(guest::SYST_CSR, 0);
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let mut wrong = 0u32;
    let mut interrupted = 0u32;
    for delay in 2..80 {
        // SAFETY: SysTick is off.
        unsafe { (&raw mut TICKS).write_volatile(0) }
        guest::start_systick(delay);
        let (bad, good): (u32, u32);
        // SAFETY: counts in registers only.
        unsafe {
            core::arch::asm!(
                "movs {bad}, #0",
                "movs {good}, #0",
                "movs {one}, #1",
                ".rept 8",
                "cmp {one}, #1",
                "itett ne",
                "addne {bad}, {bad}, #1",
                "addeq {good}, {good}, #1",
                "addne {bad}, {bad}, #1",
                "addne {bad}, {bad}, #1",
                ".endr",
                bad = out(reg) bad,
                good = out(reg) good,
                one = out(reg) _,
            );
        }
        wrong += u32::from(bad != 0 || good != 8);
        // SAFETY: a read.
        interrupted += unsafe { (&raw const TICKS).read_volatile() };
        guest::write(guest::SYST_CSR, 0);
    }
    guest::result(1, wrong);
    guest::result(2, interrupted);
    guest::done();
}
