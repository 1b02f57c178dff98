//! The server from outside: bytes in, bytes out, over an intake that only keeps what it is given.

extern crate std;

mod broken;
pub(crate) mod hostile;
mod login;
mod pages;
mod replay;
mod requests;
mod uploads;

use std::format;
use std::string::{String, ToString};
use std::sync::LazyLock;
use std::vec::Vec;

use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::{HeaderBytes, ImageHeader};
use iap_protocol::http::DEFAULT_PASSWORD;
use iap_protocol::memory::{FlashMap, MAX_RAM_REGIONS, MemoryMap, Region, SectorSet};
use iap_protocol::status::{ApplicationView, IapReason, MAX_LEN, Phase, Policy, View};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

use super::{Connection, Context, Fixed, Server};
use crate::config::{Config, NetworkConfig};
use crate::intake::{Intake, Outcome, Source, Ticket};
use crate::status::{Application, Report};

pub(super) const BASIC: &str = "Authorization: Basic dXNlcjpzdG0zMg==\r\n";
/// Of the application that the next reset starts.
static HEADER: LazyLock<HeaderBytes> = LazyLock::new(|| header("1.2.3", 3464));
const CLIENT: Ipv4Address = Ipv4Address::new(192, 168, 0, 1);

/// An intake that takes `ring` bytes at a time and frees `drained` of them per step.
pub(super) struct FakeIntake {
    pub(super) ring: usize,
    pub(super) drained: usize,
    in_ring: usize,
    pub(super) bytes: Vec<u8>,
    /// What `begin` was told, for each upload.
    pub(super) begun: Vec<Option<u32>>,
    /// The last that `bound` was told.
    pub(super) at_most: Option<u32>,
    pub(super) outcome: Outcome,
    pub(super) finished: bool,
    /// Steps from `finish` to the verdict.
    pub(super) verdict_steps: u32,
    pub(super) aborts: Vec<Refusal>,
    /// Fails `accept` once this many bytes have come.
    pub(super) fails_at: Option<usize>,
    pub(super) held_by_other: bool,
}

impl Default for FakeIntake {
    fn default() -> Self {
        Self {
            ring: 1 << 20,
            drained: 1 << 20,
            in_ring: 0,
            bytes: Vec::new(),
            begun: Vec::new(),
            at_most: None,
            outcome: Outcome::Committed,
            finished: false,
            verdict_steps: 0,
            aborts: Vec::new(),
            fails_at: None,
            held_by_other: false,
        }
    }
}

impl FakeIntake {
    fn step(&mut self) {
        self.in_ring = self.in_ring.saturating_sub(self.drained);
        if self.finished && self.outcome == Outcome::Running {
            match self.verdict_steps {
                0 => self.outcome = Outcome::Committed,
                _ => self.verdict_steps -= 1,
            }
        }
    }

    fn ticket(&self) -> Ticket {
        Ticket(self.begun.len() as u32)
    }
}

impl Intake for FakeIntake {
    fn begin(
        &mut self,
        _: Instant,
        _: Source,
        declared: Option<u32>,
        why: &mut Refusal,
    ) -> Result<Ticket, Refused> {
        if self.is_busy() {
            return Err(why.refuse_with(ErrorCode::Busy, b"tftp from 192.168.0.9", &[]));
        }
        self.begun.push(declared);
        self.bytes.clear();
        (self.in_ring, self.finished, self.outcome) = (0, false, Outcome::Running);
        Ok(self.ticket())
    }

    fn bound(&mut self, ticket: Ticket, at_most: u32) {
        assert_eq!(ticket, self.ticket());
        self.at_most = Some(at_most);
    }

    fn room(&self) -> usize {
        self.ring.saturating_sub(self.in_ring)
    }

    fn accept(&mut self, ticket: Ticket, bytes: &[u8], why: &mut Refusal) -> Result<(), Refused> {
        assert_eq!(ticket, self.ticket());
        assert_eq!(self.outcome, Outcome::Running);
        assert!(!self.finished && !bytes.is_empty() && bytes.len() <= self.room());
        self.bytes.extend_from_slice(bytes);
        self.in_ring += bytes.len();
        if self.fails_at.is_some_and(|limit| self.bytes.len() >= limit) {
            let refused = why.refuse_with(ErrorCode::WrongBoard, b"expected sim", &[]);
            self.outcome = Outcome::Failed(why.clone());
            return Err(refused);
        }
        Ok(())
    }

