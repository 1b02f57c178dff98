//! TFTP packets (RFC 1350) with the options of RFC 2347, 2348 (blksize), 2349 (tsize, timeout) and 7440 (windowsize).
//!
//! Views over byte slices on the way in, writers into byte slices on the way out; no sockets, no state.

use core::fmt;
use core::ops::RangeInclusive;

/// The server's well-known port.
pub const PORT: u16 = 69;
/// Bytes of a DATA block without options.
pub const DEFAULT_BLOCK_SIZE: u16 = 512;
/// Largest block a board takes: 1500 - IPv4 (20) - UDP (8) - DATA header (4).
pub const MAX_BLOCK_SIZE: u16 = 1468;
/// Smallest block size (RFC 2348).
pub const MIN_BLOCK_SIZE: u16 = 8;
/// Bytes in front of a DATA block.
pub const DATA_HEADER_LEN: usize = 4;
/// The file name whose write, with the body [`RESET_BODY`], resets an idle board.
pub const RESET_FILE_NAME: &str = "iap-reset";
/// The body of a reset request.
pub const RESET_BODY: &[u8] = b"reset";
/// Longest request this crate writes.
pub const MAX_REQUEST_LEN: usize = 512;

mod opcode {
    pub(super) const RRQ: u16 = 1;
    pub(super) const WRQ: u16 = 2;
    pub(super) const DATA: u16 = 3;
    pub(super) const ACK: u16 = 4;
    pub(super) const ERROR: u16 = 5;
    pub(super) const OACK: u16 = 6;
}

/// Transfer mode (RFC 1350 section 1); compared without regard to case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Bytes as they are.
    Octet,
    /// Line ends are converted, which destroys an image.
    Netascii,
    /// Mail and anything else.
    Other,
}

/// The options of a request or an OACK; `None` where absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// RFC 2348: bytes per block, 8..=65464.
    pub block_size: Option<u16>,
    /// RFC 2349: bytes of the file.
    pub transfer_size: Option<u64>,
    /// RFC 2349: seconds before a retransmission, 1..=255.
    pub timeout_s: Option<u8>,
    /// RFC 7440: blocks per acknowledgement, 1..=65535.
    pub window_size: Option<u16>,
}

impl Options {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// Read request.
    ReadRequest(Request<'a>),
    /// Write request.
    WriteRequest(Request<'a>),
    /// A block.
    Data {
        /// Block number, from 1, wrapping to 0.
        block: u16,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// Acknowledgement of everything up to `block`.
    Ack {
        /// Block number.
        block: u16,
    },
    /// The end of a transfer.
    Error {
        /// TFTP error code.
        code: u16,
        /// What the peer says; may hold any bytes.
        message: &'a [u8],
    },
    /// Acknowledgement of options.
    OptionAck(Options),
}

/// A read or write request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// The file name; printable ASCII, or the request is malformed.
    pub file_name: &'a str,
    /// How bytes are to be transferred.
    pub mode: Mode,
    /// The options this crate knows; others are ignored (RFC 2347).
    pub options: Options,
}

/// Why bytes are not a TFTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacketError {
    /// Too short for its kind.
    Truncated,
    /// An opcode RFC 1350 and 2347 do not define.
    Opcode(u16),
    /// A text without its final NUL, or not printable.
    Text,
    /// A known option with a value outside its range.
    Option(&'static str),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("TFTP packet cut short"),
            Self::Opcode(opcode) => write!(f, "TFTP opcode {opcode} is not defined"),
            Self::Text => f.write_str("TFTP packet with a malformed text"),
            Self::Option(name) => write!(f, "TFTP option {name} with a value outside its range"),
        }
    }
}

impl core::error::Error for PacketError {}

impl<'a> Packet<'a> {
    /// Reads a packet from the payload of a UDP datagram.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (opcode, rest) = split_u16(bytes)?;
        Ok(match opcode {
            opcode::RRQ => Self::ReadRequest(Request::decode(rest)?),
            opcode::WRQ => Self::WriteRequest(Request::decode(rest)?),
            opcode::DATA => {
                let (block, payload) = split_u16(rest)?;
                Self::Data { block, payload }
            }
            opcode::ACK => Self::Ack {
                block: split_u16(rest)?.0,
            },
            opcode::ERROR => {
                let (code, text) = split_u16(rest)?;
                Self::Error {
                    code,
                    message: text.split(|&byte| byte == 0).next().unwrap_or(&[]),
                }
            }
            opcode::OACK => Self::OptionAck(decode_options(rest)?),
            other => return Err(PacketError::Opcode(other)),
        })
    }

    /// Writes the packet; the number of bytes, or `None` if `bytes` is too short for it. An ERROR's message is cut to fit.
    // Inlined: a server sends no requests, and then has no code for them.
    #[inline(always)]
    pub fn encode(&self, bytes: &mut [u8]) -> Option<usize> {
        let mut writer = Writer { bytes, at: 0 };
        match self {
            Self::ReadRequest(request) => request.encode(opcode::RRQ, &mut writer)?,
            Self::WriteRequest(request) => request.encode(opcode::WRQ, &mut writer)?,
            Self::Data { block, payload } => writer.numbered(opcode::DATA, *block, payload)?,
            Self::Ack { block } => writer.numbered(opcode::ACK, *block, &[])?,
            Self::Error { code, message } => {
                let room = writer.room().checked_sub(5)?;
                let message = message.get(..room).unwrap_or(message);
                writer.numbered(opcode::ERROR, *code, message)?;
                writer.raw(&[0])?;
            }
            Self::OptionAck(options) => {
                writer.u16(opcode::OACK)?;
                encode_options(options, &mut writer)?;
            }
        }
        Some(writer.at)
    }
}

