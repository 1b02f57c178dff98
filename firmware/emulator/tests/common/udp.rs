//! UDP datagrams as bytes.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr};

/// An IPv4 packet with a datagram.
pub(crate) fn datagram(
    from: Ipv4Address,
    to: Ipv4Address,
    (from_port, to_port): (u16, u16),
    payload: &[u8],
) -> Vec<u8> {
    let udp = UdpRepr {
        src_port: from_port,
        dst_port: to_port,
    };
    let ip = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + payload.len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut bytes = vec![0; ip.buffer_len() + ip.payload_len];
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[..]), &checksums);
    udp.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[ip.buffer_len()..]),
        &from.into(),
        &to.into(),
        payload.len(),
        |room| room.copy_from_slice(payload),
        &checksums,
    );
    bytes
}
