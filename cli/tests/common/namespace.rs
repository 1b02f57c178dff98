//! Namespaces for a test: a network or a mount table of its own, gone with the process that has it.

use std::process::Command;

/// The program before a command that runs in namespaces of its own, in which `probe` works, or `None` after saying why not; a run under
/// CI=true allows no skips.
///
/// Root's are made without a user namespace, which some kernels keep for root alone and some containers forbid even to root.
pub(crate) fn unshare(namespaces: &[&str], probe: &[&str]) -> Option<Command> {
    let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
    let mut why = String::new();
    for way in ways {
        let unshare = || {
            let mut unshare = Command::new("unshare");
            unshare.args(way).args(namespaces).arg("--");
            unshare
        };
        match unshare().args(probe).output() {
            Ok(run) if run.status.success() => return Some(unshare()),
            Ok(run) => why = String::from_utf8_lossy(&run.stderr).into_owned(),
            Err(error) => why = format!("unshare: {error}"),
        }
    }
    let all = namespaces.join(" ");
    let why = why.trim();
    iap_peers::skip(&format!("this machine allows no namespaces ({all}; {why})"));
    None
}
