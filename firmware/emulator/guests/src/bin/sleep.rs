//! Sleeps through 1000 interrupts of SysTick and counts what TIM2 saw meanwhile.
#![no_std]
#![no_main]

use iap_emulator_guests as guest;

static mut TICKS: u32 = 0;

#[unsafe(no_mangle)]
extern "C" fn SysTick() {
    // SAFETY: only this handler writes it.
    unsafe { (&raw mut TICKS).write_volatile((&raw const TICKS).read_volatile() + 1) }
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    // SAFETY: SysTick is not on yet.
    unsafe { (&raw mut TICKS).write_volatile(0) }
    guest::start_timer();
    guest::start_systick(16_000);
    let mut wakes = 0;
    // SAFETY: a read.
    while unsafe { (&raw const TICKS).read_volatile() } < 1000 {
        guest::wfi();
        wakes += 1;
    }
    guest::result(1, guest::timer());
    guest::result(2, wakes);
    guest::write(guest::SYST_CSR, 0);
    guest::done();
}
