//! A thousand updates in a row, and what they cost the flash.
#![allow(clippy::unwrap_used)] // a test

use anyhow::{Result, bail};
use iap_core::intake::Transport;
use iap_profile::Profile;
use iap_sim::bench::{Bench, RECEIVE_RING, iap, payload, real_map};
use iap_sim::board::{AfterStart, Board, Next, Reset, World};
use iap_sim::clock::{Clock, Pace};
use iap_sim::event::{Event, Stamped};
use iap_sim::nor::SharedNor;
use iap_sim::rng::Rng;
use iap_sim::settings;
use iap_sim::visitor::Visitor;
use iap_sim::wire::{Conditions, Port, segment};
use smoltcp::time::{Duration, Instant};

/// Erases that each sector survives (DS8626 table 42, NEND at least).
const ENDURANCE: u32 = 10_000;
const ROUNDS: usize = 1000;
/// Virtual time for one update, with its resets.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pushes one image after the other, by TFTP and HTTP in turn; after each it resets the board and waits for its start.
struct Line {
    visitor: Visitor,
    board: Port,
    files: [Vec<u8>; 3],
    round: usize,
    since: Instant,
    /// By transport.
    pushed: [usize; 2],
    started: usize,
}

impl Line {
    fn push(&mut self, now: Instant) {
        let transport = [Transport::Tftp, Transport::Http][self.round % 2];
        let file = &self.files[self.round % 3];
        self.visitor.push(transport, file, true, now);
        self.since = now;
    }
}

impl World for Line {
    fn event(&mut self, stamped: Stamped) {
        if let Event::WouldStart { version, .. } = &stamped.event {
            assert_eq!(*version, format!("{}.0.0", self.round % 3 + 1));
            self.started += 1;
            self.round += 1;
            self.push(stamped.at);
        }
    }

    fn turn(&mut self, clock: &mut Clock, poll_at: Option<Instant>) -> Result<Next> {
        loop {
            let now = clock.now();
            self.visitor.poll(now);
            if self.round == ROUNDS {
                return Ok(Next::Stop);
            }
            match self.visitor.told() {
                Some(Ok(())) if self.pushed[0] + self.pushed[1] == self.round => {
                    self.pushed[self.round % 2] += 1;
                    return Ok(Next::Reset(Reset::plain("the next round")));
                }
                Some(Err(said)) => bail!("update {}: {said}", self.round),
                _ if now >= self.since + PATIENCE => bail!("update {}: no end", self.round),
                _ => {}
            }
            let (board, end) = (self.board.clone(), self.since + PATIENCE);
            if self.visitor.board_is_needed(clock, &board, poll_at, end) {
                return Ok(Next::Continue);
            }
        }
    }
}

#[test]
fn a_thousand_updates_over_both_transports_wear_the_record_no_faster_than_the_application() {
    let bench = Bench::new(real_map(), 1);
    let mut profile = Profile::builtin("sim").unwrap();
    profile.settings.network.use_dhcp = false;
    let mut config = bench.config.clone();
    config.network.use_dhcp = false;
    let ring = Conditions {
        ring_len: RECEIVE_RING,
        ..Conditions::default()
    };
    let (near, far) = segment(1, ring, Conditions::default());
    let mut line = Line {
        visitor: Visitor::new(near, &profile, Instant::ZERO),
        board: far.clone(),
        // Three images and two transports: every image goes over both.
        files: [1, 2, 3].map(|seed| iap(&payload(12_000, seed), (seed.into(), 0, 0), &real_map())),
        round: 0,
        since: Instant::ZERO,
        pushed: [0; 2],
        started: 0,
    };
    line.push(Instant::ZERO);
    let nor = SharedNor::new(bench.nor);
    let mut board = Board {
        config,
        station: settings::VIRTUAL_CHIP_MAC,
        nor: nor.clone(),
        clock: Clock::new(Pace::Virtual),
        port: far,
        file: None,
        after_start: AfterStart::Key,
        rng: Rng::new(1),
    };
    board.run(Reset::power_on(), &mut line).unwrap();
    assert_eq!((line.pushed, line.started), ([ROUNDS / 2; 2], ROUNDS));
    let erases = nor.lock().counters().erases.clone();
    println!("erases by sector after {ROUNDS} updates: {erases:?}");
    assert_eq!(erases[5], ROUNDS as u32, "one for each update");
    assert!(
        erases[1] + erases[2] < 200,
        "both record sectors: {erases:?}"
    );
    assert!(erases.iter().all(|&count| count <= ENDURANCE / 10));
}
