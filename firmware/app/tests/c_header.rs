//! `iap_app.h` against this crate: the same bytes in `.iap_info`, the same register accesses.
//!
//! A C compiler for the host is enough: the header's own port (volatile accesses, DSB, PRIMASK) is replaced by one that prints. That port
//! is compiled for the chip by clang, which has an assembler of its own.
#![cfg(target_os = "linux")] // ELF objects from a program named cc
#![allow(clippy::unwrap_used)] // in the helpers too

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::Recorder;
use iap_app::registers::{feed_watchdog_with, reset};
use iap_app::{BootReason, Iap};
use iap_protocol::header::Flags;
use iap_protocol::info::{ImageInfo, SECTION_NAME};
use iap_protocol::mailbox::{reset_cause, unconfirmed};
use object::{Object, ObjectSection};

const WARNINGS: [&str; 5] = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// The port of the tests: registers are an array of pairs, every access is a line, and a reset ends the program.
const PRINTING_PORT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <stdint.h>
#define IAP_OWN_PORT
static uint32_t held[8][2];
static int resets;
static uint32_t *cell(uint32_t address)
{
    int i = 0;
    while (held[i][0] != address && held[i][0] != 0) i++;
    held[i][0] = address;
    return &held[i][1];
}
static uint32_t iap_read(uint32_t a) { printf("read 0x%08x 0x%08x\n", a, *cell(a)); return *cell(a); }
static void iap_write(uint32_t a, uint32_t v)
{
    printf("write 0x%08x 0x%08x\n", a, v);
    *cell(a) = v;
    resets += a == 0xE000ED0Cu;
}
static void iap_barrier(void) { printf("barrier\n"); if (resets) exit(0); }
static uint32_t iap_mask_interrupts(void) { return 0; }
static void iap_restore_interrupts(uint32_t primask) { (void)primask; }
#include "iap_app.h"
int main(void)
{
    *cell(IAP_RCC_APB1ENR) = 0x4001;
    *cell(IAP_PWR_CR) = 0x4000;
    *cell(IAP_AIRCR) = 0xFA050300;
    *cell(IAP_RTC_BKP0R + 4 * IAP_REQUEST_REGISTER) = 0x49414302;
    *cell(IAP_RTC_BKP0R + 4 * IAP_CAUSE_REGISTER) = 0x49415224;
    printf("starts %u\n", iap_unconfirmed_starts());
    iap_confirm();
    iap_confirm();
    iap_feed_watchdog();
    printf("flags 0x%08x\n", iap_reset_flags());
    iap_request_update();
}
"#;

/// The same calls, on this crate.
fn expected() -> Vec<String> {
    let iap = Iap::DEFAULT;
    let mut chip = Recorder::holding(&[
        (0x4002_3840, 0x4001),
        (0x4000_7000, 0x4000),
        (0xE000_ED0C, 0xFA05_0300),
        (0x4000_2850 + 4 * 19, unconfirmed(2)),
        (0x4000_2850 + 4 * 18, reset_cause(0x24)),
    ]);
    let starts = iap.unconfirmed_starts_with(&mut chip);
    chip.accesses.push(format!("starts {starts}"));
    iap.confirm_with(&mut chip);
    iap.confirm_with(&mut chip);
    feed_watchdog_with(&mut chip);
    let flags = iap.boot_reason_with(&mut chip).map_or(0, BootReason::flags);
    let in_place = u32::from(flags) << 24;
    chip.accesses.push(format!("flags {in_place:#010x}"));
    iap.leave_request(&mut chip);
    reset(&mut chip);
    chip.accesses
}

#[test]
fn c_does_what_rust_does_access_by_access() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("sequence.c");
    let program = folder.path().join("sequence");
    std::fs::write(&source, PRINTING_PORT).unwrap();
    let mut cc = compiler("cc");
    succeeds(cc.arg(&source).arg("-o").arg(&program));
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed: Vec<&str> = printed.lines().collect();
    assert_eq!(printed, expected());
}

#[test]
fn the_macro_writes_the_bytes_that_the_crate_writes() {
    let long_board = "b".repeat(32);
    for (numbers, suffix, flags, board) in [
        ((1, 2, 3), "-rc.1+g1a2b", 1, "stm324xg-eval"),
        ((65535, 0, 65535), "", 0, "any"),
        ((0, 1, 0), "+0123456789a", 3, &*long_board),
    ] {
        let (major, minor, patch) = numbers;
        let bytes = section_of(&format!(
            "#include \"iap_app.h\"\nIAP_INFO({major}, {minor}, {patch}, \"{suffix}\", {flags}u, \"{board}\");\n"
        ));
        let encoded = ImageInfo::encode(numbers, suffix, board, Flags(flags));
        assert_eq!(bytes, encoded, "{board}");
        assert_eq!(ImageInfo::find(&bytes).unwrap().board, board);
    }
}

