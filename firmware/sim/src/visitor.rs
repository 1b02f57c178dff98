//! A host on the board's segment that pushes images in virtual time: for sweeps and tests in which thousands of pushes go through the
//! board's own servers, without host sockets and without waiting.
//!
//! It is patient and simple on purpose: it repeats itself until the board answers, tells what it was told, and never gives up; whoever
//! uses it counts the time. `iapctl` is tried elsewhere.

use iap_core::intake::Transport;
use iap_profile::Profile;
use iap_protocol::tftp::{self, MAX_BLOCK_SIZE, Mode, Options, Packet, Request};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::{tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::clock::Clock;
use crate::gateway::{GatewayOptions, Stack, dhcp};
use crate::settings;
use crate::wire::Port;

/// Blocks under way, unless the board grants fewer.
const WINDOW: u16 = 8;
/// A request without an answer is sent again after this, as is a window: longer than an erase lasts.
const REPEAT: Duration = Duration::from_secs(3);
/// A request comes again sooner: the board may still be booting.
const REPEAT_REQUEST: Duration = Duration::from_millis(500);
/// `user:stm32` (RFC 7617), and a form as browsers and curl write it.
const HEAD: &str = "POST /upload.cgi HTTP/1.1\r\nHost: board\r\nConnection: close\r\n\
    Authorization: Basic dXNlcjpzdG0zMg==\r\nContent-Type: multipart/form-data; boundary=xYzzY\r\n";
const FORM: &str =
    "--xYzzY\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"app.iap\"\r\n\r\n";
const FORM_END: &str = "\r\n--xYzzY--\r\n";

/// What the board has said to a push at last: done, or a sentence.
pub type Told = Result<(), String>;

/// The host.
pub struct Visitor {
    stack: Stack,
    dhcp: Option<dhcp::Server>,
    udp: SocketHandle,
    tcp: SocketHandle,
    /// Ephemeral ports are used once.
    last_port: u16,
    push: Push,
    told: Option<Told>,
}

/// The push under way.
enum Push {
    None,
    Tftp(Write),
    Http {
        request: Vec<u8>,
        sent: usize,
        answer: Vec<u8>,
    },
}

/// A TFTP write.
struct Write {
    file: Vec<u8>,
    declared: bool,
    /// The board's port, once it has answered.
    peer: Option<u16>,
    block_size: usize,
    window: usize,
    /// Whole blocks acknowledged, and sent.
    acked: usize,
    sent: usize,
    /// When to say it again.
    repeat_at: Instant,
}

impl Visitor {
    /// A host at the other end of the segment of a board of this profile; it hands out leases where the profile asks for them.
    pub fn new(port: Port, profile: &Profile, now: Instant) -> Self {
        let options = GatewayOptions {
            tftp_port: 0,
            http_port: 0,
            board: settings::static_address(profile),
            address: Some(profile.settings.network.gateway),
            dhcp: profile.settings.network.use_dhcp,
        };
        let mut stack = Stack::new(&options, port, now);
        let dhcp = options
            .dhcp
            .then(|| dhcp::Server::new(&mut stack, options.board));
        let packets =
            || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]);
        let bytes = || tcp::SocketBuffer::new(vec![0; 65_536]);
        let udp = stack.sockets.add(udp::Socket::new(packets(), packets()));
        let tcp = stack.sockets.add(tcp::Socket::new(bytes(), bytes()));
        Self {
            stack,
            dhcp,
            udp,
            tcp,
            last_port: 49_152,
            push: Push::None,
            told: None,
        }
    }

    /// Begins to push `file`, whatever was under way. `declared`: over TFTP with its size (a form never says it).
    pub fn push(&mut self, transport: Transport, file: &[u8], declared: bool, now: Instant) {
        self.told = None;
        self.last_port = self.last_port.wrapping_add(1).max(49_152);
        let sockets = &mut self.stack.sockets;
        sockets.get_mut::<tcp::Socket<'_>>(self.tcp).abort();
        let udp = sockets.get_mut::<udp::Socket<'_>>(self.udp);
        udp.close();
        self.push = match transport {
            Transport::Tftp => {
                // Fails for port 0 and for a socket that is open; this one is neither.
                let _ = udp.bind(self.last_port);
                Push::Tftp(Write {
                    file: file.to_vec(),
                    declared,
                    peer: None,
                    block_size: 512,
                    window: 1,
                    acked: 0,
                    sent: 0,
                    repeat_at: now,
                })
            }
            Transport::Http => Push::Http {
                request: form(file),
                sent: 0,
                answer: Vec::new(),
            },
        };
    }

    /// What the board has said to the push, once it has.
    pub fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// Does what is due.
    pub fn poll(&mut self, now: Instant) {
        for _ in 0..16 {
            let mut moved = self.stack.poll(now);
            if let Some(dhcp) = &mut self.dhcp {
                moved |= dhcp.poll(&mut self.stack);
            }
            // What is sent to an address that the board gives up would stay in front of everything else.
            let has_address = self.dhcp.as_ref().is_none_or(dhcp::Server::is_taken);
            if self.told.is_none() && has_address {
                moved |= self.advance(now);
            }
            if !moved {
                break;
            }
        }
        // What was said last leaves before anybody waits.
        self.stack.poll(now);
    }

    /// When [`Visitor::poll`] has something to do even if no frame comes.
    pub fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        let own = match &self.push {
            Push::Tftp(write) if self.told.is_none() => Some(write.repeat_at),
            _ => None,
        };
        let stack = &mut self.stack;
        let network = stack.interface.poll_at(now, &stack.sockets);
        [own, network, stack.port.next_arrival()]
            .into_iter()
            .flatten()
            .min()
    }

    /// [`board_is_needed`], with this visitor at the other end.
    pub fn board_is_needed(
        &mut self,
        clock: &mut Clock,
        board: &Port,
        poll_at: Option<Instant>,
        end: Instant,
    ) -> bool {
        let own = self.poll_at(clock.now());
        board_is_needed(clock, board, poll_at, own, end)
    }

    fn advance(&mut self, now: Instant) -> bool {
        let board = IpAddress::Ipv4(self.stack.board);
        match &mut self.push {
            Push::None => false,
            Push::Tftp(write) => {
                let socket = self.stack.sockets.get_mut(self.udp);
                let heard = write.hear(socket, now);
                self.told = write.told(&heard);
                self.told.is_none() && write.say(socket, board, now) || heard.is_some()
            }
            Push::Http {
                request,
                sent,
                answer,
            } => {
                let socket = self.stack.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
                if !socket.is_open() {
                    if !answer.is_empty() || *sent > 0 {
                        self.told = Some(Err("the connection ended without an answer".into()));
                        return false;
                    }
                    let to = IpEndpoint::new(board, 80);
                    return socket
                        .connect(self.stack.interface.context(), to, self.last_port)
                        .is_ok();
                }
                let moved = exchange(socket, request, sent, answer);
                self.told = verdict(answer);
                if self.told.is_some() {
                    socket.close();
                }
                moved
            }
        }
    }
}

