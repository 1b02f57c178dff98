//! The way to a board: a TFTP or HTTP client behind the three things a board can be asked.

use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use iap_protocol::status::{FILE_NAME, MAX_LEN, Status};
use iap_protocol::tftp::{RESET_BODY, RESET_FILE_NAME};
use tokio::time::timeout;

use super::interrupt::Interrupt;
use super::{Target, Transport, trouble};
use crate::failure::{Exit, Failure};
use crate::http::client::UploadEvent;
use crate::http::upload::{Shape, UploadRequest};
use crate::http::{self, HttpClient, Session};
use crate::status;
use crate::tftp::run::{Thread, run_on};
use crate::tftp::{self, Client, Machine, Progress, Reader};

/// How long a board may take to answer its status: one that erases answers after 2 s at most.
pub const STATUS_PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions to a board.
pub(super) const QUESTION_PAUSE: Duration = Duration::from_millis(200);
/// How long a reset over TFTP may take to be answered.
const RESET_PATIENCE: Duration = Duration::from_secs(10);
/// Nobody wants to wait for a board that is done with, or dead.
const LOG_OUT_PATIENCE: Duration = Duration::from_secs(2);

/// User and password of the HTTP server.
#[derive(Clone)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

/// Keeps the password out of logs.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

/// How a transfer goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// TFTP: what was acknowledged, and what is waited for.
    Tftp(Progress),
    /// HTTP: bytes that left this machine.
    Sent(u64),
    /// HTTP: what the board says meanwhile.
    Board(Box<Status>),
    /// The transfer is over, well or not, and the board is asked what it holds.
    Asking,
}

/// What a transfer took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Sent {
    /// Bytes of the file.
    pub bytes: u64,
    /// TFTP blocks that were sent more than once.
    pub repeated_blocks: u64,
}

/// A board whose address is known.
#[derive(Debug)]
pub struct Board {
    target: Target,
    address: SocketAddrV4,
    http: Option<HttpClient>,
    session: Option<Session>,
    thread: Thread,
}

impl Board {
    /// Finds the address; talks to nobody but the name server.
    pub async fn find(target: &Target) -> Result<Self, Failure> {
        let address = target.resolve().await?;
        let http = match target.transport {
            Transport::Tftp => None,
            Transport::Http => Some(HttpClient::new(address, http::Config::default())),
        };
        Ok(Self {
            target: target.clone(),
            address,
            http,
            session: None,
            thread: Thread::Shared,
        })
    }

    /// Nobody else needs this thread: TFTP then takes it for itself.
    #[must_use]
    pub fn alone(self) -> Self {
        Self {
            thread: Thread::Own,
            ..self
        }
    }

    /// Where its server is.
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// How the command line names it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Asks its status; it may take `patience` to answer.
    pub async fn status(&self, patience: Duration) -> Result<Status, Failure> {
        match &self.http {
            Some(http) => {
                (http.status(patience).await).map_err(|error| trouble::http(&self.target, &error))
            }
            None => self.tftp_status(patience).await,
        }
    }

    /// The same, before something is sent.
    pub async fn first_status(&self, patience: Duration) -> Result<Status, Failure> {
        match &self.http {
            Some(http) => (http.first_status(patience).await)
                .map_err(|error| trouble::http(&self.target, &error)),
            None => self.tftp_status(patience).await,
        }
    }

    async fn tftp_status(&self, patience: Duration) -> Result<Status, Failure> {
        // Blocks that every network carries: boards do not learn what fits on the way.
        let config = tftp::Config {
            options: false,
            ..self.tftp_config(patience)
        };
        // Room for fields that later versions add.
        let reader = Reader::new(config, FILE_NAME, 4 * MAX_LEN, Duration::ZERO);
        let json = self
            .tftp("status", reader, std::future::pending(), |_| ())
            .await?;
        status::read(&json).map_err(|what| trouble::status(&self.target, &what))
    }

