//! `verify-image` explains like a doctor: every fault by exit code and message, with its reason and its remedy.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{
    App, BASE, Folder, RAM, RAM_END, Section, convert, elf, iapctl, verify, verify_bytes, words,
};

/// The application after a change.
fn changed(change: impl Fn(&mut App)) -> common::Said {
    let mut app = App::good();
    change(&mut app);
    verify_bytes(&app.elf())
}

/// Exit code 3, one error with this headline, and advice for both languages.
#[track_caller]
fn one_error(said: &common::Said, headline: &str) {
    said.exits(3)
        .says(&format!("error: {headline}"))
        .says("\n  why  ")
        .says("bad: 1 error,");
    let advice = said.stdout.contains("\n  mend ")
        || said.stdout.contains("\n  C    ") && said.stdout.contains("\n  Rust ");
    assert!(advice, "{}", said.stdout);
}

#[test]
fn a_good_application_passes_with_exit_0() {
    verify_bytes(&App::good().elf())
        .exits(0)
        .says("good: this image starts on this board")
        .says("ok: linked for 0x08020000")
        .says("ok: vector table at 0x08020000: stack from 0x20020000, reset vector 0x08020201")
        .says("profile  stm324xg-eval (default; choose with --profile)")
        .never_says("error")
        .never_says("warning");
    verify_bytes(&App::good().bin()).exits(0).says("raw binary");
}

#[test]
fn a_wrong_link_address_is_an_error_that_names_both_addresses() {
    let said = verify_bytes(&App::at(0x0800_0000).elf());
    said.exits(3)
        .says("error: linked for 0x08000000, but applications for this board begin at 0x08020000 (USER_FLASH_FIRST_PAGE_ADDRESS)")
        .says("FLASH : ORIGIN = 0x08020000, LENGTH = 896K")
        .says("#define VECT_TAB_OFFSET 0x20000")
        .says("in memory.x");
    one_error(
        &verify_bytes(&App::at(0x0804_0000).elf()),
        "linked for 0x08040000, but applications for this board begin at 0x08020000",
    );
}

#[test]
fn a_raw_binary_linked_elsewhere_is_told_by_its_reset_vector() {
    verify_bytes(&App::at(0x0800_0000).bin())
        .exits(3)
        .says("error: reset vector 0x08000201 is outside the image 0x08020000..0x08020410 (1040 bytes): linked for another address than 0x08020000, or no application")
        .says("handlers outside the image and outside RAM: NMI, HardFault and 7 more at 0x08000211");
}

#[test]
fn a_missing_vector_table_is_an_error() {
    let code = Section::new(".text", BASE, vec![0; 512]);
    one_error(
        &verify_bytes(&elf(&[code])),
        "no vector table: the image begins with 0x00000000",
    );
    one_error(
        &verify_bytes(&[0xFF; 1024]),
        "no vector table: the image begins with 0xffffffff",
    );
    let short = Section::new(".isr_vector", BASE, App::good().bin()[..32].to_vec());
    one_error(
        &verify_bytes(&elf(&[short])),
        "32 bytes are too short for a vector table (64 bytes)",
    );
}

#[test]
fn a_misaligned_vector_table_is_an_error() {
    verify_bytes(&App::at(BASE + 0x100).elf())
        .exits(3)
        .says("error: vector table at 0x08020100 is not aligned to 512 bytes")
        .says("error: linked for 0x08020100")
        .says(". = ALIGN(512)");
}

#[test]
fn a_stack_outside_ram_is_an_error_and_the_end_of_ram_is_not() {
    for sp in [RAM_END + 8, RAM, BASE, 0x1001_0008] {
        let said = changed(|app| app.stack = sp);
        one_error(
            &said,
            &format!("initial stack pointer {sp:#010x} is outside RAM"),
        );
        said.says("0x20000000..0x20020000 (128 KiB)")
            .says("0x10000000..0x10010000 (64 KiB)");
    }
    for sp in [RAM_END, RAM_END - 8, 0x1001_0000] {
        changed(|app| app.stack = sp).exits(0);
    }
    one_error(
        &changed(|app| app.stack = RAM + 0x402),
        "initial stack pointer 0x20000402 is not a multiple of 4",
    );
}

