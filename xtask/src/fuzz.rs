//! `cargo xtask fuzz`: runs a fuzz target, keeps what libFuzzer says at the end, and a corpus.
//!
//! The targets are in `fuzz/` of the crate they are about: `fuzz/src` holds what a target does with its bytes; `fuzz/corpus` the smallest
//! set of inputs that reaches as much as all that were found; `fuzz/results`, once a run was kept, the commit it began with and libFuzzer's last words. The
//! crates' tests (`tests/fuzz_corpus.rs`) replay the corpora. cargo-fuzz needs a nightly toolchain and a C++ compiler for libFuzzer.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{cargo, in_root, line, output, relative, root, run as execute, target_folder};

/// Crates with fuzz targets.
const CRATES: [&str; 4] = ["protocol", "profiles", "firmware/core", "cli"];
/// A hang is an input that takes longer than this many seconds.
const TIMEOUT_S: u32 = 20;
/// Inputs that found something once stay in the corpus, whether they reach anything new or not.
const REGRESSION: &str = "regression-";
/// Beginnings of the lines that libFuzzer ends with.
const LAST_WORDS: [&str; 3] = ["Done ", "stat::", "INFO: Seed"];

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The target, or the beginning of its name; none to list them
    target: Option<String>,
    /// Inputs to try
    #[arg(long, default_value_t = 100_000)]
    runs: u64,
    /// Stop after this many seconds, however many inputs that were
    #[arg(long)]
    seconds: Option<u64>,
    /// Bytes of an input, at most
    #[arg(long, default_value_t = 1024)]
    max_len: usize,
    /// Give the corpus and the results to the crate, in place of those that are there
    #[arg(long)]
    keep: bool,
}

/// Runs a target; a crash, a hang or a broken property is an error.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Some(name) = &options.target else {
        return list();
    };
    let target = Target::find(name)?;
    let name = &target.name;
    prepare()?;
    let code = code()?;
    // The versions that the product is built with.
    fs::copy(root().join("Cargo.lock"), target.folder.join("Cargo.lock"))?;
    fs::create_dir_all(target.work())?;
    let log = target_folder().join("fuzz").join(format!("{name}.log"));
    let mut fuzz = target.fuzz("run");
    fuzz.args([target.work(), target.corpus()]).arg("--");
    fuzz.args([
        format!("-runs={}", options.runs),
        format!("-max_total_time={}", options.seconds.unwrap_or(0)),
        format!("-max_len={}", options.max_len),
        format!("-timeout={TIMEOUT_S}"),
        "-print_final_stats=1".to_owned(),
    ]);
    println!("$ {} 2>{}", line(&fuzz), relative(&log).display());
    let status = fuzz.stderr(File::create(&log)?).status()?;
    let said = format!("{code}{}", last_words(&fs::read_to_string(&log)?));
    print!("{said}");
    if !status.success() {
        bail!("{name} found something: see {}", log.display());
    }
    if options.keep {
        target.keep(&said)?;
    }
    Ok(())
}

struct Target {
    name: String,
    /// The folder `fuzz` of its crate.
    folder: PathBuf,
}

impl Target {
    /// The target of this name, or the only one whose name begins so.
    fn find(name: &str) -> Result<Self> {
        let (mut begun, others): (Vec<_>, Vec<_>) = all_targets()?
            .into_iter()
            .partition(|target| target.name.starts_with(name));
        if let Some(exact) = begun.iter().position(|target| target.name == name) {
            return Ok(begun.swap_remove(exact));
        }
        match begun.pop() {
            Some(only) if begun.is_empty() => Ok(only),
            None => bail!("no fuzz target {name}, there are {}", names(&others)),
            Some(last) => {
                begun.push(last);
                bail!("which fuzz target is {name}: {}?", names(&begun))
            }
        }
    }

    /// Where inputs are collected that are not kept yet.
    fn work(&self) -> PathBuf {
        target_folder().join("fuzz/corpus").join(&self.name)
    }

    fn corpus(&self) -> PathBuf {
        self.folder.join("corpus").join(&self.name)
    }

