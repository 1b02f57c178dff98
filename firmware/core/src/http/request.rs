//! One request's head, as far as this server cares: what is asked for, how long the body is, and who asks (RFC 9110, RFC 9112).

use heapless::Vec;
use iap_protocol::ErrorCode;
use iap_protocol::http::{
    COOKIE, MAX_BOUNDARY_LEN, MEDIA_JSON, PATH_LOGIN, PATH_LOGOUT, PATH_RESET, PATH_ROOT,
    PATH_STATUS, PATH_UPLOAD,
};

use super::parser::{Lines, field};
use super::text::{
    BUFFER_LEN, Buffer, Parameters, base64_decoded, contains, is_token, parse_id, same, split_once,
    strip_start, unquoted,
};
use crate::config::Config;

/// Bytes of a host name and port that are kept.
const AUTHORITY_LEN: usize = 128;
type Authority = Vec<u8, AUTHORITY_LEN>;

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    Root,
    Login,
    Upload,
    Reset,
    Logout,
    Status,
    Style,
    Script,
}

/// Every path, and the methods it takes.
const ROUTES: [(&str, Route, &str); 8] = [
    (PATH_ROOT, Route::Root, "GET, HEAD"),
    (PATH_LOGIN, Route::Login, "POST"),
    (PATH_UPLOAD, Route::Upload, "POST, PUT"),
    (PATH_RESET, Route::Reset, "GET, HEAD, POST"),
    (PATH_LOGOUT, Route::Logout, "POST"),
    (PATH_STATUS, Route::Status, "GET, HEAD"),
    ("/iap.css", Route::Style, "GET, HEAD"),
    ("/iap.js", Route::Script, "GET, HEAD"),
];

/// The methods this server knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Put,
    #[default]
    Other,
}

/// What the body is said to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Media {
    #[default]
    Unsaid,
    Octets,
    Form,
    Multipart,
    Other,
}

const MEDIA: [(&str, Media); 3] = [
    ("application/octet-stream", Media::Octets),
    ("application/x-www-form-urlencoded", Media::Form),
    ("multipart/form-data", Media::Multipart),
];

/// The fields that matter here, in the order of [`Request::field`].
const FIELDS: &[u8] = b"host origin content-length transfer-encoding content-type expect connection cookie authorization accept";

/// What the Authorization field is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Credentials {
    #[default]
    None,
    Wrong,
    Right,
}

/// A request's head.
#[derive(Default)]
pub(super) struct Request {
    lines: Lines,
    begun: bool,
    http_1_0: bool,
    chunked: bool,
    host: Option<Authority>,
    /// The authority of an absolute-form target, which outranks Host (RFC 9112 section 3.2.2).
    target_host: Option<Authority>,
    origin: Option<Authority>,
    route: Option<(Route, &'static str)>,
    pub(super) method: Method,
    /// Whether another request may follow on this connection.
    pub(super) keep_alive: bool,
    /// Content-Length; numbers that do not fit are as large as it gets.
    pub(super) length: Option<u32>,
    /// The client waits for 100 Continue.
    pub(super) expects_continue: bool,
    pub(super) media: Media,
    pub(super) boundary: Vec<u8, MAX_BOUNDARY_LEN>,
    /// The session cookie's value.
    pub(super) session: Option<u128>,
    pub(super) credentials: Credentials,
    /// Comes with a living session, or with the right credentials.
    pub(super) logged_in: bool,
    pub(super) wants_json: bool,
    takes_html: bool,
}

impl Request {
    /// Takes bytes of the head; how many were used, and whether the head is complete.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        line: &mut Buffer,
        config: &Config,
    ) -> Result<(usize, bool), ErrorCode> {
        let (used, complete) = self.lines.take(bytes, line)?;
        let ended = complete && self.line(line, config)?;
        if complete {
            line.clear();
        }
        Ok((used, ended))
    }

