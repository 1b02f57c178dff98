//! Stores to VTOR, as far as they can be seen in the code.
//!
//! The IAP firmware sets VTOR before it jumps, so an application need not. ST's `SystemInit` does it all the same, and with
//! VECT_TAB_OFFSET left at 0 it sets VTOR to the start of the flash: the first interrupt then runs a handler of the IAP firmware.
//! Compilers write that store as a handful of instructions close together, which is what is searched for here. What is not found may
//! still be there (a table of register values, a debugger): nothing is concluded from silence.

use std::collections::BTreeSet;
use std::ops::Range;

use iap_protocol::memory::MemoryMap;
use memchr::memmem;

use super::super::Image;
use super::super::finding::Finding;
use super::super::intake::KEPT_LEN;
use super::{note, ok, warning};

/// Vector Table Offset Register (ARMv7-M ARM B3.2.5), and the base of the System Control Block it lies in.
const VTOR: u32 = 0xE000_ED08;
const SCB: u32 = 0xE000_ED00;
/// How many halfwords a store may be away from the instructions that prepare it.
const REACH_HALFWORDS: usize = 24;
/// No chip of the family has more flash than 2 MiB: nothing behind twice that is code.
const MAX_CODE_LEN: usize = KEPT_LEN;
/// How many bytes LDR (literal) is away from its word at most, alignment included (A7.7.44: 12 bits of offset).
const LITERAL_REACH: usize = 4104;
/// What the words of [`SCB`] and [`VTOR`] have in common, from their second byte on.
const UPPER_BYTES: [u8; 3] = [0xED, 0x00, 0xE0];
/// MOVT Rd, #0xE000 (A7.7.79) without Rd.
const MOVT_E000: [u8; 3] = [0xCE, 0xF2, 0x00];

/// What is seen of VTOR.
pub(super) fn check(image: &Image, map: &MemoryMap) -> Vec<Finding> {
    let code = image.payload.get(..MAX_CODE_LEN).unwrap_or(&image.payload);
    let stores = stores(Code(code), image.load_address);
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

/// The payload as instructions: halfwords, counted from its start.
#[derive(Clone, Copy)]
struct Code<'a>(&'a [u8]);

impl Code<'_> {
    fn halfword(self, at: usize) -> Option<u16> {
        let pair = self.0.get(at.checked_mul(2)?..)?.first_chunk()?;
        Some(u16::from_le_bytes(*pair))
    }

    fn word(self, byte: usize) -> Option<u32> {
        let word = self.0.get(byte..)?.first_chunk()?;
        Some(u32::from_le_bytes(*word))
    }

    fn len(self) -> usize {
        self.0.len() / 2
    }
}

/// Finds `STR Rt, [Rn, #offset]` near which Rn was loaded with an address that makes it VTOR.
fn stores(code: Code<'_>, base: u32) -> Vec<Store> {
    stores_after_loads(code, base, loads_of_scb(code).into_iter().flatten())
}

/// Where the instructions can be that load [`SCB`] or [`VTOR`]: in front of a MOVT with their upper half, and around their words among the
/// constants. Looking at every instruction would take longer than all the rest of reading an image.
fn loads_of_scb(code: Code<'_>) -> Vec<Range<usize>> {
    let movt = memmem::find_iter(code.0, &MOVT_E000).map(|byte| {
        let movw = (byte / 2).saturating_sub(2);
        movw..movw.saturating_add(1)
    });
    let words = memmem::find_iter(code.0, &UPPER_BYTES).map(|byte| {
        let end = byte.saturating_add(LITERAL_REACH) / 2;
        byte.saturating_sub(LITERAL_REACH) / 2..end.min(code.len())
    });
    let mut ranges: Vec<Range<usize>> = movt.chain(words).collect();
    ranges.sort_by_key(|range| range.start);
    // Each place once.
    let mut done = 0;
    for range in &mut ranges {
        range.start = range.start.max(done);
        done = done.max(range.end);
    }
    ranges
}

fn stores_after_loads(
    code: Code<'_>,
    base: u32,
    places: impl Iterator<Item = usize>,
) -> Vec<Store> {
    let mut found = Vec::new();
    for at in places {
        let Some(load) = load_at(code, at) else {
            continue;
        };
        if load.value == VTOR || load.value == SCB {
            let from = load.ends_at(at);
            found.extend(store_after(code, from, &load).map(|(index, value)| Store {
                at: base.wrapping_add((index as u32).wrapping_mul(2)),
                value,
            }));
        }
    }
    found
}

