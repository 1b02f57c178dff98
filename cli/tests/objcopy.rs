//! The same bytes as arm-none-eabi-objcopy, whatever the layout; and HEX and S-records as it writes them.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::path::Path;

use common::{App, BASE, Folder, Section, case, peer};

/// The cases of the conversion table that objcopy gets right.
const CASES: [&str; 10] = [
    "c01_normal.elf",
    "c02_gap.elf",
    "c04_bss_inside_data.elf",
    "c06_offset.elf",
    "c07_noload_in_flash.elf",
    "c08_noload_progbits.elf",
    "c09_two_lma.elf",
    "c11_bss_alloc_between.elf",
    "c12_fill_in_section.elf",
    "c15_odd_len.elf",
];

fn objcopy(args: &[&str], input: &Path, output: &Path) -> Option<()> {
    let mut command = peer("arm-none-eabi-objcopy")?;
    let done = command.args(args).arg(input).arg(output).status().unwrap();
    assert!(done.success(), "objcopy {args:?} {}", input.display());
    Some(())
}

fn convert(input: &Path, output: &Path, fill: &str) -> Vec<u8> {
    common::convert(input, output, &["--force", "--fill", fill]).exits(0);
    std::fs::read(output).unwrap()
}

/// Directly, and through Intel HEX and S-records. `None` if there is no objcopy.
fn compare(input: &Path, folder: &Folder) -> Option<()> {
    for fill in ["0x00", "0xff"] {
        let theirs = folder.path("theirs.bin");
        objcopy(&["-O", "binary", "--gap-fill", fill], input, &theirs)?;
        let theirs = std::fs::read(theirs).unwrap();
        let ours = convert(input, &folder.path("ours.bin"), fill);
        assert!(ours == theirs, "{} with fill {fill}", input.display());
        for format in ["ihex", "srec"] {
            let text = folder.path(format);
            objcopy(&["-O", format], input, &text)?;
            let ours = convert(&text, &folder.path("ours.bin"), fill);
            assert!(
                ours == theirs,
                "{} through {format} with fill {fill}",
                input.display()
            );
        }
    }
    Some(())
}

#[test]
fn the_cases_come_out_as_objcopy_s_bytes() {
    let folder = Folder::new();
    for name in CASES {
        if compare(&case(name), &folder).is_none() {
            return;
        }
    }
}

#[test]
fn random_layouts_come_out_as_objcopy_s_bytes() {
    let folder = Folder::new();
    let mut seed = 0x2545_F491_4F6C_DD1Du64;
    let mut random = |below: u32| {
        // xorshift64 (Marsaglia 2003)
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % u64::from(below)) as u32
    };
    for round in 0..25 {
        let mut app = App::good();
        let mut at = BASE + 0x500;
        for name in [".a", ".b", ".c", ".d"]
            .into_iter()
            .take(random(5) as usize)
        {
            at += random(3000);
            let len = 1 + random(70_000);
            let run = if random(2) == 0 {
                at
            } else {
                0x2000_0000 + random(0x1000)
            };
            let data = (0..len).map(|i| (i * 7) as u8).collect();
            app.more.push(Section {
                run,
                ..Section::new(name, at, data)
            });
            at += len;
        }
        let input = folder.file(&format!("random{round}.elf"), &app.elf());
        if compare(&input, &folder).is_none() {
            return;
        }
    }
}
