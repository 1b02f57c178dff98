//! ELF to BIN, next to arm-none-eabi-objcopy: time, and memory that follows what is loaded and not what is in the file.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::measure::Program;
use super::table::{Quantity, Row, Series};
use super::{Bench, noise};
use crate::command::{in_root, run as execute};

const OBJCOPY: &str = "arm-none-eabi-objcopy";
const LD: &str = "arm-none-eabi-ld";
/// Where it is linked for; the profile's flash begins there.
const BASE: u32 = 0x0802_0000;
const PROFILE: &str = "stm324xg-eval";
const KB: usize = 1000;
const MB: usize = 1_000_000;
/// Smaller files take a millisecond, and what else the machine does is as large.
const LARGE: u64 = MB as u64;
const RUNS_OF_SMALL: u32 = 50;

struct Case {
    name: &'static str,
    loaded: usize,
    debug: usize,
}

const CASES: [Case; 3] = [
    Case {
        name: "convert 100 KB",
        loaded: 100 * KB,
        debug: 0,
    },
    Case {
        name: "convert 50 MB",
        loaded: 50 * MB,
        debug: 0,
    },
    Case {
        name: "convert 100 KB with 50 MB of debug information",
        loaded: 100 * KB,
        debug: 50 * MB,
    },
];

pub(super) fn rows(bench: &mut Bench<'_>) -> Result<()> {
    let Some(objcopy) = bench.peers.program(OBJCOPY) else {
        println!("SKIPPED: convert ({OBJCOPY} also makes its inputs)");
        return Ok(());
    };
    for case in &CASES {
        if bench.wants(case.name) {
            let elf = bench.elf(case)?;
            let profile = match case.loaded {
                0..MB => PROFILE.into(),
                _ => bench.large_profile()?,
            };
            let series = bench.convert(&elf, &profile, &objcopy)?;
            for quantity in [Quantity::Wall, Quantity::Cpu] {
                bench
                    .rows
                    .push(Row::compare(case.name, quantity, 1.0, &series));
            }
            bench.rows.push(memory_row(case, &series));
        }
    }
    Ok(())
}

/// Twice what is loaded, and some MiB for the program: nothing that grows with the file.
fn memory_row(case: &Case, series: &[Series]) -> Row {
    let allowed_kib = (2 * case.loaded) as f64 / 1024.0 + 8.0 * 1024.0;
    let row = Row::compare(case.name, Quantity::Memory, f64::INFINITY, series);
    let peak = row.ours.map_or(f64::INFINITY, |ours| ours.max);
    Row {
        target: format!("<= 2 x loaded + 8 MiB = {:.1} MiB", allowed_kib / 1024.0),
        failed: row.failed || peak > allowed_kib,
        ..row
    }
}

impl Bench<'_> {
    /// An ELF with a vector table that is right, then noise, then debug information that is noise too.
    fn elf(&self, case: &Case) -> Result<PathBuf> {
        let mut content = noise(case.loaded);
        let vectors = [0x2000_1000, BASE + 0x401];
        for (place, word) in content.chunks_exact_mut(4).zip(vectors) {
            place.copy_from_slice(&u32::to_le_bytes(word));
        }
        // The other vectors are unused.
        content
            .get_mut(8..0x200)
            .context("room for vectors")?
            .fill(0);
        let binary = self.file("content", &content)?;
        let (object, elf) = (self.folder.join("content.o"), self.folder.join("app.elf"));
        let section = ".data=.text,alloc,load,readonly,code,contents";
        execute(
            in_root(OBJCOPY)
                .args(["-I", "binary", "-O", "elf32-littlearm", "-B", "arm"])
                .args(["--rename-section", section])
                .args([&binary, &object]),
        )?;
        let base = format!("-Ttext={BASE:#x}");
        execute(
            in_root(LD)
                .args(["-n", &base, "-e", "0x08020401", "-o"])
                .args([&elf, &object]),
        )?;
        if case.debug > 0 {
            let debug = self.file("debug", &noise(case.debug))?;
            let mut section = OsString::from(".debug_info=");
            section.push(debug);
            execute(in_root(OBJCOPY).arg("--add-section").arg(section).arg(&elf))?;
        }
        Ok(elf)
    }

    /// A board with 64 MiB of flash, the largest a profile can have: on the real one 50 MB are an error.
    fn large_profile(&self) -> Result<PathBuf> {
        let erase = "{ x8 = [1, 1], x16 = [1, 1], x32 = [1, 1] }";
        let rest = 65_536 - 128;
        let run = |first, count, address, size| {
            format!(
                "{{ first = {first}, count = {count}, address = {address:#x}, size-kib = {size}, erase-ms = {erase} }}"
            )
        };
        let sectors = [
            run(0, 4, 0x0800_0000, 16),
            run(4, 1, 0x0801_0000, 64),
            run(5, 1, BASE, rest),
        ];
        let profile = format!(
            "inherits = \"{PROFILE}\"\n[flash]\nsize-kib = 65536\nsectors = [\n{},\n]\n",
            sectors.join(",\n")
        );
        self.file("large.toml", profile.as_bytes())
    }

    fn convert(&self, elf: &Path, profile: &Path, objcopy: &Program) -> Result<Vec<Series>> {
        let (ours, theirs) = (self.folder.join("ours.bin"), self.folder.join("theirs.bin"));
        let convert = Program::new("iapctl", &self.iapctl)
            .args(["convert", "--profile"])
            .arg(profile)
            .arg(elf)
            .arg("-o")
            .output(&ours);
        let objcopy = objcopy
            .clone()
            .args(["-O", "binary"])
            .arg(elf)
            .output(&theirs);
        let runs = match fs::metadata(elf)?.len() {
            0..LARGE => self.options.runs * RUNS_OF_SMALL,
            _ => self.options.runs,
        };
        let series = self.measure(&[convert, objcopy], runs)?;
        if series.iter().all(Series::is_complete) && fs::read(ours)? != fs::read(theirs)? {
            bail!("iapctl and {OBJCOPY} disagree about {}", elf.display());
        }
        Ok(series)
    }
}
