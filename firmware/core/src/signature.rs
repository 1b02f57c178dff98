//! Whether one of the board's keys has signed an image: Ed25519 (RFC 8032) over the header up to the signature. The header binds the
//! payload by its digest, which the update compares, before the commit with what is in flash.
//!
//! salty was chosen for its size; the numbers are in `protocol/SECURITY.md`. Nothing here is secret, so nothing needs constant time.

// Nothing that others wrote may end the firmware.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::header::{HeaderBytes, SIGNATURE_LEN};

use crate::config::Config;

/// Judges the signature of an image whose header says `revoked` of nothing but itself: the keys revoked so far come from the record.
// Not inlined: the stack of a packet's whole way would hold what one signature needs.
#[inline(never)]
pub(crate) fn check(image: &HeaderBytes, config: &Config, revoked: u32) -> Result<(), Refusal> {
    if !image.is_signed() {
        return Err(ErrorCode::NotSigned.into());
    }
    let id = image.key_id();
    let refusal = |code, note| Err(Refusal::with(code, note, &[id]));
    let Some(key) = config.public_keys.get(id as usize) else {
        return refusal(ErrorCode::UnknownKey, "key {d}");
    };
    if revoked.checked_shr(id).is_none_or(|bits| bits & 1 != 0) {
        return refusal(ErrorCode::KeyRevoked, "key {d}");
    }
    if !verify(key, image.signed(), &image.signature()) {
        return refusal(ErrorCode::BadSignature, "key {d}");
    }
    // What follows was signed all the same: it is a mistake of the signer, and nothing that a stranger can make up.
    if image.sha256().is_none() {
        return refusal(
            ErrorCode::BadSignature,
            "without a digest it covers no payload",
        );
    }
    if !image.may_revoke_its_keys() {
        return refusal(
            ErrorCode::HeaderField,
            "key {d} may revoke higher ones only",
        );
    }
    Ok(())
}

fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    let Ok(key) = salty::PublicKey::try_from(key) else {
        return false;
    };
    let signature = salty::Signature::from(signature);
    // RFC 8032 section 5.1.7: S is below the order of the group. salty leaves that to its caller.
    signature.s.is_canonical() && key.verify(message, &signature).is_ok()
}
