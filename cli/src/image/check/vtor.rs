//! Stores to VTOR, as far as they can be seen in the code.
//!
//! The IAP firmware sets VTOR before it jumps, so an application need not. ST's `SystemInit` does it all the same, and with
//! VECT_TAB_OFFSET left at 0 it sets VTOR to the start of the flash: the first interrupt then runs a handler of the IAP firmware.
//! Compilers write that store as a handful of instructions close together, which is what is searched for here. What is not found may
//! still be there (a table of register values, a debugger): nothing is concluded from silence.

use std::collections::BTreeSet;

use iap_protocol::memory::MemoryMap;

use super::super::Image;
use super::super::finding::Finding;
use super::{note, ok, warning};

/// Vector Table Offset Register (ARMv7-M ARM B3.2.5), and the base of the System Control Block it lies in.
const VTOR: u32 = 0xE000_ED08;
const SCB: u32 = 0xE000_ED00;
/// How many halfwords a store may be away from the instructions that prepare it.
const REACH_HALFWORDS: usize = 24;

/// What is seen of VTOR.
pub(super) fn check(image: &Image, map: &MemoryMap) -> Vec<Finding> {
    let stores = stores(&image.payload, image.load_address);
    let seen: BTreeSet<(u32, u32)> = (stores.iter())
        .filter_map(|store| Some((store.at, store.value?)))
        .collect();
    if stores.is_empty() {
        let what = "no store to VTOR seen; none is needed, the IAP firmware sets VTOR before it starts the application";
        return vec![note("vtor", what)];
    }
    if seen.is_empty() {
        let what = "the application sets VTOR to a value that cannot be seen here; it must be the address of its own vector table";
        return vec![note("vtor", what)];
    }
    seen.into_iter()
        .map(|(at, value)| judge(at, value, image, map))
        .collect()
}

fn judge(at: u32, value: u32, image: &Image, map: &MemoryMap) -> Finding {
    let own = image.load_address;
    if value == own {
        return ok(
            "vtor",
            format!("the code at {at:#010x} sets VTOR to {value:#010x}, its own vector table"),
        );
    }
    if map.ram_regions().any(|ram| ram.contains(value)) || image.region().contains(value) {
        let what = format!(
            "the code at {at:#010x} sets VTOR to {value:#010x}: the application has a second vector table"
        );
        return note("vtor", what);
    }
    let offset = own.wrapping_sub(map.flash.region().start);
    warning(
        "vtor",
        format!("the code at {at:#010x} seems to set VTOR to {value:#010x}, its own vector table is at {own:#010x}"),
    )
    .why("from then on interrupts would use the vector table of another program: the first SysTick runs a handler of the IAP firmware, and the application hangs or resets")
    .mend_c(format!("in system_stm32f4xx.c: #define VECT_TAB_OFFSET {offset:#x}, and #define USER_VECT_TAB_ADDRESS where it exists; or remove the store"))
    .mend_rust("remove the write to SCB.vtor: the IAP firmware has set it, and cortex-m-rt does not change it")
}

/// A store to VTOR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Store {
    at: u32,
    value: Option<u32>,
}

/// A value that is known to be in a register after an instruction.
#[derive(Clone, Copy)]
struct Load {
    register: u8,
    value: u32,
    halfwords: usize,
}

impl Load {
    /// The halfword after it, if it begins at `index`.
    fn ends_at(&self, index: usize) -> usize {
        index.saturating_add(self.halfwords)
    }
}

/// Finds `STR Rt, [Rn, #offset]` near which Rn was loaded with an address that makes it VTOR.
fn stores(code: &[u8], base: u32) -> Vec<Store> {
    let halfwords: Vec<u16> = (code.chunks_exact(2))
        .filter_map(|pair| pair.first_chunk().map(|pair| u16::from_le_bytes(*pair)))
        .collect();
    let mut found = Vec::new();
    for at in 0..halfwords.len() {
        let Some(load) = load_at(code, &halfwords, at) else {
            continue;
        };
        if load.value == VTOR || load.value == SCB {
            let from = load.ends_at(at);
            found.extend(
                store_after(code, &halfwords, from, &load).map(|(index, value)| Store {
                    at: base.wrapping_add((index as u32).wrapping_mul(2)),
                    value,
                }),
            );
        }
    }
    found
}

