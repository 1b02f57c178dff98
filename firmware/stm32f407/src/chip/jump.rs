//! The jump into the application: the core as a reset leaves it, but for VTOR, which a reset could not know.

use cortex_m::asm;
use cortex_m::peripheral::{NVIC, SCB, SYST};
use cortex_m::register::control::{self, Control};

/// Starts the program whose vector table is at `vectors`. RCC and peripherals are already as a reset leaves them.
pub(crate) fn start(vectors: u32, stack_pointer: u32, reset_vector: u32) -> ! {
    mask_and_forget_interrupts();
    // SAFETY: the only access to the system control block in this program's one thread. VTOR takes an aligned table (the record and the
    // vector check have seen to it), CPACR its reset value: coprocessors off (ARMv7-M ARM B3.2.5 and B3.2.20).
    unsafe {
        let scb = &*SCB::PTR;
        scb.vtor.write(vectors);
        scb.cpacr.write(0);
    }
    // SAFETY: CONTROL's reset value: privileged, MSP, no floating-point context (ARMv7-M ARM B1.4.4). This program runs on MSP anyway.
    unsafe { control::write(Control::from_bits(0)) };
    asm::dsb();
    asm::isb();
    // SAFETY: PRIMASK is 0 after a reset; nothing is enabled or pending, so nothing is taken.
    unsafe { cortex_m::interrupt::enable() };
    // SAFETY: stack pointer and reset vector are those of an application whose vector table was checked. CONTROL selects MSP; nothing
    // of this program is used after it.
    unsafe { asm::bootstrap(stack_pointer as *const u32, reset_vector as *const u32) }
}

/// NVIC and SysTick as after a reset (ARMv7-M ARM B3.3 and B3.4).
fn mask_and_forget_interrupts() {
    // SAFETY: the only access to NVIC, SysTick and ICSR in this program's one thread; disabling and unpending breaks nothing.
    unsafe {
        let (nvic, syst) = (&*NVIC::PTR, &*SYST::PTR);
        for (disable, unpend) in nvic.icer.iter().zip(&nvic.icpr).take(3) {
            disable.write(u32::MAX);
            unpend.write(u32::MAX);
        }
        syst.csr.write(0);
        syst.rvr.write(0);
        syst.cvr.write(0);
        // PENDSVCLR and PENDSTCLR.
        (*SCB::PTR).icsr.write(1 << 27 | 1 << 25);
    }
}
