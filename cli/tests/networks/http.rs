//! An upload over HTTP on the virtual network: iapctl's request bytes and limits of time, TCP of smoltcp. Login, then the upload, each on a
//! connection of its own, as curl has it. iapctl has both on one, which is tried without trouble on the way: `firmware/emulator/tests/speed`.

use iap_protocol::http::{
    COOKIE, DEFAULT_PASSWORD, DEFAULT_USER, FIELD_PASSWORD, FIELD_USER, MEDIA_JSON, PATH_LOGIN,
};
use iapctl::http::upload::{Shape, UploadRequest};
use smoltcp::iface::SocketHandle;
use smoltcp::time::{Duration, Instant};

use super::hosts::{Actor, Host, Hosts};

/// iapctl's limits: for a connection and for a small request.
pub(crate) const REQUEST_LIMIT: Duration = Duration::from_secs(15);
/// Without anything moving.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);

/// A push over HTTP.
pub(crate) struct Push {
    host: Host,
    port: u16,
    request: UploadRequest,
    begins: Instant,
    step: Step,
    /// After so many bytes it is gone.
    vanishes_after: Option<usize>,
    handed_over: usize,
}

enum Step {
    Waiting,
    Login(Exchange),
    Upload(Exchange),
    Ended(Result<(), String>),
}

/// One request on its connection.
pub(crate) struct Exchange {
    handle: SocketHandle,
    request: Vec<u8>,
    /// Bytes of it that are sent at all.
    most: usize,
    sent: usize,
    answer: Vec<u8>,
    moved_at: Instant,
    queued: usize,
    limit: Duration,
}

impl Push {
    pub(crate) fn new(host: Host, port: u16, file: &[u8], begins: Instant) -> Self {
        Self {
            host,
            port,
            request: UploadRequest::new(Shape::Raw, "app.iap", file.to_vec()),
            begins,
            step: Step::Waiting,
            vanishes_after: None,
            handed_over: 0,
        }
    }

    pub(crate) fn vanishing_after(self, bytes: Option<u64>) -> Self {
        let vanishes_after = bytes.map(|bytes| bytes as usize);
        Self {
            vanishes_after,
            ..self
        }
    }

    pub(crate) fn has_vanished(&self) -> bool {
        self.vanishes_after
            .is_some_and(|after| self.handed_over >= after)
    }

    /// Leaves without a word on the wire.
    pub(crate) fn forget(&mut self, hosts: &mut Hosts) {
        if let Step::Login(exchange) | Step::Upload(exchange) = &self.step {
            hosts.forget(exchange.handle);
        }
        self.step = Step::Ended(Err("gone".into()));
    }

    pub(crate) fn result(&self) -> Option<Result<(), String>> {
        match &self.step {
            Step::Ended(result) => Some(result.clone()),
            _ => None,
        }
    }

    fn login(&self, now: Instant, hosts: &mut Hosts) -> Step {
        let body = format!("{FIELD_USER}={DEFAULT_USER}&{FIELD_PASSWORD}={DEFAULT_PASSWORD}");
        let head = format!(
            "POST {PATH_LOGIN} HTTP/1.1\r\nHost: 192.168.0.10\r\nAccept: {MEDIA_JSON}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let handle = hosts.connect(self.host, self.port);
        Step::Login(Exchange::new(handle, head.into_bytes(), now, REQUEST_LIMIT))
    }

    fn upload(&self, now: Instant, answer: &str, hosts: &mut Hosts) -> Step {
        let Some(session) = cookie(answer) else {
            return Step::Ended(Err(format!("no session: {answer}")));
        };
        let mut bytes = self.request.head("192.168.0.10", Some(session));
        for part in self.request.parts() {
            bytes.extend_from_slice(part);
        }
        let handle = hosts.connect(self.host, self.port + 1);
        let mut exchange = Exchange::new(handle, bytes, now, PROGRESS_LIMIT);
        // What is in the socket when its owner goes would reach the board all the same.
        if let Some(after) = self.vanishes_after {
            exchange.most = after.min(exchange.request.len());
        }
        Step::Upload(exchange)
    }
}

fn cookie(answer: &str) -> Option<&str> {
    let (_, rest) = answer.split_once(&format!("{COOKIE}="))?;
    rest.split([';', '\r']).next()
}

impl Exchange {
    pub(crate) fn new(
        handle: SocketHandle,
        request: Vec<u8>,
        now: Instant,
        limit: Duration,
    ) -> Self {
        Self {
            handle,
            most: request.len(),
            request,
            sent: 0,
            answer: Vec::new(),
            moved_at: now,
            queued: 0,
            limit,
        }
    }

