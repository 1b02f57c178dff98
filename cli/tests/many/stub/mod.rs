//! Many boards on one thread: each answers TFTP on a port of its own, and HTTP on another if wanted. They take what they are sent, hold
//! it, and say so; some are silent, refuse, or fall silent. As little I/O as the protocols need, so that a client's time is seen.
//!
//! They judge nothing but the CRC-32, and lose nothing: loopback does not.

mod http;
mod tftp;

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use iap_protocol::crc::crc32;
use iap_protocol::header::{HEADER_LEN, ImageHeader, PREFIX_LEN, PREFIX_MAGIC};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};

/// What a board is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Good,
    /// Never answers.
    Silent,
    /// Answers its status, and refuses every image.
    Refusing,
    /// Takes the beginning of an image, then never answers anything again.
    Stopping,
    /// Takes an image whole, then never answers anything again.
    Vanishing,
    /// Takes the beginning of an image and is busy for ever; still answers its status.
    Stuck,
}

/// The password of their HTTP servers, for user `user`.
pub(crate) const PASSWORD: &str = "secret";
/// The sentence of a board that refuses.
pub(crate) const REFUSAL: &str = "flash locked: its write protection is on (expected off)";

/// Which boards.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) address: Ipv4Addr,
    /// TFTP port of the first board, the others follow; 0 for any ports.
    pub(crate) tftp_port: u16,
    /// The same for HTTP; without it there is none.
    pub(crate) http_port: Option<u16>,
    /// How long a board erases after the first blocks, saying nothing.
    pub(crate) erase: Duration,
}

/// What happened to a board.
#[derive(Clone, Default, Debug, Serialize)]
pub(crate) struct Told {
    /// Images asked for; a request that is repeated counts once.
    pub(crate) uploads: u32,
    /// Images it took whole.
    pub(crate) committed: u32,
    /// Transfers that the client ended with an ERROR, or by closing the connection.
    pub(crate) aborted: u32,
    /// Bytes of the last image.
    pub(crate) bytes: usize,
}

/// What happened to all of them.
#[derive(Default, Debug)]
pub(crate) struct Log {
    pub(crate) boards: Vec<Told>,
    /// Which board was asked something, in order.
    pub(crate) requests: Vec<usize>,
    uploads: usize,
    /// Uploads at the same time, at most.
    pub(crate) uploads_at_once: usize,
    /// The last image, which others compare with: the same bytes need no second CRC.
    image: Arc<(Vec<u8>, u32)>,
}

/// Boards that run until this is dropped with the runtime.
#[derive(Clone)]
pub(crate) struct Boards {
    pub(crate) log: Arc<Mutex<Log>>,
    pub(crate) tftp_ports: Vec<u16>,
    pub(crate) http_ports: Vec<u16>,
}

