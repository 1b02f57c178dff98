//! Answers: status line, fields, and a page, JSON or the status record, written to a connection's buffer.

use iap_protocol::ErrorCode;
use iap_protocol::http::{COOKIE, HEADER_CODE};

use super::Context;
use super::pages::{self, Page};
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

/// Fields that every answer has: nothing a board says is to be kept, guessed at or framed.
const COMMON: &str =
    "cache-control: no-store\r\nx-content-type-options: nosniff\r\nx-frame-options: DENY\r\n";

/// An answer before it is written.
#[derive(Default)]
pub(super) struct Answer<'a> {
    /// `None` for success.
    pub(super) code: Option<ErrorCode>,
    /// The sentence; empty for none.
    pub(super) text: &'a [u8],
    /// What the page offers.
    pub(super) page: Page,
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
    pub(super) fn ok(text: &'a [u8], page: Page) -> Self {
        Self {
            text,
            page,
            ..Self::default()
        }
    }

    /// A refusal.
    pub(super) fn refusal(code: ErrorCode, text: &'a [u8]) -> Self {
        Self {
            code: Some(code),
            text,
            page: match code.http_status() {
                401 | 429 => Page::Login,
                _ => Page::Back,
            },
            ..Self::default()
        }
    }

    /// Appends the answer to `request`.
    pub(super) fn write(
        &self,
        out: &mut Buffer,
        request: &Request,
        keep: bool,
        context: &Context<'_>,
    ) {
        let redirects = self.to_root && !request.wants_json;
        let status = match self.code {
            Some(code) => code.http_status(),
            None if redirects => 303,
            None => 200,
        };
        status_line(out, status);
        if redirects {
            put(out, b"location: /\r\n");
        }
        if let Some(code) = self.code {
            self.refusal_fields(out, code, request);
        }
        if let Some(id) = self.cookie {
            cookie(out, id);
        }
        let media = match request.wants_json {
            true => "application/json",
            false => "text/html; charset=utf-8",
        };
        body(out, media, request, keep, |out| match request.wants_json {
            true => json(out, self.code, self.text),
            false if redirects => {}
            false => pages::write(out, self.page, self.text, context),
        });
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
            let scheme = if request.takes_html { "Form" } else { "Basic" };
            put(out, b"www-authenticate: ");
            put(out, scheme.as_bytes());
            put(out, b" realm=\"iap\", charset=\"UTF-8\"\r\n");
        }
    }
}

/// Appends the answer to a request for the status record.
pub(super) fn write_status(out: &mut Buffer, request: &Request, keep: bool, context: &Context<'_>) {
    status_line(out, 200);
    body(out, "application/json", request, keep, |out| {
        let begin = out.len();
        // Cannot fail: that is the capacity.
        let _ = out.resize(out.capacity(), 0);
        let free = out.get_mut(begin..).unwrap_or_default();
        let len = (context.status)(free).min(free.len());
        out.truncate(begin.wrapping_add(len));
    });
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

/// Appends the last fields and the body; the length is filled in when it is known, blanks before it are legal (RFC 9110 section 5.5).
fn body(
    out: &mut Buffer,
    media: &str,
    request: &Request,
    keep: bool,
    write: impl FnOnce(&mut Buffer),
) {
    if !keep {
        put(out, b"connection: close\r\n");
    }
    put(out, b"content-type: ");
    put(out, media.as_bytes());
    put(out, b"\r\ncontent-length: ");
    let digits = out.len();
    put(out, b"    0\r\n\r\n");
    let begin = out.len();
    write(out);
    let len = out.len().wrapping_sub(begin);
    if let Some(field) = out.get_mut(digits..digits.wrapping_add(5)) {
        right_align(field, len as u32);
    }
    if request.method == Method::Head {
        out.truncate(begin);
    }
}

fn json(out: &mut Buffer, code: Option<ErrorCode>, text: &[u8]) {
    put(out, b"{\"code\":");
    put_number(out, code.map_or(0, |code| code as u32));
    put(out, b",\"text\":\"");
    put(out, text);
    put(out, b"\"}");
}
