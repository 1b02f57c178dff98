//! The conversion table: twenty ELF files, what must come out of each with either fill, and which are refused whatever is forced.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use common::{Folder, Said, case};

const T: &[u8] = b"\xff\xf7\xfe\xbf";
const RO: &[u8] = b"RODATA!!";
const D: &[u8] = b"DATADATADATADATA";

/// The vector table of a case: initial stack pointer and reset vector.
fn v(reset: u32) -> Vec<u8> {
    [0x2000_5000u32.to_le_bytes(), reset.to_le_bytes()].concat()
}

fn convert(name: &str, fill: &str, folder: &Folder) -> (Said, Option<Vec<u8>>) {
    let output = folder.path("out.bin");
    let more = ["--json", "--fill", fill, "--force"];
    let said = common::convert(&case(name), &output, &more);
    (said, std::fs::read(output).ok())
}

/// Both fills give these bytes; `content` gets the fill byte. The CRC-32 is the table's.
#[track_caller]
fn becomes(name: &str, base: u32, content: impl Fn(u8) -> Vec<u8>, crc: [u32; 2]) {
    for (fill, crc) in [(0x00, crc[0]), (0xFF, crc[1])] {
        let folder = Folder::new();
        let (said, bytes) = convert(name, &format!("{fill:#04x}"), &folder);
        let report = said.exits(0).json();
        assert_eq!(
            bytes.unwrap(),
            content(fill),
            "{name} with fill {fill:#04x}"
        );
        assert_eq!(
            report["image"]["crc32"], crc,
            "{name} with fill {fill:#04x}"
        );
        assert_eq!(report["image"]["load_address"], base);
        assert_eq!(report["output_size"], content(fill).len());
        assert!(!report["image"]["sectors"].as_array().unwrap().is_empty());
        assert_eq!(folder.names(), ["out.bin"]);
    }
}

/// Refused, forced or not, with exit code 3 and these words; no file is left.
#[track_caller]
fn refused(name: &str, words: &[&str]) {
    for force in [&[][..], &["--force"]] {
        let folder = Folder::new();
        let (input, output) = (case(name), folder.path("out.bin"));
        let said = common::convert(&input, &output, force);
        said.exits(3).says("error: ");
        words.iter().for_each(|text| {
            said.says(text);
        });
        assert_eq!(folder.names(), [""; 0], "{name} leaves no file");
    }
}

#[test]
fn c01_initialised_data_follows_the_code() {
    let content = [&v(0x0800_0009), T, RO, D].concat();
    becomes(
        "c01_normal.elf",
        0x0800_0000,
        |_| content.clone(),
        [0x6de5_dc02; 2],
    );
}

#[test]
fn c02_gaps_between_sections_are_filled() {
    let content = |fill| {
        [
            &v(0x0800_0101),
            &vec![fill; 248][..],
            T,
            &vec![fill; 3836],
            RO,
            D,
        ]
        .concat()
    };
    becomes(
        "c02_gap.elf",
        0x0800_0000,
        content,
        [0xc72a_a4d0, 0xe83d_ee62],
    );
}

#[test]
fn c03_data_that_loads_to_ram_is_refused() {
    refused(
        "c03_ramdata_lma_ram.elf",
        &[
            "`.data` loads to 0x20000000..0x20000010 (16 bytes), outside the flash 0x08000000..0x08100000 (1024 KiB)",
            "forgotten AT> in the linker script? .data : { ... } > RAM AT> FLASH",
        ],
    );
}

#[test]
fn c04_zeros_that_are_content_stay_zero() {
    let content = [&v(0x0800_0009), T, RO, D, &[0; 256]].concat();
    becomes(
        "c04_bss_inside_data.elf",
        0x0800_0000,
        |_| content.clone(),
        [0xaa65_a9c7; 2],
    );
}

#[test]
fn c05_a_section_behind_the_end_of_flash_is_refused() {
    refused(
        "c05_above_flash.elf",
        &[
            "`.rodata` loads to 0x08100000..0x08100008 (8 bytes), outside the flash",
            "is the LENGTH of FLASH in the linker script larger than the chip",
        ],
    );
}

#[test]
fn c06_an_image_behind_a_boot_loader_begins_where_it_is_linked() {
    let content = [&v(0x0800_4009), T, RO, D].concat();
    becomes(
        "c06_offset.elf",
        0x0800_4000,
        |_| content.clone(),
        [0x62fd_e4c0; 2],
    );
}

