//! The vector table: the faults that iap-protocol finds, with reasons and remedies; and the interrupts behind the system vectors.

use std::collections::BTreeMap;

use iap_protocol::memory::{MemoryMap, Region};
use iap_protocol::vectors::{SYSTEM_VECTORS, VectorFault, faults, handler_fault};

use super::super::finding::{Finding, Severity};
use super::super::{Format, Image};
use super::placement::advise_address;
use super::{error, ok};

/// System and interrupt vectors.
pub(super) fn check(image: &Image, map: &MemoryMap) -> Vec<Finding> {
    let region = image.region();
    let mut findings = Vec::new();
    let mut handlers = Vec::new();
    for fault in faults(&image.payload, region, map) {
        match fault {
            VectorFault::HandlerEven(..) | VectorFault::HandlerOutsideImage(..) => {
                handlers.push(fault);
            }
            other => findings.push(table_fault(other, image, map)),
        }
    }
    findings.extend(grouped(Severity::Error, &handlers));
    let readable = findings.iter().all(|f| f.check != "vector-table");
    if findings.is_empty() {
        findings.push(good_table(image));
    }
    if readable {
        findings.extend(grouped(Severity::Warning, &interrupts(image, map)));
    }
    findings
}

fn word(bytes: &[u8], index: usize) -> Option<u32> {
    let bytes = bytes.get(index.checked_mul(4)?..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn good_table(image: &Image) -> Finding {
    let [sp, reset] = [0, 1].map(|i| word(&image.payload, i).unwrap_or_default());
    let at = image.load_address;
    ok(
        "vector-table",
        format!("vector table at {at:#010x}: stack from {sp:#010x}, reset vector {reset:#010x}"),
    )
}

fn table_fault(fault: VectorFault, image: &Image, map: &MemoryMap) -> Finding {
    let what = fault.to_string();
    match fault {
        VectorFault::Missing(_) | VectorFault::Blank(_) => error("vector-table", what)
            .why("the core takes its stack pointer and its first instruction from the first two words of the image; there are none")
            .mend_c("put the table first in the linker script, kept: .isr_vector : { . = ALIGN(512); KEEP(*(.isr_vector)) } > FLASH")
            .mend_c("and link the start-up file (startup_stm32f407xx.s) in")
            .mend_rust("link with -Tlink.x of cortex-m-rt (.cargo/config.toml: rustflags = [\"-C\", \"link-arg=-Tlink.x\"]) and use #[entry]"),
        VectorFault::Misaligned(_) => {
            let finding = error("vector-alignment", what).why(
                "VTOR holds the upper bits of the table's address only; the core would read vectors from the rounded-down address at the first interrupt",
            );
            advise_address(finding, map)
                .mend_c("and let no section stand before the table; . = ALIGN(512) in front of KEEP(*(.isr_vector))")
                .mend_rust("and let no section stand before .vector_table")
        }
        VectorFault::StackOutsideRam(_) => stack(what, map),
        VectorFault::StackMisaligned(_) => error("stack", what)
            .why("the core ignores the lowest two bits, and the procedure call standard (AAPCS) asks for a multiple of 8")
            .mend_c("_estack = ORIGIN(RAM) + LENGTH(RAM); with a LENGTH that is a multiple of 8")
            .mend_rust("remove _stack_start from memory.x: cortex-m-rt then takes the end of RAM"),
        VectorFault::ResetEven(_) => error("reset-vector", what)
            .why("a Cortex-M runs Thumb code only and takes an even address for the other instruction set: the first instruction faults")
            .mend_c("in startup.s: .thumb_func (or .type Reset_Handler, %function) before Reset_Handler, so that the linker sets bit 0")
            .mend_rust("let cortex-m-rt write the vector (#[entry]); a table of your own needs function pointers, not numbers"),
        VectorFault::ResetOutsideImage(_) => reset_outside(what, image, map),
        VectorFault::HandlerEven(..) | VectorFault::HandlerOutsideImage(..) => {
            error("handlers", what)
        }
    }
}

fn stack(what: String, map: &MemoryMap) -> Finding {
    let regions: Vec<String> = map.ram_regions().map(|ram| ram.to_string()).collect();
    let ram = map.ram_regions().next().unwrap_or_default();
    let line = format!(
        "RAM : ORIGIN = {:#010x}, LENGTH = {}K",
        ram.start,
        ram.len / 1024
    );
    error("stack", what)
        .why(format!(
            "the first push would fault; this board has RAM at {} (the end of a region is a legal start for a stack)",
            regions.join(" and ")
        ))
        .mend_c(format!("in the linker script: MEMORY {{ {line} }} and _estack = ORIGIN(RAM) + LENGTH(RAM);"))
        .mend_rust(format!("in memory.x: {line}"))
}

fn reset_outside(what: String, image: &Image, map: &MemoryMap) -> Finding {
    let region = image.region();
    let what = match image.format {
        Format::Bin => format!(
            "{what} {region}: linked for another address than {:#010x}, or no application",
            map.user_flash_first_page_address()
        ),
        Format::Elf | Format::IntelHex | Format::Srec | Format::Iap => format!("{what} {region}"),
    };
    let finding = error("reset-vector", what)
        .why("the first instruction would be fetched from where this image has put nothing");
    advise_address(finding, map)
        .mend_c("and let the second word of the table be Reset_Handler of the start-up file that is linked in")
        .mend_rust("and use #[entry] of cortex-m-rt")
}

/// Interrupt vectors that lead nowhere. The table may be shorter than the chip's: what does not look like a vector ends it.
fn interrupts(image: &Image, map: &MemoryMap) -> Vec<VectorFault> {
    let flash = map.flash.region();
    let region = image.region();
    let end = image
        .vector_table_len
        .map_or(u16::MAX, |len| (len / 4) as u16);
    let mut found = Vec::new();
    for number in SYSTEM_VECTORS as u16..map.vector_count.min(end) {
        let Some(address) = word(&image.payload, usize::from(number)) else {
            break;
        };
        let known_end = image.vector_table_len.is_some();
        if !known_end && !looks_like_a_vector(address, flash, map) {
            break;
        }
        found.extend(handler_fault(number, address, region, map));
    }
    found
}

fn looks_like_a_vector(address: u32, flash: Region, map: &MemoryMap) -> bool {
    address == 0 || flash.contains(address) || map.ram_regions().any(|ram| ram.contains(address))
}

/// One finding for all handlers with the same kind of fault; a default handler sits in most of the vectors.
fn grouped(severity: Severity, handlers: &[VectorFault]) -> Vec<Finding> {
    let (mut even, mut outside) = (BTreeMap::new(), BTreeMap::new());
    for fault in handlers {
        let (group, number, address) = match *fault {
            VectorFault::HandlerEven(number, address) => (&mut even, number, address),
            VectorFault::HandlerOutsideImage(number, address) => (&mut outside, number, address),
            _ => continue,
        };
        group.entry(address).or_insert_with(Vec::new).push(number);
    }
    let make = |what: &str, group: &BTreeMap<u32, Vec<u16>>| {
        Finding::new(
            severity,
            "handlers",
            format!("{what}: {}", described(group)),
        )
    };
    let even = (!even.is_empty()).then(|| {
        make("handlers with even addresses, Thumb code needs bit 0 set", &even)
            .why("the exception would end in a fault, and a fault in the fault handler stops the core")
            .mend_c("in startup.s: .thumb_func (or .type NAME, %function) before each handler")
            .mend_rust("write handlers with #[exception] and #[interrupt], so that the table gets function pointers")
    });
    let outside = (!outside.is_empty()).then(|| {
        make("handlers outside the image and outside RAM", &outside)
            .why("the exception would run whatever is at that address: the IAP firmware, or nothing")
            .mend_c("link the handlers into the same program, for the same address; a table copied from another build points to its addresses")
            .mend_rust("let cortex-m-rt and the device crate (feature \"rt\") write the table")
    });
    even.into_iter().chain(outside).collect()
}

/// `NMI, HardFault and 4 more at 0x08000101; SysTick at 0x08000201`.
fn described(group: &BTreeMap<u32, Vec<u16>>) -> String {
    let all: Vec<String> = (group.iter())
        .map(|(address, numbers)| format!("{} at {address:#010x}", names(numbers)))
        .collect();
    match all.as_slice() {
        [first, second, third, rest @ ..] if rest.len() > 1 => {
            format!(
                "{first}; {second}; {third}; and {} more addresses",
                rest.len()
            )
        }
        few => few.join("; "),
    }
}

/// `NMI, HardFault and 4 more`.
fn names(numbers: &[u16]) -> String {
    let name = |number: &u16| match number {
        2 => "NMI".to_owned(),
        3 => "HardFault".to_owned(),
        4 => "MemManage".to_owned(),
        5 => "BusFault".to_owned(),
        6 => "UsageFault".to_owned(),
        11 => "SVCall".to_owned(),
        12 => "DebugMonitor".to_owned(),
        14 => "PendSV".to_owned(),
        15 => "SysTick".to_owned(),
        number => match number.checked_sub(SYSTEM_VECTORS as u16) {
            Some(irq) => format!("IRQ {irq}"),
            None => format!("reserved vector {number}"),
        },
    };
    match numbers {
        [first, second, rest @ ..] if rest.len() > 1 => {
            format!("{}, {} and {} more", name(first), name(second), rest.len())
        }
        few => few.iter().map(name).collect::<Vec<_>>().join(", "),
    }
}
