//! Who pushes to the boards of [`super::served`]: a [`Visitor`], or what somebody else brings, as iapctl's tests do.

use anyhow::Result;
use iap_core::intake::Transport;
use iap_profile::Profile;
use smoltcp::time::Instant;

use super::start::Start;
use crate::visitor::{Told, Visitor};
use crate::wire::Port;

/// A host that pushes the new image again and again, as it would after a power cut.
pub trait Client {
    /// Begins a push, whatever was under way.
    fn push(&mut self, now: Instant);

    /// What the board has said to the push, once it has.
    fn told(&self) -> Option<&Told>;

    /// Does what is due.
    fn poll(&mut self, now: Instant);

    /// When [`Client::poll`] has something to do even if no frame comes.
    fn poll_at(&mut self, now: Instant) -> Option<Instant>;

    /// The bytes of the push under way, if it leaves out sectors of the image.
    fn partial(&self) -> Option<&[u8]>;
}

/// Makes the client that pushes to a board in this state, at the other end of its segment.
pub type Invite<'a> = &'a (dyn Fn(&Start, Transport, Port) -> Result<Box<dyn Client>> + Sync);

/// A visitor who pushes the whole image.
pub(super) fn visitor(start: &Start, transport: Transport, port: Port) -> Result<Box<dyn Client>> {
    let mut profile = Profile::builtin("sim")?;
    profile.settings.network.use_dhcp = false;
    Ok(Box::new(Pushing {
        visitor: Visitor::new(port, &profile, Instant::ZERO),
        transport,
        file: start.file.clone(),
        declared: start.declared.is_some(),
    }))
}

/// A visitor with what it pushes.
struct Pushing {
    visitor: Visitor,
    transport: Transport,
    file: Vec<u8>,
    declared: bool,
}

impl Client for Pushing {
    fn push(&mut self, now: Instant) {
        self.visitor
            .push(self.transport, &self.file, self.declared, now);
    }

    fn told(&self) -> Option<&Told> {
        self.visitor.told()
    }

    fn poll(&mut self, now: Instant) {
        self.visitor.poll(now);
    }

    fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        self.visitor.poll_at(now)
    }

    fn partial(&self) -> Option<&[u8]> {
        None
    }
}