#[test]
fn an_even_reset_vector_is_an_error() {
    let said = changed(|app| app.reset = BASE + 0x200);
    one_error(
        &said,
        "reset vector 0x08020200 is even, Thumb code needs bit 0 set",
    );
    said.says(".thumb_func").says("#[entry]");
}

#[test]
fn a_reset_vector_outside_the_image_is_an_error() {
    for reset in [BASE + 0x1001, 0x0800_0201, RAM + 1] {
        one_error(
            &changed(|app| app.reset = reset),
            &format!(
                "reset vector {reset:#010x} is outside the image 0x08020000..0x08020410 (1040 bytes)"
            ),
        );
    }
}

#[test]
fn bad_exception_handlers_are_errors_named_by_exception() {
    one_error(
        &changed(|app| app.vectors[15] = BASE + 0x210),
        "handlers with even addresses, Thumb code needs bit 0 set: SysTick at 0x08020210",
    );
    let said = changed(|app| app.vectors[3..7].fill(0x0800_0101));
    one_error(
        &said,
        "handlers outside the image and outside RAM: HardFault, MemManage and 2 more at 0x08000101",
    );
}

#[test]
fn bad_interrupt_vectors_are_warnings_because_they_may_never_be_used() {
    let said = changed(|app| app.vectors[16 + 61] = 0x0800_0101);
    said.exits(0)
        .says("warning: handlers outside the image and outside RAM: IRQ 61 at 0x08000101")
        .says("good, with 1 warning");
    let mut raw = App::good();
    raw.vectors[16 + 61] = 0x0800_0101;
    verify_bytes(&raw.bin())
        .exits(0)
        .says("IRQ 61 at 0x08000101");
}

#[test]
fn code_behind_a_short_vector_table_is_not_taken_for_vectors() {
    let mut bytes = Vec::new();
    words(&mut bytes, &[RAM_END, BASE + 0x41]);
    words(&mut bytes, &[BASE + 0x41; 14]);
    bytes.resize(1024, 0xBF); // code
    verify_bytes(&bytes).exits(0).never_says("warning");
}

#[test]
fn an_image_that_is_too_large_is_an_error_that_says_by_how_much() {
    let big = Section::new(".rodata", BASE + 0x410, vec![1; 896 * 1024]);
    let said = changed(|app| app.more.push(big.clone()));
    said.exits(3)
        .says("error: `.rodata` loads to 0x08020410..0x08100410 (896 KiB), outside the flash 0x08000000..0x08100000 (1024 KiB)")
        .says("is the LENGTH of FLASH in the linker script larger than the chip");
    let mut raw = App::good().bin();
    raw.resize(896 * 1024 + 1, 0);
    one_error(
        &verify_bytes(&raw),
        "image 0x08020000..0x08100001 (917505 bytes) is too large: 1 byte more than fits",
    );
    raw.pop();
    verify_bytes(&raw)
        .exits(0)
        .says("ok: 896 KiB of 896 KiB of user flash (100.0 %)");
}

#[test]
fn an_image_over_the_iap_firmware_or_the_boot_record_is_an_error() {
    verify_bytes(&App::at(0x0800_0000).elf()).exits(3).says(
        "error: image overlaps the IAP firmware: sector 0 at 0x08000000..0x08004000 (16 KiB)",
    );
    verify_bytes(&App::at(0x0800_4000).elf())
        .exits(3)
        .says("error: image overlaps the boot record: sector 1 at 0x08004000..0x08008000 (16 KiB)")
        .never_says("overlaps the IAP firmware");
}

