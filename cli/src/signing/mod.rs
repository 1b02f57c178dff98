//! Signatures: Ed25519 (RFC 8032) over the image header, which binds the payload by its SHA-256.
//!
//! The private key may stay in a hardware module: [`to_be_signed`] gives the bytes for it, [`attach`] takes what it made of them.
//! Boards check with an implementation of their own; whether a board would take an image is the business of [`crate::image::check`].

mod key;

use std::path::PathBuf;

use ed25519_dalek::{Signature, VerifyingKey};
use iap_profile::{Profile, PublicKey};
use iap_protocol::header::{ImageHeader, MAX_PUBLIC_KEYS, SIGNATURE_LEN, SIGNED_LEN};

use crate::failure::{Exit, Failure};
pub use key::{PrivateKey, read_public};

/// What a signature says beside the image.
#[derive(Clone, Default, Debug, clap::Args)]
#[command(next_help_heading = "Signature")]
pub struct SignatureArgs {
    /// Id of the key: its place in the profile's public-keys, counted from 0 [default: where the profile lists the key]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..MAX_PUBLIC_KEYS as i64))]
    pub key_id: Option<u32>,
    /// Revokes a key once the image is committed; its id must be higher than the signing key's. Can be given several times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..MAX_PUBLIC_KEYS as i64))]
    pub revoke: Vec<u32>,
}

/// A private key on this machine, and what its signature says.
#[derive(Clone, Default, Debug, clap::Args)]
pub struct KeyArgs {
    /// Signs with this private key (PKCS#8 PEM, as iapctl keygen and openssl write it)
    #[arg(long, value_name = "FILE", help_heading = "Signature")]
    pub key: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub signature: SignatureArgs,
}

/// The ids in a header's bitmap of revoked keys.
pub(crate) fn key_ids(revoked_keys: u32) -> Vec<u8> {
    (0..32).filter(|id| revoked_keys >> id & 1 == 1).collect()
}

impl KeyArgs {
    /// Signs the header, if there is a key.
    pub fn sign(&self, header: &mut ImageHeader, profile: &Profile) -> Result<(), Failure> {
        let Some(path) = &self.key else {
            let stray = self.signature.key_id.is_some() || !self.signature.revoke.is_empty();
            return match stray {
                true => Err(Failure::new(
                    Exit::Usage,
                    "--key-id and --revoke are part of a signature: give --key as well",
                )),
                false => Ok(()),
            };
        };
        let key = PrivateKey::read(path)?;
        self.signature
            .prepare(header, Some(&key.public()), profile)?;
        header.signature = key.sign(&to_be_signed(header));
        Ok(())
    }
}

impl SignatureArgs {
    /// Writes key id and revoked keys into the header and takes out an old signature.
    pub fn prepare(
        &self,
        header: &mut ImageHeader,
        key: Option<&PublicKey>,
        profile: &Profile,
    ) -> Result<(), Failure> {
        header.signature = [0; SIGNATURE_LEN];
        header.key_id = self.id(key, profile)?;
        if !self.revoke.is_empty() {
            header.revoked_keys = self.revoke.iter().fold(0, |bits, id| bits | 1 << id);
        }
        if header.may_revoke_its_keys() {
            return Ok(());
        }
        let message = format!(
            "key {} may revoke keys with a higher id only",
            header.key_id
        );
        Err(Failure::new(Exit::Usage, message)
            .help("so the first key of a board can never be revoked, and the board never runs out of keys"))
    }

    fn id(&self, key: Option<&PublicKey>, profile: &Profile) -> Result<u32, Failure> {
        let keys = &profile.settings.iap.public_keys;
        let listed = key.and_then(|key| keys.iter().position(|known| known == key));
        let listed = listed.and_then(|at| u32::try_from(at).ok());
        match (self.key_id, listed) {
            (Some(id), _) if keys.is_empty() || key.is_none() => Ok(id),
            (Some(id), Some(at)) if id == at => Ok(id),
            (None, Some(at)) => Ok(at),
            (None, None) if keys.is_empty() && key.is_some() => Ok(0),
            (None, None) if key.is_none() => Err(Failure::new(
                Exit::Usage,
                "which key will sign? its id is part of what is signed",
            )
            .help("give --key-id N, or --public-key FILE if the profile lists the key")),
            _ => Err(no_such_key(self.key_id, key, profile)),
        }
    }
}

fn no_such_key(id: Option<u32>, key: Option<&PublicKey>, profile: &Profile) -> Failure {
    let which = match id {
        Some(id) => format!("key {id}"),
        None => "any of the public keys".to_owned(),
    };
    let key = key.map_or_else(String::new, |key| format!(" {key}"));
    let message = format!(
        "the key{key} is not {which} of profile {}: its boards would refuse the image",
        profile.name
    );
    Failure::new(Exit::Usage, message)
        .help("name the profile of the board with --profile, or list the key under public-keys in its [iap]")
}

/// The bytes that a signature covers: the header up to the signature.
pub fn to_be_signed(header: &ImageHeader) -> [u8; SIGNED_LEN] {
    let mut bytes = [0; SIGNED_LEN];
    bytes.copy_from_slice(&header.encode()[..SIGNED_LEN]);
    bytes
}

/// Whether `signature` is that of `key` over `header`, by RFC 8032's strict rules.
pub fn is_right(header: &ImageHeader, signature: &[u8; SIGNATURE_LEN], key: &PublicKey) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(&key.0)
        .is_ok_and(|key| key.verify_strict(&to_be_signed(header), &signature).is_ok())
}

/// Takes a signature that was made elsewhere, if it is right.
pub fn attach(header: &mut ImageHeader, signature: &[u8], key: &PublicKey) -> Result<(), Failure> {
    let bad = |message: String| Failure::new(Exit::BadImage, message);
    let Ok(signature) = <[u8; SIGNATURE_LEN]>::try_from(signature) else {
        return Err(bad(format!(
            "an Ed25519 signature has {SIGNATURE_LEN} bytes, this one has {}",
            signature.len()
        ))
        .help("expected the raw signature, as openssl pkeyutl -sign -rawin writes it, without any encoding"));
    };
    if !is_right(header, &signature, key) {
        return Err(bad(format!(
            "the signature is not that of key {key} over this image"
        ))
        .help("sign exactly the bytes that --detached wrote, from the same image with the same options"));
    }
    header.signature = signature;
    Ok(())
}
