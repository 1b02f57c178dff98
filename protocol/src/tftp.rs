//! TFTP packets (RFC 1350) with the options of RFC 2347, 2348 (blksize), 2349 (tsize, timeout) and 7440 (windowsize).
//!
//! Views over byte slices on the way in, writers into byte slices on the way out; no sockets, no state.

use core::fmt;

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
    pub file_name: &'a [u8],
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
        let mut rest = Reader(bytes);
        let opcode = rest.u16().ok_or(PacketError::Truncated)?;
        if opcode == opcode::RRQ || opcode == opcode::WRQ {
            let request = Request::decode(rest)?;
            return Ok(match opcode {
                opcode::RRQ => Self::ReadRequest(request),
                _ => Self::WriteRequest(request),
            });
        }
        if opcode == opcode::OACK {
            return decode_options(rest).map(Self::OptionAck);
        }
        if !(opcode::DATA..=opcode::ERROR).contains(&opcode) {
            return Err(PacketError::Opcode(opcode));
        }
        let number = rest.u16().ok_or(PacketError::Truncated)?;
        Ok(match opcode {
            opcode::DATA => Self::Data {
                block: number,
                payload: rest.0,
            },
            opcode::ACK => Self::Ack { block: number },
            _ => Self::Error {
                code: number,
                message: rest.up_to_nul().unwrap_or(rest.0),
            },
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
    fn decode(mut rest: Reader<'a>) -> Result<Self, PacketError> {
        let file_name = rest.text().ok_or(PacketError::Text)?;
        let mode = match rest.text().ok_or(PacketError::Text)? {
            mode if mode.eq_ignore_ascii_case(b"octet") => Mode::Octet,
            mode if mode.eq_ignore_ascii_case(b"netascii") => Mode::Netascii,
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
            Mode::Octet => b"octet",
            Mode::Netascii => b"netascii",
            Mode::Other => b"mail",
        })?;
        encode_options(&self.options, writer)
    }
}

/// The options this crate knows, in the order of [`Options`].
const NAMES: [&str; 4] = ["blksize", "tsize", "timeout", "windowsize"];

fn decode_options(mut rest: Reader<'_>) -> Result<Options, PacketError> {
    let mut options = Options::default();
    while !rest.0.is_empty() {
        let name = rest.text().ok_or(PacketError::Text)?;
        let value = rest.text().ok_or(PacketError::Text)?;
        for (index, known) in NAMES.iter().enumerate() {
            if name.eq_ignore_ascii_case(known.as_bytes()) {
                let value = decimal(value).and_then(|value| options.set(index, value));
                value.ok_or(PacketError::Option(known))?;
            }
        }
    }
    Ok(options)
}

impl Options {
    /// Sets the option that [`NAMES`] has at `index`; `None` if it cannot have that value.
    fn set(&mut self, index: usize, value: u64) -> Option<()> {
        if index == 1 {
            self.transfer_size = Some(value);
            return Some(());
        }
        let value = u16::try_from(value).ok()?;
        match index {
            0 if (MIN_BLOCK_SIZE..=65464).contains(&value) => self.block_size = Some(value),
            2 if (1..=255).contains(&value) => self.timeout_s = Some(value as u8),
            3 if value > 0 => self.window_size = Some(value),
            _ => return None,
        }
        Some(())
    }
}

/// A number of digits alone: what `str::parse` takes, a leading plus sign among it, is more, and more code.
fn decimal(text: &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for &byte in text {
        let digit = byte.is_ascii_digit().then_some(byte & 0x0F)?;
        number = number.checked_mul(10)?.checked_add(digit.into())?;
    }
    (!text.is_empty()).then_some(number)
}

fn encode_options(options: &Options, writer: &mut Writer<'_>) -> Option<()> {
    let [block_size, transfer_size, timeout, window_size] = NAMES;
    writer.option(block_size, options.block_size.map(u64::from))?;
    writer.option(transfer_size, options.transfer_size)?;
    writer.option(timeout, options.timeout_s.map(u64::from))?;
    writer.option(window_size, options.window_size.map(u64::from))
}

/// What is still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn u16(&mut self) -> Option<u16> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*word))
    }

    /// What stands before the next NUL; `None` if there is none.
    fn up_to_nul(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        Some(text)
    }

    /// The same, printable.
    #[inline(never)]
    fn text(&mut self) -> Option<&'a [u8]> {
        let is_printable = |text: &&[u8]| text.iter().all(|byte| matches!(byte, b' '..=b'~'));
        self.up_to_nul().filter(is_printable)
    }
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

    fn text(&mut self, value: &[u8]) -> Option<()> {
        self.raw(value)?;
        self.raw(&[0])
    }

    /// An option, if it is there.
    #[inline(never)]
    fn option(&mut self, name: &str, value: Option<u64>) -> Option<()> {
        let Some(value) = value else {
            return Some(());
        };
        self.text(name.as_bytes())?;
        self.number(value)
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
        self.text(digits.get(at..)?)
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
            file_name: b"app.bin",
            mode: Mode::Octet,
            options,
        };
        round_trip(
            &Packet::WriteRequest(request),
            b"\x00\x02app.bin\0octet\0blksize\x001428\0tsize\x00102309\0timeout\x005\0windowsize\x0032\0",
        );
        let plain = Request {
            file_name: b"status.json",
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
                file_name: b"a",
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
