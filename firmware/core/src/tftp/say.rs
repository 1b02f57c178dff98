//! What the server says: its packets, and the refusals that are TFTP's own.

use core::net::SocketAddrV4;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, SENTENCE_LEN};
use iap_protocol::packed;
use iap_protocol::tftp::{Mode, Options, Packet, PacketError};

use super::{Datagram, Reply};

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
                message: refusal.sentence(&mut [0; SENTENCE_LEN]),
            }
            .encode(out),
        }
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
        packed!("mode octet expected"),
        &[],
    )
}

pub(super) fn malformed(error: PacketError) -> Refusal {
    let (form, number) = match error {
        PacketError::Option(name) => {
            let form = packed!("TFTP option {t} with a value outside its range");
            return Refusal::quoting(ErrorCode::BadOption, form, &[name.as_bytes()]);
        }
        PacketError::Truncated => (packed!("TFTP packet cut short"), 0),
        PacketError::Opcode(opcode) => (packed!("TFTP opcode {d} is not defined"), opcode),
        PacketError::Text => (packed!("TFTP packet with a malformed text"), 0),
    };
    Refusal::with(ErrorCode::IllegalOperation, form, &[number.into()])
}

pub(super) fn busy(peer: SocketAddrV4) -> Refusal {
    Refusal::with(
        ErrorCode::Busy,
        packed!("tftp from {a}"),
        &[peer.ip().to_bits()],
    )
}

pub(super) fn unknown_transfer(port: u16) -> Refusal {
    Refusal::with(
        ErrorCode::UnknownTransfer,
        packed!("no transfer of yours on port {d}"),
        &[port.into()],
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
