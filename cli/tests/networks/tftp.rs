//! iapctl's TFTP machines on the virtual network.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use iap_sim::wire::Port;
use iapctl::tftp::{Machine, NetworkError, TransferError};
use smoltcp::iface::SocketHandle;
use smoltcp::time::Instant;

use super::hosts::{Actor, Hosts};

/// Datagrams between one machine's polls at one moment: more than its largest burst.
const MAX_BURST: usize = 1200;

/// Since the start of the world, as the machines count.
pub(crate) fn since_start(now: Instant) -> Duration {
    Duration::from_micros(now.total_micros().unsigned_abs())
}

/// Back again.
pub(crate) fn instant(at: Duration) -> Instant {
    Instant::from_micros(i64::try_from(at.as_micros()).expect("not the end of time"))
}

/// A machine with its socket.
pub(crate) struct Driven<M> {
    machine: M,
    handle: SocketHandle,
    begins: Instant,
    out: Vec<u8>,
    /// Datagrams sent.
    sent: u64,
    /// After so many datagrams it is gone.
    vanishes_after: Option<u64>,
    /// The router that tells of datagrams too long for it: the board's end of the wire, and how many it has told of.
    router: Option<(Port, u64)>,
    /// The port the board last answered from, for those who want to disturb.
    pub(crate) tid: Rc<Cell<Option<u16>>>,
}

impl<M: Machine> Driven<M> {
    pub(crate) fn new(machine: M, handle: SocketHandle, begins: Instant) -> Self {
        Self {
            machine,
            handle,
            begins,
            out: Vec::new(),
            sent: 0,
            vanishes_after: None,
            router: None,
            tid: Rc::default(),
        }
    }

    pub(crate) fn vanishing_after(self, datagrams: Option<u64>) -> Self {
        Self {
            vanishes_after: datagrams,
            ..self
        }
    }

    pub(crate) fn behind_router(self, router: Option<Port>) -> Self {
        Self {
            router: router.map(|port| (port, 0)),
            ..self
        }
    }

    pub(crate) fn has_vanished(&self) -> bool {
        self.vanishes_after.is_some_and(|after| self.sent >= after)
    }

    pub(crate) fn result(&self) -> Option<Result<M::Output, TransferError>> {
        self.machine.result()
    }

    fn hear_router(&mut self, now: Duration) {
        let Some((port, told)) = &mut self.router else {
            return;
        };
        let lost = port.traffic().lost_too_long;
        for _ in *told..lost {
            self.machine.network_error(now, NetworkError::TooLong);
        }
        *told = lost;
    }
}

impl<M: Machine> Actor for Driven<M> {
    fn act(&mut self, now: Instant, hosts: &mut Hosts) {
        if now < self.begins || self.has_vanished() {
            return;
        }
        let at = since_start(now);
        self.hear_router(at);
        while let Some((port, datagram)) = hosts.receive(self.handle) {
            self.tid.set(Some(port));
            self.machine.receive(at, port, &datagram);
        }
        for _ in 0..MAX_BURST {
            if self.has_vanished() {
                return;
            }
            let Some(port) = self.machine.poll(at, &mut self.out) else {
                return;
            };
            self.sent += 1;
            hosts.send(self.handle, port, &self.out);
        }
        panic!("the client never stops sending");
    }

    fn next_at(&self) -> Option<Instant> {
        if self.has_vanished() {
            return None;
        }
        let at = self.machine.poll_at()?;
        Some(instant(at).max(self.begins))
    }
}
