//! How much stack each function of the firmware takes, read from the instructions it begins with.
//!
//! No proof of how deep the stack gets: calls are not followed. That is measured, on the emulated chip. This finds the function that has
//! begun to carry a buffer by value, at the build that brings it.

use anyhow::{Context, Result};
use object::read::elf::ElfFile32;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// The most that one function may take: a quarter of the stack.
pub(super) const LIMIT: u32 = 3 * 1024;
/// Functions with a frame pointer that there may be: a few of the compiler's own libraries (`compiler.rs`). All together are 270.
const FRAME_POINTERS: usize = 16;
/// Halfwords in which a function has made its frame.
const PROLOGUE: usize = 64;

/// A function and the stack it takes, in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) bytes: u32,
    /// It keeps r7 pointing at its caller's.
    pub(super) pointer: bool,
    pub(super) function: String,
}

/// All functions, the largest frame first.
pub(super) fn frames(elf: &[u8]) -> Result<Vec<Frame>> {
    let file: ElfFile32 = ElfFile32::parse(elf).context("this is no ELF file")?;
    let mut frames = Vec::new();
    for symbol in file
        .symbols()
        .filter(|s| s.kind() == SymbolKind::Text && s.size() > 0)
    {
        let section = symbol
            .section_index()
            .and_then(|i| file.section_by_index(i).ok());
        let start = symbol.address() & !1;
        let code = section.and_then(|section| section.data_range(start, symbol.size()).ok());
        let code = code.flatten().unwrap_or_default();
        frames.push(Frame {
            bytes: prologue(code),
            pointer: makes_frame_pointer(code),
            function: symbol.name().unwrap_or_default().to_owned(),
        });
    }
    frames.sort_by_key(|frame| std::cmp::Reverse(frame.bytes));
    Ok(frames)
}

/// The largest three.
pub(super) fn table(frames: &[Frame]) -> String {
    let largest = frames.iter().take(3).map(|frame| {
        let name = rustc_demangle::demangle(&frame.function);
        format!("  stack frame     {:>7}  {name:#}\n", frame.bytes)
    });
    largest.collect()
}

/// What is wrong with them.
pub(super) fn faults(frames: &[Frame]) -> Vec<String> {
    let large = frames.iter().filter(|frame| frame.bytes > LIMIT);
    let large = large.map(|frame| {
        let function = rustc_demangle::demangle(&frame.function);
        let bytes = frame.bytes;
        format!("{function:#} takes {bytes} bytes of stack, {LIMIT} are allowed")
    });
    let pointers = frames.iter().filter(|frame| frame.pointer).count();
    let pointers = (pointers > FRAME_POINTERS).then(|| {
        format!("{pointers} functions have a frame pointer, {FRAME_POINTERS} are allowed: rustc did not take the lists of functions")
    });
    large.chain(pointers).collect()
}

/// PUSH {.., r7, lr}, and r7 set from SP at once: MOV or ADD (SP plus immediate) T1.
fn makes_frame_pointer(code: &[u8]) -> bool {
    let halfword = |at: usize| {
        let bytes = code.get(at..).and_then(|tail| tail.first_chunk());
        bytes.map_or(0, |bytes| u16::from_le_bytes(*bytes))
    };
    let (push, set) = (halfword(0), halfword(2));
    push & 0xFF80 == 0xB580 && (set == 0x466F || set & 0xFF00 == 0xAF00)
}

/// Bytes that the first instructions of a function take from the stack (ARMv7-M ARM A7.7: PUSH, SUB (SP minus immediate), VPUSH).
fn prologue(code: &[u8]) -> u32 {
    let mut halfwords = code.chunks_exact(2).take(PROLOGUE);
    let mut next = || {
        halfwords
            .next()
            .map(|pair| u32::from(pair[0]) | u32::from(pair[1]) << 8)
    };
    let mut bytes = 0;
    while let Some(first) = next() {
        // Instructions of 32 bits begin with 11101, 11110 or 11111.
        bytes += if first >> 11 >= 0b11101 {
            next().map_or(0, |second| wide(first, second))
        } else {
            narrow(first)
        };
    }
    bytes
}

fn narrow(instruction: u32) -> u32 {
    match instruction >> 8 {
        // PUSH T1: eight registers, and LR.
        0xB4 | 0xB5 => 4 * (instruction & 0x1FF).count_ones(),
        // SUB (SP minus immediate) T1.
        0xB0 if instruction & 0x80 != 0 => 4 * (instruction & 0x7F),
        _ => 0,
    }
}

