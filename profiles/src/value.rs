//! Values with a form of their own: pins, addresses, whole numbers with a range, names. Their errors say what was expected; the
//! reader of the file adds the place and the offending text.

use std::fmt;
use std::marker::PhantomData;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ed25519_dalek::VerifyingKey;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Implements serde through `FromStr` and `Display`, so that JSON shows what the profile says.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer)
}

/// A pin of the chip, such as `PG15`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pin {
    /// `A` to `I`.
    pub port: char,
    /// 0 to 15; port I ends at 11.
    pub number: u8,
}

impl FromStr for Pin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a pin from \"PA0\" to \"PI11\"";
        let mut rest = text.strip_prefix('P').ok_or(EXPECTED)?.chars();
        let port = rest
            .next()
            .filter(|port| ('A'..='I').contains(port))
            .ok_or(EXPECTED)?;
        // Written as in the manual: no "PA01", no "PA+1".
        let plain = matches!(rest.as_str().as_bytes(), [b'0'..=b'9'] | [b'1', _]);
        let number = rest.as_str().parse().ok().filter(|_| plain);
        let number: u8 = number.ok_or(EXPECTED)?;
        let last = if port == 'I' { 11 } else { 15 }; // DS8626 section 3, pin descriptions
        match number <= last {
            true => Ok(Self { port, number }),
            false => Err(EXPECTED),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P{}{}", self.port, self.number)
    }
}

serde_as_text!(Pin);

/// A pin, or "none".
pub(crate) fn pin_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Pin>, D::Error> {
    match text(deserializer)?.as_str() {
        "none" => Ok(None),
        pin => match pin.parse() {
            Ok(pin) => Ok(Some(pin)),
            Err(expected) => Err(D::Error::custom(format_args!("{expected}, or \"none\""))),
        },
    }
}

/// The MAC address of a board.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MacAddress {
    /// The same on every board built from this profile.
    Fixed([u8; 6]),
    /// Made by the firmware from the chip's 96-bit unique id.
    UniqueId,
}

impl MacAddress {
    /// The address of every AN3968 board (section 5.1).
    pub const AN3968: Self = Self::Fixed([0, 0, 0, 0, 0, 2]);
}

impl FromStr for MacAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unique-id" {
            return Ok(Self::UniqueId);
        }
        const EXPECTED: &str = "six bytes such as \"02:00:00:00:00:02\", or \"unique-id\"";
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| {
                part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
            });
            *byte = u8::from_str_radix(part.ok_or(EXPECTED)?, 16).map_err(|_| EXPECTED)?;
        }
        match bytes {
            _ if parts.next().is_some() => Err(EXPECTED),
            [0, 0, 0, 0, 0, 0] => Err("an address that is not all zero"),
            // IEEE 802: the lowest bit of the first byte marks groups.
            [first, ..] if first & 1 != 0 => {
                Err("the address of one station: the first byte must be even")
            }
            _ => Ok(Self::Fixed(bytes)),
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UniqueId => f.write_str("unique-id"),
            Self::Fixed([a, b, c, d, e, g]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
        }
    }
}

serde_as_text!(MacAddress);

/// A station's IPv4 address and the length of its network's prefix, such as `192.168.0.10/24`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Network {
    /// The station.
    pub address: Ipv4Addr,
    /// Bits of the network: 1 to 30.
    pub prefix_len: u8,
}

impl Ipv4Network {
    /// The bits of the network, such as 255.255.255.0.
    pub fn mask(&self) -> Ipv4Addr {
        // prefix_len is at most 30, so the shift is at least 2
        Ipv4Addr::from_bits(u32::MAX << 32_u32.saturating_sub(self.prefix_len.clamp(1, 30).into()))
    }

    /// Whether `other` is in the same network.
    pub fn contains(&self, other: Ipv4Addr) -> bool {
        (self.address.to_bits() ^ other.to_bits()) & self.mask().to_bits() == 0
    }

