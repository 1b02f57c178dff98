//! What the tests run, built by the commands a user builds it with, unless what is there is newer than its sources.
//!
//! `cargo xtask test` has built all of it before the tests begin. The lock is for test runners with a process for each test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

const FOR_THE_CHIP: [&str; 4] = ["Cargo.lock", "protocol", "profiles", "firmware"];

/// The workspace's target folder.
fn target() -> &'static Path {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    folder.parent().unwrap_or(folder)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    // The flags of the host's build are not for the chip.
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

fn succeeds(cargo: &mut Command) {
    let status = cargo.status().expect("cargo can be started");
    assert!(
        status.success(),
        "{cargo:?} failed; is the target installed? rustup target add thumbv7em-none-eabihf"
    );
}

/// A file of the target folder that this cargo command makes out of these sources.
fn built(file: &str, sources: &[&str], command: &[&str]) -> PathBuf {
    let path = target().join(file);
    let lock = File::create(target().join("tmp/built.lock")).unwrap();
    lock.lock().unwrap();
    let newest = sources.iter().map(|source| newest(&root().join(source)));
    let made = fs::metadata(&path).and_then(|made| made.modified()).ok();
    if made < newest.max() {
        let mut cargo = cargo();
        cargo.args(command).current_dir(root());
        succeeds(cargo.env("CARGO_TARGET_DIR", target()));
        // Cargo leaves a file alone that comes out the same.
        let file = File::options().append(true).open(&path).unwrap();
        file.set_modified(SystemTime::now()).unwrap();
    }
    path
}

/// When a source was changed last.
fn newest(path: &Path) -> SystemTime {
    let name = path.file_name().unwrap_or_default();
    let own = fs::metadata(path).and_then(|metadata| metadata.modified());
    let own = own.unwrap_or(SystemTime::UNIX_EPOCH);
    let skipped = ["target", "tests", "emulator", "sim", "fuzz"];
    if skipped.iter().any(|skipped| name == *skipped) {
        return SystemTime::UNIX_EPOCH;
    }
    let entries = fs::read_dir(path).into_iter().flatten();
    let inside = entries.filter_map(Result::ok).map(|it| newest(&it.path()));
    inside.max().unwrap_or(own)
}

/// The default build of the IAP firmware for a board; `profile` is a name or a file.
pub(crate) fn firmware(profile: &str) -> PathBuf {
    let stem = Path::new(profile).file_stem().unwrap_or_default();
    let file = format!("firmware/{}/iap.elf", stem.to_string_lossy());
    let command = ["run", "--quiet", "--package", "xtask", "--", "firmware"];
    let command = [&command[..], &["--profile", profile]].concat();
    built(&file, &FOR_THE_CHIP, &command)
}

/// A build of the IAP firmware with less in it: a configuration of the size table.
pub(crate) fn configuration(profile: &str, configuration: &str) -> PathBuf {
    let file = format!("firmware/{profile}-{configuration}/iap.elf");
    let command = ["run", "--quiet", "--package", "xtask", "--", "firmware"];
    let chosen = ["--profile", profile, "--configuration", configuration];
    built(&file, &FOR_THE_CHIP, &[&command[..], &chosen].concat())
}

/// The sample application for a board, version 1.0.0.
pub(crate) fn application(profile: &str) -> PathBuf {
    sample_app(profile, "", &[])
}

/// The same, made to confirm its start.
pub(crate) fn confirming_application(profile: &str) -> PathBuf {
    sample_app(profile, "-confirm", &["--confirm"])
}

fn sample_app(profile: &str, suffix: &str, arguments: &[&str]) -> PathBuf {
    let file = format!("sample-app/{profile}/sample-app-1.0.0{suffix}.elf");
    let command = ["run", "--quiet", "--package", "xtask", "--", "sample-app"];
    let command = [&command[..], &["--profile", profile], arguments].concat();
    built(&file, &FOR_THE_CHIP, &command)
}

/// The host command.
pub(crate) fn iapctl() -> PathBuf {
    let sources = ["Cargo.lock", "protocol", "profiles", "cli"];
    let command = ["build", "--quiet", "--package", "iapctl"];
    built("debug/iapctl", &sources, &command)
}

/// A build of the IAP firmware with a mistake in it.
pub(crate) fn with_mistake(profile: &str, feature: &str) -> PathBuf {
    let folder = target().join("tmp").join(feature);
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--package", "iap-stm32f407"]);
    cargo.args(["--profile", "firmware", "--features", feature]);
    cargo.args(["--target", "thumbv7em-none-eabihf", "--target-dir"]);
    succeeds(cargo.arg(&folder).env("IAP_PROFILE", profile));
    folder.join("thumbv7em-none-eabihf/firmware/iap-stm32f407")
}

/// Programs of a workspace of their own beside this crate, in release; the folder they are in.
pub(crate) fn workspace(name: &str) -> PathBuf {
    let folder = format!("firmware/emulator/{name}");
    let lock = File::create(target().join("tmp/built.lock")).unwrap();
    lock.lock().unwrap();
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--quiet"]);
    cargo.args(["--target", "thumbv7em-none-eabihf", "--manifest-path"]);
    cargo.arg(root().join(folder).join("Cargo.toml"));
    let built = target().join("tmp").join(name);
    cargo.arg("--target-dir").arg(&built);
    succeeds(&mut cargo);
    built.join("thumbv7em-none-eabihf/release")
}