    fn finish(&mut self, ticket: Ticket, _: &mut Refusal) -> Result<(), Refused> {
        assert_eq!(ticket, self.ticket());
        assert!(!self.finished);
        self.finished = true;
        if self.verdict_steps == 0 {
            self.outcome = Outcome::Committed;
        }
        Ok(())
    }

    fn abort(&mut self, ticket: Ticket, reason: &Refusal) {
        assert_eq!(ticket, self.ticket());
        assert_eq!(self.outcome, Outcome::Running);
        self.outcome = Outcome::Failed(reason.clone());
        self.aborts.push(reason.clone());
    }

    fn outcome(&self, ticket: Ticket) -> &Outcome {
        assert_eq!(ticket, self.ticket());
        &self.outcome
    }

    fn is_busy(&self) -> bool {
        self.held_by_other || self.outcome == Outcome::Running
    }
}

fn config() -> Config {
    let flash = FlashMap::new(
        0x0800_0000,
        &[0x4000, 0x4000, 0x4000, 0x4000, 0x10000, 0x20000],
    );
    let mut iap_sectors = SectorSet::EMPTY;
    for index in [0, 3, 4] {
        iap_sectors.insert(index);
    }
    let mut ram = [Region::new(0, 0); MAX_RAM_REGIONS];
    ram[0] = Region::new(0x2000_0000, 0x20000);
    Config {
        board: "sim",
        map: MemoryMap {
            flash: flash.unwrap(),
            iap_sectors,
            record_sectors: [1, 2],
            application: Region::new(0x0802_0000, 0x20000),
            data_sectors: SectorSet::EMPTY,
            ram,
            vector_count: 98,
        },
        policy: Policy::Open,
        bare_rule: false,
        public_keys: &[],
        security_counter: 0,
        boot_signature: false,
        user: "user",
        password: "stm32",
        network: NetworkConfig {
            use_dhcp: false,
            dhcp_fallback_s: 30,
            address: Ipv4Cidr::new(Ipv4Address::new(192, 168, 0, 10), 24),
            gateway: None,
            host_name: "sim",
        },
        auto_start_s: 0,
        iap_idle_s: 0,
        power_on_window_s: 0,
    }
}

pub(super) fn header(version: &str, payload_size: u32) -> HeaderBytes {
    HeaderBytes::from(&ImageHeader {
        version: version.parse().unwrap(),
        load_address: 0x0802_0000,
        payload_size,
        payload_crc32: 0x12AB_34CD,
        ..ImageHeader::default()
    })
}

pub(super) fn application(header: &HeaderBytes) -> ApplicationView<'_> {
    ApplicationView {
        version: header.version(),
        board: header.board(),
        region: header.payload_region(),
        crc32: header.payload_crc32(),
        sectors: Some((header, (5..12).collect())),
    }
}

/// What a board knows of itself.
pub(super) fn view(config: &Config) -> View<'_> {
    View {
        board: config.board,
        iap_version: "0.1.0",
        policy: config.policy,
        default_password: config.password == DEFAULT_PASSWORD,
        phase: Phase::Idle,
        iap_reason: IapReason::KeyHeld,
        user_flash: config.map.application,
        uptime_ms: 3_723_999,
        security_counter: 0,
        application: Some(application(&HEADER)),
        update: None,
        last_error: None,
        flash_erases: 0,
        flash_words: 0,
    }
}

/// Of no account where the view is given.
pub(super) fn report(config: &Config) -> Report<'_> {
    Report {
        config,
        application: Application::None,
        iap_reason: IapReason::KeyHeld,
        uptime_ms: 0,
    }
}

pub(super) fn status_json(config: &Config) -> Vec<u8> {
    let mut json = [0; MAX_LEN];
    let len = view(config).write(&mut json).unwrap();
    json[..len].to_vec()
}

/// A board with one connection at a time.
pub(super) struct Board {
    pub(super) config: Config,
    pub(super) intake: FakeIntake,
    pub(super) server: Server,
    pub(super) connection: Connection,
    pub(super) now: Instant,
    random: u32,
    /// Received and not taken yet, as in the socket.
    pub(super) unread: Vec<u8>,
    pub(super) sent: Vec<u8>,
}

impl Board {
    pub(super) fn new() -> Self {
        let mut board = Self {
            config: config(),
            intake: FakeIntake::default(),
            server: Server::new(),
            connection: Connection::new(),
            now: Instant::from_secs(1000),
            random: 1,
            unread: Vec::new(),
            sent: Vec::new(),
        };
        board.open();
        board
    }

