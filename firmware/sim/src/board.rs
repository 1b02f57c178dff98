//! The virtual board: what happens from one reset to the next, with the firmware's own decisions.
//!
//! [`Board::run`] does what the chip does: decide at reset, then run IAP mode until it ends in another reset. Flash and clock
//! survive; everything else begins anew. What surrounds the board is a [`World`], which gets its turn after each of the board's: host sockets in
//! `iap-sim run`, a scripted client on virtual time in tests.
//!
//! There is no processor: an application is not run. What happens in its place is [`AfterStart`].

use std::fmt;

use anyhow::{Context, Result};
use iap_core::boot::{self, BootInputs, Decision, Start};
use iap_core::config::Config;
use iap_core::mode::ResetReason;
use iap_core::net::{Iap, Indication, Platform, Storage};
use iap_core::update::{Ring, Updater};
use iap_protocol::header::HeaderBytes;
use iap_protocol::status::IapReason;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use crate::bench::RING;
use crate::clock::Clock;
use crate::event::{Event, Hex, Stamped};
use crate::flash_file::FlashFile;
use crate::nor::SharedNor;
use crate::observer::{Observer, Seen};
use crate::rng::Rng;
use crate::wire::Port;

/// What takes the place of a running application.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AfterStart {
    /// The next reset at once, with the IAP key held: the board can be pushed to again.
    #[default]
    Key,
    /// The board is silent, as one whose application has no network.
    Run,
    /// The run ends.
    Exit,
}

/// Why the board comes out of reset, and what it finds then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reset {
    /// For people.
    pub cause: String,
    /// What the boot decision looks at.
    pub inputs: BootInputs,
}

impl Reset {
    /// The supply was switched on.
    pub fn power_on() -> Self {
        Self {
            cause: "power-on".into(),
            inputs: BootInputs {
                power_on: true,
                ..BootInputs::default()
            },
        }
    }

    /// Somebody held the IAP key.
    pub fn with_key(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            inputs: BootInputs {
                key_held: true,
                ..BootInputs::default()
            },
        }
    }

    /// Any other.
    pub fn plain(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            inputs: BootInputs::default(),
        }
    }
}

/// How the board goes on after the world's turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// As it was.
    Continue,
    /// With a reset from outside.
    Reset(Reset),
    /// Not at all.
    Stop,
}

/// What surrounds the board.
pub trait World {
    /// Takes an event.
    fn event(&mut self, event: Stamped);

    /// Does what the world does until the board is needed again: at `poll_at`, or when a frame reaches its port. `None` means that only a
    /// frame does.
    fn turn(&mut self, clock: &mut Clock, poll_at: Option<Instant>) -> Result<Next>;
}

/// A virtual board.
pub struct Board {
    /// What its firmware knows about it.
    pub config: Config,
    /// Its MAC address.
    pub station: EthernetAddress,
    /// Its flash.
    pub nor: SharedNor,
    /// Its clock.
    pub clock: Clock,
    /// Its end of the Ethernet.
    pub port: Port,
    /// Where its flash is kept, if anywhere.
    pub file: Option<FlashFile>,
    /// What takes the place of applications.
    pub after_start: AfterStart,
    /// Its random number generator.
    pub rng: Rng,
}

impl Board {
    /// Runs from `reset` until the world or an application ends it.
    pub fn run(&mut self, mut reset: Reset, world: &mut impl World) -> Result<()> {
        loop {
            self.tell(
                world,
                Event::Reset {
                    cause: reset.cause.clone(),
                },
            );
            // What waited in the receive ring is gone with the reset.
            self.port.clear_ring(self.clock.now());
            let next = match self.decide(reset.inputs) {
                _ if self.nor.lock().is_off() => Next::Stop,
                Decision::Start(start) => self.application(&start, world)?,
                Decision::Stay(reason) => self.iap_mode(reason, world)?,
            };
            reset = match self.power_cut(world).map_or(next, Next::Reset) {
                Next::Reset(reset) => reset,
                Next::Continue | Next::Stop => return Ok(()),
            };
        }
    }

    fn decide(&mut self, inputs: BootInputs) -> Decision {
        let decision = boot::decide(inputs, &self.config, &mut self.nor);
        self.spend_flash_time();
        // A flash that cannot be read or repaired starts nothing; the network is up for whoever wants to see why.
        decision.unwrap_or(Decision::Stay(IapReason::ApplicationDamaged))
    }

    fn application(&mut self, start: &Start, world: &mut impl World) -> Result<Next> {
        let then = match self.after_start {
            AfterStart::Key => {
                "no processor here: resets with the IAP key held, ready for the next push"
            }
            AfterStart::Run => "the board is silent while its application runs",
            AfterStart::Exit => "the run ends here",
        };
        let event = would_start(start, self.config.map.user_flash_first_page_address(), then);
        self.tell(world, event);
        match self.after_start {
            AfterStart::Key => Ok(Next::Reset(Reset::with_key("in place of the application"))),
            AfterStart::Run => self.silence(world),
            AfterStart::Exit => Ok(Next::Stop),
        }
    }

    fn silence(&mut self, world: &mut impl World) -> Result<Next> {
        loop {
            self.port.clear_ring(self.clock.now());
            match world.turn(&mut self.clock, None)? {
                Next::Continue => {}
                next => return Ok(next),
            }
        }
    }

