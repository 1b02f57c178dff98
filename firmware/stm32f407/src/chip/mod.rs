//! The registers of the STM32F407. Each file owns a peripheral and moves words; where a word has a meaning, `iap_stm32f407` knows it.
//!
//! Interrupts are never taken: PRIMASK stays set, and what the NVIC has enabled only ends WFI ([`sleep`]). So nothing here is shared
//! with a handler, and nothing needs a lock.

/// Writes a whole word to a register.
macro_rules! put {
    ($register:expr, $word:expr) => {{
        let word = $word;
        // SAFETY: `bits` is unsafe because the register's description cannot tell which words are legal. The callers take theirs from the
        // manual, section named. Only the Ethernet DMA could break memory; `ethernet::rings` says why it does not.
        unsafe { $register.write_with_zero(|w| w.bits(word)) };
    }};
}

/// Clears and sets bits of a register.
macro_rules! change {
    ($register:expr, clear $clear:expr, set $set:expr) => {{
        let (clear, set): (u32, u32) = ($clear, $set);
        put!($register, $register.read().bits() & !clear | set)
    }};
}

pub(crate) mod backup;
pub(crate) mod clocks;
pub(crate) mod ethernet;
pub(crate) mod flash;
pub(crate) mod gpio;
pub(crate) mod jump;
mod mem;
pub(crate) mod memory;
pub(crate) mod random;
mod sha256;
pub(crate) mod sleep;
pub(crate) mod supply;
pub(crate) mod time;
pub(crate) mod unique_id;
pub(crate) mod watchdog;

/// Asks `condition` at most `tries` times; whether it held.
fn within(tries: u32, mut condition: impl FnMut() -> bool) -> bool {
    (0..tries).any(|_| condition())
}
