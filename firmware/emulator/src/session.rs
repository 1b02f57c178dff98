//! A board on a wire with somebody at the other end: `iap-sim`'s gateway, by which any client on this machine reaches the emulated firmware
//! on loopback ports; a TAP device ([`crate::Tap`]), where the kernel's own network begins; or a test's peer.
//!
//! Board and peer share the virtual clock. Where real clients take part, that clock never runs ahead of the wall: neither peer's
//! timers may see the other as slow as the emulation is fast.

use std::io::Write;
use std::time::{Duration, Instant as WallInstant};

use iap_profile::Profile;
use iap_sim::clock::Pace;
use iap_sim::gateway::{Gateway, GatewayOptions};
use iap_sim::settings;
use iap_sim::wire::{self, Conditions, Port};
use smoltcp::time::Instant;

use crate::board::{Board, Stop, instant};
use crate::time::Time;

/// The longest time between two looks at the host's sockets, in virtual time.
const SLICE: Time = Time::from_micros(200);
/// The same where nobody outside waits.
const LONG_SLICE: Time = Time::from_millis(5);
/// How much the board may be late and catch up. The emulation is slower than the chip where there is much to compute; if it made up for
/// that while it sleeps, seconds of the board's timers would pass before a client can answer.
const CATCH_UP: Time = Time::from_millis(2);
/// The shortest time between two such looks that nothing else asks for, in wall time: where virtual time flies, they would cost more than the board.
const LOOK: Duration = Duration::from_micros(100);
/// Rounds of the peer at one point of time.
const MAX_ROUNDS: usize = 64;

/// How a session is made.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// UDP port on 127.0.0.1 for TFTP; 0: any free one.
    pub tftp_port: u16,
    /// TCP port on 127.0.0.1 for HTTP; 0: any free one.
    pub http_port: u16,
    /// Whether a DHCP server answers.
    pub dhcp: bool,
    /// How virtual time relates to wall time.
    pub pace: Pace,
    /// What the wire does to frames from the peer, and to frames from the board.
    pub conditions: [Conditions; 2],
    /// For the wire's faults.
    pub seed: u64,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            tftp_port: 0,
            http_port: 0,
            dhcp: true,
            pace: Pace::Charged,
            conditions: [Conditions::default(), Conditions::default()],
            seed: 1,
        }
    }
}

/// Who is at the other end of the board's wire.
pub trait Peer {
    /// Does what it can at this time. True if anything happened.
    fn poll(&mut self, now: Instant) -> bool;

    /// When it has something to do even if nothing comes.
    fn poll_at(&mut self, now: Instant) -> Option<Instant>;

    /// Sleeps until something comes from outside the emulation, at most so long.
    fn wait(&mut self, span: Duration) -> anyhow::Result<()>;
}

impl Peer for Gateway {
    fn poll(&mut self, now: Instant) -> bool {
        Self::poll(self, now)
    }

    fn poll_at(&mut self, now: Instant) -> Option<Instant> {
        Self::poll_at(self, now)
    }

    fn wait(&mut self, span: Duration) -> anyhow::Result<()> {
        Ok(Self::wait(self, Some(span))?)
    }
}

/// A board and its peer.
pub struct Session<P = Gateway> {
    /// The board.
    pub board: Board,
    /// The peer.
    pub peer: P,
    wire: Port,
    pace: Pace,
    start: WallInstant,
    origin: Time,
    /// What the flash had taken by then.
    spent_before: Time,
    /// When the peer was asked last, if the board has sent nothing since.
    looked: Option<WallInstant>,
}

impl Session {
    /// Connects `board` to a gateway.
    pub fn new(board: Board, profile: &Profile, options: &SessionOptions) -> anyhow::Result<Self> {
        let gateway = GatewayOptions {
            tftp_port: options.tftp_port,
            http_port: options.http_port,
            board: settings::static_address(profile),
            address: Some(profile.settings.network.gateway),
            dhcp: options.dhcp && profile.settings.network.use_dhcp,
        };
        Self::with_peer(board, options, |port, now| {
            Ok(Gateway::open(&gateway, port, now)?)
        })
    }
}

