//! A skip is heard though the test passes, and is a failure under CI=true.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::process::Command;
use std::{env, str};

use iap_peers::{PEERS, find, find_or_skip};

/// Set where the test runs itself.
const INSIDE: &str = "IAP_PEERS_TEST_INSIDE";
const NAME: &str = "a_skip_is_heard_and_fails_under_ci";

#[test]
fn a_skip_is_heard_and_fails_under_ci() {
    if env::var_os(INSIDE).is_some() {
        return assert_eq!(find_or_skip("no-such-program"), None);
    }
    for (ci, passes) in [("true", false), ("", true)] {
        let mut inside = Command::new(env::current_exe().unwrap());
        inside.args(["--exact", NAME]).env(INSIDE, "1");
        let output = inside.env("CI", ci).output().unwrap();
        assert_eq!(output.status.success(), passes);
        let said = str::from_utf8(&output.stderr).unwrap();
        let line = "SKIPPED: no-such-program (cargo xtask setup)";
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn what_is_here_is_found_in_path_and_by_its_whole_name() {
    let sh = find("sh").unwrap();
    assert_eq!(find(sh.to_str().unwrap()), Some(sh));
    assert_eq!(find("/bin"), None, "a folder is no program");
}

#[test]
fn no_program_is_listed_twice() {
    let programs: BTreeSet<_> = PEERS.iter().map(|peer| peer.program).collect();
    assert_eq!(programs.len(), PEERS.len());
}
