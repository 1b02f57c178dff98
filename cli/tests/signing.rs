//! `keygen`, `sign`, `push --key`, `verify-image --key`, `inspect`: what they write, what they refuse, and what they say.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::path::{Path, PathBuf};

use common::{App, Folder, Said, iapctl};
use iap_protocol::header::{HEADER_LEN, ImageHeader, SIGNED_LEN};

const OTHER_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A new key and its public key.
fn keygen(folder: &Folder, name: &str) -> (PathBuf, String) {
    let path = folder.path(name);
    let said = iapctl(["keygen", "--json", "-o", text(&path)]);
    said.exits(0);
    (path, said.json()["public_key"].as_str().unwrap().to_owned())
}

/// A profile of a board with these public keys.
fn profile(folder: &Folder, keys: &[&str], more: &str) -> PathBuf {
    let text = format!(
        "inherits = \"stm324xg-eval\"\n[iap]\npolicy = \"signed\"\npublic-keys = {keys:?}\n{more}\n"
    );
    folder.file("board.toml", text.as_bytes())
}

fn sign(folder: &Folder, key: &Path, more: &[&str]) -> (Said, PathBuf) {
    let (app, out) = (
        folder.file("app.elf", &App::good().elf()),
        folder.path("app.iap"),
    );
    let args = ["sign", text(&app), "-o", text(&out), "--key", text(key)];
    (iapctl(args.iter().chain(more)), out)
}

fn header(path: &Path) -> ImageHeader {
    ImageHeader::decode(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_new_key_is_pkcs8_for_its_owner_alone_and_nothing_overwrites_it() {
    let folder = Folder::new();
    let (path, public) = keygen(&folder, "key.pem");
    let pem = std::fs::read_to_string(&path).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{pem}");
    assert!(!pem.contains(&public));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    iapctl(["keygen", "-o", text(&path)])
        .exits(1)
        .says("exists already, and a key is never overwritten");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), pem);
    iapctl(["keygen", "--show", text(&path)])
        .exits(0)
        .says(&public);
    assert_ne!(keygen(&folder, "second.pem").1, public);
    iapctl(["keygen"]).exits(2);
}

#[test]
fn keygen_says_which_id_a_key_has_in_a_profile() {
    let folder = Folder::new();
    let (path, public) = keygen(&folder, "key.pem");
    let board = profile(&folder, &[OTHER_KEY], "");
    let shown = iapctl(["keygen", "--show", text(&path), "--profile", text(&board)]);
    shown
        .exits(0)
        .says("key id      1, once the board's profile lists it");
    let lists = format!("    \"{OTHER_KEY}\",\n    \"{public}\",\n");
    assert!(shown.stdout.contains(&lists), "{}", shown.stdout);
    let board = profile(&folder, &[OTHER_KEY, &public], "");
    iapctl(["keygen", "--show", text(&path), "--profile", text(&board)])
        .exits(0)
        .says("key id      1 in profile");
}

#[test]
fn a_signed_image_is_the_unsigned_one_with_id_and_signature() {
    let folder = Folder::new();
    let (key, public) = keygen(&folder, "key.pem");
    let board = profile(&folder, &[OTHER_KEY, &public], "");
    let on_board = ["--profile", text(&board)];
    let options = [&on_board[..], &["--security-counter", "7", "--revoke", "3"]].concat();
    let (said, out) = sign(&folder, &key, &options);
    said.exits(0).says("signed with key 1");
    let signed = header(&out);
    assert_eq!((signed.key_id, signed.revoked_keys), (1, 1 << 3));
    assert_eq!(signed.security_counter, 7);
    let file = std::fs::read(&out).unwrap();
    assert_eq!(file[HEADER_LEN..], App::good().bin());

    // The board's profile has the key; without it the key must be given.
    let verify = |more: &[&str]| iapctl(["verify-image", text(&out)].iter().chain(more));
    verify(&on_board)
        .exits(0)
        .says(&format!("signed with key 1, {public}"));
    verify(&[]).exits(0).says("signed with key 1, not checked");
    verify(&["--key", text(&key)])
        .exits(0)
        .says("signed with key 1,");
    let (other, _) = keygen(&folder, "other.pem");
    verify(&["--key", text(&other)])
        .exits(3)
        .says("the signature is not that of key 1");
    iapctl(["inspect", text(&out)])
        .exits(0)
        .says("signed with key 1, header bytes 0..444: all fields above, and the payload by its SHA-256")
        .says("revokes keys 3");
}

