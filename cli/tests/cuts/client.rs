//! What `iapctl push` does, on the virtual network of the sweep: it reads the board's status, leaves out the sectors that the board says it
//! holds, sends the rest, and believes nobody but the status afterwards.
//!
//! The state machines, the bytes of requests and the decisions are iapctl's; only its sockets are not here. One thing it does not do: where iapctl
//! sends the whole image because the board has refused the partial one, this client says so. In the sweep nobody else pushes, so the board
//! must hold what its status says.

use anyhow::Result;
use iap_core::intake::Transport;
use iap_protocol::header::ImageHeader;
use iap_protocol::http::PATH_STATUS;
use iap_protocol::memory::MemoryMap;
use iap_protocol::status::{FILE_NAME, MAX_LEN, Status};
use iap_sim::sweep::client;
use iap_sim::sweep::start::Start;
use iap_sim::visitor::Told;
use iap_sim::wire::Port;
use iapctl::board::partial;
use iapctl::board::state::Expected;
use iapctl::tftp::{Client, Config, Reader};
use smoltcp::time::{Duration, Instant};

use super::hosts::{Actor, Host, Hosts};
use super::http::{Exchange, Push, REQUEST_LIMIT};
use super::tftp::{Driven, since_start};

/// Ephemeral ports are used once; a push over HTTP takes two.
const FIRST_PORT: u16 = 49_152;

/// The client for [`iap_sim::sweep::served::run_with`].
pub(crate) fn invite(
    start: &Start,
    transport: Transport,
    port: Port,
) -> Result<Box<dyn client::Client>> {
    let header = ImageHeader::decode(&start.whole)
        .map_err(|error| anyhow::anyhow!("the image of the sweep: {error:?}"))?;
    Ok(Box::new(Pushing {
        hosts: Hosts::new(port),
        time: Instant::ZERO,
        transport,
        map: start.bench.config.map.clone(),
        expected: Expected::new(&header, false),
        header,
        whole: start.whole.clone(),
        partial: None,
        last_port: FIRST_PORT,
        step: Step::Over,
        told: None,
    }))
}

struct Pushing {
    hosts: Hosts,
    /// Until when it has lived.
    time: Instant,
    transport: Transport,
    map: MemoryMap,
    header: ImageHeader,
    expected: Expected,
    whole: Vec<u8>,
    /// What is sent in place of it.
    partial: Option<Vec<u8>>,
    last_port: u16,
    step: Step,
    told: Option<Told>,
}

/// What is under way.
enum Step {
    /// What does the board hold?
    First(Question),
    Transfer(Transfer),
    /// Does it hold what was sent?
    Proof(Question),
    Over,
}

/// A question for the status.
enum Question {
    Tftp(Box<Driven<Reader>>),
    Http(Box<Exchange>),
}

enum Transfer {
    Tftp(Box<Driven<Client<Vec<u8>>>>),
    Http(Box<Push>),
}

impl Question {
    fn act(&mut self, now: Instant, hosts: &mut Hosts) -> Option<Result<Status, String>> {
        let json = match self {
            Self::Tftp(reader) => {
                reader.act(now, hosts);
                reader.result()?.map_err(|error| error.to_string())
            }
            Self::Http(exchange) => exchange.act(now, hosts)?.map(body),
        };
        Some(json.and_then(|json| {
            serde_json::from_slice(&json).map_err(|error| format!("status.json: {error}"))
        }))
    }

    fn next_at(&self) -> Option<Instant> {
        match self {
            Self::Tftp(reader) => reader.next_at(),
            Self::Http(exchange) => Some(exchange.next_at()),
        }
    }
}

fn body(answer: String) -> Vec<u8> {
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    body.unwrap_or_default().into()
}