    /// Whether nothing of the request has come yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.lines.is_untouched()
    }

    /// Takes a complete line; whether it was the last one.
    fn line(&mut self, line: &mut Buffer, config: &Config) -> Result<bool, ErrorCode> {
        let cut = self.lines.next();
        if !self.begun {
            // Empty lines before a request are skipped (RFC 9112 section 2.2).
            self.begun = !line.is_empty();
            return match line.is_empty() {
                true => Ok(false),
                false if cut => Err(ErrorCode::TargetTooLong),
                false => self.request_line(line).map(|()| false),
            };
        }
        if line.is_empty() {
            return self.end().map(|()| true);
        }
        let (name, value) = field(line)?;
        self.field(name, value, cut, config).map(|()| false)
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), ErrorCode> {
        let (method, rest) = split_once(line, b' ').ok_or(ErrorCode::BadRequest)?;
        let (target, version) = split_once(rest, b' ').ok_or(ErrorCode::BadRequest)?;
        self.method = match method {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            _ if !method.is_empty() && method.iter().all(|&byte| is_token(byte)) => Method::Other,
            _ => return Err(ErrorCode::BadRequest),
        };
        self.http_1_0 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                return Err(ErrorCode::HttpVersion);
            }
            _ => return Err(ErrorCode::BadRequest),
        };
        self.keep_alive = !self.http_1_0;
        self.target(target)
    }

    fn target(&mut self, target: &[u8]) -> Result<(), ErrorCode> {
        let path = match strip_start(target, b"http://") {
            Some(rest) => {
                let end = rest.iter().position(|&byte| byte == b'/' || byte == b'?');
                let (host, path) = rest
                    .split_at_checked(end.unwrap_or(rest.len()))
                    .ok_or(ErrorCode::BadRequest)?;
                self.target_host = Some(authority(host)?);
                path
            }
            None if target.starts_with(b"/") || target == b"*" => target,
            None => return Err(ErrorCode::BadRequest),
        };
        let path = split_once(path, b'?').map_or(path, |(path, _)| path);
        let path = if path.is_empty() { b"/" } else { path };
        let known = ROUTES.iter().find(|(known, ..)| known.as_bytes() == path);
        self.route = known.map(|&(_, route, methods)| (route, methods));
        Ok(())
    }

    fn field(
        &mut self,
        name: &[u8],
        value: &[u8],
        cut: bool,
        config: &Config,
    ) -> Result<(), ErrorCode> {
        let mut known = FIELDS.split(|&byte| byte == b' ');
        match known.position(|known| known == name) {
            Some(0) => set_once(&mut self.host, authority(value)?)?,
            Some(1) => set_once(&mut self.origin, authority(value)?)?,
            Some(2) => set_once(&mut self.length, length(value)?)?,
            Some(3) => self.chunked = true,
            Some(4) => self.content_type(value)?,
            Some(5) => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            Some(6) => self.connection(value),
            Some(7) => self.cookie(value),
            Some(8) => self.authorization(value, config),
            Some(9) => {
                self.wants_json |= contains(value, MEDIA_JSON.as_bytes());
                self.takes_html |= contains(value, b"text/html");
            }
            _ => return Ok(()),
        }
        // A field that matters must have come whole.
        if cut {
            Err(ErrorCode::HeadersTooLarge)
        } else {
            Ok(())
        }
    }

    fn connection(&mut self, value: &[u8]) {
        let mut options = value.split(|&byte| byte == b',');
        if options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close")) {
            self.keep_alive = false;
        }
    }

    fn content_type(&mut self, value: &[u8]) -> Result<(), ErrorCode> {
        let (media, parameters) = Parameters::of(value);
        self.media = MEDIA
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(media))
            .map_or(Media::Other, |&(_, media)| media);
        self.boundary.clear();
        for (name, value) in parameters {
            if self.boundary.is_empty() && name.eq_ignore_ascii_case(b"boundary") {
                self.boundary = boundary(value)?;
            }
        }
        if self.media == Media::Multipart && self.boundary.is_empty() {
            return Err(ErrorCode::BadRequest);
        }
        Ok(())
    }

    fn cookie(&mut self, value: &[u8]) {
        let mut pairs = value
            .split(|&byte| byte == b';')
            .filter_map(|pair| split_once(pair.trim_ascii(), b'='));
        let ours = pairs.find(|(name, _)| *name == COOKIE.as_bytes());
        self.session = self.session.or(ours.and_then(|(_, id)| parse_id(id)));
    }

    /// HTTP Basic (RFC 7617), compared at once so that no password stays in RAM.
    fn authorization(&mut self, value: &[u8], config: &Config) {
        let given = strip_start(value, b"basic ")
            .and_then(|text| base64_decoded::<{ BUFFER_LEN / 8 }>(text.trim_ascii()));
        let right = given.is_some_and(|given| {
            split_once(&given, b':')
                .is_some_and(|(user, password)| credentials_match(user, password, config))
        });
        self.credentials = match right {
            true => Credentials::Right,
            false => Credentials::Wrong,
        };
    }

    /// What can be judged only when all fields are known.
    fn end(&mut self) -> Result<(), ErrorCode> {
        // A 1.0 client does not know 100 Continue (RFC 9110 section 10.1.1).
        self.expects_continue &= !self.http_1_0;
        let hostless = self.host.is_none() && !self.http_1_0;
        // Both framings at once is how requests are smuggled (RFC 9112 section 6.1).
        if hostless || self.chunked && (self.length.is_some() || self.http_1_0) {
            return Err(ErrorCode::BadRequest);
        }
        Ok(())
    }

    // Not inlined: it has a dozen callers.
    #[inline(never)]
    /// Bytes of body that follow; without end for a chunked one, whose end this server does not look for.
    pub(super) fn body_len(&self) -> u32 {
        match self.length {
            _ if self.chunked => u32::MAX,
            length => length.unwrap_or(0),
        }
    }

    /// What is asked for, if it exists and takes the method; else the refusal and the methods it takes.
    pub(super) fn route(&self) -> Result<Route, (ErrorCode, &'static str)> {
        let (route, methods) = self.route.ok_or((ErrorCode::NotFound, ""))?;
        let allowed = match self.method {
            Method::Get | Method::Head => methods.starts_with("GET"),
            Method::Post => contains(methods.as_bytes(), b"POST"),
            Method::Put => contains(methods.as_bytes(), b"PUT"),
            Method::Other => false,
        };
        if allowed {
            Ok(route)
        } else {
            Err((ErrorCode::MethodNotAllowed, methods))
        }
    }

    /// Whether a browser asks: for a page, or from one.
    pub(super) fn is_from_browser(&self) -> bool {
        self.takes_html || self.origin.is_some()
    }

    /// Whether the request may change something: it comes from a page of this board, or from no page at all.
    pub(super) fn origin_is_own(&self) -> bool {
        let host = self.target_host.as_ref().or(self.host.as_ref());
        match (&self.origin, host) {
            (None, _) => true,
            (Some(origin), Some(host)) => origin_host(origin)
                .is_some_and(|origin| origin.eq_ignore_ascii_case(without_port_80(host))),
            (Some(_), None) => false,
        }
    }
}