/// Whether the board, whose end of the wire is `board`, is needed now. If not, lets time pass until anything is due, the client at `own`, at most to
/// `end`.
pub fn board_is_needed(
    clock: &mut Clock,
    board: &Port,
    poll_at: Option<Instant>,
    own: Option<Instant>,
    end: Instant,
) -> bool {
    let now = clock.now();
    if board.has_frame(now) || poll_at.is_some_and(|at| at <= now) {
        return true;
    }
    let own = own.map(|at| at.max(now + Duration::from_micros(1)));
    let next = [poll_at, own, board.next_arrival(), Some(end)];
    clock.wait_until(next.into_iter().flatten().min().unwrap_or(end));
    false
}

/// What a TFTP peer says of interest here.
enum Heard {
    Acked(u16),
    Granted(Options),
    Error(String),
}

impl Write {
    fn blocks(&self) -> usize {
        self.file.len() / self.block_size + 1
    }

    fn hear(&mut self, socket: &mut udp::Socket<'_>, now: Instant) -> Option<Heard> {
        let (bytes, from) = socket.recv().ok()?;
        self.peer = Some(from.endpoint.port);
        self.repeat_at = now + REPEAT;
        match Packet::decode(bytes).ok()? {
            Packet::Ack { block } => Some(Heard::Acked(block)),
            Packet::OptionAck(options) => Some(Heard::Granted(options)),
            Packet::Error { message, .. } => {
                Some(Heard::Error(String::from_utf8_lossy(message).into_owned()))
            }
            _ => None,
        }
    }

