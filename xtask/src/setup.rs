//! `cargo xtask setup`: what building and testing needs beside a Rust toolchain.
//!
//! Rust targets come from rustup, cargo-deny and geckodriver from the crates registry (two minutes to compile), other people's TFTP
//! and HTTP clients, servers and browsers from Debian (browsers: 700 MB). Only what is missing is installed; where that needs a right that
//! this user does not have, the command to type is shown instead. Never starts a service.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use iap_peers::{PEERS, Peer};

use crate::command::{self, cargo, in_root, output};
use crate::sample_app;

/// Targets that `cargo xtask test` checks `iapctl` for, beside the host.
pub(crate) const OTHER_HOSTS: [&str; 2] = ["x86_64-pc-windows-gnu", "aarch64-apple-darwin"];

/// The check of licences, bans and sources; `deny.toml` says what may be.
const CARGO_DENY: [&str; 5] = ["install", "cargo-deny", "--locked", "--version", "0.20.2"];
/// Drives Firefox; Debian does not have it.
const GECKODRIVER: [&str; 5] = ["install", "geckodriver", "--locked", "--version", "0.37.1"];

/// Installs everything that is missing.
pub(crate) fn run() -> Result<()> {
    for mut tool in missing_tools()? {
        command::run(&mut tool)?;
    }
    run_without_tools()
}

/// The commands that compile the tools that are missing, and says so.
pub(crate) fn missing_tools() -> Result<Vec<Command>> {
    let mut missing = Vec::new();
    if !has_cargo_deny()? {
        println!("setup: cargo-deny is missing: it is compiled once, which takes a minute");
        missing.push(unoptimised(&CARGO_DENY));
    }
    if iap_peers::find("geckodriver").is_none() {
        println!("setup: geckodriver is missing: it is compiled once, which takes a minute");
        missing.push(unoptimised(&GECKODRIVER));
    }
    Ok(missing)
}

/// Installs Rust targets and test peers.
pub(crate) fn run_without_tools() -> Result<()> {
    for target in [sample_app::TARGET].into_iter().chain(OTHER_HOSTS) {
        add_rust_target(target)?;
    }
    let missing = missing_peers();
    if missing.is_empty() {
        println!(
            "setup: Rust targets and all {} test peers are here",
            PEERS.len()
        );
        return Ok(());
    }
    install(&missing)
}

/// Compiles in half the time; what the programs do here takes a second either way.
fn unoptimised(install: &[&str]) -> Command {
    let mut cargo = cargo();
    cargo.args(install).args(["--debug", "--quiet"]);
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo
}

/// Whether cargo-deny is here; any version reads the same `deny.toml`.
fn has_cargo_deny() -> Result<bool> {
    Ok(output(cargo().args(["deny", "--version"]))?
        .status
        .success())
}

/// Adds a target to the toolchain in use unless it is there.
pub(crate) fn add_rust_target(target: &str) -> Result<()> {
    if has_rust_target(target)? {
        return Ok(());
    }
    println!("setup: the Rust target {target} is missing");
    command::run(in_root("rustup").args(["target", "add", target])).with_context(|| {
        format!("add the standard library for {target} to this toolchain, see https://rustup.rs")
    })
}

/// Asks rustc, not rustup: distributions ship targets as packages.
fn has_rust_target(target: &str) -> Result<bool> {
    let mut rustc = in_root("rustc");
    rustc.args(["--print", "target-libdir", "--target", target]);
    let answer = output(&mut rustc)?;
    let folder = String::from_utf8_lossy(&answer.stdout);
    Ok(answer.status.success() && Path::new(folder.trim()).is_dir())
}

/// The peers that are not on this machine.
pub(crate) fn missing_peers() -> Vec<Peer> {
    let absent = |peer: &Peer| iap_peers::find(peer.program).is_none();
    PEERS.into_iter().filter(absent).collect()
}

/// The command that installs `peers`.
pub(crate) fn install_line(peers: &[Peer]) -> String {
    let packages: Vec<_> = peers.iter().map(|peer| peer.package).collect();
    format!("apt-get install {}", packages.join(" "))
}

/// The command that installs `program`, unless it is here.
pub(crate) fn install_line_unless_here(program: &str) -> Option<String> {
    let missing = missing_peers();
    let peer = missing.iter().find(|peer| peer.program == program)?;
    Some(install_line(&[*peer]))
}

/// Installs as root or through sudo where that asks no question; elsewhere says what to type.
fn install(missing: &[Peer]) -> Result<()> {
    let programs: Vec<_> = missing.iter().map(|peer| peer.program).collect();
    println!("setup: not on this machine: {}", programs.join(", "));
    let Some(mut root_shell) = root_shell()? else {
        println!(
            "setup: tests with them are skipped until you run\n  sudo {}",
            install_line(missing)
        );
        return Ok(());
    };
    println!(
        "setup: running {}, no service is started",
        install_line(missing)
    );
    root_shell
        .args(["-c", INSTALL_SCRIPT, "setup"])
        .args(missing.iter().map(|peer| peer.package));
    let status = root_shell.status().context("cannot start the shell")?;
    if !status.success() {
        bail!("{} failed: {status}", install_line(missing));
    }
    Ok(())
}

/// Debian starts a server when it is installed, and again at each boot. `policy-rc.d` forbids the first
/// (deb-systemd-invoke(1p), invoke-rc.d(8)), `disable` the second: tests run in.tftpd themselves, on ports of their own.
const INSTALL_SCRIPT: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
wait='-o DPkg::Lock::Timeout=300'
apt-get -qq $wait update
apt-get -qq $wait install --yes --no-install-recommends "$@" >/dev/null
case " $* " in *" tftpd-hpa "*)
    if command -v systemctl >/dev/null; then systemctl --quiet disable tftpd-hpa || true; fi ;;
esac
"#;

/// A shell with root's rights, if there is apt-get and a way to them without a question.
fn root_shell() -> Result<Option<Command>> {
    if iap_peers::find("apt-get").is_none() {
        return Ok(None);
    }
    let id = output(in_root("id").arg("-u"))?;
    if id.stdout.trim_ascii() == b"0" {
        return Ok(Some(in_root("sh")));
    }
    let asks_nothing = in_root("sudo")
        .args(["-n", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    Ok(asks_nothing.is_ok_and(|status| status.success()).then(|| {
        let mut sudo = in_root("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    }))
}
