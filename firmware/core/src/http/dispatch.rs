//! From a complete head to what is done about it: who may do what, the login, the reset.

use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::http::{FIELD_PASSWORD, FIELD_USER};

use super::answer::Answer;
use super::pages::{SCRIPT, STYLE};
use super::request::{Credentials, Media, Method, Route, credentials_match};
use super::server::{Connection, Patience, Phase, clamp};
use super::text::{Buffer, form_decoded};
use super::tries::Verdict;
use super::{Context, Server};

/// For a whole login form.
const FORM_S: u32 = 10;
/// Bytes of a login form.
const FORM_LEN: u32 = 1024;

impl Connection {
    /// The head is complete: who may do what.
    pub(super) fn dispatch(&mut self, server: &mut Server, context: &mut Context<'_>) {
        self.request.logged_in = server
            .sessions
            .is_logged_in(context.now, self.request.session);
        let request = &self.request;
        let route = match request.route() {
            Ok(route) => route,
            Err((code, allow)) => {
                let refusal = code.into();
                let mut answer = Answer::refusal(&refusal);
                answer.allow = allow;
                return self.answer(&answer, request.body_len(), context);
            }
        };
        let changes = !matches!(request.method, Method::Get | Method::Head);
        if changes && !request.origin_is_own() {
            return self.refuse(&ErrorCode::BadOrigin.into(), request.body_len(), context);
        }
        match (route, request.credentials) {
            (Route::Login, _) => self.begin_form(server, context),
            (Route::Upload | Route::Reset, _) if changes && request.logged_in => {
                self.admitted(context)
            }
            (Route::Upload | Route::Reset, Credentials::None) if changes => {
                self.refuse(
                    &ErrorCode::LoginRequired.into(),
                    request.body_len(),
                    context,
                );
            }
            (Route::Upload | Route::Reset, credentials) if changes => {
                self.judge(credentials == Credentials::Right, false, server, context);
            }
            (Route::Logout, _) => {
                server.sessions.log_out(request.session);
                let mut answer = Answer::ok(b"logged out");
                (answer.cookie, answer.to_root) = (Some(0), true);
                self.answer(&answer, request.body_len(), context);
            }
            (Route::Status, _) => self.answer_status(context),
            (Route::Style, _) => self.answer_kept("css", STYLE, context),
            (Route::Script, _) => self.answer_kept("javascript", SCRIPT, context),
            _ => self.show("", context),
        }
    }

    /// A try with user and password, of the login form or of an Authorization field.
    pub(super) fn judge(
        &mut self,
        right: bool,
        waited: bool,
        server: &mut Server,
        context: &mut Context<'_>,
    ) {
        let is_login = matches!(self.request.route(), Ok(Route::Login));
        match server.tries.judge(context.now, self.peer, right, waited) {
            Verdict::Wait(until) => self.phase = Phase::Held { until, right },
            Verdict::Welcome if is_login => {
                server.sessions.log_out(self.request.session);
                let mut answer = Answer::ok(b"logged in");
                answer.cookie = Some(server.sessions.log_in(context.now, context.random));
                answer.to_root = true;
                self.answer(&answer, 0, context);
            }
            Verdict::Welcome => {
                self.request.logged_in = true;
                self.admitted(context);
            }
            refused => {
                let (code, retry_after_s) = refused.refusal();
                let left = if is_login { 0 } else { self.request.body_len() };
                let refusal = code.into();
                let mut answer = Answer::refusal(&refusal);
                answer.retry_after_s = retry_after_s;
                self.answer(&answer, left, context);
            }
        }
    }

    /// An upload or a reset by somebody who may.
    fn admitted(&mut self, context: &mut Context<'_>) {
        let mut why = Refusal::unsaid();
        let begun = match self.request.route() {
            Ok(Route::Upload) => self.begin_upload(context, &mut why),
            _ if context.intake.is_busy() => Err(why.refuse(ErrorCode::Busy)),
            _ => {
                self.reset = true;
                self.request.keep_alive = false;
                let mut answer = Answer::ok(b"the board resets now");
                answer.farewell = true;
                self.answer(&answer, self.request.body_len(), context);
                Ok(())
            }
        };
        if begun.is_err() {
            self.refuse(&why, self.request.body_len(), context);
        }
    }

    fn begin_form(&mut self, server: &mut Server, context: &mut Context<'_>) {
        let request = &self.request;
        let refused = match (request.media, request.length) {
            (_, None) => Some(ErrorCode::LengthRequired),
            (Media::Form | Media::Unsaid, Some(0..=FORM_LEN)) => None,
            (Media::Form | Media::Unsaid, _) => Some(ErrorCode::BadRequest),
            _ => Some(ErrorCode::UnsupportedMediaType),
        };
        if let Some(code) = refused {
            return self.refuse(&code.into(), request.body_len(), context);
        }
        let left = request.body_len();
        self.patience = Patience::new(context.now, FORM_S);
        self.phase = Phase::Form { left };
        self.invite(left);
        if left == 0 {
            self.receive_form(&[], 0, server, context);
        }
    }

    pub(super) fn receive_form(
        &mut self,
        rest: &[u8],
        left: u32,
        server: &mut Server,
        context: &mut Context<'_>,
    ) -> usize {
        let used = clamp(rest.len(), left);
        let part = rest.get(..used).unwrap_or_default();
        // Cannot fail: FORM_LEN is less than the buffer's capacity.
        let _ = self.buffer.extend_from_slice(part);
        let left = left.wrapping_sub(used as u32);
        self.phase = Phase::Form { left };
        if left == 0 {
            match form_matches(&mut self.buffer, context) {
                Some(right) => self.judge(right, false, server, context),
                None => self.refuse(&ErrorCode::BadRequest.into(), 0, context),
            }
        }
        used
    }
}

/// Whether the login form in `form` is right; `None` where it is no such form.
fn form_matches(form: &mut Buffer, context: &Context<'_>) -> Option<bool> {
    let (mut user, mut password) = (None, None);
    for pair in form.split_mut(|&byte| byte == b'&') {
        let at = pair
            .iter()
            .position(|&byte| byte == b'=')
            .unwrap_or(pair.len());
        let (name, value) = pair.split_at_mut_checked(at)?;
        let value = value
            .split_first_mut()
            .map(|(_, value)| value)
            .unwrap_or_default();
        match name {
            name if *name == *FIELD_USER.as_bytes() => user = Some(form_decoded(value)?),
            name if *name == *FIELD_PASSWORD.as_bytes() => password = Some(form_decoded(value)?),
            _ => {}
        }
    }
    Some(credentials_match(user?, password?, context.config))
}