    /// cargo-fuzz on this target. Without a sanitizer: there is no unsafe code here, and the checks of debug builds are on.
    fn fuzz(&self, command: &str) -> Command {
        let mut fuzz = in_root("cargo");
        fuzz.args(["+nightly", "fuzz", command, "--sanitizer", "none"])
            .arg("--fuzz-dir")
            .arg(&self.folder)
            .arg("--target-dir")
            .arg(target_folder().join("fuzz"))
            .arg(&self.name);
        fuzz
    }

    /// Minimises what was found and puts it, with the last words, into the crate.
    fn keep(&self, said: &str) -> Result<()> {
        let (work, corpus) = (self.work(), self.corpus());
        fs::create_dir_all(&corpus)?;
        copy_files(&corpus, &work)?;
        // Which code an input reaches counts, not how often: a tenth of the files.
        execute(self.fuzz("cmin").arg(&work).args(["--", "-use_counters=0"]))?;
        for path in files(&corpus)? {
            let is_regression = |name: &str| name.starts_with(REGRESSION);
            let name = path.file_name().and_then(|name| name.to_str());
            if !name.is_some_and(is_regression) {
                fs::remove_file(path)?;
            }
        }
        copy_files(&work, &corpus)?;
        let results = self.folder.join("results");
        fs::create_dir_all(&results)?;
        fs::write(results.join(format!("{}.txt", self.name)), said)?;
        Ok(())
    }
}

fn names(targets: &[Target]) -> String {
    let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
    names.join(", ")
}

fn list() -> Result<()> {
    for target in all_targets()? {
        println!("{:14} {}", target.name, relative(&target.folder).display());
    }
    Ok(())
}

fn all_targets() -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for folder in CRATES.map(|name| root().join(name).join("fuzz")) {
        let sources = files(&folder.join("fuzz_targets"))?;
        let names = sources.iter().filter_map(|path| path.file_stem()?.to_str());
        targets.extend(names.map(|name| Target {
            name: name.to_owned(),
            folder: folder.clone(),
        }));
    }
    Ok(targets)
}

/// The files of a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<_> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for path in files(from)? {
        if let Some(name) = path.file_name() {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// The lines that say how a run went, without what depends on the machine's folders.
fn last_words(log: &str) -> String {
    log.lines()
        .filter(|line| LAST_WORDS.iter().any(|start| line.starts_with(start)))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The code that is tried, as it was when the run began.
fn code() -> Result<String> {
    let said = output(in_root("git").args(["describe", "--always", "--dirty", "--abbrev=12"]))?;
    let commit = String::from_utf8_lossy(&said.stdout);
    Ok(format!("code: commit {}\n", commit.trim()))
}

/// cargo-fuzz and what it needs.
fn prepare() -> Result<()> {
    let works = |mut command: Command| output(&mut command).is_ok_and(|run| run.status.success());
    let with = |program: &str, arguments: &[&str]| {
        let mut command = in_root(program);
        command.args(arguments);
        command
    };
    if !works(with("cargo", &["+nightly", "--version"])) {
        bail!(
            "fuzzing needs a nightly toolchain: run rustup toolchain install nightly --profile minimal"
        );
    }
    if !works(with("c++", &["--version"])) {
        bail!("libFuzzer is compiled with a C++ compiler: run apt-get install g++");
    }
    if !works(with("cargo", &["fuzz", "--version"])) {
        println!("setup: cargo-fuzz is missing");
        execute(cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_a_corpus() {
        for target in all_targets().unwrap() {
            assert!(
                !files(&target.corpus()).unwrap().is_empty(),
                "{}",
                target.name
            );
        }
    }

    #[test]
    fn a_target_is_found_by_its_name_or_by_a_beginning_that_only_it_has() {
        let found = |name: &str| match Target::find(name) {
            Ok(target) => target.name,
            Err(error) => format!("{error:#}"),
        };
        for target in all_targets().unwrap() {
            assert_eq!(found(&target.name), target.name);
        }
        assert_eq!(found("http"), "http_server");
        assert_eq!(
            found("tftp_"),
            "which fuzz target is tftp_: tftp_packet, tftp_server, tftp_client?"
        );
        assert_eq!(
            found("ftp").split_once(", "),
            Some((
                "no fuzz target ftp",
                &*format!("there are {}", names(&all_targets().unwrap()))
            ))
        );
    }
}