impl<P: Peer> Session<P> {
    /// Connects `board` to a peer that is given its end of the wire.
    pub fn with_peer(
        mut board: Board,
        options: &SessionOptions,
        peer: impl FnOnce(Port, Instant) -> anyhow::Result<P>,
    ) -> anyhow::Result<Self> {
        let [from_peer, from_board] = options.conditions.clone();
        let (ours, theirs) = wire::segment(options.seed, from_peer, from_board);
        board.connect(theirs);
        let peer = peer(ours.clone(), instant(board.now().micros()))?;
        let origin = board.now();
        Ok(Self {
            board,
            peer,
            wire: ours,
            pace: options.pace,
            start: WallInstant::now(),
            origin,
            spent_before: Time::ZERO,
            looked: None,
        })
    }

    /// Changes how virtual time relates to wall time, from now on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
        self.start = WallInstant::now();
        self.origin = self.board.now();
        self.spent_before = self.flash_time();
    }

    /// Writes every frame on the wire to a pcap file.
    pub fn capture(&self, output: Box<dyn Write + Send>) -> std::io::Result<()> {
        self.wire.capture(output)
    }

    /// The peer's end of the wire.
    pub fn wire(&self) -> &Port {
        &self.wire
    }

    /// Runs until `limit`, or until something happens to the board. Frames are none of the caller's business.
    pub fn run(&mut self, limit: Time) -> anyhow::Result<Stop> {
        loop {
            let now = self.board.now();
            if self.has_news(now) {
                self.serve();
            }
            let allowed = self.allowed_from(now);
            if now >= limit {
                return Ok(Stop::Limit);
            }
            // The wall goes on while the board runs: less than a slice is not worth a run.
            if now + SLICE > allowed {
                self.wait((now + SLICE).since(allowed))?;
                self.looked = None;
                continue;
            }
            let until = limit
                .min(allowed)
                .min(now + self.slice())
                .min(self.peer_event(now));
            match self.board.run(until) {
                Stop::Limit => {}
                Stop::Sent => self.looked = None,
                stop => return Ok(stop),
            }
        }
    }

    fn slice(&self) -> Time {
        match self.pace {
            Pace::Virtual => LONG_SLICE,
            Pace::Paced | Pace::Charged => SLICE,
        }
    }

    /// Whether the peer may have something to do.
    fn has_news(&mut self, now: Time) -> bool {
        let due = self.looked.is_none_or(|at| at.elapsed() >= LOOK);
        due || self.peer_event(now) <= now + Time::from_micros(1)
    }

    /// Lets the peer do what it can, now.
    fn serve(&mut self) {
        self.looked = Some(WallInstant::now());
        let now = instant(self.board.now().micros());
        for _ in 0..MAX_ROUNDS {
            if !self.peer.poll(now) {
                break;
            }
        }
        self.board.look_at_wire();
    }

    fn peer_event(&mut self, now: Time) -> Time {
        let at = self.peer.poll_at(instant(now.micros()));
        let at = at.map_or(Time::NEVER, |at| {
            Time::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
        });
        at.max(now + Time::from_micros(1))
    }

    /// How far virtual time may go now.
    fn allowed(&self) -> Time {
        let wall = self.origin + Time::from(self.start.elapsed());
        match self.pace {
            Pace::Virtual => Time::NEVER,
            Pace::Paced => wall,
            Pace::Charged => wall + self.flash_time().since(self.spent_before),
        }
    }

    /// The same, where being late is forgotten.
    fn allowed_from(&mut self, now: Time) -> Time {
        let allowed = self.allowed();
        let may_be_late = self.pace == Pace::Virtual || self.board.is_flash_busy();
        if may_be_late || allowed <= now + CATCH_UP {
            return allowed;
        }
        self.set_pace(self.pace);
        now + CATCH_UP
    }

    fn flash_time(&self) -> Time {
        let usage = self.board.flash_use();
        usage.erasing + usage.programming
    }

    /// Sleeps until a host socket has something, at most this long.
    fn wait(&mut self, span: Time) -> anyhow::Result<()> {
        self.peer.wait(Duration::from_micros(span.micros_ceil()))
    }
}
