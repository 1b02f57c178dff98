//! A firmware without signatures: with policy `signed` it would take no image at all, which its build refuses.

use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::header::HeaderBytes;

use crate::config::Config;

/// Nothing can vouch for a signature.
pub(crate) fn check(image: &HeaderBytes, _: &Config, _: u32) -> Result<(), Refusal> {
    Err(match image.is_signed() {
        true => ErrorCode::UnknownKey.into(),
        false => ErrorCode::NotSigned.into(),
    })
}
