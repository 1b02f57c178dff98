//! Networks on the way that do not carry long datagrams: the transfer begins anew with short blocks.
//!
//! The kernel cuts nothing to pieces, so a block that is too long is reported (EMSGSIZE, ICMP "fragmentation needed") or lost without a
//! word. Once a block was acknowledged it is too late: its size cannot change within a transfer.

use core::time::Duration;

use iap_protocol::tftp::{DEFAULT_BLOCK_SIZE, Packet};

use super::{Client, State};
use crate::tftp::request::RequestState;

/// A peer that gives up after so many blocks sent again, and none acknowledged, has not got one of them.
const LOST_FIRST_BLOCKS: u64 = 4;
/// From the end of a session to the next request.
const NEW_SESSION_PAUSE: Duration = Duration::from_millis(50);

impl<S: AsRef<[u8]>> Client<S> {
    /// Begins anew with blocks that every network carries (RFC 791: 576 bytes), if that is still possible and makes a difference: the
    /// peer is told to forget the session. An OACK that is still under way is answered in the same way.
    pub(super) fn shrink(&mut self, now: Duration) -> bool {
        match &self.state {
            State::Sending {
                peer_port,
                block_size,
                blocks,
                ..
            } if blocks.acked() == 0 && *block_size > DEFAULT_BLOCK_SIZE => {
                self.abandoned = Some(*peer_port);
            }
            _ => return false,
        }
        self.dismiss_abandoned();
        self.config.block_size = DEFAULT_BLOCK_SIZE;
        // Not read before the end of the session.
        let at = now + NEW_SESSION_PAUSE;
        let request = RequestState::write(&self.config, &self.file_name, self.total(), at);
        self.state = State::Requesting(request);
        (self.requests, self.refusals) = (0, 0);
        true
    }

    fn dismiss_abandoned(&mut self) {
        if let Some(port) = self.abandoned {
            self.last_words
                .push(port, 0, "begins anew with smaller blocks");
        }
    }

    /// Whether a packet belongs to the session before: servers with one port only answer the new request from it, too.
    pub(super) fn is_of_abandoned(&self, port: u16, packet: &Packet<'_>) -> bool {
        let is_old = match packet {
            Packet::OptionAck(granted) => granted.block_size > Some(self.config.block_size),
            Packet::Error { .. } => port != self.config.server_port,
            _ => false,
        };
        self.abandoned == Some(port) && is_old
    }

    /// The end of the session was lost: both once more.
    pub(super) fn on_abandoned(&mut self, now: Duration, packet: &Packet<'_>) {
        if !matches!(packet, Packet::Error { .. }) {
            self.dismiss_abandoned();
            if let State::Requesting(request) = &mut self.state {
                request.repeat_by(now + NEW_SESSION_PAUSE);
            }
        }
    }

    /// Whether the peer gave up because it never got a block, as when a router loses long datagrams without a word.
    pub(super) fn never_got_a_block(&self, code: u16) -> bool {
        let State::Sending { blocks, .. } = &self.state else {
            return false;
        };
        code == 0 && blocks.acked() == 0 && blocks.repeated() >= LOST_FIRST_BLOCKS
    }
}
