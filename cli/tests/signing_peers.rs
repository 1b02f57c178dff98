//! Signatures of openssl and Python's cryptography are taken by iapctl and by the firmware's core, and theirs take those of iapctl.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{App, Folder, iapctl, peer};
use iap_profile::PublicKey;
use iap_protocol::header::{ImageHeader, SIGNED_LEN};
use iap_sim::bench::{Bench, Pushed, real_map};
use iap_sim::signer::{public_keys, require_signatures};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}

fn openssl(args: &[&str]) -> Option<()> {
    let mut command = peer("openssl")?;
    run(command.args(args));
    Some(())
}

/// Python with the package `cryptography`, where it happens to be: openssl is the peer that `cargo xtask setup` installs.
fn python(script: &str, args: &[&Path]) -> Option<()> {
    let mut command = peer("python3")?;
    let mut probe = Command::new("python3");
    probe.args(["-c", "import cryptography"]);
    if !probe.output().is_ok_and(|output| output.status.success()) {
        // Past the test harness, which keeps what eprintln! prints for itself when a test passes.
        #[allow(clippy::explicit_write)]
        writeln!(
            std::io::stderr(),
            "\nSKIPPED: Python has no package cryptography"
        )
        .unwrap();
        return None;
    }
    run(command.args(["-c", script]).args(args));
    Some(())
}

/// The bytes to sign of an application, and the image that a signature of them makes.
struct Detached {
    folder: Folder,
    app: PathBuf,
    to_sign: PathBuf,
    signature: PathBuf,
    signed: PathBuf,
}

impl Detached {
    fn new() -> Self {
        let folder = Folder::new();
        let case = Self {
            app: folder.file("app.elf", &App::good().elf()),
            to_sign: folder.path("app.tbs"),
            signature: folder.path("app.sig"),
            signed: folder.path("app.iap"),
            folder,
        };
        let out = text(&case.to_sign);
        iapctl([
            "sign",
            text(&case.app),
            "--key-id",
            "0",
            "--detached",
            "-o",
            out,
        ])
        .exits(0);
        case
    }

    /// The signature becomes a signed image that iapctl finds right.
    fn attach(&self, public_key: &Path) {
        let image = [
            "sign",
            text(&self.app),
            "--key-id",
            "0",
            "-o",
            text(&self.signed),
        ];
        let signature = [
            "--signature",
            text(&self.signature),
            "--public-key",
            text(public_key),
        ];
        iapctl(image.iter().chain(&signature)).exits(0);
        iapctl([
            "verify-image",
            text(&self.signed),
            "--key",
            text(public_key),
        ])
        .exits(0)
        .says("signed with key 0");
    }

    /// The core installs the signed image on a board with this public key, and on no other one.
    fn board_takes_it(&self, public_key: &Path) {
        let shown = iapctl(["keygen", "--json", "--show", text(public_key)]);
        let key: PublicKey = shown.json()["public_key"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let file = std::fs::read(&self.signed).unwrap();
        for (keys, is_taken) in [(vec![key.0], true), (public_keys().to_vec(), false)] {
            let mut board = Bench::new(real_map(), 1);
            require_signatures(&mut board.config);
            board.config.public_keys = keys.leak();
            let pushed = board.push(&file);
            assert_eq!(pushed == Pushed::Committed, is_taken, "{pushed:?}");
        }
    }

    /// An image signed by iapctl, cut into what was signed and the signature.
    fn sign_with(&self, key: &Path) {
        let args = [
            "sign",
            text(&self.app),
            "-o",
            text(&self.signed),
            "--key",
            text(key),
        ];
        iapctl(args).exits(0);
        let file = std::fs::read(&self.signed).unwrap();
        let header = ImageHeader::decode(&file).unwrap();
        std::fs::write(&self.to_sign, &file[..SIGNED_LEN]).unwrap();
        std::fs::write(&self.signature, header.signature).unwrap();
    }
}

/// As README shows it.
#[test]
fn openssl_signs_for_iapctl_with_a_key_of_its_own() {
    let case = Detached::new();
    let (key, public) = (case.folder.path("key.pem"), case.folder.path("public.pem"));
    let made = || {
        openssl(&["genpkey", "-algorithm", "ed25519", "-out", text(&key)])?;
        openssl(&["pkey", "-in", text(&key), "-pubout", "-out", text(&public)])?;
        let (input, out) = (text(&case.to_sign), text(&case.signature));
        openssl(&[
            "pkeyutl",
            "-sign",
            "-rawin",
            "-inkey",
            text(&key),
            "-in",
            input,
            "-out",
            out,
        ])
    };
    if made().is_some() {
        case.attach(&public);
        case.board_takes_it(&public);
        // And iapctl signs with openssl's key: Ed25519 is deterministic.
        let theirs = std::fs::read(&case.signature).unwrap();
        case.sign_with(&key);
        assert_eq!(std::fs::read(&case.signature).unwrap(), theirs);
    }
}

#[test]
fn openssl_verifies_what_iapctl_signed_with_a_key_of_iapctl() {
    let case = Detached::new();
    let (key, public) = (case.folder.path("key.pem"), case.folder.path("public.pem"));
    iapctl(["keygen", "-o", text(&key)]).exits(0);
    case.sign_with(&key);
    case.board_takes_it(&key);
    let verified = || {
        openssl(&["pkey", "-in", text(&key), "-pubout", "-out", text(&public)])?;
        let (input, signature) = (text(&case.to_sign), text(&case.signature));
        openssl(&[
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            text(&public),
            "-in",
            input,
            "-sigfile",
            signature,
        ])
    };
    verified();
}

const SIGN: &str = "
import sys
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
to_sign, signature, public = sys.argv[1:]
key = Ed25519PrivateKey.generate()
open(signature, 'wb').write(key.sign(open(to_sign, 'rb').read()))
open(public, 'wb').write(key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))
";

const VERIFY: &str = "
import sys
from cryptography.hazmat.primitives.serialization import load_pem_private_key
to_sign, signature, key = (open(name, 'rb').read() for name in sys.argv[1:])
load_pem_private_key(key, None).public_key().verify(signature, to_sign)
";

#[test]
fn python_s_cryptography_signs_for_iapctl_and_verifies_it() {
    let case = Detached::new();
    let (key, public) = (case.folder.path("key.pem"), case.folder.path("public.pem"));
    if python(SIGN, &[&case.to_sign, &case.signature, &public]).is_some() {
        case.attach(&public);
        case.board_takes_it(&public);
        iapctl(["keygen", "-o", text(&key)]).exits(0);
        case.sign_with(&key);
        python(VERIFY, &[&case.to_sign, &case.signature, &key]);
    }
}
