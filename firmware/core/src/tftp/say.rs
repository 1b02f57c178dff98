//! What the server says: its packets, and the refusals that are TFTP's own.

use core::fmt;
use core::net::SocketAddrV4;

use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::tftp::{Mode, Options, Packet, PacketError};

use super::{Datagram, Reply};
use crate::intake::{Source, Transport};

/// What a transfer wants to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Say {
    Ack(u16),
    Options(Options),
    Error(Refusal),
}

impl Say {
    fn encode(&self, out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Ack(block) => Packet::Ack { block: *block }.encode(out),
            Self::Options(options) => Packet::OptionAck(*options).encode(out),
            Self::Error(refusal) => Packet::Error {
                code: refusal.code.tftp_code(),
                message: refusal.sentence().as_bytes(),
            }
            .encode(out),
        }
    }
}

/// A peer's text in a sentence; what is not printable is replaced where the sentence is made.
pub(super) struct Text<'a>(pub(super) &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        self.0
            .iter()
            .try_for_each(|&byte| f.write_char(char::from(byte)))
    }
}

pub(super) fn check_write_mode(mode: Mode) -> Result<(), Refusal> {
    match mode {
        Mode::Octet => Ok(()),
        Mode::Netascii => Err(ErrorCode::Netascii.into()),
        Mode::Other => Err(expected_octet()),
    }
}

pub(super) fn expected_octet() -> Refusal {
    Refusal::with(
        ErrorCode::IllegalOperation,
        format_args!("mode octet expected"),
    )
}

pub(super) fn malformed(error: PacketError) -> Refusal {
    let code = match error {
        PacketError::Option(_) => ErrorCode::BadOption,
        PacketError::Truncated | PacketError::Opcode(_) | PacketError::Text => {
            ErrorCode::IllegalOperation
        }
    };
    Refusal::with(code, format_args!("{error}"))
}

pub(super) fn busy(peer: SocketAddrV4) -> Refusal {
    let source = Source {
        transport: Transport::Tftp,
        peer: *peer.ip(),
    };
    Refusal::with(ErrorCode::Busy, format_args!("{source}"))
}

pub(super) fn unknown_transfer(port: u16) -> Refusal {
    Refusal::with(
        ErrorCode::UnknownTransfer,
        format_args!("no transfer of yours on port {port}"),
    )
}

/// Answers somebody who is not the peer of the transfer, which goes on undisturbed (RFC 1350 section 4).
pub(super) fn stranger(
    datagram: &Datagram<'_>,
    packet: &Result<Packet<'_>, PacketError>,
    out: &mut [u8],
) -> Option<Reply> {
    match packet {
        Ok(Packet::Error { .. }) => None,
        _ => {
            let refusal = unknown_transfer(datagram.local_port);
            reply(
                datagram.local_port,
                datagram.peer,
                &Say::Error(refusal),
                out,
            )
        }
    }
}

pub(super) fn reply(
    local_port: u16,
    peer: SocketAddrV4,
    say: &Say,
    out: &mut [u8],
) -> Option<Reply> {
    let len = say.encode(out)?;
    Some(Reply {
        local_port,
        peer,
        len,
    })
}
