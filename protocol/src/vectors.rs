//! The vector table at the start of an application: what must be true of it for the image to start at all.
//!
//! ARMv7-M ARM B1.5.3: word 0 is the initial stack pointer, word 1 the reset vector, then the exception handlers; a handler's
//! address has bit 0 set (Thumb).

use core::fmt::{self, Write};

use crate::bytes::{nth, u32_at};
use crate::memory::{MemoryMap, Region, VECTOR_TABLE_ALIGNMENT};
use crate::packed;
use crate::text::Writer;

/// The words of the table that every Cortex-M has: stack pointer, reset, and the system exceptions.
pub const SYSTEM_VECTORS: usize = 16;
/// Bytes of those words: the least an image must have.
pub const SYSTEM_VECTORS_LEN: usize = 4 * SYSTEM_VECTORS;

/// Why a vector table would not start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VectorFault {
    /// The image is too short to hold the system vectors; its length.
    Missing(u32),
    /// The bytes where the table should be are erased flash or zeros; word 0.
    Blank(u32),
    /// The table's address is not a multiple of [`VECTOR_TABLE_ALIGNMENT`].
    Misaligned(u32),
    /// The initial stack pointer is outside every RAM region and not the end of one.
    StackOutsideRam(u32),
    /// The initial stack pointer is not a multiple of 4.
    StackMisaligned(u32),
    /// The reset vector is even: the core would fault at its first instruction.
    ResetEven(u32),
    /// The reset vector points outside the image.
    ResetOutsideImage(u32),
    /// An exception handler is even; vector number and value.
    HandlerEven(u16, u32),
    /// An exception handler is outside both the image and RAM; vector number and value.
    HandlerOutsideImage(u16, u32),
}

impl VectorFault {
    /// The sentence, with its numbers to be filled in as [`Writer::fill`] does it.
    pub const fn form(&self) -> (&'static [u8], [u32; 2]) {
        match *self {
            Self::Missing(len) => (
                packed!("{d} bytes are too short for a vector table ({d} bytes)"),
                [len, SYSTEM_VECTORS_LEN as u32],
            ),
            Self::Blank(word) => (
                packed!("no vector table: the image begins with {x}"),
                [word, 0],
            ),
            Self::Misaligned(address) => (
                packed!("vector table at {x} is not aligned to {d} bytes"),
                [address, VECTOR_TABLE_ALIGNMENT],
            ),
            Self::StackOutsideRam(sp) => {
                (packed!("initial stack pointer {x} is outside RAM"), [sp, 0])
            }
            Self::StackMisaligned(sp) => (
                packed!("initial stack pointer {x} is not a multiple of 4"),
                [sp, 0],
            ),
            Self::ResetEven(address) => (
                packed!("reset vector {x} is even, Thumb code needs bit 0 set"),
                [address, 0],
            ),
            Self::ResetOutsideImage(address) => (
                packed!("reset vector {x} is outside the image"),
                [address, 0],
            ),
            Self::HandlerEven(number, address) => (
                packed!("vector {d} ({x}) is even, Thumb code needs bit 0 set"),
                [number as u32, address],
            ),
            Self::HandlerOutsideImage(number, address) => (
                packed!("vector {d} ({x}) is outside the image and outside RAM"),
                [number as u32, address],
            ),
        }
    }
}

impl fmt::Display for VectorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, numbers) = self.form();
        let mut buffer = [0; 96];
        let mut out = Writer::new(&mut buffer);
        out.fill(form, &numbers, &[]);
        let text = out.into_written();
        text.iter().try_for_each(|&byte| f.write_char(byte.into()))
    }
}

impl core::error::Error for VectorFault {}

/// What is looked at: the table as a whole, its alignment, and its words.
const CHECKS: u16 = 2 + SYSTEM_VECTORS as u16;

/// Every fault of the system vectors of an image that goes to `image` and begins with `start`, in the order of the table. The
/// firmware acts on the first, `iapctl verify-image` shows all.
pub fn faults<'a>(
    start: &'a [u8],
    image: Region,
    map: &'a MemoryMap,
) -> impl Iterator<Item = VectorFault> + 'a {
    (0..CHECKS).filter_map(move |check| fault(check, start, image, map))
}

fn fault(check: u16, start: &[u8], image: Region, map: &MemoryMap) -> Option<VectorFault> {
    let readable = start.len() >= SYSTEM_VECTORS_LEN && image.len as usize >= SYSTEM_VECTORS_LEN;
    let word0 = u32_at(start, 0);
    let has_words = readable && !matches!(word0, 0 | u32::MAX);
    let number = match check {
        0 if !readable => return Some(VectorFault::Missing(image.len)),
        0 if !has_words => return Some(VectorFault::Blank(word0)),
        1 if !image.start.is_multiple_of(VECTOR_TABLE_ALIGNMENT) => {
            return Some(VectorFault::Misaligned(image.start));
        }
        2.. if has_words => check.wrapping_sub(2),
        _ => return None,
    };
    let word = u32_at(start, nth(0, number.into(), 4));
    match number {
        0 => stack_fault(word, map),
        1 => reset_fault(word, image),
        _ => handler_fault(number, word, image, map),
    }
}

