//! What `iapctl push` does at a board, in its order: ask what it holds, log in, send, ask again. iapctl's machines and request bytes, driven
//! in virtual time.

use std::time::Duration;

use iap_protocol::header::ImageHeader;
use iap_protocol::http::{
    COOKIE, DEFAULT_PASSWORD, DEFAULT_USER, FIELD_PASSWORD, FIELD_USER, MEDIA_JSON, PATH_LOGIN,
    PATH_STATUS,
};
use iap_protocol::memory::MemoryMap;
use iap_protocol::status::{FILE_NAME, MAX_LEN, Status};
use iapctl::board::partial;
use iapctl::http::upload::{Shape, UploadRequest};
use iapctl::tftp::{Client, Config, Machine, Reader};
use smoltcp::iface::SocketHandle;
use smoltcp::time::Instant;

use super::host::Host;

/// How the image is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    Tftp,
    Http,
}

/// Between iapctl's questions to a board that takes an upload over HTTP.
const QUESTIONS: smoltcp::time::Duration = smoltcp::time::Duration::from_millis(500);

/// A push under way.
pub(crate) struct Errand {
    transport: Transport,
    map: MemoryMap,
    file: Vec<u8>,
    step: Step,
    session: String,
    /// Its next question while it sends over HTTP, and when it is due.
    question: Option<Exchange>,
    question_at: Instant,
    /// When the first byte of the file left.
    pub(crate) first_block: Option<Instant>,
    /// When the board's answer to the file came.
    pub(crate) verdict: Option<Instant>,
    /// TFTP blocks that were sent more than once.
    pub(crate) repeated: u64,
    pub(crate) status: Option<Status>,
}

enum Step {
    Begin,
    Ask(Asking, When),
    LogIn(Exchange),
    Put(Box<Client<Vec<u8>>>, SocketHandle),
    Post(Exchange),
    Ended(Result<(), String>),
}

enum Asking {
    Tftp(Box<Reader>, SocketHandle),
    Http(Exchange),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// One HTTP request on its connection.
struct Exchange {
    handle: SocketHandle,
    /// Whether it is the connection's last.
    close: bool,
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
}

pub(crate) fn since_start(now: Instant) -> Duration {
    Duration::from_micros(now.total_micros().unsigned_abs())
}

fn instant(at: Duration) -> Instant {
    Instant::from_micros(i64::try_from(at.as_micros()).unwrap())
}

impl Errand {
    pub(crate) fn new(transport: Transport, map: MemoryMap, file: Vec<u8>) -> Self {
        Self {
            transport,
            map,
            file,
            step: Step::Begin,
            session: String::new(),
            question: None,
            question_at: Instant::ZERO,
            first_block: None,
            verdict: None,
            repeated: 0,
            status: None,
        }
    }

    pub(crate) fn result(&self) -> Option<Result<(), String>> {
        match &self.step {
            Step::Ended(result) => Some(result.clone()),
            _ => None,
        }
    }

    /// When it has something to do even if nothing comes.
    pub(crate) fn poll_at(&self) -> Option<Instant> {
        match &self.step {
            Step::Begin => Some(Instant::ZERO),
            Step::Ask(Asking::Tftp(reader, _), _) => reader.poll_at().map(instant),
            Step::Put(client, _) => client.poll_at().map(instant),
            Step::Post(_) if self.question.is_none() => Some(self.question_at),
            _ => None,
        }
    }

    /// Does what is due.
    pub(crate) fn act(&mut self, now: Instant, host: &mut Host) {
        // A step that ends begins the next at once.
        while let Some(next) = self.advance(now, host) {
            self.step = next;
        }
    }

