//! What became of frames.

use std::fmt;

/// What became of frames, and of what the driver did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EthernetUse {
    /// Frames sent.
    pub sent: u64,
    /// Frames given to the driver.
    pub received: u64,
    /// Frames for others.
    pub filtered: u64,
    /// Frames with a wrong IP, TCP, UDP or ICMP checksum, while the MAC checks them.
    pub bad_checksum: u64,
    /// Frames that found no descriptor.
    pub missed: u64,
    /// Frames that found no room in the FIFO.
    pub overflowed: u64,
    /// Frames that came while the receiver was off, or the link down.
    pub not_listening: u64,
    /// Accesses of the DMA to memory it does not reach.
    pub bus_errors: u64,
}

impl fmt::Display for EthernetUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frames: {} sent, {} received", self.sent, self.received)?;
        let lost = [
            (self.filtered, "for others"),
            (self.bad_checksum, "with a wrong checksum"),
            (self.missed, "without a descriptor"),
            (self.overflowed, "without room in the FIFO"),
            (self.not_listening, "while nobody listened"),
        ];
        for (count, what) in lost.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        Ok(())
    }
}
