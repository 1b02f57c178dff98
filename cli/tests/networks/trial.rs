//! One run of one cell: a board with an old application, a push of a new one through a bad network, and what is left of it all.
//!
//! After a push that failed the network is good again. The board is asked what it holds, as iapctl does; and when its time is over, somebody
//! else's push must succeed.

#[path = "judge.rs"]
mod judge;

use std::time::Duration as Wait;

use iap_core::config::Config;
use iap_profile::Profile;
use iap_protocol::status::FILE_NAME;
use iap_sim::bench::{Bench, RECEIVE_RING};
use iap_sim::board::{AfterStart, Board, Next, Reset, World};
use iap_sim::clock::{Clock, Pace};
use iap_sim::event::{Event, Stamped};
use iap_sim::nor::{Nor, SharedNor};
use iap_sim::rng::Rng;
use iap_sim::settings::{self, FlashSpeed};
use iap_sim::wire::{Conditions, Port, Traffic, segment};
use iapctl::tftp::{Config as ClientConfig, Reader};
use smoltcp::time::{Duration, Instant};

use super::cells::{Cell, Company, End, Transport};
use super::disturbers::{Flood, Stranger};
use super::hosts::{Actor, Host, Hosts};
use super::pusher::{BEGIN, Pusher, file, other, payloads, pusher};
use super::tftp::{Driven, since_start};

/// When the second client begins: in the middle of the transfer.
const SECOND: Duration = Duration::from_millis(2);
/// What a board may take to be free again: 10 s of silence, and an erase before it notices.
const BOARD_S_TIME: Duration = Duration::from_secs(14);
/// What the push after that may take.
const SUCCESSOR_S_TIME: Duration = Duration::from_secs(20);
/// The whole of a trial.
const LIMIT: Duration = Duration::from_secs(1200);

/// What came of a run that broke no rule.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// What the client was told; `None` if it vanished.
    pub(crate) told: Option<Result<(), String>>,
    /// How often the cell's fault happened.
    pub(crate) fired: u64,
    /// From the request to the end.
    pub(crate) took: Duration,
}

/// What goes on now.
enum Stage {
    Push,
    /// The client is gone, or the status was read.
    Wait(Instant),
    Ask(Box<Driven<Reader>>),
    Successor(Box<Pusher>),
    Over,
}

struct Net<'a> {
    cell: &'a Cell,
    config: Config,
    nor: SharedNor,
    hosts: Hosts,
    board_port: Port,
    /// Until when the hosts have lived.
    time: Instant,
    stage: Stage,
    main: Pusher,
    second: Option<Pusher>,
    stranger: Option<Stranger>,
    flood: Option<Flood>,
    told: Option<Result<(), String>>,
    told_at: Instant,
    /// Of both directions, when the push ended.
    traffic: [Traffic; 2],
    open_updates: i32,
    refusals: Vec<String>,
    violation: Option<String>,
}

/// Runs a cell; `Err` says which rule was broken.
pub(crate) fn run(cell: &Cell, seed: u64) -> Result<Report, String> {
    let profile = Profile::builtin("sim").map_err(|error| error.to_string())?;
    let mut config = settings::config(&profile);
    config.network.use_dhcp = false;
    config.bare_rule = false;
    config.auto_start_s = 5;
    let [old, new, _] = payloads(cell, &config);
    let nor = board_with(&profile, &config, &old, seed);
    let to_board = Conditions {
        ring_len: RECEIVE_RING,
        ..cell.conditions.clone()
    };
    let (near, far) = segment(seed, to_board, cell.conditions.clone());
    let mut hosts = Hosts::new(near);
    let main = pusher(cell, &mut hosts, &far, &file(&config, &new), seed);
    let mut net = Net {
        cell,
        config: config.clone(),
        nor: nor.clone(),
        hosts,
        board_port: far.clone(),
        time: Instant::ZERO,
        stage: Stage::Push,
        main,
        second: None,
        stranger: None,
        flood: None,
        told: None,
        told_at: Instant::ZERO,
        traffic: [Traffic::default(); 2],
        open_updates: 0,
        refusals: Vec::new(),
        violation: None,
    };
    net.invite();
    let mut board = Board {
        config,
        station: settings::VIRTUAL_CHIP_MAC,
        nor,
        clock: Clock::new(Pace::Virtual),
        port: far,
        file: None,
        after_start: AfterStart::Key,
        rng: Rng::new(seed),
    };
    let ended = board.run(Reset::with_key("network trial"), &mut net);
    ended.map_err(|error| format!("{error:#}"))?;
    net.report()
}

