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
use super::text::{Buffer, put, put_id, put_number, right_align};

/// Reason phrases (RFC 9110 section 15) of all codes that [`ErrorCode::http_status`] gives, and of the good ones.
const REASONS: [(u16, &str); 19] = [
    (200, "OK"),
    (303, "See Other"),
    (400, "Bad Request"),
    (401, "Unauthorized"),
    (403, "Forbidden"),
    (404, "Not Found"),
    (405, "Method Not Allowed"),
    (408, "Request Timeout"),
    (409, "Conflict"),
    (411, "Length Required"),
    (413, "Content Too Large"),
    (414, "URI Too Long"),
    (415, "Unsupported Media Type"),
    (422, "Unprocessable Content"),
    (429, "Too Many Requests"),
    (431, "Request Header Fields Too Large"),
    (500, "Internal Server Error"),
    (503, "Service Unavailable"),
    (505, "HTTP Version Not Supported"),
];

/// Seconds after which a client should come back to a board that is out of something.
const RETRY_AFTER_S: u32 = 2;

/// Fields that every answer has: nothing a board says is to be guessed at.
const COMMON: &str = "x-content-type-options: nosniff\r\n";
/// The further fields of an answer that is true only now.
const JSON: &str = "content-type: application/json\r\ncache-control: no-store\r\n";
/// Those of a page: it loads nothing from elsewhere, runs no script of its own, sends its forms nowhere else and is never framed.
const HTML: &str = "content-type: text/html; charset=utf-8\r\ncache-control: no-store\r\ncontent-security-policy: \
    default-src 'self';img-src data:;form-action 'self';base-uri 'none';frame-ancestors 'none'\r\n";
/// Those of style and script: their addresses change when they do.
const KEPT: &str =
    "content-encoding: gzip\r\ncache-control: max-age=31536000, immutable\r\ncontent-type: text/";

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
        status_line(out, status);
        if redirects {
            put(out, b"location: /\r\n");
        }
        if let Some(code) = code {
            self.refusal_fields(out, code, request);
        }
        if let Some(id) = self.cookie {
            cookie(out, id);
        }
        if request.wants_json || redirects {
            return body(out, JSON, request, keep, b"", &mut |out| {
                self.json(out);
            });
        }
        let page = match request.logged_in {
            _ if self.farewell => Page::Farewell,
            true => Page::Actions,
            false => Page::Login,
        };
        let tone = match code {
            Some(_) => Tone::Bad,
            None => Tone::Good,
        };
        body(
            out,
            HTML,
            request,
            keep,
            page.end().as_bytes(),
            &mut |out| {
                pages::write(out, tone, self, context);
            },
        )
    }

    fn json(&self, out: &mut Writer<'_>) {
        let code = self.refusal.map_or(0, |refusal| refusal.code as u32);
        out.fill(packed!("{\"code\":{d},\"text\":\""), &[code], &[]);
        self.say(out);
        out.text(b"\"}");
    }

    fn refusal_fields(&self, out: &mut Buffer, code: ErrorCode, request: &Request) {
        put(out, HEADER_CODE.as_bytes());
        put(out, b": ");
        put_number(out, code as u32);
        put(out, b"\r\n");
        let retry_after_s = match code.http_status() {
            503 => RETRY_AFTER_S,
            _ => self.retry_after_s,
        };
        if retry_after_s != 0 {
            put(out, b"retry-after: ");
            put_number(out, retry_after_s);
            put(out, b"\r\n");
        }
        if !self.allow.is_empty() {
            put(out, b"allow: ");
            put(out, self.allow.as_bytes());
            put(out, b"\r\n");
        }
        if code.http_status() == 401 {
            // A browser must show the login page and not its own window: it gets a scheme it does not know.
            let scheme = if request.is_from_browser() {
                "Form"
            } else {
                "Basic"
            };
            put(out, b"www-authenticate: ");
            put(out, scheme.as_bytes());
            put(out, b" realm=\"iap\", charset=\"UTF-8\"\r\n");
        }
    }
}

/// Appends the answer to a request for the status record.
pub(super) fn write_status(out: &mut Buffer, request: &Request, keep: bool, context: &Context<'_>) {
    status_line(out, 200);
    body(out, JSON, request, keep, b"", &mut |out| {
        (context.view)(&mut |view| view.write_to(out));
    });
}

/// Appends the head of the answer to a request for a text of `kind` that never changes; what is to be sent behind it.
pub(super) fn write_kept(
    out: &mut Buffer,
    request: &Request,
    keep: bool,
    kind: &str,
    text: &'static [u8],
) -> &'static [u8] {
    status_line(out, 200);
    put(out, KEPT.as_bytes());
    put(out, kind.as_bytes());
    body(out, "\r\n", request, keep, text, &mut |_| {})
}

fn status_line(out: &mut Buffer, status: u16) {
    let reason = REASONS.iter().find(|(code, _)| *code == status);
    put(out, b"HTTP/1.1 ");
    put_number(out, u32::from(status));
    put(out, b" ");
    put(out, reason.map_or("", |(_, reason)| reason).as_bytes());
    put(out, b"\r\n");
    put(out, COMMON.as_bytes());
}

fn cookie(out: &mut Buffer, id: u128) {
    put(out, b"set-cookie: ");
    put(out, COOKIE.as_bytes());
    put(out, b"=");
    if id != 0 {
        put_id(out, id);
    }
    put(out, b"; Path=/; HttpOnly; SameSite=Strict; Max-Age=");
    put_number(
        out,
        if id == 0 {
            0
        } else {
            ABSOLUTE_LIMIT.secs() as u32
        },
    );
    put(out, b"\r\n");
}

/// Appends the last fields and the body, which goes on with `end`; the length is filled in when it is known, blanks before it are
/// legal (RFC 9110 section 5.5). Returns what is to be sent behind it.
#[inline(never)]
fn body(
    out: &mut Buffer,
    fields: &str,
    request: &Request,
    keep: bool,
    end: &'static [u8],
    write: &mut dyn FnMut(&mut Writer<'_>),
) -> &'static [u8] {
    put(out, fields.as_bytes());
    if !keep {
        put(out, b"connection: close\r\n");
    }
    put(out, b"content-length: ");
    let digits = out.len();
    put(out, b"    0\r\n\r\n");
    let begin = out.len();
    // Cannot fail: that is the capacity.
    let _ = out.resize(out.capacity(), 0);
    let mut writer = Writer::new(out.get_mut(begin..).unwrap_or_default());
    write(&mut writer);
    let len = writer.len();
    out.truncate(begin.wrapping_add(len));
    if let Some(field) = out.get_mut(digits..digits.wrapping_add(5)) {
        right_align(field, len.wrapping_add(end.len()) as u32);
    }
    if request.method == Method::Head {
        out.truncate(begin);
        return b"";
    }
    end
}