/// The first store to VTOR through the register of `base`, and the value it stores if that can be seen.
fn store_after(
    code: &[u8],
    halfwords: &[u16],
    from: usize,
    base: &Load,
) -> Option<(usize, Option<u32>)> {
    let offset = VTOR.wrapping_sub(base.value);
    for at in from..from.saturating_add(REACH_HALFWORDS).min(halfwords.len()) {
        if let Some((source, to, by)) = store_at(halfwords, at)
            && to == base.register
            && by == offset
        {
            let earliest = from.saturating_sub(REACH_HALFWORDS);
            let value = (earliest..at).rev().find_map(|index| {
                load_at(code, halfwords, index)
                    .filter(|load| load.register == source && load.ends_at(index) <= at)
            });
            return Some((at, value.map(|load| load.value)));
        }
        // The register gets another value: what follows is not about VTOR.
        if load_at(code, halfwords, at).is_some_and(|load| load.register == base.register) {
            return None;
        }
    }
    None
}

/// `STR Rt, [Rn, #imm]`, encodings T1 and T3 (ARMv7-M ARM A7.7.161): Rt, Rn, offset in bytes.
fn store_at(halfwords: &[u16], at: usize) -> Option<(u8, u8, u32)> {
    let first = *halfwords.get(at)?;
    if first & 0xF800 == 0x6000 {
        return Some((
            (first & 7) as u8,
            (first >> 3 & 7) as u8,
            u32::from(first >> 6 & 31) << 2,
        ));
    }
    let second = *halfwords.get(at.checked_add(1)?)?;
    (first & 0xFFF0 == 0xF8C0).then(|| {
        (
            (second >> 12) as u8,
            (first & 15) as u8,
            u32::from(second & 0xFFF),
        )
    })
}

/// An instruction that puts a constant into a register: LDR literal, MOVW with MOVT, MOV.W immediate.
fn load_at(code: &[u8], halfwords: &[u16], at: usize) -> Option<Load> {
    let first = *halfwords.get(at)?;
    let pc = at.checked_mul(2)?.checked_add(4)? & !3; // offsets in the image: it begins at a multiple of 4
    // LDR (literal) T1 (A7.7.44)
    if first & 0xF800 == 0x4800 {
        let value = word(code, pc.checked_add(usize::from(first & 0xFF) << 2)?)?;
        return Some(Load {
            register: (first >> 8 & 7) as u8,
            value,
            halfwords: 1,
        });
    }
    let second = *halfwords.get(at.checked_add(1)?)?;
    let register = (second >> 8 & 15) as u8;
    match first {
        // LDR (literal) T2, offset added or subtracted
        0xF8DF | 0xF85F => {
            let offset = usize::from(second & 0xFFF);
            let place = if first == 0xF8DF {
                pc.checked_add(offset)
            } else {
                pc.checked_sub(offset)
            };
            Some(Load {
                register: (second >> 12) as u8,
                value: word(code, place?)?,
                halfwords: 2,
            })
        }
        // MOV (immediate) T2 with S = 0 (A7.7.76): a modified immediate
        0xF04F | 0xF44F if second & 0x8000 == 0 => {
            let value = expand_immediate(first, second)?;
            Some(Load {
                register,
                value,
                halfwords: 2,
            })
        }
        _ if first & 0xFBF0 == 0xF240 && second & 0x8000 == 0 => {
            let [third, fourth] = *halfwords.get(at.checked_add(2)?..)?.first_chunk()?;
            let top = third & 0xFBF0 == 0xF2C0
                && fourth & 0x8000 == 0
                && (fourth >> 8 & 15) as u8 == register;
            top.then(|| Load {
                register,
                value: wide_immediate(third, fourth) << 16 | wide_immediate(first, second),
                halfwords: 4,
            })
        }
        _ => None,
    }
}

/// imm4:i:imm3:imm8 of MOVW and MOVT (A7.7.76, A7.7.79).
fn wide_immediate(first: u16, second: u16) -> u32 {
    let (first, second) = (u32::from(first), u32::from(second));
    (first & 15) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
}

/// ThumbExpandImm (A5.3.2); the patterns that repeat a byte are no addresses and left out.
fn expand_immediate(first: u16, second: u16) -> Option<u32> {
    let imm12 = u32::from(first >> 10 & 1) << 11
        | u32::from(second >> 12 & 7) << 8
        | u32::from(second & 0xFF);
    match imm12 >> 10 {
        0 if imm12 >> 8 == 0 => Some(imm12),
        0 => None,
        _ => Some((0x80 | imm12 & 0x7F).rotate_right(imm12 >> 7)),
    }
}

fn word(code: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*code.get(at..)?.first_chunk()?))
}