#[test]
fn every_signed_byte_that_changes_is_noticed() {
    let folder = Folder::new();
    let (key, public) = keygen(&folder, "key.pem");
    let board = profile(&folder, &[&public], "");
    let (said, out) = sign(&folder, &key, &["--profile", text(&board)]);
    said.exits(0);
    let signed = header(&out);
    let changed = ImageHeader {
        security_counter: signed.security_counter + 1,
        ..signed
    };
    let payload = App::good().bin();
    let file = folder.file("bad.iap", &[&changed.encode()[..], &payload].concat());
    iapctl(["verify-image", text(&file), "--profile", text(&board)])
        .exits(3)
        .says("the signature is not that of key 0");
    // Nothing is pushed that the board would refuse.
    let to = ["--tftp", "127.0.0.1:1", "--profile", text(&board)];
    iapctl(["push", text(&file)].iter().chain(&to))
        .exits(3)
        .says("the signature is not that of key 0");
}

#[test]
fn a_key_that_the_board_does_not_have_signs_nothing() {
    let folder = Folder::new();
    let (key, public) = keygen(&folder, "key.pem");
    let board = profile(&folder, &[OTHER_KEY], "");
    let (said, out) = sign(&folder, &key, &["--profile", text(&board)]);
    said.exits(2)
        .says(&format!("the key {public} is not any of the public keys"));
    assert!(!out.exists());
    let (said, _) = sign(&folder, &key, &["--profile", text(&board), "--key-id", "0"]);
    said.exits(2).says("is not key 0 of profile");
    // A profile without keys cannot tell.
    let (said, out) = sign(&folder, &key, &["--key-id", "2"]);
    said.exits(0);
    assert_eq!(header(&out).key_id, 2);
    let (said, _) = sign(&folder, &key, &["--key-id", "8"]);
    said.exits(2);
}

#[test]
fn no_key_revokes_itself_or_a_lower_one() {
    let folder = Folder::new();
    let (key, _) = keygen(&folder, "key.pem");
    for id in ["0", "1", "2"] {
        let (said, _) = sign(&folder, &key, &["--key-id", "2", "--revoke", id]);
        said.exits(2)
            .says("key 2 may revoke keys with a higher id only");
    }
    let (said, out) = sign(
        &folder,
        &key,
        &["--key-id", "2", "--revoke", "3", "--revoke", "7"],
    );
    said.exits(0);
    assert_eq!(header(&out).revoked_keys, 1 << 3 | 1 << 7);
}

#[test]
fn an_image_below_the_profile_s_counter_is_not_signed_for_it() {
    let folder = Folder::new();
    let (key, public) = keygen(&folder, "key.pem");
    let board = profile(&folder, &[&public], "security-counter = 5");
    let (said, out) = sign(&folder, &key, &["--profile", text(&board)]);
    said.exits(3)
        .says("security counter 0, the profile asks for 5 at least");
    assert!(!out.exists());
    let (said, _) = sign(
        &folder,
        &key,
        &["--profile", text(&board), "--security-counter", "5"],
    );
    said.exits(0);
}