/// The first fault, if any.
pub fn check(start: &[u8], image: Region, map: &MemoryMap) -> Result<(), VectorFault> {
    faults(start, image, map).next().map_or(Ok(()), Err)
}

fn stack_fault(sp: u32, map: &MemoryMap) -> Option<VectorFault> {
    // A stack grows down from below its initial value: the end of RAM is legal, the first byte of RAM leaves no room.
    let inside = map
        .ram_regions()
        .any(|ram| ram.contains(sp.wrapping_sub(1)));
    match sp {
        _ if !inside => Some(VectorFault::StackOutsideRam(sp)),
        _ if !sp.is_multiple_of(4) => Some(VectorFault::StackMisaligned(sp)),
        _ => None,
    }
}

fn reset_fault(address: u32, image: Region) -> Option<VectorFault> {
    match address {
        _ if !image.contains(address & !1) => Some(VectorFault::ResetOutsideImage(address)),
        _ if address & 1 == 0 => Some(VectorFault::ResetEven(address)),
        _ => None,
    }
}

/// What is wrong with the handler in vector `number`; zero marks a reserved or unused vector.
pub fn handler_fault(
    number: u16,
    address: u32,
    image: Region,
    map: &MemoryMap,
) -> Option<VectorFault> {
    let target = address & !1;
    match address {
        0 => None,
        _ if !image.contains(target) && !map.ram_regions().any(|ram| ram.contains(target)) => {
            Some(VectorFault::HandlerOutsideImage(number, address))
        }
        _ if address & 1 == 0 => Some(VectorFault::HandlerEven(number, address)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::memory::tests::full_map;
    use std::vec::Vec;

    const IMAGE: Region = Region::new(0x0802_0000, 3464);

    fn table(sp: u32, reset: u32) -> Vec<u8> {
        let mut words = [0x0802_0BF1u32; SYSTEM_VECTORS];
        (words[0], words[1]) = (sp, reset);
        words[7..11].fill(0);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn first(sp: u32, reset: u32) -> Result<(), VectorFault> {
        check(&table(sp, reset), IMAGE, &full_map())
    }

    #[test]
    fn the_table_of_st_s_example_application_is_good() {
        assert_eq!(first(0x2000_0428, 0x0802_0C05), Ok(()));
    }

    #[test]
    fn the_stack_may_begin_at_the_end_of_ram_but_not_at_its_start() {
        for end in [0x2002_0000, 0x1001_0000] {
            assert_eq!(first(end, 0x0802_0C05), Ok(()));
        }
        for sp in [0x2000_0000, 0x2002_0004, 0x0802_0000, 0x4000_0000] {
            assert_eq!(
                first(sp, 0x0802_0C05),
                Err(VectorFault::StackOutsideRam(sp))
            );
        }
        assert_eq!(
            first(0x2000_0402, 0x0802_0C05),
            Err(VectorFault::StackMisaligned(0x2000_0402))
        );
    }

    #[test]
    fn the_reset_vector_must_be_odd_and_inside_the_image() {
        assert_eq!(
            first(0x2000_0428, 0x0802_0C04),
            Err(VectorFault::ResetEven(0x0802_0C04))
        );
        assert_eq!(
            first(0x2000_0428, 0x0800_0C05),
            Err(VectorFault::ResetOutsideImage(0x0800_0C05))
        );
        assert_eq!(
            first(0x2000_0428, 0x0802_0D89),
            Err(VectorFault::ResetOutsideImage(0x0802_0D89))
        );
    }

    #[test]
    fn handlers_may_be_unused_or_in_ram_but_not_elsewhere() {
        let with = |n: usize, value: u32| {
            let mut bytes = table(0x2000_0428, 0x0802_0C05);
            bytes[4 * n..4 * n + 4].copy_from_slice(&value.to_le_bytes());
            check(&bytes, IMAGE, &full_map())
        };
        assert_eq!(with(15, 0), Ok(()));
        assert_eq!(with(15, 0x2000_0101), Ok(()));
        assert_eq!(
            with(3, 0x0802_0BF0),
            Err(VectorFault::HandlerEven(3, 0x0802_0BF0))
        );
        assert_eq!(
            with(3, 0x0800_0101),
            Err(VectorFault::HandlerOutsideImage(3, 0x0800_0101))
        );
    }

    #[test]
    fn short_blank_and_misaligned_tables_are_told_apart() {
        let map = full_map();
        assert_eq!(
            check(&[0; 63], Region::new(0x0802_0000, 63), &map),
            Err(VectorFault::Missing(63))
        );
        assert_eq!(
            check(&[0xFF; 64], IMAGE, &map),
            Err(VectorFault::Blank(u32::MAX))
        );
        let bytes = table(0x2000_0428, 0x0802_0C05);
        let all: Vec<_> = faults(&bytes, Region::new(0x0802_0100, 3464), &map).collect();
        assert_eq!(all, [VectorFault::Misaligned(0x0802_0100)]);
    }

    #[test]
    fn all_faults_are_reported_not_only_the_first() {
        let bytes = table(0, 0x0800_0101);
        assert_eq!(
            faults(&bytes, IMAGE, &full_map()).count(),
            1,
            "a blank table says nothing about its other words"
        );
        let bytes = table(0x2100_0000, 0x0800_0101);
        assert_eq!(faults(&bytes, IMAGE, &full_map()).count(), 2);
    }
}
