//! Which board, by which of its servers.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use iap_protocol::tftp;
use serde::{Serialize, Serializer};

use crate::failure::{Exit, Failure};

/// One of a board's two servers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// UDP, port 69.
    Tftp,
    /// TCP, port 80.
    Http,
}

impl Transport {
    /// The well-known port.
    pub const fn port(self) -> u16 {
        match self {
            Self::Tftp => tftp::PORT,
            Self::Http => 80,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tftp => "tftp",
            Self::Http => "http",
        })
    }
}

/// A board as the command line names it. Shown as `192.168.0.10 (tftp)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Which server.
    pub transport: Transport,
    /// Address or name.
    pub host: String,
    /// UDP or TCP port.
    pub port: u16,
}

impl Target {
    /// Two targets with the same key are one board: the same port of a host, or both of its well-known ports. Other ports of a host
    /// may lead to different boards behind it.
    pub(crate) fn key<H>(&self, host: H) -> (H, Option<(Transport, u16)>) {
        let is_well_known = self.port == self.transport.port();
        (
            host,
            (!is_well_known).then_some((self.transport, self.port)),
        )
    }

    /// Reads `HOST[:PORT]`.
    pub fn parse(transport: Transport, text: &str) -> Result<Self, String> {
        let (host, port) = match text.split_once(':') {
            None => (text, None),
            Some((host, port)) => (host, Some(port)),
        };
        if host.is_empty()
            || text.contains(is_foreign)
            || port.is_some_and(|port| port.contains(':'))
        {
            return Err(
                "HOST or HOST:PORT expected, such as 192.168.0.10 (IPv4 or a name, no URL)".into(),
            );
        }
        if ends_in_number(host) && host.parse::<Ipv4Addr>().is_err() {
            return Err(format!("{host:?} {NO_ADDRESS}"));
        }
        let port = match port {
            None => transport.port(),
            Some(port) => (port.parse().ok())
                .filter(|&port| port != 0)
                .ok_or_else(|| format!("{port:?} is no port: a number from 1 to 65535"))?,
        };
        Ok(Self {
            transport,
            host: host.to_owned(),
            port,
        })
    }

    /// Finds its IPv4 address.
    pub async fn resolve(&self) -> Result<SocketAddrV4, Failure> {
        if let Ok(address) = self.host.parse::<Ipv4Addr>() {
            return Ok(SocketAddrV4::new(address, self.port));
        }
        let unknown = |what: String| {
            Failure::new(Exit::Unreachable, format!("{self}: {what}"))
                .help("check the name, or give the board's address")
        };
        let found = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| unknown(format!("the name cannot be resolved: {error}")))?;
        let ipv4 = |address| match address {
            SocketAddr::V4(address) => Some(address),
            SocketAddr::V6(_) => None,
        };
        (found.into_iter().find_map(ipv4))
            .ok_or_else(|| unknown("the name has no IPv4 address".into()))
    }
}

/// No part of a name or an address: there would be a typing error or a URL.
fn is_foreign(character: char) -> bool {
    matches!(character, '/' | '@') || character.is_whitespace() || character.is_control()
}

const NO_ADDRESS: &str =
    "is no IPv4 address: four numbers from 0 to 255 expected, without leading zeros";

/// Whether a host is meant to be an address (WHATWG URL, "ends in a number"). No name ends so, but resolvers take 192.168.0.010 for
/// 192.168.0.8, and 192.168.1 for 192.168.0.1 (inet_aton): it would be another board.
fn ends_in_number(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    is_decimal || hexadecimal.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        if self.port != self.transport.port() {
            write!(f, ":{}", self.port)?;
        }
        write!(f, " ({})", self.transport)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_with_and_without_a_port() {
        let shown = |transport, text| Target::parse(transport, text).map(|t| t.to_string());
        assert_eq!(
            shown(Transport::Tftp, "192.168.0.10").unwrap(),
            "192.168.0.10 (tftp)"
        );
        assert_eq!(
            shown(Transport::Http, "board:8080").unwrap(),
            "board:8080 (http)"
        );
        assert_eq!(shown(Transport::Http, "board:80").unwrap(), "board (http)");
        for wrong in [
            "",
            ":69",
            "a:",
            "a:0",
            "a:70000",
            "http://a/",
            "::1",
            "a:1:2",
            "a b",
            "a\t",
            "user@a",
        ] {
            assert!(shown(Transport::Tftp, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_that_a_resolver_would_take_for_another_one_is_none() {
        for wrong in [
            "192.168.0.010",
            "192.168.000.001",
            "192.168.1",
            "192.168.0.256",
            "3232235530",
            "192.168.0.0xa",
            "192.168.0.0X",
            "192.168.0.10.",
        ] {
            let what = Target::parse(Transport::Tftp, wrong).unwrap_err();
            assert!(what.contains("is no IPv4 address"), "{wrong}: {what}");
        }
        for name in ["10.board", "board-7", "0x7.example", "board.0xg", "b10"] {
            assert!(Target::parse(Transport::Tftp, name).is_ok(), "{name}");
        }
    }
}
