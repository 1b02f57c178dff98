//! What the boards of the sweep take and start: policy `open`, the same with the bare rule, policy `signed`.
//!
//! With `signed` every image is signed, every push and every boot checks a signature as the firmware does, and the new image raises the
//! security counter and revokes a key. Neither may fall, and what they shut out stays out.

use iap_core::config::Config;
use iap_protocol::ErrorCode;
use iap_protocol::memory::MemoryMap;

use super::start::{COUNTER, Kind, file, head};
use crate::rng::mix;
use crate::signer::{require_signatures, signed_file};

/// Under which rules a board takes and starts images.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rules {
    /// Policy `open`.
    Open,
    /// The same, and the vector table alone decides where the record says nothing else.
    Bare,
    /// Policy `signed`, with `boot-check = "signature"`.
    Signed,
}

/// What an image says of itself.
pub(super) struct Claim {
    major: u16,
    /// What follows is said by signed images only.
    key: u8,
    counter: u32,
    revokes: u32,
}

/// The image that boards have from production.
pub(super) const OLD: Claim = Claim {
    major: 1,
    key: 0,
    counter: COUNTER,
    revokes: 0,
};
/// The one that is pushed to every board.
pub(super) const NEW: Claim = Claim {
    major: 2,
    key: 0,
    counter: COUNTER + 2,
    revokes: 1 << 1,
};
/// One that came to some boards between them, signed with the key that the new one revokes.
pub(super) const THIRD: Claim = Claim {
    major: 3,
    key: 1,
    counter: COUNTER + 1,
    revokes: 0,
};
/// And one that fills up records: the same, but it raises no counter.
pub(super) const FOURTH: Claim = Claim {
    major: 4,
    counter: COUNTER,
    ..THIRD
};

impl Rules {
    /// Those of `kinds` that such a board can be in: it takes no raw images where signatures count, and elsewhere nobody need forge one.
    pub(super) fn possible(self, kinds: &[Kind]) -> impl Iterator<Item = Kind> {
        let takes = move |kind: &Kind| match kind {
            Kind::Raw => self != Self::Signed,
            Kind::Forged => self == Self::Signed,
            _ => true,
        };
        kinds.iter().copied().filter(takes)
    }

    /// The seed of such a board in this state.
    pub fn seed(self, seed: u64, kind: Kind) -> u64 {
        mix(seed ^ mix(kind as u64 * 4 + self as u64))
    }

    /// Makes a board keep to them.
    pub(super) fn apply(self, config: &mut Config) {
        config.bare_rule = self == Self::Bare;
        if self == Self::Signed {
            require_signatures(config);
            config.boot_signature = true;
        }
    }

    /// An image that such a board takes.
    pub(super) fn file(self, payload: &[u8], claim: &Claim, map: &MemoryMap) -> Vec<u8> {
        match self {
            Self::Open | Self::Bare => file(payload, claim.major, map),
            Self::Signed => {
                let head = head(payload, claim.major, map);
                signed_file(head, payload, claim.key, |header| {
                    header.security_counter = claim.counter;
                    header.revoked_keys = claim.revokes;
                })
            }
        }
    }

    /// What the commit of the new image makes of security counter and revoked keys: nothing, if nobody has signed it.
    pub(super) fn raises(self) -> (u32, u32) {
        match self {
            Self::Open | Self::Bare => (0, 0),
            Self::Signed => (NEW.counter, NEW.revokes),
        }
    }

    /// What a board refuses once it has the new image: its own old one, one of the revoked key, and what nobody has signed.
    pub(super) fn outdated(self, payload: &[u8], map: &MemoryMap) -> Vec<(ErrorCode, Vec<u8>)> {
        if self != Self::Signed {
            return Vec::new();
        }
        let revoked = Claim {
            counter: NEW.counter,
            ..THIRD
        };
        vec![
            (ErrorCode::CounterTooLow, self.file(payload, &OLD, map)),
            (ErrorCode::KeyRevoked, self.file(payload, &revoked, map)),
            (ErrorCode::NotSigned, {
                let mut head = head(payload, OLD.major, map);
                head.security_counter = NEW.counter;
                [&head.encode(), payload].concat()
            }),
            (ErrorCode::RawNotAllowed, payload.to_vec()),
        ]
    }
}