impl Boards {
    /// Starts them on the current thread, inside a `LocalSet`.
    pub(crate) async fn start(options: &Options) -> std::io::Result<Self> {
        let log = Arc::new(Mutex::new(Log {
            boards: vec![Told::default(); options.kinds.len()],
            ..Log::default()
        }));
        let mut boards = Self {
            log: log.clone(),
            tftp_ports: Vec::new(),
            http_ports: Vec::new(),
        };
        for (index, kind) in options.kinds.iter().enumerate() {
            let board = Rc::new(Board::new(index, *kind, options.erase, log.clone()));
            let port = |first: u16| if first == 0 { 0 } else { first + index as u16 };
            let udp = (options.address, port(options.tftp_port));
            let socket = named(UdpSocket::bind(udp).await, "UDP", udp.1)?;
            boards.tftp_ports.push(socket.local_addr()?.port());
            tokio::task::spawn_local(tftp::serve(board.clone(), socket));
            if let Some(first) = options.http_port {
                let tcp = (options.address, port(first));
                let listener = named(TcpListener::bind(tcp).await, "TCP", tcp.1)?;
                boards.http_ports.push(listener.local_addr()?.port());
                tokio::task::spawn_local(http::serve(board, listener));
            }
        }
        Ok(boards)
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

/// Says which port it is that is taken.
fn named<T>(bound: std::io::Result<T>, protocol: &str, port: u16) -> std::io::Result<T> {
    bound.map_err(|error| std::io::Error::other(format!("{protocol} port {port}: {error}")))
}

/// One of them.
struct Board {
    index: usize,
    kind: Kind,
    erase: Duration,
    log: Arc<Mutex<Log>>,
    state: Mutex<State>,
}

struct State {
    reset_at: Instant,
    /// What it holds, as its status says it.
    application: Option<Value>,
    /// What its status says of the last update.
    update: Option<Value>,
    is_busy: bool,
    /// It has stopped, and answers nothing.
    is_gone: bool,
}

impl Board {
    fn new(index: usize, kind: Kind, erase: Duration, log: Arc<Mutex<Log>>) -> Self {
        Self {
            index,
            kind,
            erase,
            log,
            state: Mutex::new(State {
                reset_at: Instant::now(),
                application: None,
                update: None,
                is_busy: false,
                is_gone: false,
            }),
        }
    }

    /// Something was asked; false if it will not answer.
    fn hears(&self) -> bool {
        self.log.lock().unwrap().requests.push(self.index);
        self.kind != Kind::Silent && !self.state.lock().unwrap().is_gone
    }

    fn begin(&self) {
        let mut log = self.log.lock().unwrap();
        log.uploads += 1;
        log.uploads_at_once = log.uploads_at_once.max(log.uploads);
        log.boards[self.index].uploads += 1;
        self.state.lock().unwrap().is_busy = true;
    }

    fn end(&self, is_aborted: bool) {
        let mut log = self.log.lock().unwrap();
        log.uploads -= 1;
        log.boards[self.index].aborted += u32::from(is_aborted);
        self.state.lock().unwrap().is_busy = false;
    }

    fn stop(&self) {
        self.state.lock().unwrap().is_gone = true;
    }

    fn reset(&self) {
        let mut state = self.state.lock().unwrap();
        state.reset_at = Instant::now();
        state.update = None;
    }

    /// Holds an image; false if it is damaged.
    fn commit(&self, transport: &str, content: Vec<u8>) -> bool {
        let image = content.get(PREFIX_LEN..);
        let image = image.filter(|_| content.starts_with(&PREFIX_MAGIC));
        let is_partial = image.is_some();
        let header = ImageHeader::decode(image.unwrap_or(&content)).ok();
        let mut log = self.log.lock().unwrap();
        let start = header.as_ref().map_or(0, |_| HEADER_LEN);
        let (size, crc) = match &header {
            // Of what is left out it holds the right bytes.
            Some(header) if is_partial => (header.payload_size as usize, header.payload_crc32),
            _ => {
                if log.image.0 != content {
                    let crc = crc32(&content[start..]);
                    log.image = Arc::new((content.clone(), crc));
                }
                (content.len() - start, log.image.1)
            }
        };
        if (header.as_ref()).is_some_and(|header| header.payload_crc32 != crc) {
            return false;
        }
        log.boards[self.index].committed += 1;
        log.boards[self.index].bytes = content.len();
        drop(log);
        let version = header.as_ref().map(|header| header.version.to_string());
        let sectors = header.map(|header| header.sector_crc32[5..12].to_vec());
        let mut state = self.state.lock().unwrap();
        state.is_gone = self.kind == Kind::Vanishing;
        state.application = Some(json!({
            "version": version.unwrap_or("0.0.0".into()), "board": "any", "load_address": 0x0802_0000u32,
            "size": size, "crc32": crc, "sector_crc32": sectors.unwrap_or_default(),
        }));
        state.update = Some(json!({
            "transport": transport, "peer": "127.0.0.1", "received": content.len(), "total": content.len(),
            "sectors_written": 1, "sectors_skipped": 0, "sector": null,
        }));
        true
    }

    fn status(&self) -> String {
        let state = self.state.lock().unwrap();
        let phase = match (state.is_busy, &state.update) {
            (true, _) => "erasing",
            (false, Some(_)) => "committed",
            (false, None) => "idle",
        };
        let busy = json!({
            "transport": "tftp", "peer": "127.0.0.1", "received": 1, "total": 2, "sectors_written": 0, "sectors_skipped": 0,
            "sector": 5,
        });
        let update = if state.is_busy {
            Some(&busy)
        } else {
            state.update.as_ref()
        };
        json!({
            "status_version": 1, "board": "sim", "iap_version": "0.1.0", "policy": "open", "default_password": true,
            "phase": phase, "iap_reason": "no-application", "user_flash_first_page_address": 0x0802_0000u32,
            "user_flash_size": 917_504, "uptime_ms": state.reset_at.elapsed().as_millis() as u64 + 1,
            "security_counter": 0, "application": state.application, "update": update, "last_error": null,
            "flash_erases": 0, "flash_words": 0,
        })
        .to_string()
    }
}
