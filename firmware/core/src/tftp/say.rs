//! What the server says: its packets, and the refusals that are TFTP's own.

use core::net::SocketAddrV4;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused, SENTENCE_LEN};
use iap_protocol::packed;
use iap_protocol::tftp::{Mode, Options, Packet, PacketError};

use super::{Datagram, Reply};

/// What a transfer wants to say.
#[derive(Debug)]
pub(super) enum Say<'a> {
    Ack(u16),
    Options(&'a Options),
    Error(&'a Refusal),
}

impl Say<'_> {
    fn encode(&self, out: &mut [u8]) -> Option<usize> {
        match self {
            Self::Ack(block) => Packet::Ack { block: *block }.encode(out),
            Self::Options(options) => Packet::OptionAck(**options).encode(out),
            Self::Error(refusal) => Packet::Error {
                code: refusal.code.tftp_code(),
                message: refusal.sentence(&mut [0; SENTENCE_LEN]),
            }
            .encode(out),
        }
    }
}

pub(super) fn check_write_mode(mode: Mode, why: &mut Refusal) -> Result<(), Refused> {
    match mode {
        Mode::Octet => Ok(()),
        Mode::Netascii => Err(why.refuse(ErrorCode::Netascii)),
        Mode::Other => Err(expected_octet(why)),
    }
}

pub(super) fn expected_octet(why: &mut Refusal) -> Refused {
    let form = packed!("mode octet expected");
    why.refuse_with(ErrorCode::IllegalOperation, form, &[])
}

pub(super) fn malformed(error: PacketError, why: &mut Refusal) -> Refused {
    let (form, number) = match error {
        PacketError::Option(name) => {
            let form = packed!("TFTP option {t} with a value outside its range");
            return why.refuse_quoting(ErrorCode::BadOption, form, &[name.as_bytes()]);
        }
        PacketError::Truncated => (packed!("TFTP packet cut short"), 0),
        PacketError::Opcode(opcode) => (packed!("TFTP opcode {d} is not defined"), opcode),
        PacketError::Text => (packed!("TFTP packet with a malformed text"), 0),
    };
    why.refuse_with(ErrorCode::IllegalOperation, form, &[number.into()])
}

pub(super) fn busy(peer: SocketAddrV4, why: &mut Refusal) -> Refused {
    let form = packed!("tftp from {a}");
    why.refuse_with(ErrorCode::Busy, form, &[peer.ip().to_bits()])
}

pub(super) fn unknown_transfer(port: u16, why: &mut Refusal) -> Refused {
    let form = packed!("no transfer of yours on port {d}");
    why.refuse_with(ErrorCode::UnknownTransfer, form, &[port.into()])
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
            let (port, mut why) = (datagram.local_port, Refusal::unsaid());
            unknown_transfer(port, &mut why);
            reply(port, datagram.peer, &Say::Error(&why), out)
        }
    }
}

pub(super) fn reply(
    local_port: u16,
    peer: SocketAddrV4,
    say: &Say<'_>,
    out: &mut [u8],
) -> Option<Reply> {
    let len = say.encode(out)?;
    Some(Reply {
        local_port,
        peer,
        len,
    })
}