    /// When it is given up, if nothing moves.
    pub(crate) fn next_at(&self) -> Instant {
        self.moved_at + self.limit
    }

    /// Moves bytes; the whole answer, or why there is none. It leaves the network with it.
    pub(crate) fn act(
        &mut self,
        now: Instant,
        hosts: &mut Hosts,
    ) -> Option<Result<String, String>> {
        let socket = hosts.tcp(self.handle);
        if socket.can_send()
            && let Ok(len) = socket.send_slice(&self.request[self.sent..self.most])
        {
            self.sent += len;
        }
        let before = self.answer.len();
        while socket.can_recv() {
            let taken = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
            self.answer.extend(taken.unwrap_or_default());
        }
        let queued = socket.send_queue();
        if (self.answer.len(), self.queued) != (before, queued) {
            (self.queued, self.moved_at) = (queued, now);
        }
        if let Some(text) = complete(&self.answer) {
            hosts.forget(self.handle);
            return Some(Ok(text));
        }
        let open = hosts.tcp(self.handle).is_active();
        let late = now >= self.moved_at + self.limit;
        let why = match (open, late) {
            (false, _) => "the connection broke".to_owned(),
            (true, true) => format!("nothing moved for {}", self.limit),
            (true, false) => return None,
        };
        hosts.forget(self.handle);
        Some(Err(format!(
            "{why} ({} of {} bytes sent)",
            self.sent,
            self.request.len()
        )))
    }
}

/// Head and body, once all of it is there.
fn complete(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    if head.starts_with("HTTP/1.1 100") {
        return complete(body.as_bytes());
    }
    let lower = head.to_ascii_lowercase();
    let (_, rest) = lower.split_once("content-length:")?;
    let length: usize = rest.lines().next()?.trim().parse().ok()?;
    (body.len() >= length).then_some(text)
}

fn verdict(answer: &str) -> Result<(), String> {
    match answer.starts_with("HTTP/1.1 200") {
        true => Ok(()),
        false => Err(answer.rsplit("\r\n").next().unwrap_or_default().to_owned()),
    }
}

impl Actor for Push {
    fn act(&mut self, now: Instant, hosts: &mut Hosts) {
        if now < self.begins || self.has_vanished() {
            return;
        }
        let next = match &mut self.step {
            Step::Waiting => Some(self.login(now, hosts)),
            Step::Login(exchange) => match exchange.act(now, hosts) {
                None => None,
                Some(Ok(answer)) => Some(match verdict(&answer) {
                    Ok(()) => self.upload(now, &answer, hosts),
                    refused => Step::Ended(refused),
                }),
                Some(Err(why)) => Some(Step::Ended(Err(format!("login: {why}")))),
            },
            Step::Upload(exchange) => {
                let ended = exchange.act(now, hosts);
                self.handed_over = exchange.sent.saturating_sub(exchange.queued);
                ended.map(|answer| Step::Ended(answer.and_then(|answer| verdict(&answer))))
            }
            Step::Ended(_) => None,
        };
        if let Some(next) = next {
            self.step = next;
        }
    }

    fn next_at(&self) -> Option<Instant> {
        match &self.step {
            _ if self.has_vanished() => None,
            Step::Waiting => Some(self.begins),
            Step::Login(exchange) | Step::Upload(exchange) => Some(exchange.next_at()),
            Step::Ended(_) => None,
        }
    }
}
