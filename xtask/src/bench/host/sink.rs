//! The receiving side of a TFTP write (RFC 1350, 2347, 2348, 2349, 7440), strict and without I/O: what every client in the bench talks to.
//!
//! It acknowledges once per window, at the first block out of turn (RFC 7440 section 4), at the last block, and again when nothing came
//! for as long as the client's timeout option says. A block that is here already is not taken twice. Not a board: it never erases.

use std::time::Duration;

use iap_protocol::tftp::{DEFAULT_BLOCK_SIZE, Options, Packet, Request};

/// Until the client says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// A transfer.
pub(super) struct Sink {
    /// What the request was answered with, for as long as no block has come.
    granted: Options,
    block_size: usize,
    window_size: u64,
    content: Vec<u8>,
    /// The last block that is here; counts from 1 and does not wrap.
    received: u64,
    /// The last block that was acknowledged.
    acked: u64,
    /// The last block out of turn since one came in turn.
    stray: Option<u64>,
    complete: bool,
    refused: bool,
}

impl Sink {
    /// The transfer that `request` asks for. Every size is granted as it is asked for.
    pub(super) fn new(request: &Request<'_>) -> Self {
        let asked = request.options;
        Self {
            granted: asked,
            block_size: asked.block_size.unwrap_or(DEFAULT_BLOCK_SIZE).into(),
            window_size: asked.window_size.unwrap_or(1).into(),
            content: Vec::new(),
            received: 0,
            acked: 0,
            stray: None,
            complete: false,
            refused: false,
        }
    }

    /// The answer to the request, also when it comes again; none once there are blocks.
    pub(super) fn answer(&self) -> Option<Vec<u8>> {
        (self.received == 0).then(|| match self.granted.is_empty() {
            true => encode(&Packet::Ack { block: 0 }),
            false => encode(&Packet::OptionAck(self.granted)),
        })
    }

    /// How long to wait for a block before [`Sink::repeat`].
    pub(super) fn timeout(&self) -> Duration {
        let asked = self.granted.timeout_s.map(u64::from);
        asked.map_or(DEFAULT_TIMEOUT, Duration::from_secs)
    }

    /// What is sent when nothing comes.
    pub(super) fn repeat(&mut self) -> Option<Vec<u8>> {
        if self.complete || self.refused {
            return None;
        }
        self.answer().or_else(|| Some(self.acknowledge()))
    }

    /// Takes a datagram; gives the acknowledgement that is due.
    pub(super) fn receive(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        match Packet::decode(datagram) {
            Ok(Packet::Data { block, payload }) => self.take(block, payload),
            Ok(Packet::Error { .. }) => {
                self.refused = true;
                None
            }
            _ => None,
        }
    }

    fn take(&mut self, wire_block: u16, payload: &[u8]) -> Option<Vec<u8>> {
        let next = self.received + 1;
        let ahead = wire_block.wrapping_sub(next as u16);
        if self.complete || ahead != 0 {
            // Half of the numbers are ahead, the others behind.
            let block = (next + u64::from(ahead)).saturating_sub(match ahead {
                0..0x8000 => 0,
                _ => 0x1_0000,
            });
            return self.take_stray(block);
        }
        self.received = next;
        self.stray = None;
        self.content.extend_from_slice(payload);
        self.complete = payload.len() < self.block_size;
        let due = self.complete || self.received - self.acked >= self.window_size;
        due.then(|| self.acknowledge())
    }

    /// One acknowledgement for each time the client sends its window, not one for each block of it.
    fn take_stray(&mut self, block: u64) -> Option<Vec<u8>> {
        let again = self.stray.is_none_or(|before| block <= before);
        self.stray = Some(block);
        again.then(|| self.acknowledge())
    }

    fn acknowledge(&mut self) -> Vec<u8> {
        self.acked = self.received;
        encode(&Packet::Ack {
            block: self.received as u16,
        })
    }

    /// Whether the last block is here.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What was received.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let len = packet.encode(&mut bytes).unwrap_or(0);
    bytes.truncate(len);
    bytes
}

#[cfg(test)]
mod tests {
    use iap_protocol::tftp::Mode;

    use super::*;

    fn sink(window_size: u16) -> Sink {
        Sink::new(&Request {
            file_name: b"f",
            mode: Mode::Octet,
            options: Options {
                block_size: Some(8),
                window_size: Some(window_size),
                ..Options::default()
            },
        })
    }

    fn data(block: u16, payload: &[u8]) -> Vec<u8> {
        encode(&Packet::Data { block, payload })
    }

    fn ack(block: u16) -> Option<Vec<u8>> {
        Some(encode(&Packet::Ack { block }))
    }

    #[test]
    fn a_window_is_acknowledged_once_and_the_last_block_at_once() {
        let mut sink = sink(3);
        assert!(sink.answer().unwrap().starts_with(&[0, 6]));
        assert_eq!(sink.receive(&data(1, b"12345678")), None);
        assert_eq!(sink.receive(&data(2, b"abcdefgh")), None);
        assert_eq!(sink.receive(&data(3, b"ABCDEFGH")), ack(3));
        assert_eq!(sink.receive(&data(4, b"end")), ack(4));
        assert!(sink.is_complete());
        assert_eq!(sink.content(), b"12345678abcdefghABCDEFGHend");
        assert_eq!(sink.receive(&data(4, b"end")), ack(4), "its ACK was lost");
        assert_eq!(sink.content().len(), 27);
    }

    #[test]
    fn a_lost_block_is_asked_for_once_per_window_sent() {
        let mut sink = sink(4);
        assert_eq!(sink.receive(&data(1, b"12345678")), None);
        assert_eq!(sink.receive(&data(3, b"........")), ack(1));
        assert_eq!(sink.receive(&data(4, b"........")), None);
        assert_eq!(sink.receive(&data(3, b"........")), ack(1), "sent again");
        assert_eq!(sink.receive(&data(2, b"12345678")), None);
        assert_eq!(sink.repeat(), ack(2));
    }

    #[test]
    fn block_numbers_wrap_to_zero() {
        let mut sink = sink(1);
        for block in 1..=65_537_u32 {
            let block = block as u16;
            assert_eq!(sink.receive(&data(block, b"12345678")), ack(block));
        }
        assert_eq!(sink.receive(&data(0, b"12345678")), ack(1), "a duplicate");
        assert_eq!(sink.content().len(), 8 * 65_537);
    }
}
