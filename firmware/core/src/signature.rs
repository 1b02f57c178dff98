//! Whether one of the board's keys has signed an image: Ed25519 (RFC 8032) over the header up to the signature. The header binds the
//! payload by its digest, which the update compares, before the commit with what is in flash.
//!
//! salty was chosen for its size; the numbers are in `protocol/SECURITY.md`. Of salty only the curve is used: reducing one hash modulo the
//! order of the group is 2.5 KiB there and a few bytes here, where nobody minds 2 ms. Nothing here is secret, so nothing needs constant time.

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::{HeaderBytes, SIGNATURE_LEN};
use iap_protocol::packed;
use salty::{CompressedY, EdwardsPoint, Scalar};

use crate::config::Config;
use crate::sha::Sha512;

/// Judges the signature of an image whose header says `revoked` of nothing but itself: the keys revoked so far come from the record.
// Not inlined: the stack of a packet's whole way would hold what one signature needs.
#[inline(never)]
pub(crate) fn check(
    image: &HeaderBytes,
    config: &Config,
    revoked: u32,
    why: &mut Refusal,
) -> Result<(), Refused> {
    if !image.is_signed() {
        return Err(why.refuse(ErrorCode::NotSigned));
    }
    let id = image.key_id();
    let mut refused = |code, note| Err(why.refuse_with(code, note, &[id]));
    let Some(key) = config.public_keys.get(id as usize) else {
        return refused(ErrorCode::UnknownKey, packed!("key {d}"));
    };
    if revoked.checked_shr(id).is_none_or(|bits| bits & 1 != 0) {
        return refused(ErrorCode::KeyRevoked, packed!("key {d}"));
    }
    if !verify(key, image.signed(), &image.signature()) {
        return refused(ErrorCode::BadSignature, packed!("key {d}"));
    }
    // What follows was signed all the same: it is a mistake of the signer, and nothing that a stranger can make up.
    if image.sha256().is_none() {
        return refused(
            ErrorCode::BadSignature,
            packed!("without a digest it covers no payload"),
        );
    }
    if !image.may_revoke_its_keys() {
        return refused(
            ErrorCode::HeaderField,
            packed!("key {d} may revoke higher ones only"),
        );
    }
    Ok(())
}

/// RFC 8032 section 5.1.7, with the equation that is not multiplied by 8, as salty's own verification has it.
#[allow(clippy::arithmetic_side_effects, reason = "of points: it ends nothing")]
fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    let Ok(point) = CompressedY::from(key).decompressed() else {
        return false;
    };
    let (Some(r), Some(s)) = (signature.first_chunk(), signature.last_chunk()) else {
        return false;
    };
    if !is_canonical(s) {
        return false;
    }
    let mut hash = Sha512::new();
    for part in [r, key, message] {
        hash.update(part, ());
    }
    let k = Scalar::from(&reduced(&hash.finish(())));
    let expected = &(&Scalar::from(s) * &EdwardsPoint::basepoint()) + &(&k * &-&point);
    expected.compressed() == CompressedY::from(r)
}

/// 256 bits, the least significant word first.
type Words = [u32; 8];

/// The order of the group (RFC 8032 section 5.1): 2^252 + 27742317777372353535851937790883648493.
const ORDER: Words = [
    0x5CF5_D3ED,
    0x5812_631A,
    0xA2F7_9CD6,
    0x14DE_F9DE,
    0,
    0,
    0,
    0x1000_0000,
];

/// Takes the order away once, if there is as much; whether there was.
fn take_order(number: &mut Words) -> bool {
    let (mut rest, mut borrow) = (*number, false);
    for (word, order) in rest.iter_mut().zip(ORDER) {
        (*word, borrow) = word.borrowing_sub(order, borrow);
    }
    if !borrow {
        *number = rest;
    }
    !borrow
}

