//! Requests to a board. The first status, the login and the upload share a connection: a board has one with a large window, which is the
//! first client's, and whoever connects anew may get another before the old one is closed. All others have one of their own: a board has
//! few, and none to spare for keeping one open.

use std::cell::Cell;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddrV4;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use iap_protocol::http::{
    COOKIE, FIELD_PASSWORD, FIELD_USER, MEDIA_JSON, PATH_LOGIN, PATH_LOGOUT, PATH_RESET,
    PATH_STATUS, PATH_UPLOAD,
};
use iap_protocol::status::Status;
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::error::{HttpError, Step};
use super::progress::CountedBody;
use super::socket::Connector;
use super::upload::UploadRequest;

/// How long a request may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// To open a connection.
    pub connect_timeout: Duration,
    /// For a whole request without a large body.
    pub request_timeout: Duration,
    /// Without a byte leaving and without the board reporting progress: a board may erase a sector for 2 s.
    pub no_progress_limit: Duration,
    /// Pause between questions about the progress of an upload.
    pub poll_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(15),
            no_progress_limit: Duration::from_secs(60),
            poll_interval: Duration::from_millis(500),
        }
    }
}

/// How an upload goes on.
#[derive(Clone, Debug)]
pub enum UploadEvent {
    /// Bytes of the body that left this program; the network and the board may be behind.
    Sent(u64),
    /// What the board says meanwhile.
    Board(Box<Status>),
}

/// A login that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session(String);

/// What becomes of a connection after the answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Keep,
    Close,
}

/// A board's HTTP server.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<Connector, CountedBody>,
    address: SocketAddrV4,
    config: Config,
}

impl HttpClient {
    /// A client for the server at `address`.
    pub fn new(address: SocketAddrV4, config: Config) -> Self {
        let connector = Connector {
            address,
            limit: config.connect_timeout,
        };
        Self {
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(1)
                .http1_title_case_headers(true)
                .build(connector),
            address,
            config,
        }
    }

    /// Asks what the board is doing.
    pub async fn status(&self, limit: Duration) -> Result<Status, HttpError> {
        self.ask(limit, After::Close).await
    }

    /// The same, before a login and an upload.
    pub async fn first_status(&self, limit: Duration) -> Result<Status, HttpError> {
        self.ask(limit, After::Keep).await
    }

    async fn ask(&self, limit: Duration, after: After) -> Result<Status, HttpError> {
        let request = self.request(Method::GET, PATH_STATUS, CountedBody::small(""));
        let answer = self.exchange(Step::Status, limit, request, after).await?;
        if !answer.is_success() {
            answer.judge(Step::Status)?;
        }
        crate::status::read(&answer.body).map_err(|what| {
            let what = format!("no status of an IAP firmware: {what}");
            HttpError::Malformed(Step::Status, what)
        })
    }

    /// Logs in.
    pub async fn login(&self, user: &str, password: &str) -> Result<Session, HttpError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair(FIELD_USER, user)
            .append_pair(FIELD_PASSWORD, password)
            .finish();
        let mut request = self.request(Method::POST, PATH_LOGIN, CountedBody::small(form));
        let media = "application/x-www-form-urlencoded";
        set(&mut request, "Content-Type", media);
        let answer = self
            .exchange(
                Step::Login,
                self.config.request_timeout,
                request,
                After::Keep,
            )
            .await?;
        answer.judge(Step::Login)?;
        match answer.session() {
            Some(session) => Ok(Session(session.to_owned())),
            None => Err(HttpError::Malformed(
                Step::Login,
                format!("it sets no cookie {COOKIE}"),
            )),
        }
    }

    /// Resets the board; its sentence.
    pub async fn reset(&self, session: &Session) -> Result<String, HttpError> {
        self.post(Step::Reset, PATH_RESET, session).await
    }

    /// Ends the session.
    pub async fn logout(&self, session: &Session) -> Result<String, HttpError> {
        self.post(Step::Logout, PATH_LOGOUT, session).await
    }

    /// Uploads a file; the board's sentence. `events` hears how it goes on.
    pub async fn upload(
        &self,
        session: &Session,
        request: &UploadRequest,
        events: impl Fn(UploadEvent),
    ) -> Result<String, HttpError> {
        let watch = Watch::new(self, request.content_length(), events);
        let answer = {
            let body = CountedBody::new(request, watch.sent.clone());
            let mut post = self.request(Method::POST, PATH_UPLOAD, body);
            for (name, value) in request.headers(Some(&session.0)) {
                set(&mut post, name, &value);
            }
            watch.until_done(self.send(post)).await?
        };
        answer.judge(Step::Upload)
    }

    async fn post(&self, step: Step, path: &str, session: &Session) -> Result<String, HttpError> {
        let mut request = self.request(Method::POST, path, CountedBody::small(""));
        set(&mut request, "Cookie", &format!("{COOKIE}={}", session.0));
        set(&mut request, "Content-Length", "0");
        let answer = self
            .exchange(step, self.config.request_timeout, request, After::Close)
            .await?;
        answer.judge(step)
    }

    /// One small request and its answer.
    async fn exchange(
        &self,
        step: Step,
        limit: Duration,
        mut request: Request<CountedBody>,
        after: After,
    ) -> Result<Answer, HttpError> {
        set(&mut request, "Accept", MEDIA_JSON);
        if after == After::Close {
            set(&mut request, "Connection", "close");
        }
        match timeout(limit, self.send(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(cause.told(step, (0, 0))),
            Err(_) => Err(HttpError::Silent {
                step,
                sent: (0, 0),
                waited: limit,
            }),
        }
    }

    async fn send(&self, request: Request<CountedBody>) -> Result<Answer, Cause> {
        let response = self.client.request(request).await;
        let response = response.map_err(|error| Cause::new(error.is_connect(), &error))?;
        let answer = Answer::read(response).await;
        answer.map_err(|error| Cause::new(false, &error))
    }

    fn request(&self, method: Method, path: &str, body: CountedBody) -> Request<CountedBody> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // An address and a path of the contract are a URI.
        if let Ok(uri) = format!("http://{}{path}", self.address).parse() {
            *request.uri_mut() = uri;
        }
        set(&mut request, "User-Agent", AGENT);
        request
    }
}

