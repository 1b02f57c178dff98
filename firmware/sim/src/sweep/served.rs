//! Cuts in updates that come through the board's own servers: TFTP and HTTP, the network loop, the resets between them.
//!
//! The board runs as it does for people ([`crate::board`]), in virtual time, with a [`Visitor`] on its wire. The power goes at one
//! of the flash operations; the flash is judged as everywhere in the sweep, and so is what the client had been told by then. Then the board
//! itself goes on: it boots, and takes the image from a second push through the same server.

use std::sync::Arc;

use anyhow::{Result, bail};
use iap_core::intake::Transport;
use iap_profile::Profile;
use smoltcp::time::{Duration, Instant};

use super::judge::{Fate, fate_of, judge, say};
use super::parts::REAL;
use super::pool;
use super::rules::Rules;
use super::start::{Kind, Sizes, Start};
use super::tally::Tally;
use super::track::Point;
use crate::bench::{Bench, real_map};
use crate::board::{AfterStart, Board, Next, Reset, World};
use crate::clock::{Clock, Pace};
use crate::event::{Event, Stamped};
use crate::nor::{Cut, Nor, SharedNor};
use crate::rng::{Rng, mix};
use crate::settings;
use crate::visitor::{Told, Visitor};
use crate::wire::{Conditions, Port, segment};

/// Virtual time that one push may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the board is watched after the client has been told: nothing may be left to do.
const AFTERWARDS: Duration = Duration::from_secs(4);
/// Frames that the board's receive ring holds, as on the chip.
const RECEIVE_RING: usize = 16;

/// Which of the cuts of [`super::track::Track::chosen_points`] are tried through the servers.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Every so many-th, of each transport; odd, as cuts before and inside operations come in turn.
    pub stride: usize,
    /// And so many at the end, where the commit is.
    pub last: usize,
    /// Where everything random comes from.
    pub seed: u64,
}

/// The cuts of the whole sweep: one in 11 of those of the real map.
pub fn all(threads: usize, seed: u64) -> Tally {
    let plan = Plan {
        stride: 11,
        last: 12,
        seed,
    };
    run(threads, &Kind::ALL, &[Rules::Open, Rules::Bare], REAL, plan)
}

/// Some of those of boards with policy `signed`.
pub fn signed(threads: usize, seed: u64) -> Tally {
    let plan = Plan {
        stride: 31,
        last: 12,
        seed,
    };
    run(threads, &Kind::ALL, &[Rules::Signed], REAL, plan)
}

/// A sample of them.
pub fn sample(threads: usize, seed: u64) -> Tally {
    let plan = Plan {
        stride: 701,
        last: 6,
        seed,
    };
    let kinds = [Kind::Application, Kind::Raw, Kind::InterruptedSame];
    run(threads, &kinds, &[Rules::Open], REAL, plan)
}

/// Tries them, from these states, over both transports.
pub fn run(threads: usize, kinds: &[Kind], rules: &[Rules], sizes: Sizes, plan: Plan) -> Tally {
    let mut tally = Tally::default();
    for &rules in rules {
        for kind in rules.possible(kinds) {
            let seed = rules.seed(plan.seed, kind);
            pool::guarded(&mut tally, |tally| {
                let start = Start::new(kind, &real_map(), sizes, rules, seed);
                for transport in [Transport::Tftp, Transport::Http] {
                    tally.add(run_from(&start, transport, Plan { seed, ..plan }, threads));
                }
            });
        }
    }
    tally
}

fn run_from(start: &Start, transport: Transport, plan: Plan, threads: usize) -> Tally {
    let track = start.track();
    let all = track.chosen_points(&start.bench.config.map);
    let offset = if transport == Transport::Tftp {
        0
    } else {
        plan.stride / 2
    };
    let tail = all.len().saturating_sub(plan.last);
    let chosen = |(index, _): &(usize, &Point)| index % plan.stride == offset || *index >= tail;
    let points: Vec<_> = all
        .iter()
        .enumerate()
        .filter(chosen)
        .map(|(_, &point)| point)
        .collect();
    let mut tally = Tally::default();
    // Undisturbed, the servers do to the flash what the update machine does without them: a point means the same in both.
    let whole = served(start, transport, None, plan.seed);
    if let Err(what) = whole.and_then(|whole| same_operations(start, &whole, track.ops.len())) {
        tally.violation(format!(
            "{:?} over {}: {what}",
            start.kind,
            transport.name()
        ));
    }
    tally.add(pool::run(threads, points.len(), |item, tally| {
        let Some(&point) = points.get(item) else {
            return;
        };
        tally.planned += 1;
        let judged = served(start, transport, Some(point), plan.seed)
            .and_then(|session| session.judge(start, tally));
        if let Err(what) = judged {
            let kind = start.kind;
            let (at, name) = (point.index, transport.name());
            tally.violation(format!(
                "{kind:?} over {name}, seed {:#x}, cut {:?} operation {at}: {what}",
                plan.seed, point.moment
            ));
        }
    }));
    tally
}

