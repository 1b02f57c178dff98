//! An Ethernet segment between two stations, in memory: what one sends, the other receives, unless the wire is told to do worse.
//!
//! Frames travel on the clock that the stations pass to [`phy::Device`]: give both the same. All faults come from one seed, so that a run
//! can be repeated; what was done to frames is counted, so that a test can see that its fault happened. A station's receive ring is
//! bounded, like a DMA ring: frames that arrive while it is full are lost.

mod faults;
mod pcap;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use crate::rng::Rng;
pub use faults::{Conditions, LinkDown};

/// The longest frame, without its check sequence (IEEE 802.3): 14 bytes of header and 1500 of payload.
pub const MAX_FRAME_LEN: usize = 1514;

/// What became of the frames sent in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// Frames given to the wire.
    pub sent: u64,
    /// Frames the receiver took from its ring.
    pub received: u64,
    /// Frames lost on the way.
    pub lost: u64,
    /// Frames lost because the link was down.
    pub lost_link_down: u64,
    /// Frames lost because their packet was longer than the way carries.
    pub lost_too_long: u64,
    /// Frames lost because the receiver's ring was full.
    pub lost_ring_full: u64,
    /// Frames delivered twice.
    pub duplicated: u64,
    /// Frames held back so that later ones overtake them.
    pub reordered: u64,
    /// Frames with an inverted bit.
    pub corrupted: u64,
}

/// One direction of the wire.
struct Lane {
    conditions: Conditions,
    rng: Rng,
    /// Frames under way, in the order of their arrival.
    flying: Vec<(Instant, Vec<u8>)>,
    /// When the last frame in order arrives.
    last_arrival: Instant,
    /// Until when the sender's line is busy.
    line_free: Instant,
    /// Frames that have arrived.
    ring: VecDeque<Vec<u8>>,
    traffic: Traffic,
}

struct Segment {
    /// Index: the receiving station.
    lanes: [Lane; 2],
    capture: Option<pcap::Writer>,
}

/// A station's end of the segment.
#[derive(Clone)]
pub struct Port {
    segment: Arc<Mutex<Segment>>,
    /// This station; the lane it receives from.
    station: usize,
}

/// A segment: two ports, and the conditions for frames sent from the first and from the second.
pub fn segment(seed: u64, from_first: Conditions, from_second: Conditions) -> (Port, Port) {
    let lanes = [
        Lane::new(from_second, seed ^ 1),
        Lane::new(from_first, seed),
    ];
    let segment = Segment {
        lanes,
        capture: None,
    };
    let segment = Arc::new(Mutex::new(segment));
    let port = |station| Port {
        segment: Arc::clone(&segment),
        station,
    };
    (port(0), port(1))
}

impl Lane {
    fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            rng: Rng::new(seed),
            flying: Vec::new(),
            last_arrival: Instant::ZERO,
            line_free: Instant::ZERO,
            ring: VecDeque::new(),
            traffic: Traffic::default(),
        }
    }

    fn fly(&mut self, arrival: Instant, frame: Vec<u8>) {
        let after = self.flying.partition_point(|(at, _)| *at <= arrival);
        self.flying.insert(after, (arrival, frame));
    }

    /// Moves what has arrived by `now` into the ring.
    fn land(&mut self, now: Instant, mut seen: impl FnMut(Instant, &[u8])) {
        let arrived = self.flying.partition_point(|(at, _)| *at <= now);
        for (at, frame) in self.flying.drain(..arrived) {
            seen(at, &frame);
            if self.ring.len() < self.conditions.ring_len {
                self.ring.push_back(frame);
            } else {
                self.traffic.lost_ring_full += 1;
            }
        }
    }
}

impl Port {
    fn segment(&self) -> MutexGuard<'_, Segment> {
        // A panic elsewhere leaves plain data behind: it can still be read.
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes every frame that arrives, on either side, to `output` as a pcap file.
    pub fn capture(&self, output: Box<dyn Write + Send>) -> std::io::Result<()> {
        let writer = pcap::Writer::new(output)?;
        self.segment().capture = Some(writer);
        Ok(())
    }

    /// Changes the conditions for frames this station receives.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.segment().lanes[self.station].conditions = conditions;
    }

    /// What became of the frames sent to this station.
    pub fn traffic(&self) -> Traffic {
        self.segment().lanes[self.station].traffic
    }

    /// What became of the frames this station sent.
    pub fn traffic_sent(&self) -> Traffic {
        self.segment().lanes[1 - self.station].traffic
    }

    /// Whether a frame waits to be received at `now`.
    pub fn has_frame(&self, now: Instant) -> bool {
        let segment = self.segment();
        let lane = &segment.lanes[self.station];
        !lane.ring.is_empty() || lane.flying.first().is_some_and(|(at, _)| *at <= now)
    }

    /// When the next frame under way arrives at this station, [`Instant::ZERO`] if one waits already.
    pub fn next_arrival(&self) -> Option<Instant> {
        let segment = self.segment();
        let lane = &segment.lanes[self.station];
        match lane.ring.is_empty() {
            true => lane.flying.first().map(|(at, _)| *at),
            false => Some(Instant::ZERO),
        }
    }

    /// Takes the next frame that has arrived.
    pub fn take_frame(&self, now: Instant) -> Option<Vec<u8>> {
        let mut segment = self.segment();
        let Segment { lanes, capture } = &mut *segment;
        let lane = &mut lanes[self.station];
        lane.land(now, |at, frame| {
            if let Some(capture) = capture {
                capture.frame(at, frame);
            }
        });
        let frame = lane.ring.pop_front()?;
        lane.traffic.received += 1;
        Some(frame)
    }

    /// Sends a frame to the other station.
    pub fn send_frame(&self, now: Instant, frame: Vec<u8>) {
        self.segment().lanes[1 - self.station].send(now, frame);
    }

    /// Forgets what waits in this station's ring, as a reset of its chip does.
    pub fn clear_ring(&self, now: Instant) {
        while self.take_frame(now).is_some() {}
    }
}

impl phy::Device for Port {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, now: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let frame = self.take_frame(now)?;
        Some((RxToken(frame), TxToken { port: self, now }))
    }

    fn transmit(&mut self, now: Instant) -> Option<TxToken<'_>> {
        Some(TxToken { port: self, now })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MAX_FRAME_LEN;
        let ring_len = self.segment().lanes[self.station].conditions.ring_len;
        capabilities.max_burst_size = (ring_len != usize::MAX).then_some(ring_len);
        capabilities
    }
}

/// A frame that has arrived.
pub struct RxToken(Vec<u8>);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for a frame to send.
pub struct TxToken<'a> {
    port: &'a Port,
    now: Instant,
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.port.send_frame(self.now, frame);
        result
    }
}