fn wide(first: u32, second: u32) -> u32 {
    let immediate = (first >> 10 & 1) << 11 | (second >> 12 & 0b111) << 8 | second & 0xFF;
    let to_sp = second >> 8 & 0xF == 0xD;
    match (first, first & !(1 << 10)) {
        (0xE92D, _) => 4 * second.count_ones(),    // PUSH T2
        (0xED2D, _) => 4 * (second & 0xFF),        // VPUSH
        (_, 0xF1AD) if to_sp => expand(immediate), // SUB (SP minus immediate) T2
        (_, 0xF2AD) if to_sp => immediate,         // T3
        _ => 0,
    }
}

/// ThumbExpandImm (ARMv7-M ARM A5.3.2).
fn expand(immediate: u32) -> u32 {
    let byte = immediate & 0xFF;
    match immediate >> 8 {
        0 => byte,
        1 => byte | byte << 16,
        2 => byte << 8 | byte << 24,
        3 => byte * 0x0101_0101,
        _ => (0x80 | byte & 0x7F).rotate_right(immediate >> 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As objdump shows them: halfwords.
    fn code(halfwords: &[u16]) -> Vec<u8> {
        halfwords
            .iter()
            .flat_map(|half| half.to_le_bytes())
            .collect()
    }

    fn frame(bytes: u32, pointer: bool) -> Frame {
        Frame {
            bytes,
            pointer,
            function: "f".into(),
        }
    }

    #[test]
    fn what_a_prologue_takes_is_read_as_objdump_shows_it() {
        let cases: [(&[u16], u32, &str); 8] = [
            (&[0xB5F0], 20, "push {r4, r5, r6, r7, lr}"),
            (&[0xE92D, 0x4FF0], 36, "stmdb sp!, {r4-r11, lr}"),
            (&[0xB0A1], 132, "sub sp, #132"),
            (&[0xF5AD, 0x7D4F], 828, "sub.w sp, sp, #828"),
            (&[0xF5AD, 0x6D80], 1024, "sub.w sp, sp, #1024"),
            (&[0xF6AD, 0x2DCC], 2764, "subw sp, sp, #2764"),
            (&[0xED2D, 0x8B04], 16, "vpush {d8-d9}"),
            (
                &[0xB580, 0x466F, 0xB082, 0x4770],
                16,
                "push {r7, lr}; mov r7, sp; sub sp, #8; bx lr",
            ),
        ];
        for (halfwords, bytes, text) in cases {
            assert_eq!(prologue(&code(halfwords)), bytes, "{text}");
        }
    }

    #[test]
    fn other_instructions_take_nothing() {
        // add sp, #132; ldr r0, [r1]; bl; sub.w r0, sp, #828
        for halfwords in [
            &[0xB021][..],
            &[0x6808],
            &[0xF000, 0xF801],
            &[0xF5AD, 0x704F],
        ] {
            assert_eq!(prologue(&code(halfwords)), 0, "{halfwords:x?}");
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_a_fault() {
        assert_eq!(faults(&[frame(LIMIT, true)]), [""; 0]);
        let expected = format!("f takes {} bytes of stack, 3072 are allowed", LIMIT + 1);
        assert_eq!(faults(&[frame(LIMIT + 1, false)]), [expected]);
    }

    #[test]
    fn functions_with_frame_pointers_are_a_fault_when_they_are_many() {
        let many = vec![frame(8, true); FRAME_POINTERS + 1];
        assert_eq!(faults(&many).len(), 1);
        assert_eq!(faults(&many[1..]), [""; 0]);
    }

    #[test]
    fn a_frame_pointer_is_set_right_after_the_push() {
        // push {r4, r5, r7, lr}; add r7, sp, #8, and push {r7, lr}; mov r7, sp
        for with in [[0xB5B0, 0xAF02], [0xB580, 0x466F]] {
            assert!(makes_frame_pointer(&code(&with)), "{with:x?}");
        }
        // push {r4, lr}; add r7, sp, #8, and push {r7, lr}; sub sp, #8
        for without in [[0xB510, 0xAF02], [0xB580, 0xB082]] {
            assert!(!makes_frame_pointer(&code(&without)), "{without:x?}");
        }
    }
}
