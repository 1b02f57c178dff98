//! The HTTP server and a client that sends anything, in pieces of any size.

use iap_core::config::Config;
use iap_core::http::{Connection, Context, Fixed, Server};
use iap_core::intake::Intake;
use iap_core::status::{Application, Report};
use iap_protocol::status::{IapReason, Phase, View};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::Ipv4Address;

use super::board::{Upload, config};
use super::script::Script;

/// Head lines that are worth having without having to guess them.
const WORDS: [&[u8]; 8] = [
    b"POST /upload.cgi HTTP/1.1\r\nHost: b\r\n",
    b"Authorization: Basic dXNlcjpzdG0zMg==\r\n",
    b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 200\r\n\r\n--b\r\n",
    b"Content-Disposition: form-data; name=\"datafile\"; filename=\"a\"\r\n\r\n",
    b"\r\n--b--\r\n",
    b"GET /status.json HTTP/1.1\r\nHost: b\r\nAccept: application/json\r\n\r\n",
    b"POST /checklogin.cgi HTTP/1.1\r\nHost: b\r\nContent-Length: 28\r\n\r\nusername=user&password=stm32",
    b"Content-Length: 40\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
];

/// Whatever comes, in whatever pieces: what is sent begins with a status line, the connection comes to rest, and an upload whose
/// connection is lost does not hold the board.
pub fn http_server(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let mut bench = Bench {
        config: config(),
        upload: Upload::new(),
        server: Server::new(),
        connection: Connection::new(),
        now: Instant::from_secs(1000),
        random: 1,
        unread: Vec::new(),
        sent: Vec::new(),
    };
    bench.open(1);
    while !script.is_over() {
        bench.act(&mut script);
    }
    bench.end();
}

fn view(config: &Config) -> View<'_> {
    View {
        board: config.board,
        iap_version: "0.1.0",
        policy: config.policy,
        default_password: true,
        phase: Phase::Idle,
        iap_reason: IapReason::NoApplication,
        user_flash: config.map.application,
        uptime_ms: 1,
        security_counter: 0,
        application: None,
        update: None,
        last_error: None,
        flash_erases: 0,
        flash_words: 0,
    }
}

struct Bench {
    config: Config,
    upload: Upload,
    server: Server,
    connection: Connection,
    now: Instant,
    random: u32,
    /// Received and not taken yet, as in the socket.
    unread: Vec<u8>,
    sent: Vec<u8>,
}

impl Bench {
    fn open(&mut self, host: u8) {
        self.unread.clear();
        self.sent.clear();
        self.connection
            .open(self.now, Ipv4Address::new(192, 168, 0, host));
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        match action & 0x0F {
            0 => self.now += Duration::from_millis(u64::from(script.byte()) * 40),
            1 => self.upload.step(action & 0x10 == 0),
            2 => self.upload.room = usize::from(script.byte()),
            3 => self.upload.room = usize::MAX,
            4 => self.upload.refuses = action & 0x10 != 0,
            5 => {
                self.lose();
                // More machines than wrong passwords are remembered of.
                self.open(action >> 4);
            }
            6 => self.with(|connection, _, context| connection.peer_closed(context)),
            7..=9 => {
                let word = WORDS[usize::from(action >> 4) % WORDS.len()];
                self.unread.extend_from_slice(word);
            }
            _ => self.unread.extend_from_slice(script.piece()),
        }
        self.pump();
    }

    fn with<T>(
        &mut self,
        call: impl FnOnce(&mut Connection, &mut Server, &mut Context<'_>) -> T,
    ) -> T {
        let config = &self.config;
        let random = &mut self.random;
        let mut context = Context {
            now: self.now,
            config,
            intake: &mut Fixed {
                intake: &mut self.upload,
                view: &view(config),
            },
            report: Report {
                config,
                application: Application::None,
                iap_reason: IapReason::KeyHeld,
                uptime_ms: 0,
            },
            address: Ipv4Address::new(192, 168, 0, 10),
            random: &mut || {
                *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *random
            },
        };
        call(&mut self.connection, &mut self.server, &mut context)
    }

    /// What the network loop does while anything gets on.
    fn pump(&mut self) {
        for _ in 0..1000 {
            let unread = core::mem::take(&mut self.unread);
            let used = self.with(|connection, server, context| {
                let used = connection.receive(&unread, server, context);
                connection.poll(server, context);
                used
            });
            self.unread = unread[used..].to_vec();
            let mut out = [0; 300];
            let len = self.connection.transmit(self.now, &mut out);
            self.sent.extend_from_slice(&out[..len]);
            if used == 0 && len == 0 {
                let start = &self.sent[..self.sent.len().min(9)];
                assert!(start.is_empty() || start == b"HTTP/1.1 ", "no status line");
                return;
            }
        }
        panic!("the connection never comes to rest");
    }

    fn lose(&mut self) {
        self.with(|connection, _, context| connection.lost(context));
        assert!(
            self.upload.finished || !self.upload.is_busy(),
            "holds the board"
        );
        assert!(self.connection.wants_close());
    }

    /// The client is silent: either the connection ends by itself, or it waits for the update, which ends.
    fn end(&mut self) {
        self.upload.room = usize::MAX;
        for _ in 0..200 {
            self.upload.step(true);
            self.pump();
            // Without a time of its own it waits for the next step of the update.
            let poll_at = self.connection.poll_at();
            self.now = poll_at.map_or(self.now, |at| self.now.max(at));
        }
        assert!(self.connection.wants_close(), "held by a silent client");
        assert!(!self.upload.is_busy(), "the board is not free");
    }
}