    /// Whether `other` can be a station of this network: not its number and not its broadcast address.
    pub fn is_station(&self, other: Ipv4Addr) -> bool {
        let host = other.to_bits() & !self.mask().to_bits();
        self.contains(other) && host != 0 && host != !self.mask().to_bits()
    }
}

impl FromStr for Ipv4Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "an address with its prefix length, such as \"192.168.0.10/24\"";
        let (address, prefix_len) = text.split_once('/').ok_or(EXPECTED)?;
        let network = Self {
            address: address.parse().map_err(|_| EXPECTED)?,
            prefix_len: prefix_len.parse().map_err(|_| EXPECTED)?,
        };
        match network {
            _ if !(1..=30).contains(&network.prefix_len) => Err("a prefix length from 1 to 30"),
            _ if !is_unicast(network.address) || !network.is_station(network.address) => {
                Err("the address of one station, not of a network, a group or everybody")
            }
            _ => Ok(network),
        }
    }
}

/// Whether a board can have this address at all (RFC 6890 section 2.2.2).
fn is_unicast(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && !address.is_loopback() && first < 224
}

impl fmt::Display for Ipv4Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

serde_as_text!(Ipv4Network);

/// An Ed25519 public key (RFC 8032 section 5.1.5), written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublicKey(pub [u8; 32]);

impl FromStr for PublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a public key of 64 hexadecimal digits, as iapctl keygen shows it";
        let mut bytes = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return Err(EXPECTED);
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digits = str::from_utf8(pair).ok();
            *byte = digits
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                .ok_or(EXPECTED)?;
        }
        // A board with a mistyped key would refuse everything, and only a probe could mend it. A weak one lets anybody sign.
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(bytes)),
            _ => Err("an Ed25519 public key: these digits are none"),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

serde_as_text!(PublicKey);

/// A plain IPv4 address.
pub(crate) fn ipv4<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ipv4Addr, D::Error> {
    let address = text(deserializer)?.parse();
    address.map_err(|_| D::Error::custom("an IPv4 address such as \"192.168.0.1\""))
}

/// A whole number from `MIN` to `MAX`.
pub(crate) fn range<'de, D, T, const MIN: u64, const MAX: u64>(
    deserializer: D,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    deserializer.deserialize_any(Number::<T, MIN, MAX>(PhantomData))
}

/// A 32-bit address.
pub(crate) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    range::<D, u32, 0, { u32::MAX as u64 }>(deserializer)
}

struct Number<T, const MIN: u64, const MAX: u64>(PhantomData<T>);

impl<T: TryFrom<u64>, const MIN: u64, const MAX: u64> Visitor<'_> for Number<T, MIN, MAX> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MAX {
            0xFFFF_FFFF => f.write_str("an address such as 0x08020000"),
            _ => write!(f, "a whole number from {MIN} to {MAX}"),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let wrong = || E::invalid_value(Unexpected::Unsigned(number), &self);
        if !(MIN..=MAX).contains(&number) {
            return Err(wrong());
        }
        T::try_from(number).map_err(|_| wrong())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

/// A board id: what image headers carry (at most 32 characters) and HTML and JSON show without escapes; "any" is taken.
pub(crate) fn board_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = text(deserializer)?;
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let fits = (1..=iap_protocol::header::BOARD_LEN).contains(&id.len());
    if plain && fits && id != iap_protocol::header::ANY_BOARD {
        return Ok(id);
    }
    Err(D::Error::custom(
        "1 to 32 letters, digits, '-', '_' and '.', and not the word any",
    ))
}

/// A DNS label (RFC 1123 section 2.1), at most 32 characters, as the firmware sends it with DHCP.
pub(crate) fn host_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = text(deserializer)?;
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if plain && (1..=32).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-') {
        return Ok(name);
    }
    Err(D::Error::custom(
        "1 to 32 letters, digits and inner hyphens",
    ))
}

/// A user name or password: what the firmware has room for, and what every keyboard and HTTP form carries.
pub(crate) fn credential<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let word = text(deserializer)?;
    if (1..=32).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(word);
    }
    Err(D::Error::custom(
        "1 to 32 printable ASCII characters without spaces",
    ))
}
