//! A firmware without signatures: with policy `signed` it would take no image at all, which its build refuses.

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::HeaderBytes;

use crate::config::Config;

/// Nothing can vouch for a signature.
pub(crate) fn check(
    image: &HeaderBytes,
    _: &Config,
    _: u32,
    why: &mut Refusal,
) -> Result<(), Refused> {
    Err(why.refuse(match image.is_signed() {
        true => ErrorCode::UnknownKey,
        false => ErrorCode::NotSigned,
    }))
}
