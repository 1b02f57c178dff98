//! Answers: status line, fields, and a page, JSON or the status record, written to a connection's buffer.

use iap_protocol::ErrorCode;
use iap_protocol::error::Refusal;
use iap_protocol::http::{COOKIE, HEADER_CODE};
use iap_protocol::packed;
use iap_protocol::text::Writer;

use super::Context;
use super::pages::{self, Page, Tone};
use super::request::{Method, Request};
use super::session::ABSOLUTE_LIMIT;
use super::text::{Buffer, id_text, right_align};

/// Codes and reason phrases (RFC 9110 section 15) of all that [`ErrorCode::http_status`] gives, and of the good ones; a line each.
const STATUSES: &[u8] = packed!(
    "200 OK\n303 See Other\n400 Bad Request\n401 Unauthorized\n403 Forbidden\n404 Not Found\n405 Method Not Allowed\n\
    408 Request Timeout\n409 Conflict\n411 Length Required\n413 Content Too Large\n414 URI Too Long\n\
    415 Unsupported Media Type\n422 Unprocessable Content\n429 Too Many Requests\n431 Request Header Fields Too Large\n\
    500 Internal Server Error\n503 Service Unavailable\n505 HTTP Version Not Supported"
);
/// Bytes of them, not packed.
const STATUSES_LEN: usize = 448;

/// Seconds after which a client should come back to a board that is out of something.
const RETRY_AFTER_S: u32 = 2;

/// What follows the status: a field that every answer has, as nothing a board says is to be guessed at.
const COMMON: &[u8] = packed!("\r\nx-content-type-options: nosniff\r\n");
/// The further fields of an answer that is true only now.
const JSON: &[u8] = packed!("content-type: application/json\r\ncache-control: no-store\r\n");
/// Those of a page: it loads nothing from elsewhere, runs no script of its own, sends its forms nowhere else and is never framed.
const HTML: &[u8] = packed!(
    "content-type: text/html; charset=utf-8\r\ncache-control: no-store\r\ncontent-security-policy: \
    default-src 'self';img-src data:;form-action 'self';base-uri 'none';frame-ancestors 'none'\r\n"
);
/// Those of style and script: their addresses change when they do.
const KEPT: &[u8] = packed!(
    "content-encoding: gzip\r\ncache-control: max-age=31536000, immutable\r\ncontent-type: text/{t}\r\n"
);

/// An answer before it is written.
#[derive(Default)]
pub(super) struct Answer<'a> {
    /// `None` for success.
    pub(super) refusal: Option<&'a Refusal>,
    /// The sentence of a success; empty for none.
    pub(super) text: &'a [u8],
    /// The board resets: the page offers nothing more.
    pub(super) farewell: bool,
    /// Methods that the path takes, for 405.
    pub(super) allow: &'static str,
    /// Seconds; 0 for no such field.
    pub(super) retry_after_s: u32,
    /// Cookie to set; 0 takes it away.
    pub(super) cookie: Option<u128>,
    /// Browsers are sent to the first page instead of getting this one.
    pub(super) to_root: bool,
}

impl<'a> Answer<'a> {
    /// Success.
    pub(super) fn ok(text: &'a [u8]) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    /// A refusal.
    pub(super) fn refusal(refusal: &'a Refusal) -> Self {
        Self {
            refusal: Some(refusal),
            ..Self::default()
        }
    }

    /// Writes the sentence.
    pub(super) fn say(&self, out: &mut Writer<'_>) {
        match self.refusal {
            Some(refusal) => refusal.write(out),
            None => out.text(self.text),
        }
    }

    /// Appends the answer to `request`; what is to be sent behind it.
    pub(super) fn write(
        &self,
        out: &mut Buffer,
        request: &Request,
        keep: bool,
        context: &Context<'_>,
    ) -> &'static [u8] {
        let redirects = self.to_root && !request.wants_json;
        let code = self.refusal.map(|refusal| refusal.code);
        let status = match code {
            Some(code) => code.http_status(),
            None if redirects => 303,
            None => 200,
        };
        let is_json = request.wants_json || redirects;
        let page = match request.logged_in {
            _ if self.farewell => Page::Farewell,
            true => Page::Actions,
            false => Page::Login,
        };
        let tone = match code {
            Some(_) => Tone::Bad,
            None => Tone::Good,
        };
        let end = if is_json { "" } else { page.end() };
        let mut head = |out: &mut Writer<'_>| {
            if redirects {
                out.text(packed!("location: /\r\n"));
            }
            if let Some(code) = code {
                self.refusal_fields(out, code, request);
            }
            if let Some(id) = self.cookie {
                cookie(out, id);
            }
            out.text(if is_json { JSON } else { HTML });
        };
        let mut body = |out: &mut Writer<'_>| match is_json {
            true => self.json(out),
            false => pages::write(out, tone, self, context),
        };
        write(
            out,
            status,
            request,
            keep,
            end.as_bytes(),
            &mut head,
            &mut body,
        )
    }

    fn json(&self, out: &mut Writer<'_>) {
        let code = self.refusal.map_or(0, |refusal| refusal.code as u32);
        out.fill(packed!("{\"code\":{d},\"text\":\""), &[code], &[]);
        self.say(out);
        out.text(b"\"}");
    }

    fn refusal_fields(&self, out: &mut Writer<'_>, code: ErrorCode, request: &Request) {
        let name = HEADER_CODE.as_bytes();
        out.fill(packed!("{t}: {d}\r\n"), &[code as u32], &[name]);
        let retry_after_s = match code.http_status() {
            503 => RETRY_AFTER_S,
            _ => self.retry_after_s,
        };
        if retry_after_s != 0 {
            out.fill(packed!("retry-after: {d}\r\n"), &[retry_after_s], &[]);
        }
        if !self.allow.is_empty() {
            out.fill(packed!("allow: {t}\r\n"), &[], &[self.allow.as_bytes()]);
        }
        if code.http_status() == 401 {
            // A browser must show the login page and not its own window: it gets a scheme it does not know.
            let scheme: &[u8] = match request.is_from_browser() {
                true => b"Form",
                false => b"Basic",
            };
            let form = packed!("www-authenticate: {t} realm=\"iap\", charset=\"UTF-8\"\r\n");
            out.fill(form, &[], &[scheme]);
        }
    }
}

