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

use iap_protocol::http::{
    COOKIE, FIELD_PASSWORD, FIELD_USER, MEDIA_JSON, PATH_LOGIN, PATH_LOGOUT, PATH_RESET,
    PATH_STATUS, PATH_UPLOAD,
};
use iap_protocol::status::Status;
use reqwest::{Client, RequestBuilder};
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::error::{HttpError, Step};
use super::progress::CountedBody;
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
    client: Client,
    base: String,
    config: Config,
}

impl HttpClient {
    /// A client for the server at `address`.
    pub fn new(address: SocketAddrV4, config: Config) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("iapctl/", env!("CARGO_PKG_VERSION")))
            // Boards are in the local network, and a proxy would see the password.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.connect_timeout)
            .pool_max_idle_per_host(1)
            .http1_title_case_headers()
            .build()?;
        Ok(Self {
            client,
            base: format!("http://{address}"),
            config,
        })
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
        let request = self.client.get(self.url(PATH_STATUS));
        let answer = self.exchange(Step::Status, limit, request, after).await?;
        if !answer.is_success() {
            answer.judge(Step::Status)?;
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            HttpError::Malformed(
                Step::Status,
                format!("no status of an IAP firmware: {error}"),
            )
        })
    }

    /// Logs in.
    pub async fn login(&self, user: &str, password: &str) -> Result<Session, HttpError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair(FIELD_USER, user)
            .append_pair(FIELD_PASSWORD, password)
            .finish();
        let request = self
            .client
            .post(self.url(PATH_LOGIN))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
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
            let mut builder = self.client.post(self.url(PATH_UPLOAD));
            for (name, value) in request.headers(Some(&session.0)) {
                builder = builder.header(name, value);
            }
            let exchange =
                async { Answer::read(builder.body(reqwest::Body::wrap(body)).send().await?).await };
            watch.until_done(exchange).await?
        };
        answer.judge(Step::Upload)
    }

    async fn post(&self, step: Step, path: &str, session: &Session) -> Result<String, HttpError> {
        let cookie = format!("{COOKIE}={}", session.0);
        let request = self
            .client
            .post(self.url(path))
            .header("Cookie", cookie)
            .header("Content-Length", "0");
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
        request: RequestBuilder,
        after: After,
    ) -> Result<Answer, HttpError> {
        let request = request.header("Accept", MEDIA_JSON);
        let request = match after {
            After::Keep => request,
            After::Close => request.header("Connection", "close"),
        };
        let exchange = async { Answer::read(request.send().await?).await };
        match timeout(limit, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(classify(step, (0, 0), &error)),
            Err(_) => Err(HttpError::Silent {
                step,
                sent: (0, 0),
                waited: limit,
            }),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
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
        exchange: impl Future<Output = Result<Answer, reqwest::Error>>,
    ) -> Result<Answer, HttpError> {
        let mut exchange = pin!(exchange);
        let mut questions = pin!(self.ask_the_board());
        loop {
            tokio::select! {
                biased;
                result = &mut exchange => {
                    return result.map_err(|error| classify(Step::Upload, self.so_far(), &error));
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

fn classify(step: Step, sent: (u64, u64), error: &reqwest::Error) -> HttpError {
    let cause = root_cause(error);
    let what = cause.to_string().to_lowercase();
    if cause.downcast_ref().is_some_and(is_descriptors) {
        HttpError::NoDescriptors(step, what)
    } else if error.is_connect() {
        HttpError::NoConnection(step, what)
    } else {
        HttpError::Broken { step, sent, what }
    }
}

/// The last of the chain of causes: what the operating system said.
fn root_cause(error: &reqwest::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

/// Whether this process, or this machine, has as many files open as it may: EMFILE and ENFILE, WSAEMFILE.
pub(crate) fn is_descriptors(error: &std::io::Error) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[10_024] } else { &[24, 23] };
    (error.raw_os_error()).is_some_and(|code| codes.contains(&code))
}