const AGENT: &str = concat!("iapctl/", env!("CARGO_PKG_VERSION"));

/// Adds a header; a value that no header can have is left out, and the board says what it misses.
fn set(request: &mut Request<CountedBody>, name: &'static str, value: &str) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_str(value),
    ) {
        request.headers_mut().insert(name, value);
    }
}

/// Sees to it that an upload moves, by the bytes that leave and by what the board says.
struct Watch<'a, F> {
    client: &'a HttpClient,
    total: u64,
    sent: Arc<AtomicU64>,
    seen: Cell<(u64, BoardAt)>,
    moved_at: Cell<Instant>,
    events: F,
}

/// What of a status shows that a board is at work.
type BoardAt = Option<(u32, u8, u8, Option<u8>, u32)>;

impl<'a, F: Fn(UploadEvent)> Watch<'a, F> {
    fn new(client: &'a HttpClient, total: u64, events: F) -> Self {
        Self {
            client,
            total,
            sent: Arc::new(AtomicU64::new(0)),
            seen: Cell::new((0, None)),
            moved_at: Cell::new(Instant::now()),
            events,
        }
    }

    async fn until_done(
        &self,
        exchange: impl Future<Output = Result<Answer, Cause>>,
    ) -> Result<Answer, HttpError> {
        let mut exchange = pin!(exchange);
        let mut questions = pin!(self.ask_the_board());
        loop {
            tokio::select! {
                biased;
                result = &mut exchange => {
                    return result.map_err(|cause| cause.told(Step::Upload, self.so_far()));
                }
                () = &mut questions => {
                    let what = "the board was reset meanwhile".to_owned();
                    let (step, sent) = (Step::Upload, self.so_far());
                    return Err(HttpError::Broken { step, sent, what });
                }
                () = sleep(Duration::from_millis(100)) => {}
            }
            let (_, board) = self.seen.get();
            self.note((self.sent.load(Ordering::Relaxed), board));
            (self.events)(UploadEvent::Sent(self.so_far().0));
            let waited = self.moved_at.get().elapsed();
            if waited >= self.client.config.no_progress_limit {
                return Err(HttpError::Silent {
                    step: Step::Upload,
                    sent: self.so_far(),
                    waited,
                });
            }
        }
    }

    fn so_far(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.total)
    }

    fn note(&self, seen: (u64, BoardAt)) {
        if self.seen.replace(seen) != seen {
            self.moved_at.set(Instant::now());
        }
    }

    /// Ends when the board was reset: it will never answer then. A board that does not answer is asked less and less often.
    async fn ask_the_board(&self) {
        let mut pause = self.client.config.poll_interval;
        let mut uptime_ms = 0;
        loop {
            sleep(pause).await;
            match self.client.status(Duration::from_secs(2)).await {
                Ok(status) if status.uptime_ms < uptime_ms => return,
                Ok(status) => {
                    uptime_ms = status.uptime_ms;
                    pause = self.client.config.poll_interval;
                    self.note((self.seen.get().0, board_at(&status)));
                    (self.events)(UploadEvent::Board(Box::new(status)));
                }
                Err(_) => pause = (pause * 2).min(Duration::from_secs(10)),
            }
        }
    }
}

fn board_at(status: &Status) -> BoardAt {
    let update = status.update.as_ref()?;
    Some((
        update.received,
        update.sectors_written,
        update.sectors_skipped,
        update.sector,
        status.flash_words,
    ))
}

/// Why an exchange failed.
struct Cause {
    is_connect: bool,
    is_descriptors: bool,
    /// What the operating system said: the last of the chain of causes.
    what: String,
}

impl Cause {
    fn new(is_connect: bool, error: &(dyn Error + 'static)) -> Self {
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Self {
            is_connect,
            is_descriptors: cause.downcast_ref().is_some_and(is_descriptors),
            what: cause.to_string().to_lowercase(),
        }
    }

    fn told(self, step: Step, sent: (u64, u64)) -> HttpError {
        let what = self.what;
        match (self.is_descriptors, self.is_connect) {
            (true, _) => HttpError::NoDescriptors(step, what),
            (false, true) => HttpError::NoConnection(step, what),
            (false, false) => HttpError::Broken { step, sent, what },
        }
    }
}

/// Whether this process, or this machine, has as many files open as it may: EMFILE and ENFILE, WSAEMFILE.
pub(crate) fn is_descriptors(error: &std::io::Error) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[10_024] } else { &[24, 23] };
    (error.raw_os_error()).is_some_and(|code| codes.contains(&code))
}