#[test]
fn the_macro_refuses_what_does_not_fit() {
    let too_long = "b".repeat(33);
    for (suffix, flags, board) in [
        ("", 0, &*too_long),
        ("", 0, ""),
        ("-0123456789ab", 0, "any"),
        ("", 4, "any"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("info.c");
        let text = format!(
            "#include \"iap_app.h\"\nIAP_INFO(1, 0, 0, \"{suffix}\", {flags}u, \"{board}\");\n"
        );
        std::fs::write(&source, text).unwrap();
        let output = compiler("cc").arg("-fsyntax-only").arg(&source).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("static assertion"),
            "{said}"
        );
    }
}

#[test]
fn a_program_in_cpp_calls_all_functions() {
    if !iap_peers::is_here("clang") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("all.cpp");
    let text = "#include \"iap_app.h\"\nvoid run();\nvoid run()\n{\n    iap_confirm();\n    iap_feed_watchdog();\n    \
        if (iap_unconfirmed_starts() > 1 || iap_reset_flags() == 0) iap_request_update();\n}\n";
    std::fs::write(&source, text).unwrap();
    for standard in ["-std=c++11", "-std=c++20"] {
        let mut clang = compiler("clang");
        clang.args([standard, "--target=thumbv7em-none-eabihf"]);
        clang.args(["-mcpu=cortex-m4", "-ffreestanding", "-fsyntax-only"]);
        succeeds(clang.arg(&source));
    }
}

#[test]
fn the_header_compiles_for_the_chip() {
    if !iap_peers::is_here("clang") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, built) = (folder.path().join("all.c"), folder.path().join("all.o"));
    let text = "#include \"iap_app.h\"\nIAP_INFO(1, 0, 0, \"\", IAP_FLAG_CONFIRM, \"any\");\n\
        void run(void)\n{\n    iap_confirm();\n    iap_feed_watchdog();\n    if (iap_reset_flags() == 0) iap_request_update();\n}\n";
    std::fs::write(&source, text).unwrap();
    let mut clang = compiler("clang");
    clang.args(["--target=thumbv7em-none-eabihf", "-mcpu=cortex-m4", "-O2"]);
    clang.args(["-ffreestanding", "-c", "-o"]);
    succeeds(clang.arg(&built).arg(&source));
    let bytes = std::fs::read(&built).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    assert_eq!(file.architecture(), object::Architecture::Arm);
    let code: Vec<u8> = file
        .sections()
        .filter(|section| section.kind() == object::SectionKind::Text)
        .flat_map(|section| section.data().unwrap().to_vec())
        .collect();
    // ARMv7-M ARM A7.7: DSB SY, CPSID i, MRS and MSR of PRIMASK.
    for (name, word) in [("dsb", [0xF3BF, 0x8F4F]), ("msr", [0xF380, 0x8810])] {
        assert!(holds(&code, &word), "no {name} in {code:02x?}");
    }
    assert!(holds(&code, &[0xB672]), "no cpsid in {code:02x?}");
}

/// Whether halfwords follow each other in code; the register of MSR (bits 0 to 3 of its first one) is any.
fn holds(code: &[u8], wanted: &[u16]) -> bool {
    let halves: Vec<u16> = code
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let any_register = |half: u16| match half & 0xFFF0 {
        0xF380 => 0xF380,
        _ => half,
    };
    halves.windows(wanted.len()).any(|window| {
        window
            .iter()
            .map(|half| any_register(*half))
            .eq(wanted.iter().copied())
    })
}

/// What `.iap_info` holds after `text` was compiled for the host.
fn section_of(text: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("info.c");
    let built = folder.path().join("info.o");
    std::fs::write(&source, text).unwrap();
    succeeds(compiler("cc").arg("-c").arg(&source).arg("-o").arg(&built));
    let bytes = std::fs::read(&built).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let section = file.section_by_name(SECTION_NAME).unwrap();
    assert!(section.align() >= 4);
    section.data().unwrap().to_vec()
}

/// `program`, which must be here: linking Rust needs a C compiler anyway.
fn compiler(program: &str) -> Command {
    let mut command = Command::new(program);
    command.args(WARNINGS).arg("-I").arg(header_folder());
    command
}

fn header_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}
