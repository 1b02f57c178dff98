//! Keys as files: PKCS#8 for private keys and SubjectPublicKeyInfo for public ones (RFC 8410), in PEM, as openssl reads and writes them.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use iap_profile::PublicKey;
use iap_protocol::header::SIGNATURE_LEN;

use crate::failure::{Exit, Failure};

/// A private key. Wiped from memory when it is dropped.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A new one, from the operating system's random numbers.
    pub fn generate() -> Result<Self, Failure> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| {
            Failure::new(
                Exit::Local,
                format!("this machine gives no random numbers: {error}"),
            )
        })?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// Reads a PKCS#8 PEM file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = read(path)?;
        SigningKey::from_pkcs8_pem(&text)
            .map(Self)
            .map_err(|_| unreadable(path, &text, "an Ed25519 private key (PKCS#8 PEM)"))
    }

    /// Writes it into a new file that nobody else can read. An existing file is never overwritten: it may be the only copy of a key.
    pub fn write_new(&self, path: &Path) -> Result<(), Failure> {
        let failed =
            |what: String| Failure::new(Exit::Local, format!("{}: {what}", path.display()));
        // Without the public key it is version 1 of the format, the one that openssl 3.0 reads.
        let pair = KeypairBytes {
            secret_key: self.0.to_bytes(),
            public_key: None,
        };
        let pem = (pair.to_pkcs8_pem(LineEnding::LF))
            .map_err(|error| failed(format!("the key cannot be written as PEM: {error}")))?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = (options.open(path)).and_then(|mut file| {
            let written = (file.write_all(pem.as_bytes())).and_then(|()| file.sync_all());
            drop(file);
            if written.is_err() {
                // It is ours and no key: left there, it would stand in the way of the next try.
                let _ = std::fs::remove_file(path);
            }
            written
        });
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                failed("exists already, and a key is never overwritten".into())
                    .help("choose another name, or show its public key: iapctl keygen --show FILE")
            }
            _ => failed(format!("cannot write: {error}")),
        })
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The signature of `bytes`.
    pub fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(bytes).to_bytes()
    }
}

/// The public key in a PEM file with a public key, or of the private key in it.
pub fn read_public(path: &Path) -> Result<PublicKey, Failure> {
    let text = read(path)?;
    let public = VerifyingKey::from_public_key_pem(&text)
        .or_else(|_| SigningKey::from_pkcs8_pem(&text).map(|key| key.verifying_key()));
    match public {
        Ok(key) => Ok(PublicKey(key.to_bytes())),
        Err(_) => Err(unreadable(path, &text, "an Ed25519 key (PEM)")),
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::NotFound => "no such key file".to_owned(),
            ErrorKind::InvalidData => "is no PEM file: not even text".to_owned(),
            _ => format!("cannot read: {error}"),
        };
        Failure::new(Exit::Local, format!("{}: {what}", path.display()))
            .help("make a key: iapctl keygen -o FILE")
    })
}

/// Why the text of a key file is none. Never shows any of it.
fn unreadable(path: &Path, text: &str, expected: &str) -> Failure {
    let label = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("-----BEGIN "))
        .map(|label| label.trim_end_matches('-'));
    let came = match label {
        Some(label) => format!("a file with {label}"),
        None => "no PEM file".to_owned(),
    };
    let failure = Failure::new(
        Exit::Usage,
        format!("{}: expected {expected}, this is {came}", path.display()),
    );
    match label {
        Some("ENCRYPTED PRIVATE KEY") => failure
            .help("sign with the program that knows the passphrase: iapctl sign --detached")
            .help("or take the passphrase off: openssl pkey -in FILE -out PLAIN"),
        Some("PUBLIC KEY") => failure.help("only the private key can sign"),
        Some("PRIVATE KEY") => {
            failure.help("a key of another kind: iapctl keygen makes an Ed25519 key")
        }
        _ => failure.help(
            "iapctl keygen -o FILE makes one, or openssl genpkey -algorithm ed25519 -out FILE",
        ),
    }
}

#[cfg(test)]
#[path = "../../../protocol/tests/rfc8032/mod.rs"]
mod rfc8032;

#[cfg(test)]
mod tests {
    use super::rfc8032::{VECTORS, bytes};
    use super::*;

    #[test]
    fn signatures_are_rfc_8032_s() {
        for (seed, public, message, signature) in VECTORS {
            let key = PrivateKey(SigningKey::from_bytes(&bytes(seed).try_into().unwrap()));
            assert_eq!(key.public().to_string(), public);
            assert_eq!(key.sign(&bytes(message)).to_vec(), bytes(signature));
        }
    }
}