    fn advance(&mut self, now: Instant, host: &mut Host) -> Option<Step> {
        match &mut self.step {
            Step::Begin => Some(self.ask(When::Before, now, host)),
            Step::Ask(asking, when) => {
                let when = *when;
                let said = asking.act(now, host)?;
                Some(self.heard(when, said, now, host))
            }
            Step::LogIn(exchange) => {
                let answer = exchange.act(host)?;
                let handle = exchange.handle;
                Some(self.logged_in(&answer, handle, now))
            }
            Step::Put(client, handle) => {
                let handle = *handle;
                if drive(&mut **client, handle, now, host) {
                    // Requests have no payload; the first block is the first datagram of more than 4 bytes after the answer.
                    self.first_block.get_or_insert(now);
                }
                let result = client.result()?;
                host.forget(handle);
                self.verdict = Some(now);
                Some(match result {
                    Ok(upload) => {
                        self.repeated = upload.repeated;
                        self.ask(When::After, now, host)
                    }
                    Err(error) => Step::Ended(Err(error.to_string())),
                })
            }
            Step::Post(exchange) => {
                let answer = exchange.act(host);
                if exchange.sent > 0 {
                    self.first_block.get_or_insert(now);
                }
                self.question(now, host);
                let answer = answer?;
                self.verdict = Some(now);
                Some(match is_success(&answer) {
                    true => self.ask(When::After, now, host),
                    false => Step::Ended(Err(answer)),
                })
            }
            Step::Ended(_) => None,
        }
    }

    fn ask(&self, when: When, now: Instant, host: &mut Host) -> Step {
        let asking = match self.transport {
            Transport::Tftp => {
                let config = Config {
                    options: false,
                    ..Config::default()
                };
                let reader = Reader::new(config, FILE_NAME, 4 * MAX_LEN, since_start(now));
                Asking::Tftp(Box::new(reader), host.udp_socket())
            }
            Transport::Http => {
                let close = when == When::After;
                Asking::Http(Exchange::new(status_request(close), close, host))
            }
        };
        Step::Ask(asking, when)
    }

    fn heard(
        &mut self,
        when: When,
        said: Result<Vec<u8>, String>,
        now: Instant,
        host: &mut Host,
    ) -> Step {
        let status = said.and_then(|json| {
            let status: Result<Status, _> = serde_json::from_slice(&json);
            status.map_err(|error| error.to_string())
        });
        match status {
            Err(why) => return Step::Ended(Err(why)),
            Ok(status) => self.leave_out(when, status),
        }
        match (when, self.transport) {
            (When::After, _) => Step::Ended(Ok(())),
            (When::Before, Transport::Http) => {
                // The status came on it.
                let Step::Ask(Asking::Http(Exchange { handle, .. }), _) = &self.step else {
                    return Step::Ended(Err("no connection".into()));
                };
                Step::LogIn(Exchange::on(*handle, login_request(), false))
            }
            (When::Before, Transport::Tftp) => {
                let file = self.file.clone();
                let client = Client::new(Config::default(), "app.iap", file, since_start(now));
                Step::Put(Box::new(client), host.udp_socket())
            }
        }
    }

    /// What the board holds already is not sent.
    fn leave_out(&mut self, when: When, status: Status) {
        if let (When::Before, Ok(header)) = (when, ImageHeader::decode(&self.file)) {
            let held = partial::held(&self.map, &header, &status);
            let transfer = partial::transfer(&self.map, &header, &self.file, held);
            self.file = transfer.map_or_else(|| self.file.clone(), |bytes| bytes.to_vec());
        }
        self.status = Some(status);
    }

    fn logged_in(&mut self, answer: &str, handle: SocketHandle, now: Instant) -> Step {
        let Some((_, rest)) = answer.split_once(&format!("{COOKIE}=")) else {
            return Step::Ended(Err(format!("no session: {answer}")));
        };
        self.session = rest
            .split([';', '\r'])
            .next()
            .unwrap_or_default()
            .to_owned();
        let upload = UploadRequest::new(Shape::Raw, "app.iap", self.file.clone());
        let mut request = upload.head("192.168.0.10", Some(&self.session));
        upload
            .parts()
            .iter()
            .for_each(|part| request.extend_from_slice(part));
        self.question_at = now + QUESTIONS;
        Step::Post(Exchange::on(handle, request, true))
    }