/// Whether user and password are the board's; the time it takes says nothing about where they differ.
pub(super) fn credentials_match(user: &[u8], password: &[u8], config: &Config) -> bool {
    let user = same(user, config.user.as_bytes());
    same(password, config.password.as_bytes()) & user
}

/// Fields that may come once only: a second one is refused even with the same value.
fn set_once<T>(field: &mut Option<T>, value: T) -> Result<(), ErrorCode> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(ErrorCode::BadRequest),
    }
}

#[inline(never)]
fn authority(value: &[u8]) -> Result<Authority, ErrorCode> {
    Vec::from_slice(value).map_err(|_| ErrorCode::HeadersTooLarge)
}

fn length(value: &[u8]) -> Result<u32, ErrorCode> {
    if value.is_empty() {
        return Err(ErrorCode::BadRequest);
    }
    value.iter().try_fold(0u32, |length, &digit| match digit {
        b'0'..=b'9' => Ok(length
            .saturating_mul(10)
            .saturating_add(u32::from(digit & 0x0F))),
        _ => Err(ErrorCode::BadRequest),
    })
}

/// A boundary of the characters RFC 2046 section 5.1.1 allows.
fn boundary(value: &[u8]) -> Result<Vec<u8, MAX_BOUNDARY_LEN>, ErrorCode> {
    let mut boundary = Vec::new();
    for byte in unquoted(value) {
        let allowed = byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        if !allowed || boundary.push(byte).is_err() {
            return Err(ErrorCode::BadRequest);
        }
    }
    match boundary.last() {
        None | Some(b' ') => Err(ErrorCode::BadRequest),
        _ => Ok(boundary),
    }
}

/// `http://host:port` without the scheme; `None` for `null` and other things that are no origin.
fn origin_host(origin: &[u8]) -> Option<&[u8]> {
    let host = strip_start(origin, b"http://").or_else(|| strip_start(origin, b"https://"))?;
    Some(without_port_80(host))
}

fn without_port_80(host: &[u8]) -> &[u8] {
    host.strip_suffix(b":80").unwrap_or(host)
}