#[test]
fn an_image_over_data_sectors_is_an_error_unless_it_says_so() {
    let folder = Folder::new();
    let profile = folder.file(
        "board.toml",
        b"inherits = \"stm324xg-eval\"\n[iap]\ndata-sectors = [11]\n",
    );
    let settings = Section::new(".settings", 0x080E_0000, vec![7; 64]);
    let mut app = App::good();
    app.more.push(settings);
    let file = folder.file("app.elf", &app.elf());
    let out = folder.path("app.iap");
    let run = |command: &str, more: &[&str]| {
        let mut args = vec![
            command,
            file.to_str().unwrap(),
            "--profile",
            profile.to_str().unwrap(),
        ];
        args.extend_from_slice(more);
        iapctl(args)
    };
    let said = run("verify-image", &[]);
    one_error(
        &said,
        "image overlaps data sectors of the application: sector 11 at 0x080e0000..0x08100000 (128 KiB)",
    );
    said.says("warning: 785392 bytes of fill between `.data` (ends at 0x08020410) and `.settings` (begins at 0x080e0000)");
    run("convert", &["--data", "-o", out.to_str().unwrap()]).exits(0);
    verify(&out).exits(0);
}

/// The board refuses it, whatever the flag says.
#[test]
fn an_image_over_data_sectors_is_an_error_where_a_start_checks_the_signature() {
    let folder = Folder::new();
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"; // RFC 8032 section 7.1
    let profile = format!(
        "inherits = \"stm324xg-eval\"\n[iap]\ndata-sectors = [11]\npolicy = \"signed\"\nboot-check = \"signature\"\npublic-keys = [\"{key}\"]\n"
    );
    let profile = folder.file("board.toml", profile.as_bytes());
    let mut app = App::good();
    let settings = Section::new(".settings", 0x080E_0000, vec![7; 64]);
    app.more.push(settings);
    let file = folder.file("app.elf", &app.elf());
    let out = folder.path("app.iap");
    let said = iapctl([
        "convert",
        file.to_str().unwrap(),
        "--profile",
        profile.to_str().unwrap(),
        "--data",
        "-o",
        out.to_str().unwrap(),
    ]);
    said.exits(3).says("image covers data sectors of the application: sector 11 at 0x080e0000..0x08100000 (128 KiB), and a start checks its digest");
    assert!(!out.exists());
}

#[test]
fn every_fault_is_reported_not_only_the_first() {
    let said = changed(|app| {
        app.stack = 0x2100_0000;
        app.reset = BASE + 0x200;
        app.vectors[2] = 0x0800_0101;
    });
    said.exits(3)
        .says("initial stack pointer 0x21000000")
        .says("reset vector 0x08020200 is even")
        .says("NMI at 0x08000101")
        .says("bad: 3 errors");
}

#[test]
fn faults_outside_the_flash_do_not_hide_the_others() {
    let qspi = Section::new(".qspi", 0x9000_0000, vec![1; 64]);
    changed(|app| {
        app.more.push(qspi.clone());
        app.reset = BASE + 0x200;
    })
    .exits(3)
    .says("`.qspi` loads to 0x90000000..0x90000040 (64 bytes), outside the flash")
    .says("external memory")
    .says("reset vector 0x08020200 is even");
}

#[test]
fn programs_for_other_machines_are_refused() {
    let mut file = App::good().elf();
    file[18] = 243;
    verify_bytes(&file)
        .exits(3)
        .says("this is an ELF file for RISC-V, expected 32-bit little-endian ARM (Cortex-M4)");
    file[18] = 62;
    file[4] = 2;
    verify_bytes(&file).exits(3).says(
        "this is a 64-bit ELF file for x86-64, expected 32-bit little-endian ARM (Cortex-M4)",
    );
    file[18] = 183;
    verify_bytes(&file)
        .exits(3)
        .says("64-bit ELF file for AArch64");
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    if own.starts_with(b"\x7fELF") {
        verify_bytes(&own).exits(3).says("thumbv7em-none-eabihf");
    }
    let mut file = App::good().elf();
    (file[5], file[18], file[19]) = (2, 0, 40);
    verify_bytes(&file).exits(3).says("big-endian");
}

