//! `cargo xtask test`: everything that must hold before a change lands, in the order in which it fails fastest.

use std::process::Command;
use std::{env, fs, thread};

use anyhow::{Result, bail};
use iap_peers::Peer;
use iap_profile::Profile;

use crate::beside::Beside;
use crate::command::{cargo, in_root, output, run as execute, target_folder};
use crate::sample_app::{self, TARGET};
use crate::setup;

const OBJCOPY: &str = "arm-none-eabi-objcopy";

/// How strict to be.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Pass although tests were skipped, because programs they need are missing
    #[arg(long)]
    allow_skips: bool,
}

/// Runs all of it; the first failure ends the run. The last step is cargo's or nextest's own, and so is the last line.
///
/// What takes one core for a long time, or waits for the network, runs beside the other steps, until something needs it.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run_without_tools()?;
    let strict = !options.allow_skips || !iap_peers::skips_are_allowed();
    report_skips(&setup::missing_peers(), strict)?;
    execute(cargo().args(["fmt", "--all", "--check"]))?;
    let mut beside = vec![Beside::start(
        "lints and builds for the chip",
        for_the_chip()?,
    )];
    let tools = setup::missing_tools()?;
    if !tools.is_empty() {
        beside.push(Beside::start("tools for the tests", tools));
    }
    let mut tests = tests()?;
    tests.build.arg("--no-run");
    for mut step in checks().into_iter().chain([tests.build]) {
        execute(&mut step)?;
        Beside::show_finished(&mut beside)?;
    }
    beside.into_iter().try_for_each(Beside::finish)?;
    execute(cargo().args(["deny", "check", "bans", "licenses", "sources"]))?;
    sample_app_converts_as_objcopy_does()?;
    demo()?;
    for mut tests in tests.runs {
        // Tests fail instead of skipping when CI is true.
        if strict {
            tests.env("CI", "true");
        }
        execute(&mut tests)?;
    }
    Ok(())
}

fn report_skips(missing: &[Peer], strict: bool) -> Result<()> {
    for peer in missing {
        println!(
            "SKIPPED: tests with {} (apt-get install {})",
            peer.program, peer.package
        );
    }
    if strict && !missing.is_empty() {
        bail!(
            "tests would be skipped: run {}, or cargo xtask test --allow-skips outside of CI",
            setup::install_line(missing)
        );
    }
    Ok(())
}

/// Lints, documentation, and the targets that only get compiled.
fn checks() -> [Command; 3] {
    let with = |arguments: &[&str]| {
        let mut command = cargo();
        command.args(arguments);
        command
    };
    let mut documentation = with(&["doc", "--quiet", "--no-deps", "--document-private-items"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    let mut other_hosts = with(&["check", "--quiet", "--package", "iapctl"]);
    for host in setup::OTHER_HOSTS {
        other_hosts.args(["--target", host]);
    }
    [
        with(&["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]),
        documentation,
        other_hosts,
    ]
}

/// All with the profile of what is shipped, in a folder of its own: cargo's lock on that lets nothing of it run at the same time, and
/// everything else.
fn for_the_chip() -> Result<Vec<Command>> {
    let mut lint = cargo();
    lint.args(["clippy", "--quiet", "--target", TARGET])
        .args(["--profile", "firmware"])
        .args(
            ["iap-sample-app", "iap-stm32f407"]
                .map(|package| ["--package", package])
                .concat(),
        )
        .args(["--", "-D", "warnings"]);
    let this = env::current_exe()?;
    let task = |arguments: &[&str]| {
        let mut command = in_root(&this);
        command.args(arguments);
        command
    };
    let boards = Profile::builtins();
    let apps = boards.flat_map(|board| {
        let app = ["sample-app", "--profile", board];
        [task(&app), task(&[&app[..], &["--confirm"]].concat())]
    });
    let firmware = task(&["firmware", "--all"]);
    Ok([lint, firmware].into_iter().chain(apps).collect())
}

/// The sample application's .bin has the bytes that objcopy gives it.
fn sample_app_converts_as_objcopy_does() -> Result<()> {
    if iap_peers::find(OBJCOPY).is_none() {
        // Said already, among the peers that are missing.
        return Ok(());
    }
    let elf = sample_app::build(&sample_app::Options::default())?;
    let (ours, theirs) = (elf.with_extension("bin"), elf.with_extension("objcopy"));
    let mut iapctl = in_root(target_folder().join("debug/iapctl"));
    execute(
        iapctl
            .arg("convert")
            .args(["--profile", "sim"])
            .arg(&elf)
            .arg("-o")
            .arg(&ours),
    )?;
    execute(
        in_root(OBJCOPY)
            .args(["-O", "binary"])
            .arg(&elf)
            .arg(&theirs),
    )?;
    if fs::read(&ours)? != fs::read(&theirs)? {
        bail!("{} and {} differ", ours.display(), theirs.display());
    }
    Ok(())
}

/// The demo, heard only when it fails.
fn demo() -> Result<()> {
    let mut demo = in_root(env::current_exe()?);
    demo.args(["demo", "--built"]);
    println!("$ cargo xtask demo --built");
    let run = output(&mut demo)?;
    if !run.status.success() {
        print!("{}", String::from_utf8_lossy(&run.stdout));
        eprint!("{}", String::from_utf8_lossy(&run.stderr));
        bail!("cargo xtask demo failed: {}", run.status);
    }
    Ok(())
}

/// The tests of all packages.
struct Tests {
    /// Compiles them, and `iapctl` and `iap-sim` with them.
    build: Command,
    runs: [Command; 3],
}

/// Documentation tests, the proof that the sweep can fail, then the others, with nextest where it is installed.
///
/// All without `--package`: for one package cargo chooses other features of what it depends on, and compiles most of that once more.
fn tests() -> Result<Tests> {
    let with = |arguments: &[&str]| {
        let mut command = cargo();
        command.args(arguments);
        command
    };
    let nextest = output(cargo().args(["nextest", "--version"]))?;
    // Many tests wait for real time, as the programs do that they talk to: with as many at once as there are cores, half of the cores are idle.
    let threads = 2 * thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.to_string();
    let all: &[&str] = match nextest.status.success() {
        true => &["nextest", "run", "--test-threads", &threads],
        false => &["test", "--lib", "--bins", "--tests"],
    };
    let defects = [
        "--features",
        "iap-sim/defects,iapctl/defects",
        "--test",
        "defects",
    ];
    Ok(Tests {
        build: with(all),
        runs: [
            with(&["test", "--quiet", "--doc"]),
            with(&[&["test", "--quiet"], &defects[..]].concat()),
            with(all),
        ],
    })
}