/// A flash with the old application, committed, and the profile's times from here on.
fn board_with(profile: &Profile, config: &Config, old: &[u8], seed: u64) -> SharedNor {
    let bench = Bench::with_application(config.map.clone(), old, seed);
    let times = settings::flash_times(profile, FlashSpeed::Typical);
    let mut nor = Nor::new(config.map.flash.clone(), times, seed);
    nor.load(config.map.flash.region().start, &bench.nor.content());
    nor.take_changed();
    SharedNor::new(nor)
}

impl Net<'_> {
    /// Lets those in who disturb.
    fn invite(&mut self) {
        let third = file(&self.config, &payloads(self.cell, &self.config)[2]);
        let at = BEGIN + SECOND;
        let hosts = &mut self.hosts;
        let tid = match &self.main {
            Pusher::Tftp(client) => client.tid.clone(),
            Pusher::Http(_) => Default::default(),
        };
        match self.cell.company {
            Company::Nobody => {}
            Company::SecondHost => {
                let transport = self.cell.transport;
                self.second = Some(other(transport, Host::Second, hosts, &third, at));
            }
            Company::SameHost => {
                let transport = self.cell.transport;
                self.second = Some(other(transport, Host::First, hosts, &third, at));
            }
            Company::SecondOverHttp => {
                let second = other(Transport::Http, Host::Second, hosts, &third, at);
                self.second = Some(second);
            }
            Company::Stranger => self.stranger = Some(Stranger::new(hosts, tid)),
            Company::Flood => self.flood = Some(Flood::new(hosts, tid)),
        }
    }

    /// Lets everybody do what is due.
    fn act(&mut self, now: Instant) {
        let hosts = &mut self.hosts;
        match &mut self.stage {
            Stage::Push => self.main.actor().act(now, hosts),
            Stage::Ask(reader) => reader.act(now, hosts),
            Stage::Successor(pusher) => pusher.actor().act(now, hosts),
            Stage::Wait(_) | Stage::Over => {}
        }
        if let Some(second) = &mut self.second {
            second.actor().act(now, hosts);
        }
        if let Some(stranger) = &mut self.stranger {
            stranger.act(now, hosts);
        }
        if let Some(flood) = &mut self.flood {
            flood.act(now, hosts);
        }
    }

    fn next_at(&mut self) -> Option<Instant> {
        let time = self.time;
        let stage = match &self.stage {
            Stage::Push => self.main.next_at(),
            Stage::Ask(reader) => reader.next_at(),
            Stage::Successor(pusher) => pusher.next_at(),
            Stage::Wait(until) => Some(*until),
            Stage::Over => None,
        };
        [
            stage,
            self.second.as_ref().and_then(Pusher::next_at),
            self.stranger.as_ref().and_then(Actor::next_at),
            self.flood.as_ref().and_then(Actor::next_at),
            self.hosts.next_at(time),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Lets the hosts live until `end`, each event at its own time: while the board's flash is busy they go on.
    fn live_until(&mut self, end: Instant) {
        while let Some(next) = self.next_at() {
            // Never twice at the same time: a stack may want to be polled again at once.
            let next = next.max(self.time + Duration::from_micros(1));
            if next > end || matches!(self.stage, Stage::Over) {
                break;
            }
            self.time = next;
            self.hosts.poll(next);
            self.act(next);
            self.hosts.poll(next);
            self.go_on();
        }
        if end > self.time {
            self.time = end;
        }
    }

    fn go_on(&mut self) {
        let now = self.time;
        if now > Instant::ZERO + LIMIT {
            return self.violate("it never ends".into());
        }
        match &mut self.stage {
            Stage::Push => self.after_push(),
            Stage::Ask(reader) => {
                if let Some(answer) = reader.result() {
                    self.compare(answer.map_err(|error| error.to_string()));
                    self.stage = Stage::Wait(self.told_at + BOARD_S_TIME);
                }
            }
            Stage::Wait(until) if now >= *until => self.succeed(),
            Stage::Wait(_) | Stage::Over => {}
            Stage::Successor(pusher) => {
                let late = now > self.told_at + BOARD_S_TIME + SUCCESSOR_S_TIME;
                match pusher.told() {
                    Some(Ok(())) => self.check_successor(),
                    Some(Err(why)) => self.violate(format!("the board is not free: {why}")),
                    None if late => self.violate("the board is not free in its time".into()),
                    None => {}
                }
            }
        }
    }

    fn after_push(&mut self) {
        let vanished = self.main.has_vanished();
        let told = self.main.told();
        if told.is_none() && !vanished {
            return;
        }
        self.told_at = self.time;
        self.traffic = [self.board_port.traffic(), self.hosts.port.traffic()];
        self.told = told.filter(|_| !vanished);
        match &self.told {
            Some(Ok(())) => self.check_commit(),
            _ if self.cell.end == End::Committed => {
                self.violate(format!("not committed: {:?}", self.told));
            }
            Some(Err(why)) if why.trim().is_empty() => {
                self.violate("it failed without a word".into());
            }
            Some(Err(_)) => {
                self.mend_the_network();
                let reader = Reader::new(
                    ClientConfig {
                        options: false,
                        request_patience: Wait::from_secs(10),
                        ..ClientConfig::default()
                    },
                    FILE_NAME,
                    8000,
                    since_start(self.time),
                );
                let handle = self.hosts.udp_socket(Host::Second, 45_000);
                self.stage = Stage::Ask(Box::new(Driven::new(reader, handle, self.time)));
            }
            None => {
                // A client without power says nothing, not even a reset of its connection.
                if let Pusher::Http(push) = &mut self.main {
                    push.forget(&mut self.hosts);
                    self.cut_the_wire();
                } else {
                    self.mend_the_network();
                }
                self.stage = Stage::Wait(self.told_at + BOARD_S_TIME);
            }
        }
    }

    fn set_conditions(&self, conditions: &Conditions) {
        self.hosts.port.set_conditions(conditions.clone());
        self.board_port.set_conditions(Conditions {
            ring_len: RECEIVE_RING,
            ..conditions.clone()
        });
    }

    fn mend_the_network(&self) {
        self.set_conditions(&Conditions::default());
    }

    fn cut_the_wire(&self) {
        self.set_conditions(&Conditions {
            loss_ppm: 1_000_000,
            ..Conditions::default()
        });
    }

    fn succeed(&mut self) {
        self.mend_the_network();
        self.check_cost();
        if self.open_updates != 0 {
            let open = self.open_updates;
            self.violate(format!(
                "{open} updates begun and neither refused nor committed"
            ));
        }
        let third = file(&self.config, &payloads(self.cell, &self.config)[2]);
        let transport = self.cell.transport;
        self.second = None;
        let pusher = other(transport, Host::Third, &mut self.hosts, &third, self.time);
        if !matches!(self.stage, Stage::Over) {
            self.stage = Stage::Successor(Box::new(pusher));
        }
    }
}

impl World for Net<'_> {
    fn event(&mut self, stamped: Stamped) {
        match stamped.event {
            Event::UpdateBegun { .. } => self.open_updates += 1,
            Event::Committed { .. } => self.open_updates -= 1,
            Event::Refused { sentence, .. } => {
                self.open_updates -= 1;
                self.refusals.push(sentence);
            }
            _ => {}
        }
    }

    fn turn(&mut self, clock: &mut Clock, poll_at: Option<Instant>) -> anyhow::Result<Next> {
        loop {
            self.live_until(clock.now());
            if matches!(self.stage, Stage::Over) {
                return Ok(Next::Stop);
            }
            let now = clock.now();
            if poll_at.is_some_and(|at| at <= now) || self.board_port.has_frame(now) {
                return Ok(Next::Continue);
            }
            let arrival = self.board_port.next_arrival();
            let next = [self.next_at(), poll_at, arrival]
                .into_iter()
                .flatten()
                .min();
            let Some(next) = next else {
                return Ok(Next::Stop);
            };
            clock.wait_until(next.max(now + Duration::from_micros(1)));
        }
    }
}