impl<'a> Request<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let (file_name, rest) = split_text(bytes)?;
        let (mode, rest) = split_text(rest)?;
        let mode = match mode {
            _ if mode.eq_ignore_ascii_case("octet") => Mode::Octet,
            _ if mode.eq_ignore_ascii_case("netascii") => Mode::Netascii,
            _ => Mode::Other,
        };
        Ok(Self {
            file_name,
            mode,
            options: decode_options(rest)?,
        })
    }

    fn encode(&self, opcode: u16, writer: &mut Writer<'_>) -> Option<()> {
        writer.u16(opcode)?;
        writer.text(self.file_name)?;
        writer.text(match self.mode {
            Mode::Octet => "octet",
            Mode::Netascii => "netascii",
            Mode::Other => "mail",
        })?;
        encode_options(&self.options, writer)
    }
}

/// The options this crate knows, and the values they may have.
const OPTIONS: [(&str, RangeInclusive<u64>); 4] = [
    ("blksize", MIN_BLOCK_SIZE as u64..=65464),
    ("tsize", 0..=u64::MAX),
    ("timeout", 1..=255),
    ("windowsize", 1..=65535),
];

fn decode_options(mut bytes: &[u8]) -> Result<Options, PacketError> {
    let mut values = [None; OPTIONS.len()];
    while !bytes.is_empty() {
        let (name, rest) = split_text(bytes)?;
        let (value, rest) = split_text(rest)?;
        bytes = rest;
        for ((known, range), place) in OPTIONS.iter().zip(&mut values) {
            if name.eq_ignore_ascii_case(known) {
                let value = decimal(value).filter(|value| range.contains(value));
                *place = Some(value.ok_or(PacketError::Option(known))?);
            }
        }
    }
    // Within their ranges the numbers fit.
    let [block_size, transfer_size, timeout_s, window_size] = values;
    Ok(Options {
        block_size: block_size.map(|size| size as u16),
        transfer_size,
        timeout_s: timeout_s.map(|seconds| seconds as u8),
        window_size: window_size.map(|size| size as u16),
    })
}

/// A number of digits alone: what `str::parse` takes, a leading plus sign among it, is more, and more code.
fn decimal(text: &str) -> Option<u64> {
    let digit = |byte: u8| byte.is_ascii_digit().then_some(u64::from(byte & 0x0F));
    let append = |number: u64, byte| number.checked_mul(10)?.checked_add(digit(byte)?);
    let first = digit(*text.as_bytes().first()?)?;
    text.bytes().skip(1).try_fold(first, append)
}

fn encode_options(options: &Options, writer: &mut Writer<'_>) -> Option<()> {
    let values = [
        options.block_size.map(u64::from),
        options.transfer_size,
        options.timeout_s.map(u64::from),
        options.window_size.map(u64::from),
    ];
    for ((name, _), value) in OPTIONS.iter().zip(values) {
        if let Some(value) = value {
            writer.text(name)?;
            writer.number(value)?;
        }
    }
    Some(())
}

fn split_u16(bytes: &[u8]) -> Result<(u16, &[u8]), PacketError> {
    let (word, rest) = bytes.split_first_chunk().ok_or(PacketError::Truncated)?;
    Ok((u16::from_be_bytes(*word), rest))
}

fn split_text(bytes: &[u8]) -> Result<(&str, &[u8]), PacketError> {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .ok_or(PacketError::Text)?;
    let (text, rest) = bytes.split_at(end);
    if !text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(PacketError::Text);
    }
    let text = core::str::from_utf8(text).map_err(|_| PacketError::Text)?;
    Ok((text, rest.get(1..).unwrap_or_default()))
}

struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn room(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    fn raw(&mut self, value: &[u8]) -> Option<()> {
        let end = self.at.checked_add(value.len())?;
        self.bytes.get_mut(self.at..end)?.copy_from_slice(value);
        self.at = end;
        Some(())
    }

    fn u16(&mut self, value: u16) -> Option<()> {
        self.raw(&value.to_be_bytes())
    }

    /// What DATA, ACK and ERROR have in common: opcode, a number, bytes.
    #[inline(never)]
    fn numbered(&mut self, opcode: u16, number: u16, bytes: &[u8]) -> Option<()> {
        self.u16(opcode)?;
        self.u16(number)?;
        self.raw(bytes)
    }

    fn text(&mut self, value: &str) -> Option<()> {
        self.raw(value.as_bytes())?;
        self.raw(&[0])
    }

    fn number(&mut self, mut value: u64) -> Option<()> {
        let mut digits = [0; 20];
        let mut at = digits.len();
        while let Some(digit) = digits.get_mut(at.checked_sub(1)?) {
            *digit = b'0' | (value % 10) as u8;
            value /= 10;
            at = at.wrapping_sub(1);
            if value == 0 {
                break;
            }
        }
        self.raw(digits.get(at..)?)?;
        self.raw(&[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(packet: &Packet<'_>, golden: &[u8]) {
        let mut bytes = [0; 600];
        let len = packet.encode(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], golden);
        assert_eq!(&Packet::decode(golden).unwrap(), packet);
        if !matches!(packet, Packet::Error { .. }) {
            assert_eq!(
                packet.encode(&mut bytes[..len - 1]),
                None,
                "a buffer one byte short is refused"
            );
        }
    }

    #[test]
    fn packets_match_their_golden_bytes() {
        let options = Options {
            block_size: Some(1428),
            transfer_size: Some(102_309),
            timeout_s: Some(5),
            window_size: Some(32),
        };
        let request = Request {
            file_name: "app.bin",
            mode: Mode::Octet,
            options,
        };
        round_trip(
            &Packet::WriteRequest(request),
            b"\x00\x02app.bin\0octet\0blksize\x001428\0tsize\x00102309\0timeout\x005\0windowsize\x0032\0",
        );
        let plain = Request {
            file_name: "status.json",
            mode: Mode::Netascii,
            options: Options::default(),
        };
        round_trip(
            &Packet::ReadRequest(plain),
            b"\x00\x01status.json\0netascii\0",
        );
        round_trip(
            &Packet::Data {
                block: 0xFFFF,
                payload: b"abc",
            },
            b"\x00\x03\xff\xffabc",
        );
        round_trip(&Packet::Ack { block: 1 }, b"\x00\x04\x00\x01");
        round_trip(
            &Packet::Error {
                code: 2,
                message: b"no",
            },
            b"\x00\x05\x00\x02no\0",
        );
        round_trip(
            &Packet::OptionAck(Options {
                window_size: Some(8),
                ..Options::default()
            }),
            b"\x00\x06windowsize\x008\0",
        );
    }

    #[test]
    fn names_of_modes_and_options_ignore_case_and_unknown_options_are_skipped() {
        let decoded = Packet::decode(b"\x00\x02a\0OcTeT\0rollover\x000\0BLKSIZE\x00512\0").unwrap();
        let options = Options {
            block_size: Some(512),
            ..Options::default()
        };
        assert_eq!(
            decoded,
            Packet::WriteRequest(Request {
                file_name: "a",
                mode: Mode::Octet,
                options
            })
        );
    }

    #[test]
    fn malformed_packets_are_refused() {
        for (bytes, error) in [
            (&b""[..], PacketError::Truncated),
            (b"\x00", PacketError::Truncated),
            (b"\x00\x03\x00", PacketError::Truncated),
            (b"\x00\x07", PacketError::Opcode(7)),
            (b"\x00\x02a\0octet", PacketError::Text),
            (b"\x00\x02a\x07\0octet\0", PacketError::Text),
            (
                b"\x00\x02a\0octet\0blksize\x007\0",
                PacketError::Option("blksize"),
            ),
            (
                b"\x00\x02a\0octet\0windowsize\x000\0",
                PacketError::Option("windowsize"),
            ),
            (
                b"\x00\x02a\0octet\0tsize\0+5\0",
                PacketError::Option("tsize"),
            ),
            (b"\x00\x02a\0octet\0tsize\0", PacketError::Text),
        ] {
            assert_eq!(Packet::decode(bytes), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn an_error_message_is_cut_to_the_buffer() {
        let mut bytes = [0; 8];
        let packet = Packet::Error {
            code: 0,
            message: b"longer than that",
        };
        assert_eq!(packet.encode(&mut bytes), Some(8));
        assert_eq!(&bytes, b"\x00\x05\x00\x00lon\0");
    }
}
