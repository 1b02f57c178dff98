//! A small HTTP server that takes the login and the upload of iapctl and curl, and says what it got. Like the servers on boards it
//! never answers `Expect: 100-continue`: who asks for it waits in vain.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use iap_protocol::http::{COOKIE, PATH_LOGIN, PATH_UPLOAD};

/// No client is silent for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the last upload was like.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Upload {
    /// Every byte of the file was in it.
    pub(super) exact: bool,
    pub(super) expected_continue: bool,
}

pub(super) struct Server {
    pub(super) port: u16,
    last: Arc<Mutex<Upload>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Expects `content` in each upload.
    pub(super) fn start(content: &[u8]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let (last, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let service = Service {
            content: content.to_vec(),
            last: Arc::clone(&last),
        };
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // A client that fails shows in its own result.
                let _ = service.serve(&client);
            }
        });
        Ok(Self {
            port,
            last,
            stop,
            thread,
        })
    }

    /// Takes what is known of the last upload.
    pub(super) fn last_upload(&self) -> Upload {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut last)
    }

    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it; if that fails it is gone.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = self.thread.join();
    }
}

struct Service {
    content: Vec<u8>,
    last: Arc<Mutex<Upload>>,
}

/// What of a request's head matters.
#[derive(Default)]
struct Head {
    path: String,
    length: usize,
    expected_continue: bool,
}

impl Service {
    fn serve(&self, mut client: &TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(client);
        let head = Head::read(&mut reader)?;
        let mut body = vec![0; head.length];
        reader.read_exact(&mut body)?;
        let mut cookie = String::new();
        match head.path.as_str() {
            PATH_UPLOAD => self.note(&head, &body),
            PATH_LOGIN => cookie = format!("Set-Cookie: {COOKIE}=0123456789abcdef; Path=/\r\n"),
            _ => {}
        }
        let answer = r#"{"code":0,"text":"ok"}"#;
        let length = answer.len();
        write!(
            client,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{cookie}Connection: close\r\n\r\n{answer}"
        )
    }

    /// The file may be wrapped in a form: a piece before it and one after it.
    fn note(&self, head: &Head, body: &[u8]) {
        let wrapped = body.len().saturating_sub(self.content.len());
        let exact = (0..=wrapped).any(|at| {
            body.get(at..)
                .is_some_and(|rest| rest.starts_with(&self.content))
        });
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Upload {
            exact,
            expected_continue: head.expected_continue,
        };
    }
}

impl Head {
    fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut head = Self::default();
        let mut line = String::new();
        for number in 0..100 {
            line.clear();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                return Ok(head);
            }
            let lower = line.to_ascii_lowercase();
            if number == 0 {
                head.path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            } else if let Some(length) = lower.strip_prefix("content-length:") {
                head.length = length.trim().parse().unwrap_or(0);
            } else if lower.starts_with("expect:") {
                head.expected_continue = true;
            }
        }
        Err(io::Error::other("too many headers"))
    }
}
