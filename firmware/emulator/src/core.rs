//! The Cortex-M4 core: rsemu's interpreter, with what it lacks put right from outside.
//!
//! - rsemu 0.0.7 drops ITSTATE from the xPSR it stacks on exception entry, so that an interrupt inside an IT block makes the rest of the block
//!   unconditional. [`Core::step`] puts the bits back into the frame (ARMv7-M ARM B1.5.6: the frame holds the whole xPSR).
//! - Sleep costs a step per cycle there; [`Core::idle`] lets time pass in one go, and with it SysTick.
//! - SYSRESETREQ is only a flag there; the board asks for it with [`Core::take_reset_request`].
//!
//! Cycles are the interpreter's estimates: no flash wait states, no bus contention.

use std::sync::Arc;

use rsemu::core::device::{Device, ResetKind};
use rsemu::core::space::{AddressSpace, MemAttrs};
use rsemu::core::value::Width;
use rsemu::cpu::arm::v7m::{ArmV7m, Config, Regs, sys::Exception, xpsr};

const EXC_RETURN_PSP: u32 = 1 << 2;
/// Where xPSR is in an exception frame, in bytes.
const FRAME_XPSR: u32 = 28;
const SYST_ENABLE: u32 = 1;
const SYST_TICKINT: u32 = 2;
const SYST_CLKSOURCE: u32 = 4;

/// The core.
#[derive(Debug)]
pub(crate) struct Core {
    inner: ArmV7m,
    space: Arc<AddressSpace>,
}

impl Core {
    pub(crate) fn new(space: Arc<AddressSpace>) -> Self {
        let inner = ArmV7m::new(Config::CORTEX_M4F.with_priority_bits(4)); // RM0090 section 12.1.1: 16 priorities
        inner.attach_space(Arc::clone(&space));
        inner.reset(ResetKind::Cold);
        Self { inner, space }
    }

    /// All registers of the core, NVIC, SysTick and SCB go back to their reset values.
    pub(crate) fn reset(&self) {
        self.inner.reset(ResetKind::Cold);
    }

    pub(crate) fn registers(&self) -> Regs {
        self.inner.regs()
    }

    pub(crate) fn set_interrupt(&self, number: u16, level: bool) {
        self.inner.set_irq(number, level);
    }

    pub(crate) fn set_nmi(&self, level: bool) {
        self.inner.set_nmi(level);
    }

    pub(crate) fn is_locked_up(&self) -> bool {
        self.inner.is_locked_up()
    }

    /// Whether AIRCR.SYSRESETREQ was written since the last call.
    pub(crate) fn take_reset_request(&self) -> bool {
        let requested = self.inner.reset_requested();
        if requested {
            self.inner.clear_reset_request();
        }
        requested
    }

    /// The fault status registers: CFSR, HFSR, MMFAR, BFAR.
    pub(crate) fn fault_status(&self) -> [u32; 4] {
        self.inner
            .with_sys(|sys| [sys.cfsr, sys.hfsr, sys.mmfar, sys.bfar])
    }

    /// A register of NVIC, SysTick, SCB, FPU or DWT.
    pub(crate) fn system_register(&self, address: u32) -> Option<u32> {
        self.inner.with_sys(|sys| sys.read_word(address, true))
    }

    /// A word of memory, without side effects.
    pub(crate) fn peek(&self, address: u32) -> Option<u32> {
        let word = self.space.read(address.into(), Width::U32, MemAttrs::DEBUG);
        word.ok().map(|word| word as u32)
    }

    /// Writes a word of RAM; other memory stays as it is.
    pub(crate) fn poke(&self, address: u32, value: u32) {
        let _ = self
            .space
            .write(address.into(), Width::U32, value.into(), MemAttrs::DEBUG);
    }

    /// Sets one of R0 to R12.
    pub(crate) fn set_register(&self, index: u8, value: u32) {
        self.inner.set_reg(index, value);
    }

    /// Executes one instruction, or enters one exception: the cycles it took. `before`: the registers as they are.
    pub(crate) fn step(&self, before: &Regs) -> u64 {
        let cycles = self.inner.step();
        if before.xpsr & xpsr::IT_MASK != 0 {
            self.repair_frame(before);
        }
        cycles
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.inner.is_asleep()
    }

    /// Puts ITSTATE back into the frame, if this step has stacked one.
    fn repair_frame(&self, before: &Regs) {
        let after = self.inner.regs();
        let entered = after.exception() != before.exception() && after.in_handler();
        let (frame, old) = match after.r[14] & EXC_RETURN_PSP {
            0 => (after.msp, before.msp),
            _ => (after.psp, before.psp),
        };
        // A tail-chained handler takes over the frame of the one before: no stack grows.
        if !entered || frame >= old {
            return;
        }
        let state = match after.exception() {
            Exception::SVCALL => advanced(before.xpsr),
            _ => before.xpsr,
        };
        let at = frame.wrapping_add(FRAME_XPSR);
        if let Some(stacked) = self.peek(at) {
            let whole = stacked & !xpsr::IT_MASK | state & xpsr::IT_MASK;
            // It was stacked there a moment ago, so it can be written.
            self.poke(at, whole);
        }
    }

    /// Lets cycles pass without executing anything: at most `cycles`, less if SysTick interrupts earlier. How many passed.
    pub(crate) fn idle(&self, cycles: u64, asleep: bool) -> u64 {
        self.inner.with_sys(|sys| {
            let ticking = sys.syst_csr & SYST_ENABLE != 0 && sys.syst_rvr != 0;
            let wakes = ticking && sys.syst_csr & SYST_TICKINT != 0;
            let until_wrap = u64::from(sys.syst_cvr & 0x00FF_FFFF).max(1);
            let passed = if wakes {
                cycles.min(until_wrap)
            } else {
                cycles
            };
            // Asleep the core's clock stands still, and the cycle counter with it; SysTick counts on (PM0214 section 2.5).
            if !asleep {
                sys.tick_cyccnt(passed);
            }
            if sys.tick_systick(passed) && wakes {
                sys.set_pending(Exception::SYSTICK, true);
            }
            passed
        })
    }

    pub(crate) fn uses_systick(&self) -> bool {
        self.inner.with_sys(|sys| sys.syst_csr & SYST_ENABLE != 0)
    }

    /// SysTick counts HCLK/8, which the interpreter does not do.
    pub(crate) fn uses_slow_systick(&self) -> bool {
        self.inner
            .with_sys(|sys| sys.syst_csr & (SYST_ENABLE | SYST_CLKSOURCE) == SYST_ENABLE)
    }
}

/// ITSTATE after one more instruction (ARMv7-M ARM A7.3.2, ITAdvance), as bits of xPSR.
fn advanced(word: u32) -> u32 {
    let state = (word >> 10 & 0x3F) << 2 | word >> 25 & 3;
    let next = if state & 7 == 0 {
        0
    } else {
        state & 0xE0 | (state << 1) & 0x1F
    };
    (next >> 2) << 10 | (next & 3) << 25
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_state_advances_as_the_architecture_says() {
        let pack = |state: u32| (state >> 2) << 10 | (state & 3) << 25;
        // ITTT EQ: 0000 0010 after the instruction itself is 0b0000_0010, then 0b0000_0100, 0b0000_1000, 0.
        assert_eq!(advanced(pack(0b0000_0010)), pack(0b0000_0100));
        assert_eq!(advanced(pack(0b0001_0100)), pack(0b0000_1000));
        assert_eq!(advanced(pack(0b0000_1000)), 0);
    }
}
