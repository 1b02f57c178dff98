//! A [`Site`] made of an intake and a status that stands still: for tests and fuzz targets, which bring their own intakes.

use iap_protocol::error::{Refusal, Refused};
use iap_protocol::status::View;
use smoltcp::time::Instant;

use super::Site;
use crate::intake::{Intake, Outcome, Source, Ticket};
use crate::status::Report;

/// An intake, and what is shown whatever becomes of it.
pub struct Fixed<'a> {
    /// Where images go.
    pub intake: &'a mut dyn Intake,
    /// What is shown.
    pub view: &'a View<'a>,
}

impl Site for Fixed<'_> {
    fn show(&self, _: &Report<'_>, to: &mut dyn FnMut(&View<'_>)) {
        to(self.view);
    }
}

impl Intake for Fixed<'_> {
    fn begin(
        &mut self,
        now: Instant,
        source: Source,
        declared: Option<u32>,
        why: &mut Refusal,
    ) -> Result<Ticket, Refused> {
        self.intake.begin(now, source, declared, why)
    }

    fn bound(&mut self, ticket: Ticket, at_most: u32) {
        self.intake.bound(ticket, at_most);
    }

    fn room(&self) -> usize {
        self.intake.room()
    }

    fn accept(&mut self, ticket: Ticket, bytes: &[u8], why: &mut Refusal) -> Result<(), Refused> {
        self.intake.accept(ticket, bytes, why)
    }

    fn finish(&mut self, ticket: Ticket, why: &mut Refusal) -> Result<(), Refused> {
        self.intake.finish(ticket, why)
    }

    fn abort(&mut self, ticket: Ticket, reason: &Refusal) {
        self.intake.abort(ticket, reason);
    }

    fn outcome(&self, ticket: Ticket) -> &Outcome {
        self.intake.outcome(ticket)
    }

    fn is_busy(&self) -> bool {
        self.intake.is_busy()
    }
}