    /// Asks the board now and then what it does, as iapctl does for its progress bar.
    fn question(&mut self, now: Instant, host: &mut Host) {
        match &mut self.question {
            Some(question) => {
                let is_answered = question.act(host).is_some();
                if is_answered {
                    self.question = None;
                    self.question_at = now + QUESTIONS;
                }
            }
            None if now >= self.question_at => {
                self.question = Some(Exchange::new(status_request(true), true, host));
            }
            None => {}
        }
    }
}

impl Asking {
    fn act(&mut self, now: Instant, host: &mut Host) -> Option<Result<Vec<u8>, String>> {
        match self {
            Self::Tftp(reader, handle) => {
                drive(&mut **reader, *handle, now, host);
                let result = reader.result()?;
                host.forget(*handle);
                Some(result.map_err(|error| error.to_string()))
            }
            Self::Http(exchange) => {
                let answer = exchange.act(host)?;
                let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
                Some(Ok(body.as_bytes().to_vec()))
            }
        }
    }
}

/// Moves datagrams between a machine and its socket; whether DATA went out.
fn drive(machine: &mut impl Machine, handle: SocketHandle, now: Instant, host: &mut Host) -> bool {
    let now = since_start(now);
    while let Some((port, datagram)) = host.receive(handle) {
        machine.receive(now, port, &datagram);
    }
    let (mut out, mut sent_data) = (Vec::new(), false);
    while let Some(port) = machine.poll(now, &mut out) {
        host.send(handle, port, &out);
        sent_data |= out.starts_with(&[0, 3]);
    }
    sent_data
}

impl Exchange {
    /// On a connection of its own.
    fn new(request: Vec<u8>, close: bool, host: &mut Host) -> Self {
        Self::on(host.connect(), request, close)
    }

    /// On a connection that is there.
    fn on(handle: SocketHandle, request: Vec<u8>, close: bool) -> Self {
        Self {
            handle,
            close,
            request,
            sent: 0,
            answer: Vec::new(),
        }
    }

    /// Moves bytes; the whole answer, or what there is of it when the connection breaks.
    fn act(&mut self, host: &mut Host) -> Option<String> {
        let socket = host.tcp(self.handle);
        if socket.can_send() {
            self.sent += socket.send_slice(&self.request[self.sent..]).unwrap();
        }
        while socket.can_recv() {
            let taken = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
            self.answer.extend(taken.unwrap());
        }
        let broken = !socket.is_active();
        let answer = complete(&self.answer);
        if answer.is_none() && !broken {
            return None;
        }
        if self.close || broken {
            host.close(self.handle);
        }
        Some(answer.unwrap_or_else(|| format!("broken: {}", String::from_utf8_lossy(&self.answer))))
    }
}

/// Head and body, once all of it is there.
fn complete(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let lower = head.to_ascii_lowercase();
    let (_, rest) = lower.split_once("content-length:")?;
    let length: usize = rest.lines().next()?.trim().parse().ok()?;
    (body.len() >= length).then_some(text)
}

fn is_success(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200")
}

fn status_request(close: bool) -> Vec<u8> {
    let connection = if close { "Connection: close\r\n" } else { "" };
    format!(
        "GET {PATH_STATUS} HTTP/1.1\r\nAccept: {MEDIA_JSON}\r\n{connection}User-Agent: iapctl/0.1.0\r\n\
         Host: 192.168.0.10\r\n\r\n"
    )
    .into_bytes()
}

fn login_request() -> Vec<u8> {
    let body = format!("{FIELD_USER}={DEFAULT_USER}&{FIELD_PASSWORD}={DEFAULT_PASSWORD}");
    format!(
        "POST {PATH_LOGIN} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nAccept: {MEDIA_JSON}\r\n\
         User-Agent: iapctl/0.1.0\r\nHost: 192.168.0.10\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