    /// A new connection instead of the old one.
    pub(super) fn open(&mut self) {
        self.open_from(CLIENT);
    }

    pub(super) fn open_from(&mut self, peer: Ipv4Address) {
        self.connection = Connection::new();
        self.connection.open(self.now, peer);
        self.unread.clear();
        self.sent.clear();
    }

    pub(super) fn with<T>(
        &mut self,
        call: impl FnOnce(&mut Connection, &mut Server, &mut Context<'_>) -> T,
    ) -> T {
        let known = view(&self.config);
        let seed = &mut self.random;
        let mut random = || {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *seed
        };
        let mut context = Context {
            now: self.now,
            config: &self.config,
            intake: &mut Fixed {
                intake: &mut self.intake,
                view: &known,
            },
            report: report(&self.config),
            address: Ipv4Address::new(192, 168, 0, 10),
            random: &mut random,
        };
        call(&mut self.connection, &mut self.server, &mut context)
    }

    /// What the network loop does while anything gets on.
    pub(super) fn pump(&mut self) {
        for _ in 0..100_000 {
            let unread = core::mem::take(&mut self.unread);
            let used = self
                .with(|connection, server, context| connection.receive(&unread, server, context));
            self.unread = unread[used..].to_vec();
            self.with(|connection, server, context| connection.poll(server, context));
            let mut out = [0; 100];
            let len = self.connection.transmit(self.now, &mut out);
            self.sent.extend_from_slice(&out[..len]);
            self.intake.step();
            if used == 0 && len == 0 {
                return;
            }
        }
        panic!("the connection never comes to rest");
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        self.pump();
    }

    /// Lets time pass in steps of at most 100 ms.
    pub(super) fn wait_ms(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            self.now = end.min(self.now + Duration::from_millis(100));
            self.pump();
        }
    }

    /// Sends a request and waits until it is answered or the connection has closed, at most a minute.
    pub(super) fn exchange(&mut self, request: &[u8]) -> Option<Response> {
        self.sent.clear();
        self.send(request);
        for _ in 0..600 {
            let done = self.connection.wants_close() || self.connection.is_idle();
            if let (Some(response), true) = (Response::parse(&self.sent), done) {
                return Some(response);
            }
            if self.connection.wants_close() {
                return None;
            }
            self.wait_ms(100);
        }
        panic!(
            "neither answered nor closed: {}",
            String::from_utf8_lossy(request)
        );
    }

    /// The same on a new connection.
    pub(super) fn request(&mut self, request: &str) -> Response {
        self.open();
        self.exchange(request.as_bytes())
            .unwrap_or_else(|| panic!("no answer to {request}"))
    }

    /// Logs in with the form; the Cookie field of the session.
    pub(super) fn log_in(&mut self) -> String {
        let response = self.request(&login("username=user&password=stm32"));
        let cookie = response.header("set-cookie").unwrap();
        format!("Cookie: {}\r\n", cookie.split(';').next().unwrap())
    }
}

/// An answer taken apart.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// Bytes behind the body.
    pub(super) rest: Vec<u8>,
}

impl Response {
    /// The first final answer in `bytes`, if it is complete.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().unwrap();
        if status == 100 {
            return Self::parse(&bytes[end..]);
        }
        let mut response = Self {
            status,
            head,
            body: Vec::new(),
            rest: Vec::new(),
        };
        let len: usize = response.header("content-length").unwrap().parse().unwrap();
        response.body = bytes.get(end..end + len)?.to_vec();
        response.rest = bytes[end + len..].to_vec();
        Some(response)
    }

    pub(super) fn header(&self, name: &str) -> Option<String> {
        let mut fields = self.head.lines().skip(1).filter_map(|l| l.split_once(':'));
        fields
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_string())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn code(&self) -> Option<ErrorCode> {
        let number = self.header("x-iap-code")?.parse().unwrap();
        Some(ErrorCode::from_number(number).unwrap())
    }
}

/// A POST of the login form.
pub(super) fn login(form: &str) -> String {
    format!(
        "POST /checklogin.cgi HTTP/1.1\r\nHost: b\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

/// A POST of a form with further header `fields`.
pub(super) fn form_post(fields: &str, boundary: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /upload.cgi HTTP/1.1\r\nHost: b\r\n{fields}Content-Type: multipart/form-data; boundary={boundary}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A form of one file, as browsers and curl write it.
pub(super) fn file_form(boundary: &str, file: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"app.bin\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

/// Bytes in which every value occurs.
pub(super) fn image(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
}