/// Whether the scalar of a signature is below the order of the group, which RFC 8032 asks for: else a signature would have several forms.
fn is_canonical(scalar: &[u8; 32]) -> bool {
    let mut number = [0; 8];
    for (word, bytes) in number.iter_mut().zip(scalar.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    !take_order(&mut number)
}

/// A number of 512 bits, the least significant byte first, modulo the order of the group: one bit after the other, from the top.
fn reduced(number: &[u8; 64]) -> [u8; 32] {
    let mut rest: Words = [0; 8];
    for byte in number.iter().rev() {
        for shift in (0..8).rev() {
            // The rest is below the order, so twice as much and a bit are below 2^254.
            let mut carry = u32::from(byte >> shift & 1);
            for word in &mut rest {
                (*word, carry) = (*word << 1 | carry, *word >> 31);
            }
            take_order(&mut rest);
        }
    }
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(4).zip(rest) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
#[path = "../../../protocol/tests/rfc8032/mod.rs"]
mod rfc8032;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::rfc8032::{VECTORS, bytes};
    use super::*;

    #[test]
    fn signatures_are_judged_as_rfc_8032_says() {
        for (_, key, message, signature) in VECTORS {
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

    /// Bytes that look like none of the others.
    fn noise<const N: usize>(seed: u32) -> [u8; N] {
        let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
        core::array::from_fn(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
    }

    /// The order of the group with `difference` in its lowest byte.
    fn about_the_order(difference: i8) -> [u8; 32] {
        let mut bytes = Scalar::ell();
        bytes[0] = bytes[0].checked_add_signed(difference).unwrap();
        bytes
    }

    #[test]
    fn a_hash_is_reduced_as_salty_does_it() {
        let mut numbers = std::vec![[0; 64], [0xFF; 64]];
        for difference in -1..=1 {
            let order = about_the_order(difference);
            let zero = [0; 32];
            numbers.push([order, zero].concat().try_into().unwrap());
            numbers.push([zero, order].concat().try_into().unwrap());
            numbers.push([order, order].concat().try_into().unwrap());
        }
        numbers.extend((1..2000).map(noise));
        for number in numbers {
            let expected = *Scalar::from_u512_le(&number).as_bytes();
            assert_eq!(reduced(&number), expected, "{number:?}");
        }
    }

    #[test]
    fn scalars_from_the_order_on_are_not_canonical() {
        assert!(is_canonical(&about_the_order(-1)) && is_canonical(&[0; 32]));
        for wrong in [about_the_order(0), about_the_order(1), [0xFF; 32]] {
            assert!(!is_canonical(&wrong));
        }
        for seed in 1..2000 {
            let mut bytes: [u8; 32] = noise(seed);
            bytes[31] &= 0x1F;
            let scalar = Scalar::from(&bytes);
            assert_eq!(is_canonical(&bytes), scalar.is_canonical(), "{bytes:?}");
        }
    }

    /// The same signature with the order added to its scalar: the equation holds, and it is refused all the same.
    #[test]
    fn a_second_form_of_a_signature_is_refused() {
        let (_, key, message, signature) = VECTORS[1];
        let key: [u8; 32] = bytes(key).try_into().unwrap();
        let mut signature: [u8; 64] = bytes(signature).try_into().unwrap();
        assert!(verify(&key, &bytes(message), &signature));
        let mut carry = 0;
        for (byte, order) in signature[32..].iter_mut().zip(Scalar::ell()) {
            carry += u16::from(*byte) + u16::from(order);
            (*byte, carry) = (carry as u8, carry >> 8);
        }
        assert_eq!(carry, 0);
        assert!(!verify(&key, &bytes(message), &signature));
    }

    #[test]
    fn bytes_that_are_no_key_verify_nothing() {
        let (_, _, message, signature) = VECTORS[0];
        let signature: [u8; 64] = bytes(signature).try_into().unwrap();
        // y = 2 is no point of the curve.
        let mut key = [0; 32];
        key[0] = 2;
        assert!(!verify(&key, &bytes(message), &signature));
    }
}
