//! An image on its way from a request's body to the intake.

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::HEADER_LEN;
use iap_protocol::packed;

use super::Context;
use super::multipart::Multipart;
use super::request::{Media, Method};
use super::server::{Connection, Patience, Phase, clamp};
use super::text::Buffer;
use crate::defect::{Defect, has};
use crate::intake::{Intake, Outcome, Source, Ticket, Transport};

/// Between two pieces of an upload.
const UPLOAD_S: u32 = 10;
/// Bytes of a form around its file that no client needs more than.
const FORM_OVERHEAD_LEN: u32 = 64 * 1024;

/// An upload while its body comes in.
pub(super) struct Upload {
    pub(super) ticket: Ticket,
    /// Bytes of body to come.
    pub(super) left: u32,
    /// `None` for a raw body.
    form: Option<Multipart>,
}

impl Upload {
    /// Hands bytes of the body on; how many were used.
    fn take(
        &mut self,
        bytes: &[u8],
        line: &mut Buffer,
        intake: &mut dyn Intake,
        why: &mut Refusal,
    ) -> Result<usize, Refused> {
        if let Some(form) = &mut self.form {
            return form.take(bytes, self.left, line, intake, self.ticket, why);
        }
        let fitting = bytes.get(..intake.room()).unwrap_or(bytes);
        if !fitting.is_empty() {
            intake.accept(self.ticket, fitting, why)?;
        }
        Ok(fitting.len())
    }
}

impl Connection {
    pub(super) fn begin_upload(
        &mut self,
        context: &mut Context<'_>,
        why: &mut Refusal,
    ) -> Result<(), Refused> {
        let request = &self.request;
        let Some(left) = request.length else {
            return Err(why.refuse(ErrorCode::LengthRequired));
        };
        let raw = match (request.media, request.method) {
            (Media::Octets, _) | (Media::Unsaid, Method::Put) => true,
            (Media::Multipart, _) => false,
            _ => return Err(why.refuse(ErrorCode::UnsupportedMediaType)),
        };
        let around = if raw { 0 } else { FORM_OVERHEAD_LEN };
        let capacity = context.config.map.application.len;
        if left > capacity.saturating_add(around.wrapping_add(HEADER_LEN as u32)) {
            let form = packed!("{d} bytes are sent, user flash has {d}");
            return Err(why.refuse_with(ErrorCode::TooLarge, form, &[left, capacity]));
        }
        let source = Source {
            transport: Transport::Http,
            peer: self.peer,
        };
        // The length of a file inside a form is known when the form has ended, not before.
        let declared = raw.then_some(left);
        let ticket = context.intake.begin(context.now, source, declared, why)?;
        let form = (!raw).then(|| Multipart::new(&self.request.boundary));
        self.patience = Patience::new(context.now, UPLOAD_S);
        self.phase = Phase::Upload(Upload { ticket, left, form });
        self.invite(left);
        if left == 0 {
            self.end_upload(context);
        }
        Ok(())
    }

    pub(super) fn receive_upload(&mut self, rest: &[u8], context: &mut Context<'_>) -> usize {
        let Phase::Upload(upload) = &mut self.phase else {
            return 0;
        };
        let rest = rest
            .get(..clamp(rest.len(), upload.left))
            .unwrap_or_default();
        let mut why = Refusal::unsaid();
        match upload.take(rest, &mut self.buffer, context.intake, &mut why) {
            Ok(0) => 0,
            Ok(used) => {
                upload.left = upload.left.wrapping_sub(used as u32);
                self.patience = Patience::new(context.now, UPLOAD_S);
                if upload.left == 0 {
                    self.end_upload(context);
                }
                used
            }
            Err(_) => {
                let (ticket, used) = (upload.ticket, rest.len());
                let left = upload.left.wrapping_sub(used as u32);
                self.give_up(ticket, &why, left, context);
                used
            }
        }
    }

    /// The body has ended: the image is complete, or refused.
    fn end_upload(&mut self, context: &mut Context<'_>) {
        let Phase::Upload(upload) = &self.phase else {
            return;
        };
        let (ticket, mut why) = (upload.ticket, Refusal::unsaid());
        let complete = upload.form.as_ref().map_or(Ok(()), Multipart::finish);
        let finished = complete
            .map_err(|code| why.refuse(code))
            .and_then(|()| context.intake.finish(ticket, &mut why));
        match finished {
            Ok(()) => {
                self.phase = Phase::Verdict(ticket);
                self.poll_verdict(ticket, context);
            }
            Err(_) => self.give_up(ticket, &why, 0, context),
        }
    }

    pub(super) fn poll_upload(&mut self, ticket: Ticket, left: u32, context: &mut Context<'_>) {
        if context.intake.room() == 0 {
            // The client waits for the board, not the other way round.
            self.patience = Patience::new(context.now, UPLOAD_S);
        }
        match context.intake.outcome(ticket) {
            Outcome::Failed(refusal) => self.refuse(refusal, left, context),
            Outcome::TakenOver => self.refuse(&ErrorCode::TakenOver.into(), left, context),
            _ if self.patience.is_over(context.now) => {
                let silent = ErrorCode::ClientSilent.into();
                self.give_up(ticket, &silent, left, context);
            }
            _ => {}
        }
    }

    pub(super) fn poll_verdict(&mut self, ticket: Ticket, context: &mut Context<'_>) {
        match context.intake.outcome(ticket) {
            Outcome::Running if !has(Defect::AckBeforeCommit) => {}
            Outcome::Committed | Outcome::Running => {
                self.show("the image is in flash, verified and recorded", context);
            }
            Outcome::Failed(refusal) => self.refuse(refusal, 0, context),
            Outcome::TakenOver => self.refuse(&ErrorCode::TakenOver.into(), 0, context),
        }
    }

    /// Ends an upload that this side will not go on with.
    pub(super) fn give_up(
        &mut self,
        ticket: Ticket,
        refusal: &Refusal,
        left: u32,
        context: &mut Context<'_>,
    ) {
        abort(context.intake, ticket, refusal);
        self.refuse(refusal, left, context);
    }
}

/// Aborts an upload unless it has ended by itself: its own reason is the better one.
pub(super) fn abort(intake: &mut dyn Intake, ticket: Ticket, reason: &Refusal) {
    if *intake.outcome(ticket) == Outcome::Running {
        intake.abort(ticket, reason);
    }
}