/// Appends the answer to a request for the status record.
pub(super) fn write_status(out: &mut Buffer, request: &Request, keep: bool, context: &Context<'_>) {
    let mut head = |out: &mut Writer<'_>| out.text(JSON);
    let mut body = |out: &mut Writer<'_>| {
        context
            .intake
            .show(&context.report, &mut |view| view.write_to(out))
    };
    write(out, 200, request, keep, b"", &mut head, &mut body);
}

/// Appends the head of the answer to a request for a text of `kind` that never changes; what is to be sent behind it.
pub(super) fn write_kept(
    out: &mut Buffer,
    request: &Request,
    keep: bool,
    kind: &str,
    text: &'static [u8],
) -> &'static [u8] {
    let mut head = |out: &mut Writer<'_>| out.fill(KEPT, &[], &[kind.as_bytes()]);
    write(out, 200, request, keep, text, &mut head, &mut |_| {})
}

/// Writes the code and its phrase.
fn status_line(out: &mut Writer<'_>, status: u16) {
    let mut statuses = [0; STATUSES_LEN];
    let mut writer = Writer::new(&mut statuses);
    writer.text(STATUSES);
    let mut number = [0; 3];
    right_align(&mut number, status.into());
    let mut lines = writer.into_written().split(|&byte| byte == b'\n');
    out.text(b"HTTP/1.1 ");
    out.plain(
        lines
            .find(|line| line.starts_with(&number))
            .unwrap_or_default(),
    );
}

fn cookie(out: &mut Writer<'_>, id: u128) {
    let mut text = [0; 32];
    let (text, seconds): (&[u8], _) = match id {
        0 => (b"", 0),
        _ => (id_text(id, &mut text), ABSOLUTE_LIMIT.secs() as u32),
    };
    let form = packed!("set-cookie: {t}={t}; Path=/; HttpOnly; SameSite=Strict; Max-Age={d}\r\n");
    out.fill(form, &[seconds], &[COOKIE.as_bytes(), text]);
}

/// What writes a part of an answer.
type Part<'a> = &'a mut dyn FnMut(&mut Writer<'_>);

/// Appends an answer, whose body goes on with `end`; the length is filled in when it is known, blanks before it are legal (RFC 9110
/// section 5.5). Returns what is to be sent behind it.
#[inline(never)]
fn write(
    out: &mut Buffer,
    status: u16,
    request: &Request,
    keep: bool,
    end: &'static [u8],
    head: Part<'_>,
    body: Part<'_>,
) -> &'static [u8] {
    let begin = out.len();
    // Cannot fail: that is the capacity.
    let _ = out.resize(out.capacity(), 0);
    let mut writer = Writer::new(out.get_mut(begin..).unwrap_or_default());
    status_line(&mut writer, status);
    writer.text(COMMON);
    head(&mut writer);
    if !keep {
        writer.text(packed!("connection: close\r\n"));
    }
    writer.text(packed!("content-length:     0\r\n\r\n"));
    let start = writer.len();
    body(&mut writer);
    let len = writer.len();
    let digits = begin.wrapping_add(start).wrapping_sub(9);
    let body_len = len.wrapping_sub(start).wrapping_add(end.len());
    if let Some(field) = out.get_mut(digits..digits.wrapping_add(5)) {
        right_align(field, body_len as u32);
    }
    let is_head = request.method == Method::Head;
    out.truncate(begin.wrapping_add(if is_head { start } else { len }));
    if is_head { b"" } else { end }
}