impl Transfer {
    fn act(&mut self, now: Instant, hosts: &mut Hosts) -> Option<Told> {
        match self {
            Self::Tftp(client) => {
                client.act(now, hosts);
                let result = client.result()?;
                Some(result.map(|_| ()).map_err(|error| error.to_string()))
            }
            Self::Http(push) => {
                push.act(now, hosts);
                push.result()
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        match self {
            Self::Tftp(client) => client.next_at(),
            Self::Http(push) => push.next_at(),
        }
    }
}

impl Pushing {
    fn port(&mut self, count: u16) -> u16 {
        let port = self.last_port;
        self.last_port += count;
        port
    }

    fn question(&mut self) -> Question {
        let (now, port) = (self.time, self.port(1));
        if self.transport == Transport::Http {
            let request = format!("GET {PATH_STATUS} HTTP/1.1\r\nHost: 192.168.0.10\r\n\r\n");
            let handle = self.hosts.connect(Host::First, port);
            let exchange = Exchange::new(handle, request.into_bytes(), now, REQUEST_LIMIT);
            return Question::Http(Box::new(exchange));
        }
        let config = Config {
            options: false,
            ..Config::default()
        };
        let reader = Reader::new(config, FILE_NAME, 4 * MAX_LEN, since_start(now));
        let handle = self.hosts.udp_socket(Host::First, port);
        Question::Tftp(Box::new(Driven::new(reader, handle, now)))
    }

    fn transfer(&mut self, status: &Status) -> Transfer {
        let held = partial::held(&self.map, &self.header, status);
        let partial = partial::transfer(&self.map, &self.header, &self.whole, held);
        self.partial = partial.map(|bytes| bytes.to_vec());
        let file = self.partial.as_ref().unwrap_or(&self.whole).clone();
        let (now, port) = (self.time, self.port(2));
        match self.transport {
            Transport::Http => Transfer::Http(Box::new(Push::new(Host::First, port, &file, now))),
            Transport::Tftp => {
                let client = Client::new(Config::default(), "app.iap", file, since_start(now));
                let handle = self.hosts.udp_socket(Host::First, port);
                Transfer::Tftp(Box::new(Driven::new(client, handle, now)))
            }
        }
    }

    fn act(&mut self) {
        let (now, hosts) = (self.time, &mut self.hosts);
        let told = match &mut self.step {
            Step::First(question) => match question.act(now, hosts) {
                None => None,
                Some(Ok(status)) => {
                    self.step = Step::Transfer(self.transfer(&status));
                    None
                }
                Some(Err(why)) => Some(Err(format!("the status: {why}"))),
            },
            Step::Transfer(transfer) => match transfer.act(now, hosts) {
                None => None,
                Some(Ok(())) => {
                    self.step = Step::Proof(self.question());
                    None
                }
                refused => refused,
            },
            Step::Proof(question) => question
                .act(now, hosts)
                .map(|status| self.expected.is_met_by(&status?)),
            Step::Over => None,
        };
        if told.is_some() {
            self.step = Step::Over;
            self.told = told;
        }
    }

    fn next_at(&mut self) -> Option<Instant> {
        let own = match &self.step {
            Step::First(question) | Step::Proof(question) => question.next_at(),
            Step::Transfer(transfer) => transfer.next_at(),
            Step::Over => None,
        };
        own.into_iter().chain(self.hosts.next_at(self.time)).min()
    }
}

impl client::Client for Pushing {
    fn push(&mut self, now: Instant) {
        // Who pushed before is gone without a word: so is the board that listened.
        self.hosts = Hosts::new(self.hosts.port.clone());
        (self.time, self.told, self.partial) = (now, None, None);
        self.step = Step::First(self.question());
    }

    fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// Each event at its own time: while the board's flash is busy, its clients go on.
    fn poll(&mut self, now: Instant) {
        while let Some(next) = self.next_at() {
            // Never twice at the same time: a stack may want to be polled again at once.
            let next = next.max(self.time + Duration::from_micros(1));
            if next > now {
                break;
            }
            self.time = next;
            self.hosts.poll(next);
            self.act();
            self.hosts.poll(next);
        }
        self.time = self.time.max(now);
    }

    fn poll_at(&mut self, _: Instant) -> Option<Instant> {
        self.next_at()
    }

    fn partial(&self) -> Option<&[u8]> {
        self.partial.as_deref()
    }
}
