//! The Ethernet MAC with its DMA and its PHY, as smoltcp's `Device`.
//!
//! The MAC checks and inserts the checksums of IP, TCP, UDP and ICMP and drops frames in which one is wrong, so smoltcp does neither. What
//! goes wrong while receiving costs the frame, not the ring. While the link is down, frames to send are dropped, as on any network
//! card without a cable: protocols repeat them.

mod mac;
mod monitor;
pub(crate) mod rings;

use core::sync::atomic::{AtomicU32, Ordering};

use iap_stm32f407::descriptor::{FRAME_LEN, Received};
use iap_stm32f407::mac_word::missed_frames;
use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

pub(crate) use mac::{Mac, Parts};
use monitor::Monitor;
pub(crate) use monitor::PERIOD_US as LINK_PERIOD_US;
use rings::{RxRing, TxRing};

use super::time::Timer;

/// Frames that can come without a pause; the rest of the ring is for what others send meanwhile.
const MAX_BURST: usize = 16;
const _: () = assert!(MAX_BURST < rings::RX);
/// Looks at the link, in a row, that find it up and no room to send: 5 s of them, where three frames leave within some milliseconds at most and
/// the board seldom sends more than one.
const LOOKS_AT_A_STALL: u8 = 20;

/// For a debugger: frames dropped for an error, and frames lost for want of a descriptor.
#[used]
static DROPPED: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];

/// The interface.
pub(crate) struct Ethernet {
    mac: Mac,
    rx: RxRing,
    tx: TxRing,
    monitor: Monitor,
    /// Looks in a row without room to send.
    looks_without_room: u8,
}

impl Ethernet {
    /// Clocks and pins are `mac`'s; starts as soon as the PHY gives the MAC its clocks.
    pub(crate) fn new(mac: Mac, memory: &'static mut rings::Memory, timer: &mut Timer) -> Self {
        let (rx, tx) = rings::new(memory);
        let mut ethernet = Self {
            mac,
            rx,
            tx,
            monitor: Monitor::new(),
            looks_without_room: 0,
        };
        ethernet.start(timer);
        ethernet
    }

    fn start(&mut self, timer: &mut Timer) {
        if self.mac.reset(timer).is_err() {
            return;
        }
        self.rx.restart();
        self.tx.restart();
        self.mac.start(self.rx.address(), self.tx.address());
        self.monitor.begin(&self.mac, timer);
    }

    /// Follows the link; to be called every [`LINK_PERIOD_US`]. Tries to start again what has not started, or sends nothing any more: the
    /// board would be deaf to all the world, and its watchdog fed. Whether the link has come up.
    pub(crate) fn follow_link(&mut self, timer: &mut Timer) -> bool {
        count(1, missed_frames(self.mac.missed()));
        if !self.mac.is_running() || self.is_stalled() {
            self.start(timer);
            return false;
        }
        let link = self.monitor.poll(&self.mac, timer);
        if let Some(link) = link {
            self.mac.set_link(link);
        }
        link.is_some()
    }

    /// Whether the transmitter seems to stand still ([`LOOKS_AT_A_STALL`]); to be asked at each look.
    fn is_stalled(&mut self) -> bool {
        self.looks_without_room = match self.is_up() && !self.tx.has_room() {
            true => self.looks_without_room + 1,
            false => 0,
        };
        self.looks_without_room >= LOOKS_AT_A_STALL
    }

    /// Whether the link is up.
    pub(crate) fn is_up(&self) -> bool {
        self.monitor.is_up()
    }

    /// Whether every frame has left.
    pub(crate) fn is_sent(&self) -> bool {
        !self.is_up() || self.tx.is_empty()
    }

    /// Clears the flags that have ended sleep.
    pub(crate) fn acknowledge(&self) {
        self.mac.acknowledge();
    }

    /// Finds the next good frame; bad ones are dropped and counted. Each turn frees a descriptor, so once round the ring is enough.
    fn next_frame(&mut self) -> Option<usize> {
        for _ in 0..rings::RX {
            match self.rx.peek() {
                Received::Pending => return None,
                Received::Frame(len) => return Some(len),
                Received::Bad => {
                    count(0, 1);
                    self.rx.release();
                    self.mac.resume_reception();
                }
            }
        }
        None
    }
}

/// Adds to a counter. No read-modify-write instruction: there is one thread.
fn count(counter: usize, frames: u32) {
    let counter = &DROPPED[counter];
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(frames),
        Ordering::Relaxed,
    );
}

impl phy::Device for Ethernet {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        // An answer must have room, or the frame waits where it is.
        if !self.tx.has_room() {
            return None;
        }
        let len = self.next_frame()?;
        let up = self.is_up();
        let Self { mac, rx, tx, .. } = self;
        Some((RxToken { mac, rx, len }, TxToken { mac, tx, up }))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxToken<'_>> {
        let up = self.is_up();
        let Self { mac, tx, .. } = self;
        tx.has_room().then_some(TxToken { mac, tx, up })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_LEN;
        capabilities.max_burst_size = Some(MAX_BURST);
        capabilities.checksum = ChecksumCapabilities::ignored();
        capabilities
    }
}

/// A received frame.
pub(crate) struct RxToken<'a> {
    mac: &'a Mac,
    rx: &'a mut RxRing,
    len: usize,
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        let result = self.rx.take(self.len, read);
        self.mac.resume_reception();
        result
    }
}

/// Room for a frame to send.
pub(crate) struct TxToken<'a> {
    mac: &'a Mac,
    tx: &'a mut TxRing,
    up: bool,
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let result = self.tx.fill(len, write);
        // Else it goes nowhere.
        if self.up {
            self.tx.send(len);
            self.mac.resume_transmission();
        }
        result
    }
}
