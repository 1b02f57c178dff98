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
            file.write_all(pem.as_bytes())
                .and_then(|()| file.sync_all())
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
mod tests {
    use super::*;

    /// Seed, public key, message and signature.
    type Vector<'a> = (&'a str, &'a str, &'a str, &'a str);

    /// RFC 8032 section 7.1: tests 1, 2, 3, and the one that signs SHA-512 of "abc".
    const VECTORS: [Vector; 4] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn signatures_are_rfc_8032_s() {
        for (seed, public, message, signature) in VECTORS {
            let key = PrivateKey(SigningKey::from_bytes(&bytes(seed).try_into().unwrap()));
            assert_eq!(key.public().to_string(), public);
            assert_eq!(key.sign(&bytes(message)).to_vec(), bytes(signature));
        }
    }
}