fn same_operations(start: &Start, whole: &Session, expected: usize) -> Result<(), String> {
    let done = whole.nor.lock().counters().operations() - start.bench.nor.counters().operations();
    match (&whole.told, &whole.cut) {
        (Some(Ok(())), None) if done == expected as u64 => Ok(()),
        (Some(Ok(())), None) => Err(format!(
            "{done} operations, the update machine alone did {expected}"
        )),
        (told, _) => Err(format!("an undisturbed push was told {told:?}")),
    }
}

/// One session of a board with its servers, from the reset to the end of the push that mends.
struct Session {
    nor: SharedNor,
    visitor: Visitor,
    board_port: Port,
    transport: Transport,
    file: Arc<Vec<u8>>,
    declared: bool,
    seed: u64,
    /// The flash at the cut, and what the client had been told by then.
    cut: Option<(Nor, Option<Told>)>,
    /// What the client of the last push was told, and since when this push runs, or has been told.
    told: Option<Told>,
    since: Instant,
}

/// Runs a session with a cut at `point`, or without one.
fn served(
    start: &Start,
    transport: Transport,
    point: Option<Point>,
    seed: u64,
) -> Result<Session, String> {
    let mut nor = start.bench.nor.clone();
    nor.power_on();
    if let Some(point) = point {
        nor.plan_cut(Cut::new(point.index as u64, point.moment));
    }
    let at = point.map_or(0, |point| (point.index as u64) << 8 ^ point.moment as u64);
    let nor = SharedNor::new(nor);
    let conditions = Conditions {
        ring_len: RECEIVE_RING,
        ..Conditions::default()
    };
    let (near, far) = segment(seed, conditions, Conditions::default());
    let mut profile = Profile::builtin("sim").map_err(|error| error.to_string())?;
    profile.settings.network.use_dhcp = false;
    let mut config = start.bench.config.clone();
    config.network.use_dhcp = false;
    let mut session = Session {
        visitor: Visitor::new(near, &profile, Instant::ZERO),
        nor: nor.clone(),
        board_port: far.clone(),
        transport,
        file: Arc::new(start.file.clone()),
        declared: start.declared.is_some(),
        seed: mix(seed ^ at),
        cut: None,
        told: None,
        since: Instant::ZERO,
    };
    session.push(Instant::ZERO);
    let mut board = Board {
        config,
        station: settings::VIRTUAL_CHIP_MAC,
        nor,
        clock: Clock::new(Pace::Virtual),
        port: far,
        file: None,
        after_start: AfterStart::Key,
        rng: Rng::new(mix(seed)),
    };
    let ended = board.run(Reset::plain("sweep"), &mut session);
    ended
        .map(|()| session)
        .map_err(|error| format!("{error:#}"))
}

impl Session {
    fn push(&mut self, now: Instant) {
        self.visitor
            .push(self.transport, &self.file, self.declared, now);
        (self.told, self.since) = (None, now);
    }

    /// What was done and said; the session had a cut.
    fn judge(self, start: &Start, tally: &mut Tally) -> Result<(), String> {
        let (at_cut, told) = self.cut.ok_or("the planned cut did not fire")?;
        tally.fired += 1;
        let fate = judge(start, at_cut, tally)?.fate;
        match (told, fate) {
            (None, _) | (Some(Ok(())), Fate::New) => {}
            (Some(Ok(())), fate) => {
                return Err(format!("the client was told that it is done: {fate:?}"));
            }
            (Some(Err(said)), _) => return Err(format!("refused before the cut: {said}")),
        }
        match self.told {
            Some(Ok(())) => tally.pushes += 1,
            told => return Err(format!("the push after the cut: {told:?}")),
        }
        let nor = self.nor.lock().clone();
        let mut mended = Bench {
            nor,
            config: start.bench.config.clone(),
        };
        tally.boots += 1;
        let decision = mended.boot().ok_or("no power")?;
        match fate_of(start, &mended, &decision)? {
            Fate::New => Ok(()),
            _ => Err(format!(
                "after the push through the servers: {}",
                say(&decision)
            )),
        }
    }
}

impl World for Session {
    fn event(&mut self, stamped: Stamped) {
        if stamped.event == Event::PowerCut {
            let mut nor = self.nor.lock();
            nor.reseed(self.seed);
            self.cut = Some((nor.clone(), self.visitor.told().cloned()));
            drop(nor);
            self.push(stamped.at);
        }
    }

    fn turn(&mut self, clock: &mut Clock, poll_at: Option<Instant>) -> Result<Next> {
        loop {
            let now = clock.now();
            self.visitor.poll(now);
            if self.told.is_none() && self.visitor.told().is_some() {
                self.told = self.visitor.told().cloned();
                self.since = now;
            }
            let patience = if self.told.is_some() {
                AFTERWARDS
            } else {
                PATIENCE
            };
            let is_over = now >= self.since + patience;
            match (&self.told, is_over) {
                // Mended.
                (Some(_), _) if self.cut.is_some() => return Ok(Next::Stop),
                (Some(_), true) => return Ok(Next::Stop),
                (None, true) => bail!("no answer within {patience}"),
                _ => {}
            }
            let (board, end) = (self.board_port.clone(), self.since + patience);
            if self.visitor.board_is_needed(clock, &board, poll_at, end) {
                return Ok(Next::Continue);
            }
        }
    }
}
