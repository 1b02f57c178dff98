//! What the fuzz target of this crate does with its bytes. The corpus is replayed through the same function by
//! `tests/fuzz_corpus.rs`, which includes this file, so that target and test cannot drift apart.
#![allow(unreachable_pub)] // public in the fuzz crate, private in the test

use iap_profile::Profile;

/// A profile: what is accepted has a map without overlaps, and its resolved text is a profile with the same settings. An error
/// has a text.
pub fn profile(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // A folder that does not exist: what it inherits is among the shipped ones.
    match Profile::from_toml(text, "/nonexistent/fuzz.toml") {
        Ok(profile) => check(&profile),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check(profile: &Profile) {
    assert_eq!(profile.memory_map().check(), Ok(()));
    for sector in profile.memory_map().flash.sectors() {
        assert!(profile.erase_time(sector.index).is_some());
    }
    let resolved = Profile::from_toml(&profile.to_toml(), "/nonexistent/resolved.toml");
    match resolved {
        Ok(resolved) => assert_eq!(resolved.settings, profile.settings),
        Err(error) => panic!("{error}\n{}", profile.to_toml()),
    }
}
