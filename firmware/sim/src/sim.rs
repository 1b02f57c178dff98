//! A virtual board in a thread, reachable on ports of this machine: what `iap-sim run` is made of, and what tests of other crates start.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use iap_sim::sim::{Sim, SimOptions};
//! let sim = Sim::start(SimOptions::fast("sim")?)?;
//! println!("push to {} or {}", sim.tftp(), sim.http());
//! # Ok(())
//! # }
//! ```
//! The board stops when the [`Sim`] goes out of scope.

mod host;
mod options;

use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration as WallDuration, Instant as WallInstant};

use anyhow::{Context, Result, anyhow};
use mio::Waker;

use crate::board::{Next, Reset};
use crate::clock::Clock;
use crate::event::{Event, Stamped};
use crate::nor::{Nor, SharedNor};
use crate::wire::{Port, Traffic, segment};
use host::Host;
pub use options::{FlashSource, SimOptions};

/// Gets each event as it happens, in the board's thread.
pub type Listener = Box<dyn FnMut(&Stamped) + Send>;

/// A running board.
pub struct Sim {
    tftp: SocketAddr,
    http: SocketAddr,
    nor: SharedNor,
    port: Port,
    shared: Arc<Shared>,
    remote: Remote,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What the board's thread tells.
#[derive(Default)]
struct Shared {
    story: Mutex<Story>,
    news: Condvar,
}

impl Shared {
    fn story(&self) -> MutexGuard<'_, Story> {
        // A panic in the board's thread leaves the events behind: they say what led to it.
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Story {
    events: Vec<Stamped>,
    is_over: bool,
}

/// What others want of the board.
#[derive(Clone)]
pub struct Remote {
    wishes: Sender<Next>,
    waker: Arc<Waker>,
}

impl Remote {
    /// Resets the board.
    pub fn reset(&self, reset: Reset) {
        self.send(Next::Reset(reset));
    }

    /// Ends the run.
    pub fn stop(&self) {
        self.send(Next::Stop);
    }

    fn send(&self, wish: Next) {
        // Both fail only when the board has stopped, and then there is nobody to have wishes of.
        let _ = self.wishes.send(wish);
        let _ = self.waker.wake();
    }
}

impl Sim {
    /// Starts a board.
    pub fn start(options: SimOptions) -> Result<Self> {
        Self::start_with(options, Box::new(|_| {}))
    }

    /// Starts a board and lets `listener` hear everything, beginning with the ports.
    pub fn start_with(options: SimOptions, listener: Listener) -> Result<Self> {
        let clock = Clock::new(options.pace);
        let (near, far) = segment(
            options.seed,
            options.conditions.clone(),
            options.conditions.clone(),
        );
        if let Some(path) = &options.pcap {
            capture(&near, path)?;
        }
        let gateway = options::open_gateway(&options, near, clock.now())?;
        let mut board = options::board(&options, clock, far.clone())?;
        let (wishes, wished) = channel();
        let waker = gateway.waker();
        let mut sim = Self {
            tftp: gateway.tftp_address(),
            http: gateway.http_address(),
            nor: board.nor.clone(),
            port: far.clone(),
            shared: Arc::default(),
            remote: Remote { wishes, waker },
            thread: None,
        };
        let mut host = Host {
            gateway,
            port: far,
            wished,
            listener,
            shared: Arc::clone(&sim.shared),
        };
        let run = move || {
            host.listening(board.clock.now());
            let result = board.run(options.reset, &mut host);
            host.over();
            result
        };
        let thread = thread::Builder::new().name("board".into()).spawn(run);
        sim.thread = Some(thread.context("cannot start a thread for the board")?);
        Ok(sim)
    }

    /// Where its TFTP server is reached.
    pub fn tftp(&self) -> SocketAddr {
        self.tftp
    }

    /// Where its HTTP server is reached.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The flash, to look at, to cut the power of, to make fail.
    pub fn nor(&self) -> MutexGuard<'_, Nor> {
        self.nor.lock()
    }

    /// The content of the whole flash.
    pub fn flash_bytes(&self) -> Vec<u8> {
        self.nor().content()
    }

    /// Sectors erased since the start.
    pub fn erases(&self) -> u64 {
        self.nor().counters().erased()
    }

    /// Words programmed since the start.
    pub fn words(&self) -> u64 {
        self.nor().counters().words
    }

    /// What became of the frames sent to the board.
    pub fn traffic(&self) -> Traffic {
        self.port.traffic()
    }

    /// Everything that happened so far.
    pub fn events(&self) -> Vec<Stamped> {
        self.story().events.clone()
    }

    /// Waits until `wanted` says yes to the events from number `from` on, and returns the number after the one it chose.
    pub fn wait_for(
        &self,
        from: usize,
        patience: WallDuration,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> Result<usize> {
        let deadline = WallInstant::now() + patience;
        let mut next = from;
        let mut story = self.story();
        loop {
            while let Some(stamped) = story.events.get(next) {
                next += 1;
                if wanted(&stamped.event) {
                    return Ok(next);
                }
            }
            let left = deadline.saturating_duration_since(WallInstant::now());
            if story.is_over || left.is_zero() {
                return Err(anyhow!(
                    "it did not happen within {patience:?}: {}",
                    tail(&story)
                ));
            }
            let woken = self.shared.news.wait_timeout(story, left);
            story = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A remote control, for other threads and signal handlers.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Waits until the run ends, by [`Remote::stop`], by an application with [`crate::board::AfterStart::Exit`], or by an error.
    pub fn join(mut self) -> Result<()> {
        self.end()
    }

    /// Stops the board.
    pub fn stop(self) -> Result<()> {
        self.remote.stop();
        self.join()
    }

    fn end(&mut self) -> Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(anyhow!("the board's thread panicked")),
        }
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.shared.story()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.remote.stop();
        // Whoever wants to know how it ended calls `stop` or `join`.
        let _ = self.end();
    }
}

fn capture(port: &Port, path: &Path) -> Result<()> {
    let shown = path.display();
    let file = File::create(path).with_context(|| format!("cannot create {shown}"))?;
    port.capture(Box::new(BufWriter::new(file)))
        .with_context(|| format!("cannot write to {shown}"))
}

fn tail(story: &Story) -> String {
    let from = story.events.len().saturating_sub(20);
    let lines = story.events[from..]
        .iter()
        .map(|stamped| format!("\n  {stamped}"));
    format!("the last events were{}", lines.collect::<String>())
}
