//! Profiles in files: what they may inherit, and which file an error names.

use std::fs;
use std::path::Path;

use iap_profile::Profile;

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    path.display().to_string()
}

#[test]
fn files_inherit_files_beside_them_and_errors_name_the_file_with_the_bad_key() {
    let folder = tempfile::tempdir().unwrap();
    let base = write(
        folder.path(),
        "base.toml",
        "inherits = \"stm324xg-eval\"\n\n[http]\npassword = \"secret-7\"\n",
    );
    let top = write(
        folder.path(),
        "top.toml",
        "inherits = \"base.toml\"\n[network]\nuse-dhcp = false\n",
    );
    let profile = Profile::load(&top).unwrap();
    assert_eq!(profile.name, top);
    assert_eq!(
        profile.settings.board_id, "stm324xg-eval",
        "a variant takes the images of its board"
    );
    assert_eq!(profile.settings.http.password, "secret-7");
    assert!(!profile.settings.network.use_dhcp);
    assert_eq!(profile.settings.ethernet.phy_address, 1);

    write(
        folder.path(),
        "base.toml",
        "inherits = \"stm324xg-eval\"\n\n[http]\npasword = \"secret-7\"\n",
    );
    assert_eq!(
        Profile::load(&top).unwrap_err().to_string(),
        format!("unknown key `pasword` in {base}:4:1, did you mean `password`?")
    );
}

#[test]
fn a_chip_may_be_a_file_but_inherits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = include_str!("../chips/stm32f407xg.toml");
    let chip = write(
        folder.path(),
        "chip.toml",
        &shipped.replace("vector-count = 98", "vector-count = 97"),
    );
    let text = "inherits = \"sim\"\nchip = \"chip.toml\"\n";
    let top = write(folder.path(), "top.toml", text);
    assert_eq!(Profile::load(&top).unwrap().memory_map().vector_count, 97);

    write(
        folder.path(),
        "chip.toml",
        &format!("inherits = \"sim\"\n{shipped}"),
    );
    assert_eq!(
        Profile::load(&top).unwrap_err().to_string(),
        format!("a chip inherits nothing, remove `inherits` (`inherits` in {chip}:1:12)")
    );
}

#[test]
fn circles_are_refused_with_their_chain() {
    let folder = tempfile::tempdir().unwrap();
    let a = write(folder.path(), "a.toml", "inherits = \"b.toml\"\n");
    let b = write(folder.path(), "b.toml", "inherits = \"a.toml\"\n");
    assert_eq!(
        Profile::load(&a).unwrap_err().to_string(),
        format!("inheritance goes round in a circle at {b}:1:12: {a} inherits {b} inherits {a}")
    );
    let own = write(folder.path(), "own.toml", "inherits = \"./own.toml\"\n");
    let message = Profile::load(&own).unwrap_err().to_string();
    assert!(
        message.starts_with(&format!(
            "inheritance goes round in a circle at {own}:1:12: "
        )),
        "{message}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml").display().to_string();
    let message = Profile::load(&missing).unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("cannot read the profile {missing}: ")),
        "{message}"
    );
    let top = write(folder.path(), "top.toml", "inherits = \"missing.toml\"\n");
    let message = Profile::load(&top).unwrap_err().to_string();
    let expected = format!("cannot read {missing} that `inherits` in {top}:1:12 names: ");
    assert!(message.starts_with(&expected), "{message}");
    let path = folder.path().join("latin1.toml");
    fs::write(&path, b"description = \"caf\xe9\"").unwrap();
    assert!(Profile::load(&path.display().to_string()).is_err());
}