    /// Logs in, over HTTP; over TFTP there is nothing to do.
    pub async fn log_in(&mut self, login: Option<&Login>) -> Result<(), Failure> {
        if let (Some(http), Some(login), None) = (&self.http, login, &self.session) {
            let session = http.login(&login.user, &login.password).await;
            self.session = Some(session.map_err(|error| trouble::http(&self.target, &error))?);
        }
        Ok(())
    }

    /// Sends a file. Ctrl-C, or the end of the time, ends the transfer so that the board is free again.
    pub async fn send(
        &self,
        file_name: &str,
        content: Bytes,
        interrupt: &Interrupt,
        events: impl Fn(Event),
    ) -> Result<Sent, Failure> {
        let sent = match &self.http {
            Some(http) => {
                self.upload(http, file_name, content, interrupt, events)
                    .await
            }
            None => {
                let config = tftp::Config {
                    server_port: self.address.port(),
                    ..tftp::Config::default()
                };
                let client = Client::new(config, file_name, content, Duration::ZERO);
                let progress = |progress| events(Event::Tftp(progress));
                self.tftp("transfer", client, interrupt.stop(), progress)
                    .await
                    .map(|done| Sent {
                        bytes: done.bytes,
                        repeated_blocks: done.repeated,
                    })
            }
        };
        sent.map_err(|failure| interrupt.told(failure))
    }

    async fn upload(
        &self,
        http: &HttpClient,
        file_name: &str,
        content: Bytes,
        interrupt: &Interrupt,
        events: impl Fn(Event),
    ) -> Result<Sent, Failure> {
        let request = UploadRequest::new(Shape::Raw, file_name, content);
        let upload = http.upload(self.session()?, &request, |event| {
            events(match event {
                UploadEvent::Sent(bytes) => Event::Sent(bytes),
                UploadEvent::Board(status) => Event::Board(status),
            });
        });
        tokio::select! {
            biased;
            () = interrupt.stop() => {
                let message = format!("{}: upload: interrupted", self.target);
                return Err(Failure::new(Exit::Interrupted, message));
            }
            answer = upload => answer.map_err(|error| trouble::http(&self.target, &error))?,
        };
        Ok(Sent {
            bytes: request.content_length(),
            repeated_blocks: 0,
        })
    }

    /// Resets it; over HTTP one must be logged in.
    pub async fn reset(&mut self) -> Result<(), Failure> {
        match &self.http {
            Some(http) => {
                let answer = http.reset(self.session()?).await;
                answer.map_err(|error| trouble::http(&self.target, &error))?;
                self.session = None;
            }
            None => {
                let config = self.tftp_config(RESET_PATIENCE);
                let client = Client::new(config, RESET_FILE_NAME, RESET_BODY, Duration::ZERO);
                self.tftp("reset", client, std::future::pending(), |_| ())
                    .await?;
            }
        }
        Ok(())
    }

    /// Gives the HTTP session back, if there is one. A board that does not take it, or not soon, forgets it by itself.
    pub async fn log_out(&mut self) {
        if let (Some(http), Some(session)) = (&self.http, self.session.take()) {
            let _ = timeout(LOG_OUT_PATIENCE, http.logout(&session)).await;
        }
    }

    fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(|| {
            let message = format!("{}: this needs a login", self.target);
            Failure::new(Exit::Usage, message)
        })
    }

    fn tftp_config(&self, patience: Duration) -> tftp::Config {
        tftp::Config {
            server_port: self.address.port(),
            request_patience: patience,
            no_progress_limit: patience,
            ..tftp::Config::default()
        }
    }

    async fn tftp<M: Machine>(
        &self,
        doing: &str,
        machine: M,
        cancelled: impl Future<Output = ()>,
        progress: impl FnMut(Progress),
    ) -> Result<M::Output, Failure> {
        let server = *self.address.ip();
        run_on(self.thread, machine, server, cancelled, progress)
            .await
            .map_err(|error| trouble::tftp(&self.target, doing, error))
    }
}