    fn told(&mut self, heard: &Option<Heard>) -> Option<Told> {
        match heard {
            Some(Heard::Error(message)) => return Some(Err(message.clone())),
            Some(Heard::Granted(options)) => {
                self.block_size = usize::from(options.block_size.unwrap_or(512));
                self.window = usize::from(options.window_size.unwrap_or(1));
            }
            Some(Heard::Acked(block)) => {
                let further = usize::from(block.wrapping_sub(self.acked as u16));
                if self.acked + further <= self.sent {
                    self.acked += further;
                }
                self.sent = self.acked;
            }
            None => {}
        }
        (self.sent > 0 && self.acked == self.blocks()).then_some(Ok(()))
    }

    /// Sends the request, or the next window; whether anything was sent.
    fn say(&mut self, socket: &mut udp::Socket<'_>, board: IpAddress, now: Instant) -> bool {
        let is_late = now >= self.repeat_at;
        let Some(peer) = self.peer else {
            if is_late {
                self.repeat_at = now + REPEAT_REQUEST;
                let to = IpEndpoint::new(board, tftp::PORT);
                send(socket, to, &Packet::WriteRequest(self.request()));
            }
            return is_late;
        };
        if is_late {
            self.sent = self.acked;
            self.repeat_at = now + REPEAT;
        }
        if self.sent > self.acked {
            return false;
        }
        let to = IpEndpoint::new(board, peer);
        while self.sent < self.blocks().min(self.acked + self.window) {
            let start = self.sent * self.block_size;
            let end = self.file.len().min(start + self.block_size);
            self.sent += 1;
            let payload = self.file.get(start..end).unwrap_or_default();
            send(
                socket,
                to,
                &Packet::Data {
                    block: self.sent as u16,
                    payload,
                },
            );
        }
        true
    }

    fn request(&self) -> Request<'static> {
        Request {
            file_name: b"app.iap",
            mode: Mode::Octet,
            options: Options {
                block_size: Some(MAX_BLOCK_SIZE),
                window_size: Some(WINDOW),
                transfer_size: self.declared.then_some(self.file.len() as u64),
                ..Options::default()
            },
        }
    }
}

fn send(socket: &mut udp::Socket<'_>, to: IpEndpoint, packet: &Packet<'_>) {
    let mut bytes = [0; 1600];
    if let Some(len) = packet.encode(&mut bytes) {
        // A window fits the buffer; what does not is repeated.
        let _ = socket.send_slice(&bytes[..len], to);
    }
}

fn form(file: &[u8]) -> Vec<u8> {
    let length = FORM.len() + file.len() + FORM_END.len();
    let head = format!("{HEAD}Content-Length: {length}\r\n\r\n{FORM}");
    [head.as_bytes(), file, FORM_END.as_bytes()].concat()
}

/// Moves bytes of a request and of its answer; whether any moved.
fn exchange(
    socket: &mut tcp::Socket<'_>,
    request: &[u8],
    sent: &mut usize,
    answer: &mut Vec<u8>,
) -> bool {
    let rest = request.get(*sent..).unwrap_or_default();
    let pushed = socket.send_slice(rest).unwrap_or(0);
    *sent += pushed;
    let mut chunk = [0; 2048];
    let pulled = socket.recv_slice(&mut chunk).unwrap_or(0);
    answer.extend_from_slice(&chunk[..pulled]);
    pushed + pulled > 0
}

/// What an answer says, once its body has begun.
fn verdict(answer: &[u8]) -> Option<Told> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1);
    Some(if status == Some("200") {
        Ok(())
    } else {
        Err(format!("{head}\n{body}"))
    })
}