/// The first store to VTOR through the register of `base`, and the value it stores if that can be seen.
fn store_after(code: Code<'_>, from: usize, base: &Load) -> Option<(usize, Option<u32>)> {
    let offset = VTOR.wrapping_sub(base.value);
    for at in from..from.saturating_add(REACH_HALFWORDS).min(code.len()) {
        if let Some((source, to, by)) = store_at(code, at)
            && to == base.register
            && by == offset
        {
            let earliest = from.saturating_sub(REACH_HALFWORDS);
            let value = (earliest..at).rev().find_map(|index| {
                load_at(code, index)
                    .filter(|load| load.register == source && load.ends_at(index) <= at)
            });
            return Some((at, value.map(|load| load.value)));
        }
        // The register gets another value: what follows is not about VTOR.
        if load_at(code, at).is_some_and(|load| load.register == base.register) {
            return None;
        }
    }
    None
}

/// `STR Rt, [Rn, #imm]`, encodings T1 and T3 (ARMv7-M ARM A7.7.161): Rt, Rn, offset in bytes.
fn store_at(code: Code<'_>, at: usize) -> Option<(u8, u8, u32)> {
    let first = code.halfword(at)?;
    if first & 0xF800 == 0x6000 {
        return Some((
            (first & 7) as u8,
            (first >> 3 & 7) as u8,
            u32::from(first >> 6 & 31) << 2,
        ));
    }
    let second = code.halfword(at.checked_add(1)?)?;
    (first & 0xFFF0 == 0xF8C0).then(|| {
        (
            (second >> 12) as u8,
            (first & 15) as u8,
            u32::from(second & 0xFFF),
        )
    })
}

/// An instruction that puts a constant into a register: LDR literal, MOVW with MOVT, MOV.W immediate.
fn load_at(code: Code<'_>, at: usize) -> Option<Load> {
    let first = code.halfword(at)?;
    let pc = at.checked_mul(2)?.checked_add(4)? & !3; // offsets in the image: it begins at a multiple of 4
    // LDR (literal) T1 (A7.7.44)
    if first & 0xF800 == 0x4800 {
        let value = code.word(pc.checked_add(usize::from(first & 0xFF) << 2)?)?;
        return Some(Load {
            register: (first >> 8 & 7) as u8,
            value,
            halfwords: 1,
        });
    }
    let second = code.halfword(at.checked_add(1)?)?;
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
                value: code.word(place?)?,
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
            let third = code.halfword(at.checked_add(2)?)?;
            let fourth = code.halfword(at.checked_add(3)?)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Instructions that store to VTOR in all the ways that are known, among random ones.
    fn code(seed: u64) -> Vec<u8> {
        let mut state = seed;
        let mut random = || {
            // xorshift64 (Marsaglia 2003)
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u16
        };
        let mut halfwords: Vec<u16> = (0..8000).map(|_| random()).collect();
        let mut put =
            |at: usize, words: &[u16]| halfwords[at..][..words.len()].copy_from_slice(words);
        // movw r3, #0xed00; movt r3, #0xe000; ldr r2, [pc, #...]; str r2, [r3, #8]
        put(100, &[0xF64E, 0x5300, 0xF2CE, 0x0300, 0x4A01, 0x609A]);
        // ldr r3, [pc, #1020]; str r3, [r3]: the word is VTOR
        put(1000, &[0x4BFF, 0x601B]);
        put(1000 + 2 + 510, &[0xED08, 0xE000]);
        // ldr.w r7, [pc, #4095]; str.w r2, [r7, #8]: the word is at an odd distance
        put(3000, &[0xF8DF, 0x7FFF, 0xF8C7, 0x2008]);
        let mut bytes: Vec<u8> = halfwords
            .iter()
            .flat_map(|half| half.to_le_bytes())
            .collect();
        bytes[6004 + 4095..][..4].copy_from_slice(&SCB.to_le_bytes());
        // ldr.w r7, [pc, #-4095]: the word is before it
        let back = [0xF85F_u16, 0x7FFF, 0xF8C7, 0x2008]
            .map(u16::to_le_bytes)
            .concat();
        bytes[14_000..][..8].copy_from_slice(&back);
        bytes[14_004 - 4095..][..4].copy_from_slice(&SCB.to_le_bytes());
        bytes
    }

    #[test]
    fn looking_near_the_address_finds_what_looking_everywhere_finds() {
        for seed in 1..=20 {
            let bytes = code(seed);
            let code = Code(&bytes);
            let everywhere = stores_after_loads(code, 0, 0..code.len());
            assert_eq!(stores(code, 0), everywhere, "seed {seed}");
            for at in [105 * 2, 1001 * 2, 3002 * 2, 14_004] {
                assert!(everywhere.iter().any(|store| store.at == at), "{at}");
            }
        }
    }
}
