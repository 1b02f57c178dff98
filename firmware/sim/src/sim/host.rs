//! This machine as the world around a board: its sockets through the gateway, its clock, and whoever listens to events.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration as WallDuration;

use anyhow::{Context, Result};
use smoltcp::time::Instant;

use super::{Listener, Shared};
use crate::board::{Next, World};
use crate::clock::Clock;
use crate::event::{Event, Stamped};
use crate::gateway::Gateway;
use crate::wire::Port;

/// This machine as the board's world.
pub(super) struct Host {
    pub(super) gateway: Gateway,
    /// The board's end of the segment, to see whether something waits for it.
    pub(super) port: Port,
    pub(super) wished: Receiver<Next>,
    pub(super) listener: Listener,
    pub(super) shared: Arc<Shared>,
}

impl Host {
    fn last_event(&self) -> Option<Event> {
        let story = self.shared.story();
        story.events.last().map(|stamped| stamped.event.clone())
    }

    /// Tells the ports.
    pub(super) fn listening(&mut self, at: Instant) {
        let event = Event::Listening {
            tftp: self.gateway.tftp_address(),
            http: self.gateway.http_address(),
        };
        self.event(Stamped { at, event });
    }

    /// Says that there will be no more events.
    pub(super) fn over(&self) {
        let mut story = self.shared.story();
        story.is_over = true;
        self.shared.news.notify_all();
    }

    /// Tells what clients were told, unless it ended an upload and was told already.
    fn tell_tftp_errors(&mut self, at: Instant) {
        for error in self.gateway.take_tftp_errors() {
            let known = |event: &Event| matches!(event, Event::Refused { sentence, .. } if *sentence == error.sentence);
            if self.last_event().as_ref().is_some_and(known) {
                continue;
            }
            let event = Event::TftpError {
                client: error.client,
                code: error.code,
                sentence: error.sentence,
            };
            self.event(Stamped { at, event });
        }
    }

    /// Sleeps until something comes for the board or is due.
    fn sleep(&mut self, now: Instant, poll_at: Option<Instant>) -> Result<()> {
        let due = poll_at.into_iter().chain(self.gateway.poll_at(now)).min();
        let timeout = due.map(|at| {
            let micros = (at.total_micros() - now.total_micros()).max(0);
            WallDuration::from_micros(micros.unsigned_abs())
        });
        self.gateway
            .wait(timeout)
            .context("cannot wait for host sockets")
    }
}

impl World for Host {
    fn event(&mut self, event: Stamped) {
        (self.listener)(&event);
        let mut story = self.shared.story();
        story.events.push(event);
        self.shared.news.notify_all();
    }

    fn turn(&mut self, clock: &mut Clock, poll_at: Option<Instant>) -> Result<Next> {
        let now = clock.now();
        let moved = self.gateway.poll(now);
        self.tell_tftp_errors(now);
        if let Ok(wish) = self.wished.try_recv() {
            return Ok(wish);
        }
        let is_due = poll_at.is_some_and(|at| at <= now);
        if !moved && !is_due && !self.port.has_frame(now) {
            self.sleep(
                now,
                poll_at.into_iter().chain(self.port.next_arrival()).min(),
            )?;
            self.gateway.poll(clock.now());
        }
        Ok(Next::Continue)
    }
}
