//! A board with both servers, as simple as it can be: it keeps what it is sent, reports it, and fails where a test wants it to.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use iap_protocol::ErrorCode;
use iap_protocol::crc::crc32;
use iap_protocol::header::{HEADER_LEN, ImageHeader, PREFIX_LEN, PREFIX_MAGIC};
use iap_protocol::tftp::{Options, Packet};
use serde_json::{Value, json};

use crate::request::{read_body, read_head};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Nothing,
    /// Refuses with this sentence after the first bytes.
    Refuses(&'static str),
    /// Does not take transfers that leave out sectors; keeps them all the same.
    WantsAll,
    /// Reports another CRC than it was sent.
    HoldsOtherBytes,
    /// Commits, and is gone before it says so.
    LosesLastAnswer,
    /// Takes everything, and is never heard of again (TFTP).
    Leaves,
    /// Commits, and its last acknowledgement never arrives (TFTP).
    KeepsLastAnswer,
    /// Takes the first bytes, then breaks the connection.
    BreaksOff,
    /// Takes the first bytes, then says nothing more.
    Stalls,
    /// No transfer arrives, or nothing of one over HTTP but its connection; the status does.
    HearsNoTransfer,
    /// Takes the request to reset, and goes on.
    TakesResetOnly,
    /// The same, and the next question gets lost.
    TakesResetAndMissesAQuestion,
    /// The same, and has no time for questions any more.
    TakesResetAndIsBusy,
    /// The same, and its clock stands still: something on the way answers.
    AnswersFromACache,
    /// Takes the request to reset, and is never heard of again.
    LeavesAtReset,
    /// Resets, and its answers take a second from then on.
    AnswersLate,
    /// Takes the request to reset; its application has an HTTP server, too.
    StartsAnotherServer,
}

/// What the board was asked and told.
pub(crate) struct State {
    pub(crate) status: Value,
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) resets: u32,
    pub(crate) errors: Vec<u16>,
    /// Last blocks that came again.
    pub(crate) repetitions: u32,
    pub(crate) fault: Fault,
    /// Questions that were not answered as a board does after it took a request to reset.
    pub(crate) missed: u32,
    took_reset: bool,
    started_at: Instant,
}

/// What comes instead of the status after a request to reset.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instead {
    Nothing,
    Busy,
    Page,
    Late,
}

impl State {
    fn status(&self) -> String {
        let mut status = self.status.clone();
        let uptime_ms = status["uptime_ms"].as_u64().unwrap();
        let elapsed = match self.fault {
            Fault::AnswersFromACache => 0,
            _ => self.started_at.elapsed().as_millis() as u64,
        };
        status["uptime_ms"] = json!(uptime_ms + elapsed);
        status.to_string()
    }

    fn fails(&mut self) {
        self.status["phase"] = json!("failed");
    }

    fn reset(&mut self) {
        self.took_reset = true;
        let takes_it_only = matches!(
            self.fault,
            Fault::TakesResetOnly
                | Fault::TakesResetAndMissesAQuestion
                | Fault::TakesResetAndIsBusy
                | Fault::AnswersFromACache
                | Fault::LeavesAtReset
                | Fault::StartsAnotherServer
        );
        if takes_it_only {
            return;
        }
        self.resets += 1;
        self.started_at = Instant::now();
        self.status["uptime_ms"] = json!(1);
        self.status["update"] = Value::Null;
    }

    /// Nobody has asked for a reset yet.
    pub(crate) fn runs_its_application(&mut self) {
        self.took_reset = true;
    }

    /// Back from where it was, with an application or without.
    pub(crate) fn runs_iap_mode(&mut self) {
        self.took_reset = false;
    }

    /// What a question is answered with, if not with the status.
    fn instead(&mut self) -> Option<Instead> {
        let instead = match self.fault {
            _ if !self.took_reset => None,
            Fault::TakesResetAndMissesAQuestion if self.missed == 0 => Some(Instead::Nothing),
            Fault::TakesResetAndIsBusy => Some(Instead::Busy),
            Fault::LeavesAtReset => Some(Instead::Nothing),
            Fault::AnswersLate => Some(Instead::Late),
            Fault::StartsAnotherServer => Some(Instead::Page),
            _ => None,
        };
        self.missed += u32::from(instead.is_some());
        instead
    }
}

#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) tftp_port: u16,
    pub(crate) http_port: u16,
}

impl Stub {
    pub(crate) fn start(fault: Fault) -> Self {
        Self::start_at(0, fault)
    }

