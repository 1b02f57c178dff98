//! A DHCP server for one client, the board (RFC 2131): it offers one address of the subnet and forgets it with the process.

use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType, DhcpPacket, DhcpRepr, IpAddress,
    IpEndpoint, Ipv4Address, Ipv4Cidr,
};

use super::Stack;

const LEASE_S: u32 = 3600;
/// The host part of the leased address, where the subnet has room for it: unlike the static one, so that one sees which is in use.
const LEASE_HOST: u32 = 100;
const MAX_MESSAGE: usize = 1472;

pub(crate) struct Server {
    handle: SocketHandle,
    subnet: Ipv4Cidr,
    lease: Ipv4Address,
    is_taken: bool,
}

impl Server {
    pub(crate) fn new(stack: &mut Stack, board: Ipv4Cidr) -> Self {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 6000]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        // Fails for port 0 and for sockets that are open; this one is neither.
        let _ = socket.bind(DHCP_SERVER_PORT);
        let subnet = board.network();
        let wanted = Ipv4Address::from(u32::from(subnet.address()) | LEASE_HOST);
        let free = subnet.contains_addr(&wanted) && !stack.hosts.contains(&wanted);
        Self {
            handle: stack.sockets.add(socket),
            subnet,
            lease: if free { wanted } else { board.address() },
            is_taken: false,
        }
    }

    /// Answers the board. Once it has taken the lease, packets go to the new address.
    pub(crate) fn poll(&mut self, stack: &mut Stack) -> bool {
        let Some(&server) = stack.hosts.first() else {
            return false;
        };
        let socket = stack.sockets.get_mut::<udp::Socket>(self.handle);
        let mut message = [0; MAX_MESSAGE];
        let Ok((len, _)) = socket.recv_slice(&mut message) else {
            return false;
        };
        let packet = DhcpPacket::new_checked(&message[..len]);
        let Some(answer) = packet
            .as_ref()
            .ok()
            .and_then(|packet| DhcpRepr::parse(packet).ok())
            .and_then(|request| self.answer(&request, server))
        else {
            return true;
        };
        let mut bytes = vec![0; answer.buffer_len()];
        if answer
            .emit(&mut DhcpPacket::new_unchecked(&mut bytes))
            .is_ok()
        {
            let broadcast =
                IpEndpoint::new(IpAddress::Ipv4(Ipv4Address::BROADCAST), DHCP_CLIENT_PORT);
            // The buffer holds several messages; one that does not fit is asked for again.
            let _ = socket.send_slice(&bytes, broadcast);
        }
        if answer.message_type == DhcpMessageType::Ack {
            stack.board = self.lease;
            self.is_taken = true;
        }
        true
    }

    /// Whether the board has its lease.
    pub(crate) fn is_taken(&self) -> bool {
        self.is_taken
    }

    fn answer(&self, request: &DhcpRepr<'_>, server: Ipv4Address) -> Option<DhcpRepr<'static>> {
        let wanted = request.requested_ip.unwrap_or(request.client_ip);
        let for_us = request.server_identifier.is_none_or(|id| id == server);
        let message_type = match request.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request if !for_us => return None,
            DhcpMessageType::Request if wanted == self.lease => DhcpMessageType::Ack,
            DhcpMessageType::Request => DhcpMessageType::Nak,
            _ => return None,
        };
        let granted = message_type != DhcpMessageType::Nak;
        Some(DhcpRepr {
            message_type,
            transaction_id: request.transaction_id,
            secs: 0,
            client_hardware_address: request.client_hardware_address,
            client_ip: Ipv4Address::UNSPECIFIED,
            your_ip: if granted {
                self.lease
            } else {
                Ipv4Address::UNSPECIFIED
            },
            server_ip: server,
            router: granted.then_some(server),
            subnet_mask: granted.then_some(self.subnet.netmask()),
            relay_agent_ip: Ipv4Address::UNSPECIFIED,
            broadcast: true,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(server),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: granted.then_some(LEASE_S),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        })
    }
}
