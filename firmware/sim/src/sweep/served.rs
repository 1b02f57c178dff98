//! Cuts in updates that come through the board's own servers: TFTP and HTTP, the network loop, the resets between them.
//!
//! The board runs as it does for people ([`crate::board`]), in virtual time, with a [`Client`] on its wire: a [visitor](crate::visitor::Visitor), or who else is handed
//! in. The power goes at one of the flash operations; the flash is judged as everywhere in the sweep, and so is what the client had been told by
//! then. Then the board itself goes on: it boots, and takes the image from a second push through the same server.
//!
//! A client that reads what the board holds and leaves it out ([`Kind::Partial`]) must have done so at every cut. In its second push it must do
//! so if and only if a reset would start an application: after the cut of an unfinished update the board may promise nothing.

use anyhow::{Result, bail};
use iap_core::intake::Transport;
use smoltcp::time::{Duration, Instant};

use super::client::{self, Client, Invite};
use super::judge::{Fate, fate_of, judge, say};
use super::parts::REAL;
use super::pool;
use super::rules::Rules;
use super::start::{Kind, Sizes, Start};
use super::tally::Tally;
use super::track::Point;
use crate::bench::{Bench, RECEIVE_RING, real_map};
use crate::board::{AfterStart, Board, Next, Reset, World};
use crate::clock::{Clock, Pace};
use crate::event::{Event, Stamped};
use crate::nor::{Cut, Nor, SharedNor};
use crate::rng::{Rng, mix};
use crate::settings;
use crate::visitor::{self, Told};
use crate::wire::{Conditions, Port, segment};

/// Virtual time that one push may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the board is watched after the client has been told: nothing may be left to do.
const AFTERWARDS: Duration = Duration::from_secs(4);

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

/// Tries them with a [visitor](crate::visitor::Visitor).
pub fn run(threads: usize, kinds: &[Kind], rules: &[Rules], sizes: Sizes, plan: Plan) -> Tally {
    run_with(&client::visitor, threads, kinds, rules, sizes, plan)
}

/// Tries them, from these states, over both transports.
pub fn run_with(
    client: Invite<'_>,
    threads: usize,
    kinds: &[Kind],
    rules: &[Rules],
    sizes: Sizes,
    plan: Plan,
) -> Tally {
    let mut tally = Tally::default();
    for &rules in rules {
        for kind in rules.possible(kinds) {
            let seed = rules.seed(plan.seed, kind);
            pool::guarded(&mut tally, |tally| {
                let start = Start::new(kind, &real_map(), sizes, rules, seed);
                for transport in [Transport::Tftp, Transport::Http] {
                    let plan = Plan { seed, ..plan };
                    tally.add(run_from(client, &start, transport, plan, threads));
                }
            });
        }
    }
    tally
}

fn run_from(
    client: Invite<'_>,
    start: &Start,
    transport: Transport,
    plan: Plan,
    threads: usize,
) -> Tally {
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
    let whole = served(client, start, transport, None, plan.seed);
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
        let judged = served(client, start, transport, Some(point), plan.seed)
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
    let partial = whole.client.partial();
    if start.kind.is_partial() && partial != Some(&start.file) {
        let len = partial.map_or(0, <[u8]>::len);
        return Err(format!(
            "{len} bytes left out sectors, {} expected",
            start.file.len()
        ));
    }
    match (&whole.told, &whole.cut) {
        (Some(Ok(())), None) if done == expected as u64 => Ok(()),
        (Some(Ok(())), None) => Err(format!(
            "{done} operations, the update machine alone did {expected}"
        )),
        (told, _) => Err(format!("an undisturbed push was told {told:?}")),
    }
}

/// What a cut has interrupted.
struct AtCut {
    nor: Nor,
    /// What the client had been told by then.
    told: Option<Told>,
    /// Whether its transfer left out sectors.
    was_partial: bool,
}

/// One session of a board with its servers, from the reset to the end of the push that mends.
struct Session {
    nor: SharedNor,
    client: Box<dyn Client>,
    board_port: Port,
    seed: u64,
    cut: Option<AtCut>,
    /// What the client of the last push was told, and since when this push runs, or has been told.
    told: Option<Told>,
    since: Instant,
}

/// Runs a session with a cut at `point`, or without one.
fn served(
    client: Invite<'_>,
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
    let mut config = start.bench.config.clone();
    config.network.use_dhcp = false;
    let client = client(start, transport, near).map_err(|error| format!("{error:#}"))?;
    let mut session = Session {
        client,
        nor: nor.clone(),
        board_port: far.clone(),
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
        self.client.push(now);
        (self.told, self.since) = (None, now);
    }

    /// What was done and said; the session had a cut.
    fn judge(self, start: &Start, tally: &mut Tally) -> Result<(), String> {
        let cut = self.cut.ok_or("the planned cut did not fire")?;
        tally.fired += 1;
        let fate = judge(start, cut.nor, tally)?.fate;
        match (cut.told, fate) {
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
        if start.kind.is_partial() {
            let is_partial = self.client.partial().is_some();
            leaves_out_what_it_may(cut.was_partial, is_partial, fate)?;
            tally.partial += 1;
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

/// A client that leaves out what the board says it holds does so before the cut, and after it unless the update is unfinished.
fn leaves_out_what_it_may(before: bool, after: bool, fate: Fate) -> Result<(), String> {
    match (before, after, fate) {
        (false, ..) => Err("the transfer that was cut left nothing out".into()),
        (_, true, Fate::Unfinished) => {
            Err("of an unfinished update the status says what the board holds".into())
        }
        (_, false, Fate::Before | Fate::New) => {
            Err("the status does not say what the board holds".into())
        }
        _ => Ok(()),
    }
}

impl World for Session {
    fn event(&mut self, stamped: Stamped) {
        if stamped.event == Event::PowerCut {
            let mut nor = self.nor.lock();
            nor.reseed(self.seed);
            self.cut = Some(AtCut {
                nor: nor.clone(),
                told: self.client.told().cloned(),
                was_partial: self.client.partial().is_some(),
            });
            drop(nor);
            self.push(stamped.at);
        }
    }

    fn turn(&mut self, clock: &mut Clock, poll_at: Option<Instant>) -> Result<Next> {
        loop {
            let now = clock.now();
            self.client.poll(now);
            if self.told.is_none() && self.client.told().is_some() {
                self.told = self.client.told().cloned();
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
            let end = self.since + patience;
            let own = self.client.poll_at(now);
            if visitor::board_is_needed(clock, &self.board_port, poll_at, own, end) {
                return Ok(Next::Continue);
            }
        }
    }
}
