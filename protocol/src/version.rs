//! Application versions: semver's three numbers and up to 24 characters of pre-release and build text.

use core::fmt;
use core::str::FromStr;

use heapless::String;

use crate::packed;
use crate::text::Writer;

/// Characters a version's pre-release and build text may have.
pub const SUFFIX_LEN: usize = 24;

/// A version as semver.org writes it: `1.2.3`, `1.2.3-rc.1`, `1.2.3+g1a2b3c4`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Version {
    /// Incompatible changes.
    pub major: u16,
    /// Additions.
    pub minor: u16,
    /// Repairs.
    pub patch: u16,
    /// `-pre.release+build`, sign included; empty for a plain version.
    pub suffix: String<SUFFIX_LEN>,
}

impl Version {
    /// The plain version `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
            suffix: String::new(),
        }
    }

    /// Whether this is the version of an image that carries none.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Writes it as [`fmt::Display`] does.
    pub fn write(&self, out: &mut Writer<'_>) {
        let numbers = [self.major.into(), self.minor.into(), self.patch.into()];
        out.fill(
            packed!("{d}.{d}.{d}{t}"),
            &numbers,
            &[self.suffix.as_bytes()],
        );
    }

    /// The three numbers, which is what minimum versions are compared by.
    pub fn numbers(&self) -> (u16, u16, u16) {
        (self.major, self.minor, self.patch)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}{}",
            self.major, self.minor, self.patch, self.suffix
        )
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VersionError {
    /// Not `major.minor.patch`, each 0 to 65535.
    Numbers,
    /// The part after the numbers is not `-text`, `+text` or both, of letters, digits, `.`, `-` and `+`.
    Suffix,
    /// The part after the numbers is longer than [`SUFFIX_LEN`].
    SuffixTooLong,
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers => f.write_str("a version is major.minor.patch, each from 0 to 65535, such as 1.2.3 or 1.2.3-rc.1"),
            Self::Suffix => {
                f.write_str("after major.minor.patch a version may have -pre.release and +build of letters, digits, . and -")
            }
            Self::SuffixTooLong => write!(f, "the pre-release and build text of a version may have {SUFFIX_LEN} characters"),
        }
    }
}

impl core::error::Error for VersionError {}

/// Whether `suffix` is empty or `-...` / `+...` in semver's alphabet.
pub(crate) const fn is_suffix(suffix: &str) -> bool {
    is_suffix_bytes(suffix.as_bytes())
}

/// As [`is_suffix`].
pub(crate) const fn is_suffix_bytes(suffix: &[u8]) -> bool {
    match suffix {
        [] => true,
        [b'-' | b'+', _, ..] => is_made_of(suffix, b".-+"),
        _ => false,
    }
}

/// Whether `text` holds only ASCII letters, digits and the characters in `others`.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "const: there is no get yet; the index is below the length"
)]
pub(crate) const fn is_made_of(text: &[u8], others: &[u8]) -> bool {
    let mut i = 0;
    while i < text.len() {
        if !text[i].is_ascii_alphanumeric() && !is_among(text[i], others) {
            return false;
        }
        i += 1;
    }
    true
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "const: there is no get yet; the index is below the length"
)]
const fn is_among(byte: u8, others: &[u8]) -> bool {
    let mut i = 0;
    while i < others.len() {
        if others[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let end = text.find(['-', '+']).unwrap_or(text.len());
        let (numbers, suffix) = text.split_at(end);
        let mut parts = numbers.split('.').map(|part| {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            if plain {
                part.parse::<u16>().map_err(|_| VersionError::Numbers)
            } else {
                Err(VersionError::Numbers)
            }
        });
        let mut next = || parts.next().unwrap_or(Err(VersionError::Numbers));
        let (major, minor, patch) = (next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(VersionError::Numbers);
        }
        if !is_suffix(suffix) {
            return Err(VersionError::Suffix);
        }
        let suffix = String::try_from(suffix).map_err(|_| VersionError::SuffixTooLong)?;
        Ok(Self {
            major,
            minor,
            patch,
            suffix,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn versions_round_trip() {
        for text in [
            "0.0.0",
            "1.2.3",
            "65535.0.1",
            "1.2.3-rc.1",
            "1.2.3+g1a2b3c4",
            "1.2.3-rc.1+g1a2b3c4",
        ] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.x",
            "1..3",
            "+1.2.3",
            "65536.0.0",
            "v1.2.3",
        ] {
            assert_eq!(
                text.parse::<Version>(),
                Err(VersionError::Numbers),
                "{text}"
            );
        }
        assert_eq!("1.2.3-".parse::<Version>(), Err(VersionError::Suffix));
        assert_eq!("1.2.3-a b".parse::<Version>(), Err(VersionError::Suffix));
        assert_eq!(
            "1.2.3-0123456789012345678901234".parse::<Version>(),
            Err(VersionError::SuffixTooLong)
        );
    }
}