#[test]
fn a_signed_image_can_be_signed_again_but_not_changed() {
    let folder = Folder::new();
    let (key, _) = keygen(&folder, "key.pem");
    let (said, out) = sign(&folder, &key, &[]);
    said.exits(0);
    let again = folder.path("again.iap");
    iapctl([
        "convert",
        text(&out),
        "--version",
        "9.0.0",
        "-o",
        text(&again),
    ])
    .exits(2)
    .says("its header cannot be changed without breaking the signature");
    let (other, _) = keygen(&folder, "other.pem");
    let args = [
        "sign",
        text(&out),
        "--version",
        "9.0.0",
        "--key",
        text(&other),
    ];
    iapctl(args.iter().chain(&["-o", text(&again)])).exits(0);
    iapctl(["verify-image", text(&again), "--key", text(&other)])
        .exits(0)
        .says("application version 9.0.0");
    assert_eq!(header(&out).version.to_string(), "0.0.0");
}

#[test]
fn a_signature_made_elsewhere_is_taken_if_it_is_right() {
    let folder = Folder::new();
    let (key, public) = keygen(&folder, "key.pem");
    let board = profile(&folder, &[&public], "");
    let app = folder.file("app.elf", &App::good().elf());
    let (tbs, out) = (folder.path("app.tbs"), folder.path("app.iap"));
    let image = [
        "sign",
        text(&app),
        "--profile",
        text(&board),
        "--key-id",
        "0",
    ];
    let with = |more: &[&str]| iapctl(image.iter().chain(more));
    with(&["--detached", "-o", text(&tbs)])
        .exits(0)
        .says("444 bytes to sign with key 0");
    assert_eq!(std::fs::read(&tbs).unwrap().len(), SIGNED_LEN);

    // iapctl's own signature stands in for the hardware module's.
    let (said, signed) = sign(&folder, &key, &["--profile", text(&board)]);
    said.exits(0);
    let by_key = std::fs::read(&signed).unwrap();
    assert_eq!(by_key[..SIGNED_LEN], std::fs::read(&tbs).unwrap());
    let signature = folder.file("app.sig", &header(&signed).signature);
    std::fs::remove_file(&signed).unwrap();
    with(&["--signature", text(&signature), "-o", text(&out)]).exits(0);
    assert_eq!(std::fs::read(&out).unwrap(), by_key);

    std::fs::remove_file(&out).unwrap();
    let take = |bytes: &[u8]| {
        let file = folder.file("bad.sig", bytes);
        with(&["--signature", text(&file), "-o", text(&out)])
    };
    take(&[7; 63])
        .exits(3)
        .says("has 64 bytes, this one has 63");
    take(&[7; 64])
        .exits(3)
        .says("the signature is not that of key");
    assert!(!out.exists());
    // Without a key nobody can tell whether the signature is right.
    let args = [
        "sign",
        text(&app),
        "--key-id",
        "0",
        "--signature",
        text(&signature),
    ];
    iapctl(args.iter().chain(&["-o", text(&out)]))
        .exits(2)
        .says("nothing says what the signature is to be checked with");
    iapctl(["sign", text(&app), "--detached", "-o", text(&tbs)])
        .exits(2)
        .says("which key will sign?");
    iapctl(["sign", text(&app), "-o", text(&out)])
        .exits(2)
        .says("nothing to sign with");
}

#[test]
fn files_that_are_no_keys_are_named_without_showing_them() {
    let folder = Folder::new();
    let (key, _) = keygen(&folder, "key.pem");
    let secret = std::fs::read_to_string(&key).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let encrypted = secret.replace("MC4", "AAA");
    let cases = [
        (b"\xff\xfe\x00".to_vec(), 1, "is no PEM file: not even text"),
        (b"hello".to_vec(), 2, "this is no PEM file"),
        (
            format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{encrypted}\n-----END ENCRYPTED PRIVATE KEY-----\n").into(),
            2,
            "--detached",
        ),
        (
            format!("-----BEGIN PRIVATE KEY-----\n{encrypted}\n-----END PRIVATE KEY-----\n").into(),
            2,
            "a key of another kind",
        ),
    ];
    for (content, code, says) in cases {
        let (said, out) = sign(&folder, &folder.file("bad.pem", &content), &[]);
        said.exits(code).says(says).never_says(&encrypted);
        assert!(!out.exists());
    }
    let (said, _) = sign(&folder, &folder.path("none.pem"), &[]);
    said.exits(1).says("no such key file");
}