#[test]
fn c07_a_hole_that_the_linker_filled_with_zeros_gets_the_fill() {
    let content = |fill| {
        [
            &v(0x0800_0009),
            T,
            RO,
            &vec![fill; 2028][..],
            b"AFTER-EE",
            D,
        ]
        .concat()
    };
    becomes(
        "c07_noload_in_flash.elf",
        0x0800_0000,
        content,
        [0x0af2_00ec, 0xaca3_c133],
    );
}

#[test]
fn c08_noload_sections_with_content_are_left_out() {
    let content = [&v(0x0800_0009), T, RO, D].concat();
    becomes(
        "c08_noload_progbits.elf",
        0x0800_0000,
        |_| content.clone(),
        [0x6de5_dc02; 2],
    );
}

#[test]
fn c09_two_ram_regions_load_one_after_the_other() {
    let content = [&v(0x0800_0009), T, RO, D, b"CCMDATACCMDATA.."].concat();
    becomes(
        "c09_two_lma.elf",
        0x0800_0000,
        |_| content.clone(),
        [0x1fd1_ddf6; 2],
    );
}

#[test]
fn c10_sections_on_top_of_each_other_are_refused() {
    refused(
        "c10_overlap_lma.elf",
        &[
            "`.data` at 0x08000100..0x08000110 (16 bytes) and `.ccmdata` at 0x08000108..0x08000118 (16 bytes) lie on top of each other",
            "instead of fixed AT(0x...) addresses",
        ],
    );
}

#[test]
fn c11_sections_without_content_take_no_room() {
    let content = [&v(0x0800_0009), T, RO, D, b"AFTER"].concat();
    becomes(
        "c11_bss_alloc_between.elf",
        0x0800_0000,
        |_| content.clone(),
        [0x1728_de11; 2],
    );
}

#[test]
fn c12_fill_inside_a_section_is_content() {
    let content = [&v(0x0800_0009), T, &[0xFF; 124][..], RO, D].concat();
    becomes(
        "c12_fill_in_section.elf",
        0x0800_0000,
        |_| content.clone(),
        [0x35cc_d314; 2],
    );
}

#[test]
fn c13_a_section_in_external_memory_is_refused() {
    refused(
        "c13_qspi_0x9.elf",
        &[
            "`.rodata` loads to 0x90000000..0x90000008 (8 bytes), outside the flash",
            "QSPI",
        ],
    );
}

#[test]
fn c14_a_program_without_content_is_refused() {
    refused(
        "c14_only_bss.elf",
        &[
            "nothing to load: `.bss` at 0x20000000 (256 bytes) has no content",
            "KEEP(*(.isr_vector))",
        ],
    );
}

#[test]
fn c15_an_odd_length_is_not_padded() {
    let content = [&v(0x0800_0009), T, RO, b"AFTER", D].concat();
    becomes(
        "c15_odd_len.elf",
        0x0800_0000,
        |_| content.clone(),
        [0xb78c_ee95; 2],
    );
}

#[test]
fn c16_an_object_file_is_refused() {
    refused(
        "c16_relocatable.elf",
        &[
            "object file (ET_REL), not a linked program",
            "`.data` at 0x00000000 (16 bytes)",
            "`.isr_vector` at 0x00000000 (8 bytes)",
            "link it first",
        ],
    );
}

#[test]
fn c17_a_text_file_is_refused() {
    refused("c17_not_elf.elf", &["this is a text file, not an image"]);
}

#[test]
fn c18_a_truncated_file_is_refused() {
    refused(
        "c18_truncated.elf",
        &[
            "the ELF file is cut off: segment 1 for 0x08000014..0x08000024 (16 bytes) ends at 0x2010, the file has 4524 bytes",
            "copy the file again",
        ],
    );
}

#[test]
fn c19_without_section_headers_the_segments_are_the_content() {
    let content = [&v(0x0800_0009), T, RO, D].concat();
    becomes(
        "c19_no_shdrs.elf",
        0x0800_0000,
        |_| content.clone(),
        [0x6de5_dc02; 2],
    );
}

#[test]
fn c20_an_empty_file_is_refused() {
    refused("c20_empty.elf", &["the file is empty"]);
}
