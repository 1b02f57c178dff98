//! What the virtual board does, for people and for programs: one line of text or one JSON object for each event.
//!
//! The JSON names are `iap-sim run --json`'s contract with scripts: fields are added, never changed.

use std::fmt;
use std::net::SocketAddr;

use iap_protocol::memory::{Region, Sector};
use serde::Serialize;
use smoltcp::time::Instant;

/// An event of the board's life.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The ports of this machine that lead to the board.
    Listening {
        /// Its TFTP server.
        tftp: SocketAddr,
        /// Its HTTP server.
        http: SocketAddr,
    },
    /// The board comes out of reset.
    Reset {
        /// Why, such as `power-on`.
        cause: String,
    },
    /// It stays in IAP mode.
    IapMode {
        /// Why.
        reason: String,
    },
    /// A real board would now run its application.
    WouldStart {
        /// The application's version, `unknown` for one that was programmed with a probe.
        version: String,
        /// USER_FLASH_FIRST_PAGE_ADDRESS.
        address: Hex,
        /// Initial stack pointer.
        stack_pointer: Hex,
        /// Reset vector.
        reset_vector: Hex,
        /// Why it may be started.
        because: String,
        /// What the virtual board, which has no processor, does instead.
        then: String,
    },
    /// The board has another address, or none.
    Address {
        /// `None` while none is known.
        address: Option<String>,
    },
    /// An upload began.
    UpdateBegun {
        /// Who sends, and how.
        source: String,
        /// Bytes to come, if the client has said.
        bytes: Option<u32>,
    },
    /// Header and vector table were judged good.
    ImageAccepted {
        /// Its version.
        version: String,
        /// Bytes to come in all.
        bytes: Option<u32>,
    },
    /// A sector holds the right bytes already.
    SectorSkipped(SectorEvent),
    /// A sector was erased.
    SectorErased(SectorEvent),
    /// A sector was programmed and verified.
    SectorProgrammed(SectorEvent),
    /// The image is in flash, verified and recorded.
    Committed {
        /// Its version.
        version: String,
        /// Bytes taken from the client.
        bytes: u32,
        /// Sectors erased and programmed.
        written: u8,
        /// Sectors left alone.
        skipped: u8,
        /// Milliseconds since the upload began.
        ms: u64,
    },
    /// The upload failed or was refused.
    Refused {
        /// Number of the error code.
        code: u16,
        /// What the client was told.
        sentence: String,
    },
    /// A client was sent a TFTP error.
    TftpError {
        /// The client.
        client: SocketAddr,
        /// TFTP's error code.
        code: u16,
        /// What it was told.
        sentence: String,
    },
    /// A planned power cut hit the flash.
    PowerCut,
}

/// A sector to which something happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SectorEvent {
    /// Its number.
    pub sector: u8,
    /// Its first address.
    pub address: Hex,
    /// Its size.
    pub bytes: u32,
}

impl From<Sector> for SectorEvent {
    fn from(sector: Sector) -> Self {
        Self {
            sector: sector.index,
            address: Hex(sector.region.start),
            bytes: sector.region.len,
        }
    }
}

impl fmt::Display for SectorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = Region::new(self.address.0, self.bytes);
        write!(f, "sector {}, {region}", self.sector)
    }
}

/// An address; in JSON a text such as `0x08020000`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hex(pub u32);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { tftp, http } => write!(f, "tftp {tftp}\nhttp {http}"),
            Self::Reset { cause } => write!(f, "reset: {cause}"),
            Self::IapMode { reason } => write!(f, "IAP mode: {reason}"),
            Self::WouldStart {
                version,
                address,
                stack_pointer,
                reset_vector,
                because,
                then,
            } => write!(
                f,
                "would start {version} from {address} (stack pointer {stack_pointer}, reset vector {reset_vector}): {because}; {then}"
            ),
            Self::Address {
                address: Some(address),
            } => write!(f, "address {address}"),
            Self::Address { address: None } => f.write_str("no address, asking for one by DHCP"),
            Self::UpdateBegun { source, bytes } => {
                write!(f, "update begun: {source}")?;
                bytes.map_or(Ok(()), |bytes| write!(f, ", {bytes} bytes"))
            }
            Self::ImageAccepted { version, bytes } => {
                write!(f, "image accepted: version {version}")?;
                bytes.map_or(Ok(()), |bytes| write!(f, ", {bytes} bytes"))
            }
            Self::SectorSkipped(sector) => write!(f, "skipped, right already: {sector}"),
            Self::SectorErased(sector) => write!(f, "erased: {sector}"),
            Self::SectorProgrammed(sector) => write!(f, "programmed and verified: {sector}"),
            Self::Committed {
                version,
                bytes,
                written,
                skipped,
                ms,
            } => write!(
                f,
                "committed: version {version}, {bytes} bytes, {written} {} written, {skipped} skipped, {}.{:03} s",
                if *written == 1 { "sector" } else { "sectors" },
                ms / 1000,
                ms % 1000
            ),
            Self::Refused { code, sentence } => write!(f, "refused: {sentence} (error {code})"),
            Self::TftpError {
                client,
                code,
                sentence,
            } => write!(f, "TFTP error {code} to {client}: {sentence}"),
            Self::PowerCut => f.write_str("the power was cut"),
        }
    }
}

/// An event and when it happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stamped {
    /// Milliseconds on the board's clock.
    #[serde(rename = "at-ms", serialize_with = "as_millis")]
    pub at: Instant,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

fn as_millis<S: serde::Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.total_millis())
}

impl fmt::Display for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The ports come first and are read by programs: they stand alone.
        if matches!(self.event, Event::Listening { .. }) {
            return write!(f, "{}", self.event);
        }
        let (seconds, millis) = (self.at.secs(), self.at.millis());
        write!(f, "{seconds:5}.{millis:03} s  {}", self.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64, event: Event) -> Stamped {
        Stamped {
            at: Instant::from_millis(millis),
            event,
        }
    }

    #[test]
    fn the_ports_stand_alone_on_the_first_two_lines() {
        let [tftp, http] = [41069, 41080].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let line = at(0, Event::Listening { tftp, http }).to_string();
        assert_eq!(line, "tftp 127.0.0.1:41069\nhttp 127.0.0.1:41080");
    }

    #[test]
    fn events_are_lines_with_a_time_and_objects_with_a_name() {
        let sector = Sector {
            index: 5,
            region: Region::new(0x0802_0000, 131_072),
        };
        let erased = at(12_345, Event::SectorErased(sector.into()));
        assert_eq!(
            erased.to_string(),
            "   12.345 s  erased: sector 5, 0x08020000..0x08040000 (128 KiB)"
        );
        assert_eq!(
            serde_json::to_string(&erased).unwrap(),
            r#"{"at-ms":12345,"event":"sector-erased","sector":5,"address":"0x08020000","bytes":131072}"#
        );
        let cut = serde_json::to_string(&at(1, Event::PowerCut)).unwrap();
        assert_eq!(cut, r#"{"at-ms":1,"event":"power-cut"}"#);
    }

    #[test]
    fn a_start_names_version_and_address() {
        let event = Event::WouldStart {
            version: "1.0.0".into(),
            address: Hex(0x0802_0000),
            stack_pointer: Hex(0x2002_0000),
            reset_vector: Hex(0x0802_0085),
            because: "committed, flash matches".into(),
            then: "exits".into(),
        };
        assert_eq!(
            event.to_string(),
            "would start 1.0.0 from 0x08020000 (stack pointer 0x20020000, reset vector 0x08020085): committed, flash matches; exits"
        );
    }
}