    fn iap_mode(&mut self, reason: IapReason, world: &mut impl World) -> Result<Next> {
        self.tell(
            world,
            Event::IapMode {
                reason: iap_reason(reason).into(),
            },
        );
        let config = self.config.clone();
        let mut parts = RING.map(|len| vec![0; len]);
        let ring = Ring::new(parts.each_mut().map(Vec::as_mut_slice));
        let Ok(updater) = Updater::new(self.nor.clone(), &config, ring) else {
            return self.without_power();
        };
        let mut storage = Box::new(Storage::new());
        let mut port = self.port.clone();
        let mut iap = Iap::new(
            &config,
            updater,
            reason,
            self.station,
            storage.memory(),
            &mut port,
            self,
        );
        let mut observer = self.observer();
        loop {
            let turn = iap.poll(&mut port, self);
            self.keep()?;
            if self.nor.lock().is_off() {
                return Ok(Next::Stop);
            }
            for event in observer.look(self.clock.now(), self.seen(&iap)) {
                self.tell(world, event);
            }
            if let Some(reason) = turn.reset {
                return Ok(Next::Reset(Reset::plain(reset_reason(reason, &config))));
            }
            match world.turn(&mut self.clock, turn.poll_at)? {
                Next::Continue => {}
                next => return Ok(next),
            }
        }
    }

    /// The record could not be read: without power there is nothing to say, with power it is a fault the board cannot live with.
    fn without_power(&self) -> Result<Next> {
        let off = self.nor.lock().is_off();
        off.then_some(Next::Stop)
            .context("the flash cannot be read: IAP mode cannot begin")
    }

    /// If a planned cut took the power, switches it on again.
    fn power_cut(&mut self, world: &mut impl World) -> Option<Reset> {
        if !self.nor.lock().is_off() {
            return None;
        }
        self.tell(world, Event::PowerCut);
        self.nor.lock().power_on();
        Some(Reset::power_on())
    }

    fn observer(&self) -> Observer {
        let nor = self.nor.lock();
        Observer::new(nor.map().clone(), nor.counters().erases.clone())
    }

    fn seen(&self, iap: &Iap<'_, SharedNor>) -> Seen {
        let updater = iap.updater();
        Seen {
            address: iap.address(),
            phase: updater.phase(),
            progress: updater.progress(),
            version: updater.image().map(version),
            error: updater.last_error().map(Into::into),
            erases: self.nor.lock().counters().erases.clone(),
        }
    }

    /// Writes what has changed to the flash file.
    fn keep(&mut self) -> Result<()> {
        let mut nor = self.nor.lock();
        let (Some(changed), Some(file)) = (nor.take_changed(), &mut self.file) else {
            return Ok(());
        };
        let content = nor.content_of(changed.clone());
        file.write(changed, &content)
    }

    fn spend_flash_time(&mut self) {
        let busy = self.nor.lock().take_busy_us();
        if busy > 0 {
            self.clock.spend(Duration::from_micros(busy));
        }
    }

    fn tell(&self, world: &mut impl World, event: Event) {
        world.event(Stamped {
            at: self.clock.now(),
            event,
        });
    }
}

impl Platform for Board {
    fn now(&mut self) -> Instant {
        self.spend_flash_time();
        self.clock.now()
    }

    fn random(&mut self) -> u32 {
        self.rng.next() as u32
    }

    fn show(&mut self, _: Indication) {
        // The events say more than LEDs.
    }
}

const UNKNOWN: &str = "an application of unknown version";
const COMMITTED: &str = "the last update was committed and the flash holds exactly it";
const BARE: &str = "nobody committed it, but its vector table is good (bare-rule)";

fn version(image: &HeaderBytes) -> String {
    match image.version() {
        version if version.is_unknown() => "unknown".to_owned(),
        version => version.to_string(),
    }
}

fn would_start(start: &Start, address: u32, then: &str) -> Event {
    let (version, because) = match &start.image {
        Some(image) if image.version().is_unknown() => (UNKNOWN.to_owned(), COMMITTED),
        Some(image) => (image.version().to_string(), COMMITTED),
        None => (UNKNOWN.to_owned(), BARE),
    };
    Event::WouldStart {
        version,
        address: Hex(address),
        stack_pointer: Hex(start.stack_pointer),
        reset_vector: Hex(start.reset_vector),
        because: because.into(),
        then: then.into(),
    }
}

fn iap_reason(reason: IapReason) -> &'static str {
    match reason {
        IapReason::NoApplication => "no application has been installed",
        IapReason::UpdateUnfinished => "an update began and did not end",
        IapReason::ApplicationDamaged => {
            "the application in flash is not the one that was committed"
        }
        IapReason::KeyHeld => "the IAP key is held",
        IapReason::Requested => "the application asked for it",
        IapReason::NotConfirmed => "the application was started three times and never confirmed",
        IapReason::PowerOnWindow => "a push is awaited before the application starts",
        IapReason::Unknown => "unknown",
    }
}

fn reset_reason(reason: ResetReason, config: &Config) -> String {
    match reason {
        ResetReason::AutoStart => {
            format!("{} s after the commit (auto-start-s)", config.auto_start_s)
        }
        ResetReason::Idle => format!("{} s without a client (iap-idle-s)", config.iap_idle_s),
        ResetReason::PowerOnWindow => {
            format!(
                "{} s without a push (power-on-window-s)",
                config.power_on_window_s
            )
        }
        ResetReason::TftpRequest => "asked for over TFTP".into(),
        ResetReason::HttpRequest => "asked for over HTTP".into(),
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("board", &self.config.board)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
