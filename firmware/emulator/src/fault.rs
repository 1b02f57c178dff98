//! What a HardFault says: registers, fault status in words, and the way the program came.
//!
//! The way is found by looking for return addresses on the stack: words that point behind a call. That shows callers which have returned
//! already, now and then, but needs no unwind tables and works on any firmware.

use std::fmt::Write as _;

use crate::core::Core;
use crate::image::Symbols;

const MAX_STACK_WORDS: u32 = 256;
const MAX_CALLERS: usize = 16;

/// Bits of CFSR and HFSR (ARMv7-M ARM B3.2.15, B3.2.16).
const CFSR_BITS: [(u32, &str); 15] = [
    (0, "instruction fetch from a region that forbids it"),
    (1, "data access that a region forbids"),
    (3, "MPU fault while unstacking"),
    (4, "MPU fault while stacking"),
    (8, "bus error on an instruction fetch"),
    (9, "bus error on a data access"),
    (10, "bus error, imprecise"),
    (11, "bus error while unstacking"),
    (12, "bus error while stacking"),
    (16, "undefined instruction"),
    (
        17,
        "instruction set state that the core does not have (an even vector or function pointer)",
    ),
    (18, "illegal exception return"),
    (19, "coprocessor (FPU) not enabled"),
    (24, "unaligned access"),
    (25, "division by zero"),
];

/// The report of a core that is about to execute its HardFault handler, or has locked up.
pub(crate) fn describe(core: &Core, symbols: &Symbols) -> String {
    let registers = core.registers();
    let what = if core.is_locked_up() {
        "lockup: a fault inside a fault handler"
    } else {
        "HardFault"
    };
    let mut text = what.to_owned();
    let [cfsr, hfsr, mmfar, bfar] = core.fault_status();
    for (_, meaning) in CFSR_BITS.iter().filter(|(bit, _)| cfsr >> bit & 1 != 0) {
        let _ = write!(text, ", {meaning}");
    }
    if cfsr & 1 << 15 != 0 {
        let _ = write!(text, " at {bfar:#010x}");
    }
    if cfsr & 1 << 7 != 0 {
        let _ = write!(text, " at {mmfar:#010x}");
    }
    if hfsr & 2 != 0 {
        text.push_str(", the vector table could not be read");
    }
    let _ = writeln!(text, " (CFSR {cfsr:#010x}, HFSR {hfsr:#010x})");
    let frame = if registers.r[14] & 4 == 0 {
        registers.msp
    } else {
        registers.psp
    };
    let word = |index: u32| core.peek(frame.wrapping_add(4 * index));
    let names = ["r0", "r1", "r2", "r3", "r12", "lr", "pc", "xpsr"];
    for (index, name) in names.into_iter().enumerate() {
        let _ = write!(text, "  {name} {:#010x}", word(index as u32).unwrap_or(0));
    }
    let _ = writeln!(
        text,
        "\n  sp {frame:#010x}, r4 to r11 {:08x?}",
        &registers.r[4..12]
    );
    let (pc, lr) = (word(6).unwrap_or(0), word(5).unwrap_or(0));
    let _ = writeln!(text, "  at {}", symbols.describe(pc));
    let _ = writeln!(text, "  called from {}", symbols.describe(lr & !1));
    for caller in callers(core, frame.wrapping_add(32)) {
        let _ = writeln!(text, "  called from {}", symbols.describe(caller));
    }
    text
}

/// Return addresses on the stack.
fn callers(core: &Core, stack: u32) -> Vec<u32> {
    let words = (0..MAX_STACK_WORDS).map_while(|index| core.peek(stack.wrapping_add(4 * index)));
    words
        .filter(|word| follows_call(core, *word))
        .map(|word| word & !1)
        .take(MAX_CALLERS)
        .collect()
}

/// Whether the instruction before `address` is BL or BLX (ARMv7-M ARM A7.7.18, A7.7.19).
fn follows_call(core: &Core, address: u32) -> bool {
    let in_flash = (0x0800_0000..0x0810_0000).contains(&address);
    if address & 1 == 0 || !in_flash {
        return false;
    }
    let half = |at: u32| {
        core.peek(at & !3)
            .map(|word| (word >> (8 * (at & 2))) as u16)
    };
    let at = address & !1;
    let short = half(at.wrapping_sub(2)).unwrap_or(0);
    let long = half(at.wrapping_sub(4)).unwrap_or(0);
    short & 0xFF87 == 0x4780 || long & 0xF800 == 0xF000 && short & 0xD000 == 0xD000
}
