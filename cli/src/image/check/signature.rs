//! Whether the board would believe the image's signature, as far as the profile or a key at hand can tell.

use iap_protocol::header::{ImageHeader, PayloadDigest};
use iap_protocol::status::Policy;

use super::super::finding::Finding;
use super::super::{Format, Image};
use super::{Target, Trust, error, note, ok, warning};
use crate::signing;

/// All checks of this file.
pub(super) fn check(image: &Image, header: &ImageHeader, target: &Target) -> Vec<Finding> {
    let trust = &target.trust;
    if header.is_signed() {
        return [signature(header, trust), counter(header, trust)]
            .into_iter()
            .chain(contradictions(header))
            .collect();
    }
    match image.format {
        Format::Iap => vec![unsigned(trust)],
        // Whatever is not a .iap file gets its header, and a signature with it, on the way to the board.
        _ if trust.key.is_some() => vec![unsigned(trust)],
        _ => Vec::new(),
    }
}

fn unsigned(trust: &Trust) -> Finding {
    if trust.key.is_some() {
        return error(
            "signature",
            "not signed, and a key was given to check a signature with",
        )
        .mend("sign it: iapctl sign --key FILE");
    }
    match trust.policy {
        Policy::Signed => warning(
            "signature",
            "not signed: the board takes signed images only",
        )
        .mend("sign it: iapctl sign --key FILE, or iapctl push --key FILE"),
        _ => note(
            "signature",
            "not signed: boards with policy \"signed\" refuse it",
        ),
    }
}

fn signature(header: &ImageHeader, trust: &Trust) -> Finding {
    let id = header.key_id;
    let listed = trust.keys.get(id as usize).copied();
    let Some(key) = trust.key.or(listed) else {
        let count = trust.keys.len();
        return match count {
            0 => note("signature", format!("signed with key {id}, not checked: the profile lists no public keys and no --key was given")),
            _ => error("signature", format!("signed with key {id}, but the profile lists only {count} public keys, the first is key 0"))
                .why("the board does not know the key and refuses the image"),
        };
    };
    match signing::is_right(header, &header.signature, &key) {
        true => ok("signature", format!("signed with key {id}, {key}")),
        false => error(
            "signature",
            format!("the signature is not that of key {id}, {key}"),
        )
        .why("the header was changed after it was signed, or another key has signed it")
        .mend("sign it again: iapctl sign --key FILE"),
    }
}

fn counter(header: &ImageHeader, trust: &Trust) -> Finding {
    let (counter, least) = (header.security_counter, trust.security_counter);
    match counter < least {
        true => error(
            "security-counter",
            format!("security counter {counter}, the profile asks for {least} at least"),
        )
        .why("the board refuses images that are older than that")
        .mend("sign with --security-counter, if the image is really a newer one"),
        false => ok("security-counter", format!("security counter {counter}")),
    }
}

/// What no honest signer would write, and no board takes.
fn contradictions(header: &ImageHeader) -> Vec<Finding> {
    let mut findings = Vec::new();
    if header.digest == PayloadDigest::None {
        let what = "signed without a digest: the signature says nothing about the payload, and boards refuse it";
        findings.push(error("signature", what));
    }
    if !header.may_revoke_its_keys() {
        let what = format!(
            "key {} may revoke keys with a higher id only",
            header.key_id
        );
        findings
            .push(error("signature", what).why("the board refuses an image that revokes others"));
    }
    findings
}
