//! The seam between the network loop and what it runs on: the chip, or a simulator.

use iap_protocol::status::Phase;
use smoltcp::time::Instant;

use crate::mode::ResetReason;

/// What the loop needs of its surroundings beside the Ethernet.
pub trait Platform {
    /// The time since the reset; it passes during flash operations.
    fn now(&mut self) -> Instant;
    /// A random number, as good as the hardware gives.
    fn random(&mut self) -> u32;
    /// Shows the state to people; called when it has changed.
    fn show(&mut self, indication: Indication);
}

/// What LEDs can show. The link is the platform's own affair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Indication {
    /// The board has an address.
    pub has_address: bool,
    /// What the update is doing.
    pub phase: Phase,
}

/// The end of one [`super::Iap::poll`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Turn {
    /// When the next poll is due unless a frame comes before; `None`: when a frame comes. Not later than now: there is more to do.
    pub poll_at: Option<Instant>,
    /// The board is to be reset now; everything that had to be said was handed to the device.
    pub reset: Option<ResetReason>,
}
