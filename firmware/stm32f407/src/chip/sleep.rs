//! Sleep without interrupt handlers: WFI ends when an enabled interrupt is pending, also while PRIMASK keeps it from being taken
//! (ARMv7-M ARM B1.5.19). The main loop then looks at the hardware itself.

use cortex_m::asm;
use cortex_m::peripheral::NVIC;
use stm32f4xx_hal::pac::Interrupt;

/// What ends sleep: a received frame, and the timer.
const WAKERS: [Interrupt; 2] = [Interrupt::ETH, Interrupt::TIM2];

/// Enables the wakers, for good.
pub(crate) fn enable_wakers() {
    cortex_m::interrupt::disable();
    for waker in WAKERS {
        // SAFETY: enabling an interrupt could break a critical section that relies on a mask. There is none, and PRIMASK stays set.
        unsafe { NVIC::unmask(waker) };
    }
}

/// Forgets what has ended sleep. Call it after the flags of the peripherals are cleared and before looking at what they have done:
/// whatever happens later is pending again.
pub(crate) fn acknowledge() {
    for waker in WAKERS {
        NVIC::unpend(waker);
    }
}

/// Sleeps until a waker is pending.
pub(crate) fn sleep() {
    asm::dsb();
    asm::wfi();
}