    pub(crate) fn start_at(tftp_port: u16, fault: Fault) -> Self {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, tftp_port)).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stub = Self {
            state: Arc::new(Mutex::new(State {
                status: empty_status(),
                files: Vec::new(),
                resets: 0,
                errors: Vec::new(),
                repetitions: 0,
                fault,
                missed: 0,
                took_reset: false,
                started_at: Instant::now(),
            })),
            tftp_port: udp.local_addr().unwrap().port(),
            http_port: tcp.local_addr().unwrap().port(),
        };
        let (over_udp, over_tcp) = (stub.clone(), stub.clone());
        std::thread::spawn(move || over_udp.serve_tftp(&udp));
        std::thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let stub = over_tcp.clone();
                std::thread::spawn(move || stub.serve_http(stream));
            }
        });
        stub
    }

    pub(crate) fn tftp(&self) -> String {
        format!("--tftp=127.0.0.1:{}", self.tftp_port)
    }

    pub(crate) fn http(&self) -> String {
        format!("--http=127.0.0.1:{}", self.http_port)
    }

    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.state.lock().unwrap().files.clone()
    }

    fn instead(&self) -> Option<Instead> {
        self.state.lock().unwrap().instead()
    }

    fn fault(&self) -> Fault {
        self.state.lock().unwrap().fault
    }

    /// Keeps a file, and changes the status as a board would.
    fn take(&self, transport: &str, name: &str, content: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.files.push((name.to_owned(), content.to_vec()));
        if name == "iap-reset" {
            assert_eq!(content, b"reset");
            return state.reset();
        }
        let image = content.get(PREFIX_LEN..).filter(|_| is_partial(content));
        let (header, size, crc) = match ImageHeader::decode(image.unwrap_or(content)) {
            Ok(header) => {
                let (size, crc) = (header.payload_size, header.payload_crc32);
                assert!(image.is_some() || crc == crc32(&content[HEADER_LEN..]));
                (Some(header), size, crc)
            }
            Err(_) => (None, content.len() as u32, crc32(content)),
        };
        let flip = u32::from(state.fault == Fault::HoldsOtherBytes);
        let sectors = header
            .as_ref()
            .map(|header| header.sector_crc32[5..12].to_vec());
        state.status["phase"] = json!("committed");
        state.status["application"] = json!({
            "version": header.map_or("0.0.0".to_owned(), |header| header.version.to_string()),
            "board": "any", "load_address": 0x0802_0000u32, "size": size, "crc32": crc ^ flip,
            "sector_crc32": sectors.unwrap_or_default(),
        });
        state.status["update"] = json!({
            "transport": transport, "peer": "127.0.0.1", "received": content.len(), "total": content.len(),
            "sectors_written": 1, "sectors_skipped": 2, "sector": null,
        });
    }

    fn serve_tftp(&self, socket: &UdpSocket) {
        let mut buffer = [0; 2048];
        while let Ok((len, peer)) = socket.recv_from(&mut buffer) {
            let session = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            session.connect(peer).unwrap();
            session
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            match Packet::decode(&buffer[..len]).unwrap() {
                Packet::ReadRequest(_) => match self.instead() {
                    None => self.send_status(&session),
                    Some(Instead::Busy) => {
                        let message = ErrorCode::Busy.sentence().as_bytes();
                        send(&session, &Packet::Error { code: 2, message });
                    }
                    Some(_) => {}
                },
                Packet::WriteRequest(_) if self.fault() == Fault::HearsNoTransfer => {}
                Packet::WriteRequest(request) => {
                    let name = str::from_utf8(request.file_name).unwrap();
                    self.receive(&session, name, &request.options);
                    if self.fault() == Fault::Leaves {
                        return;
                    }
                }
                other => panic!("{other:?} at the well-known port"),
            }
        }
    }

    fn send_status(&self, session: &UdpSocket) {
        let text = self.state.lock().unwrap().status();
        let text = if text.len().is_multiple_of(512) {
            text + " "
        } else {
            text
        };
        for (block, payload) in (1u16..).zip(text.as_bytes().chunks(512)) {
            send(session, &Packet::Data { block, payload });
            assert_eq!(receive(session)[2..], block.to_be_bytes());
        }
    }

    fn receive(&self, session: &UdpSocket, name: &str, asked: &Options) {
        send(
            session,
            &Packet::OptionAck(Options {
                window_size: Some(1),
                ..*asked
            }),
        );
        let block_size = usize::from(asked.block_size.unwrap());
        let mut content = Vec::new();
        for number in 1u16.. {
            let datagram = receive(session);
            let payload = match Packet::decode(&datagram).unwrap() {
                Packet::Data { block, payload } => {
                    assert_eq!(block, number);
                    payload
                }
                Packet::Error { code, .. } => return self.state.lock().unwrap().errors.push(code),
                other => panic!("{other:?} within a transfer"),
            };
            content.extend_from_slice(payload);
            let last = payload.len() < block_size;
            match self.fault() {
                Fault::Refuses(text) if name != "iap-reset" => {
                    self.state.lock().unwrap().fails();
                    return send(
                        session,
                        &Packet::Error {
                            code: 2,
                            message: text.as_bytes(),
                        },
                    );
                }
                Fault::WantsAll if is_partial(&content) => {
                    let files = &mut self.state.lock().unwrap().files;
                    files.push((name.to_owned(), content.clone()));
                    let message = ErrorCode::PartialTransfer.sentence().as_bytes();
                    return send(session, &Packet::Error { code: 2, message });
                }
                Fault::BreaksOff => return,
                Fault::Stalls => return self.wait_for_error(session),
                _ if last => self.take("tftp", name, &content),
                _ => {}
            }
            if last && matches!(self.fault(), Fault::LosesLastAnswer | Fault::Leaves) {
                return;
            }
            if last && self.fault() == Fault::KeepsLastAnswer {
                let (stub, session) = (self.clone(), session.try_clone().unwrap());
                std::thread::spawn(move || stub.count_repetitions(&session));
                return;
            }
            send(session, &Packet::Ack { block: number });
            if last {
                return;
            }
        }
    }

    /// Hears the last block again and again, and says nothing.
    fn count_repetitions(&self, session: &UdpSocket) {
        let mut buffer = [0; 2048];
        while session.recv(&mut buffer).is_ok() {
            self.state.lock().unwrap().repetitions += 1;
        }
    }

    fn wait_for_error(&self, session: &UdpSocket) {
        for _ in 0..1000 {
            if let Packet::Error { code, .. } = Packet::decode(&receive(session)).unwrap() {
                return self.state.lock().unwrap().errors.push(code);
            }
        }
    }

    fn serve_http(&self, mut stream: TcpStream) {
        let head = read_head(&mut stream);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let answer = |code: u16, text: &str| json!({"code": code, "text": text}).to_string();
        let (status, cookie, body) = match path {
            "/status.json" => match self.instead() {
                None => (200, "", self.state.lock().unwrap().status()),
                Some(Instead::Busy) => (503, "", answer(30, ErrorCode::Busy.sentence())),
                Some(Instead::Late) => {
                    std::thread::sleep(Duration::from_secs(1));
                    (200, "", self.state.lock().unwrap().status())
                }
                Some(Instead::Page) => (404, "", "<h1>Pump 7</h1>".to_owned()),
                Some(Instead::Nothing) => return,
            },
            "/checklogin.cgi" => match read_body(&head, &mut stream).as_slice() {
                b"username=user&password=secret" => (
                    200,
                    "Set-Cookie: iap-session=77\r\n",
                    answer(0, "logged in"),
                ),
                _ => (401, "", answer(51, "wrong user or password")),
            },
            _ if !head.contains("Cookie: iap-session=77\r\n") => {
                (401, "", answer(50, "log in first"))
            }
            "/upload.cgi" => match (self.fault(), read_body(&head, &mut stream)) {
                (Fault::Refuses(text), _) => {
                    self.state.lock().unwrap().fails();
                    (422, "", answer(9, text))
                }
                (Fault::WantsAll, content) if is_partial(&content) => {
                    let files = &mut self.state.lock().unwrap().files;
                    files.push(("upload".to_owned(), content));
                    (422, "", answer(24, ErrorCode::PartialTransfer.sentence()))
                }
                (Fault::BreaksOff | Fault::HearsNoTransfer, _) => return,
                (fault, content) => {
                    self.take("http", "upload", &content);
                    if fault == Fault::LosesLastAnswer {
                        return;
                    }
                    (200, "", answer(0, "committed"))
                }
            },
            "/resetmcu.cgi" => {
                self.state.lock().unwrap().reset();
                (200, "", answer(0, "resetting"))
            }
            _ => (200, "", answer(0, "ok")),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\n{cookie}Connection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        let written = stream.write_all((head + &body).as_bytes());
        let is_heard = self.fault() != Fault::AnswersLate;
        assert!(written.is_ok() || !is_heard, "{written:?}");
    }
}

fn is_partial(content: &[u8]) -> bool {
    content.starts_with(&PREFIX_MAGIC)
}

pub(crate) fn empty_status() -> Value {
    json!({
        "status_version": 1, "board": "sim", "iap_version": "0.1.0", "policy": "open", "default_password": true,
        "phase": "idle", "iap_reason": "no-application", "user_flash_first_page_address": 0x0802_0000u32,
        "user_flash_size": 917_504, "uptime_ms": 123_456, "security_counter": 0, "application": null, "update": null,
        "last_error": null, "flash_erases": 0, "flash_words": 0,
    })
}

fn send(session: &UdpSocket, packet: &Packet<'_>) {
    let mut bytes = [0; 2048];
    let len = packet.encode(&mut bytes).unwrap();
    session.send(&bytes[..len]).unwrap();
}

fn receive(session: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 2048];
    let len = session.recv(&mut bytes).unwrap();
    bytes[..len].to_vec()
}

/// A port that nothing listens on.
pub(crate) fn closed_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    match socket.local_addr().unwrap() {
        SocketAddr::V4(address) => address.port(),
        SocketAddr::V6(_) => unreachable!("bound to IPv4"),
    }
}
