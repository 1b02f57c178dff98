//! How long `iapctl --version` takes, next to a program that does nothing else than print a line.

use std::process::Command;

use anyhow::Result;

use super::measure::Program;
use super::table::{Quantity, Row, Series};
use super::{Bench, installed};
use crate::command::run as execute;

/// What start-up may cost: clap, and what the linker puts into a larger program.
const BOUND: f64 = 1.5;
const MINIMAL: &str = "fn main() { println!(\"minimal 0.1.0\"); }\n";
/// It takes a millisecond, and what else the machine does is as large.
const RUNS_PER_RUN: u32 = 10;

pub(super) fn rows(bench: &mut Bench<'_>) -> Result<()> {
    let case = "start-up, --version";
    if !bench.wants(case) {
        return Ok(());
    }
    let source = bench.file("minimal.rs", MINIMAL.as_bytes())?;
    let built = bench.folder.join("minimal");
    execute(
        Command::new("rustc")
            .arg("-O")
            .arg(source)
            .arg("-o")
            .arg(&built),
    )?;
    let minimal = installed(&built, &bench.folder)?;
    let programs = [
        Program::new("iapctl", &bench.iapctl).arg("--version"),
        Program::new("minimal Rust program", minimal),
    ];
    let series = bench.measure(&programs, bench.options.runs * RUNS_PER_RUN)?;
    bench
        .rows
        .push(Row::compare(case, Quantity::Wall, BOUND, &series));
    Ok(())
}

impl Bench<'_> {
    /// Runs `programs` in turn, `runs` times each.
    pub(super) fn measure(&self, programs: &[Program], runs: u32) -> Result<Vec<Series>> {
        let mut series: Vec<Series> = (programs.iter())
            .map(|program| Series::new(&program.name))
            .collect();
        for _ in 0..runs {
            for (program, series) in programs.iter().zip(&mut series) {
                series.runs.push(program.run(&self.folder.join("run"))?);
            }
        }
        Ok(series)
    }
}