#[test]
fn truncated_files_are_refused_wherever_they_end() {
    let file = App::good().elf();
    for len in [5, 19, 51, 60, 200, file.len() - 1] {
        verify_bytes(&file[..len])
            .exits(3)
            .says("error: ")
            .never_says("panicked");
    }
    verify_bytes(&file[..file.len() - 1])
        .says("the ELF file is cut off: its section headers end at 0x");
    verify_bytes(&file[..300]).says(
        "the ELF file is cut off: segment 0 for 0x08020000..0x08020188 (392 bytes) ends at 0x",
    );
}

#[test]
fn files_that_are_no_images_are_refused() {
    verify_bytes(b"")
        .exits(3)
        .says("the file is empty, an image was expected");
    verify_bytes(b"int main(void) { return 0; }\n")
        .exits(3)
        .says("this is a text file, not an image");
}

#[test]
fn a_directory_or_no_file_is_exit_1_and_a_wrong_command_line_is_exit_2() {
    let folder = Folder::new();
    verify(folder.0.path())
        .exits(1)
        .says("is a directory, an image file was expected");
    verify(&folder.path("none.elf"))
        .exits(1)
        .says("none.elf: no such file");
    iapctl(["verify-image"]).exits(2);
    iapctl(["verify-image", "x", "--profile", "nope"])
        .exits(2)
        .says("no shipped profile is named `nope`");
}

#[test]
fn a_store_to_vtor_that_points_elsewhere_is_a_warning() {
    // ST's SystemInit as gcc -O2 compiles it: ldr r3,=0xE000ED00; mov.w r2,#0x08000000; str r2,[r3,#8]; bx lr; literal
    let system_init = |app: &mut App, immediate: [u16; 2]| {
        app.code[..8].copy_from_slice(&[
            0x4B02,
            immediate[0],
            immediate[1],
            0x609A,
            0x4770,
            0xBF00,
            0xED00,
            0xE000,
        ]);
    };
    let said = changed(|app| system_init(app, [0xF04F, 0x6200]));
    said.exits(0).says("warning: the code at 0x08020206 seems to set VTOR to 0x08000000, its own vector table is at 0x08020000");
    // movw/movt of the register's address, ldr of the value: r0 = 0xE000ED08, r1 = 0x08020000, str r1,[r0]
    let said = changed(|app| {
        app.code[..10].copy_from_slice(&[
            0xF64E, 0x5008, 0xF2CE, 0x0000, 0x4901, 0x6001, 0x4770, 0xBF00, 0x0000, 0x0802,
        ]);
    });
    said.exits(0)
        .says("ok: the code at 0x0802020a sets VTOR to 0x08020000, its own vector table");
    changed(|_| ()).says("note: no store to VTOR seen");
}

#[test]
fn an_image_for_another_board_is_an_error() {
    let folder = Folder::new();
    let (elf, out) = (
        folder.file("app.elf", &App::good().elf()),
        folder.path("app.iap"),
    );
    convert(&elf, &out, &["--board", "sim", "--profile", "sim"]).exits(0);
    one_error(
        &verify(&out),
        "made for board sim, this is board stm324xg-eval",
    );
    iapctl(["verify-image", out.to_str().unwrap(), "--profile", "sim"])
        .exits(0)
        .says("ok: made for board sim");
}

#[test]
fn json_carries_the_same_findings() {
    let folder = Folder::new();
    let mut app = App::good();
    app.reset = BASE + 0x200;
    let file = folder.file("app.elf", &app.elf());
    let said = iapctl(["--json", "verify-image", file.to_str().unwrap()]);
    let report = said.exits(3).json();
    assert_eq!(report["good"], false);
    assert_eq!(report["errors"], 1);
    assert_eq!(report["findings"][0]["check"], "reset-vector");
    assert_eq!(report["findings"][0]["severity"], "error");
    assert_eq!(report["image"]["load_address"], BASE);
    assert!(said.stderr.is_empty());
    let said = iapctl(["--json", "verify-image", "/nonexistent"]);
    assert_eq!(said.exits(1).json()["error"]["exit"], 1);
}
