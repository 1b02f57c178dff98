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
use iap_protocol::packed;

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
        return refusal(ErrorCode::UnknownKey, packed!("key {d}"));
    };
    if revoked.checked_shr(id).is_none_or(|bits| bits & 1 != 0) {
        return refusal(ErrorCode::KeyRevoked, packed!("key {d}"));
    }
    if !verify(key, image.signed(), &image.signature()) {
        return refusal(ErrorCode::BadSignature, packed!("key {d}"));
    }
    // What follows was signed all the same: it is a mistake of the signer, and nothing that a stranger can make up.
    if image.sha256().is_none() {
        return refusal(
            ErrorCode::BadSignature,
            packed!("without a digest it covers no payload"),
        );
    }
    if !image.may_revoke_its_keys() {
        return refusal(
            ErrorCode::HeaderField,
            packed!("key {d} may revoke higher ones only"),
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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Public key, message and signature.
    type Vector<'a> = (&'a str, &'a str, &'a str);

    /// RFC 8032 section 7.1: tests 1, 2, 3, and the one that signs SHA-512 of "abc".
    const VECTORS: [Vector<'_>; 4] = [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
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
    fn signatures_are_judged_as_rfc_8032_says() {
        for (key, message, signature) in VECTORS {
            let key: [u8; 32] = bytes(key).try_into().unwrap();
            let mut message = bytes(message);
            let mut signature: [u8; 64] = bytes(signature).try_into().unwrap();
            assert!(verify(&key, &message, &signature));
            for at in 0..64 {
                signature[at] ^= 1;
                assert!(!verify(&key, &message, &signature), "byte {at}");
                signature[at] ^= 1;
            }
            message.push(0);
            assert!(!verify(&key, &message, &signature));
        }
    }

    #[test]
    fn bytes_that_are_no_key_verify_nothing() {
        let (_, message, signature) = VECTORS[0];
        let signature: [u8; 64] = bytes(signature).try_into().unwrap();
        // y = 2 is no point of the curve.
        let mut key = [0; 32];
        key[0] = 2;
        assert!(!verify(&key, &bytes(message), &signature));
    }
}
