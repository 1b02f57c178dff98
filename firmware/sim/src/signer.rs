//! Keys and signatures for tests, made by another implementation (ed25519-dalek) than the firmware's.
//!
//! The secrets are in the source: nothing but tests may trust these keys.

use std::sync::OnceLock;

use ed25519_dalek::{Signer, SigningKey};
use iap_core::config::Config;
use iap_protocol::header::{ImageHeader, SIGNATURE_LEN, SIGNED_LEN};
use iap_protocol::status::Policy;

/// Keys of a test board; its private keys are [`secret`].
pub const KEYS: u8 = 3;

/// The private key of id `id`. Those from [`KEYS`] on are strangers'.
pub fn secret(id: u8) -> [u8; 32] {
    [id.wrapping_add(1); 32]
}

/// The public keys of a test board, by id.
pub fn public_keys() -> &'static [[u8; 32]] {
    static PUBLIC: OnceLock<Vec<[u8; 32]>> = OnceLock::new();
    PUBLIC.get_or_init(|| (0..KEYS).map(public_key).collect())
}

/// The public key of [`secret`].
pub fn public_key(id: u8) -> [u8; 32] {
    SigningKey::from_bytes(&secret(id))
        .verifying_key()
        .to_bytes()
}

/// Makes a board one that takes only what [`public_keys`] have signed.
pub fn require_signatures(config: &mut Config) {
    config.policy = Policy::Signed;
    config.bare_rule = false;
    config.public_keys = public_keys();
}

/// Signs as key `id`, which the header is made to say.
pub fn sign(header: &mut ImageHeader, id: u8) {
    header.key_id = id.into();
    header.signature = signature(header, id);
}

/// The signature of key `id`, whatever the header says of itself.
pub fn signature(header: &ImageHeader, id: u8) -> [u8; SIGNATURE_LEN] {
    let bytes = header.encode();
    let signed = bytes.get(..SIGNED_LEN).unwrap_or_default();
    SigningKey::from_bytes(&secret(id)).sign(signed).to_bytes()
}

/// Changes five bytes from `at` on and leaves the CRC-32 of all that they lie in as it was: what they are changed by is a multiple of the
/// polynomial. Whoever has no key can do the same to a signed image.
pub fn forge(payload: &mut [u8], at: usize) {
    // CRC-32 takes the lowest bit of a byte first: x^32, then the others as its reflected form has them.
    const MULTIPLE: u64 = 1 | 0xEDB8_8320 << 1;
    let place = payload.iter_mut().skip(at);
    for (byte, change) in place.zip(MULTIPLE.to_le_bytes()).take(5) {
        *byte ^= change;
    }
}

/// A whole `.iap` file, signed as key `id` after `change`.
pub fn signed_file(
    mut header: ImageHeader,
    payload: &[u8],
    id: u8,
    change: impl FnOnce(&mut ImageHeader),
) -> Vec<u8> {
    change(&mut header);
    sign(&mut header, id);
    [&header.encode(), payload].concat()
}
