//! Other people's programs that tests talk to or compare with: which there are, Debian's packages of them, and whether this machine has them.
//!
//! For tests, and for `cargo xtask setup`, which installs from this list; nothing is installed here. A test without its peer is skipped
//! with a line that says how to get it, and fails under CI=true.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;

/// A program that tests talk to or compare with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The program.
    pub program: &'static str,
    /// Debian's package that contains it.
    pub package: &'static str,
}

/// All of them that Debian has. geckodriver is the one it does not have.
pub const PEERS: [Peer; 18] = [
    peer("in.tftpd", "tftpd-hpa"),
    peer("tftp", "tftp-hpa"),
    peer("atftp", "atftp"),
    peer("busybox", "busybox"),
    peer("curl", "curl"),
    peer("arm-none-eabi-objcopy", "binutils-arm-none-eabi"),
    peer("clang", "clang"), // compiles iap_app.h for the chip; gcc-arm-none-eabi would be 436 MB
    peer("python3", "python3"),
    peer("openssl", "openssl"),
    // At the other end of the emulated board's wire, in a network namespace.
    peer("ip", "iproute2"),
    peer("dnsmasq", "dnsmasq-base"),
    peer("ping", "iputils-ping"),
    peer("nsenter", "util-linux"),
    peer("wget", "wget"),
    peer(REQUESTS, "python3-requests"),
    peer("chromium", "chromium"), // 350 MB
    peer("chromedriver", "chromium-driver"),
    peer("firefox-esr", "firefox-esr"), // 300 MB
];

/// The Python module itself: a machine with python3 need not have it.
pub const REQUESTS: &str = "/usr/lib/python3/dist-packages/requests/__init__.py";

const fn peer(program: &'static str, package: &'static str) -> Peer {
    Peer { program, package }
}

/// Looks in PATH and in the folders of servers and of cargo's programs, which are not in everybody's PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .chain(cargo_home().map(|home| home.join("bin")))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Where cargo installs programs.
fn cargo_home() -> Option<PathBuf> {
    let by_default = || Some(env::home_dir()?.join(".cargo"));
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(by_default)
}

/// For tests: [`find`], and a [`skip`] where there is nothing to be found.
pub fn find_or_skip(program: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        let peer = PEERS.iter().find(|peer| peer.program == program);
        let how = match peer {
            Some(peer) => format!("apt-get install {}", peer.package),
            None => "cargo xtask setup".to_owned(),
        };
        skip(&format!("{program} ({how})"));
    }
    found
}

/// For tests: whether `program` can be used, or the test is to be skipped.
pub fn is_here(program: &str) -> bool {
    find_or_skip(program).is_some()
}

/// Says that a test is skipped for want of `what`.
///
/// # Panics
/// Under CI=true, which allows no skips.
pub fn skip(what: &str) {
    let line = format!("SKIPPED: {what}");
    // Not eprintln!: the test harness keeps what it prints to itself when a test passes. Nothing is lost where stderr is closed.
    let _ = writeln!(io::stderr(), "\n{line}");
    assert!(skips_are_allowed(), "{line}; CI=true allows no skips");
}

/// CI=true allows none.
pub fn skips_are_allowed() -> bool {
    env::var("CI").as_deref() != Ok("true")
}
