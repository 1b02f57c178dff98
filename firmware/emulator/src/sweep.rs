//! Power cuts in updates of the shipped binary: what `cargo xtask sweep --emulator` runs.
//!
//! `iap-sim`'s sweep tries millions of cuts on the core as the host compiles it. This one tries hundreds on the very instructions that are
//! programmed into boards, with the driver's registers, the DMA and the jump between them, and holds the two against each other:
//! - the undisturbed update does the same flash operations as the core on the host;
//! - after each cut the binary decides at every boot as the core does on the same cells, and leaves the same flash behind;
//! - what was cut is judged as in `iap-sim`'s sweep, and the board then takes the image from a push over its own network, and starts it, with the
//!   security counter and the revoked keys that the image brings;
//! - no client is told that the image is installed before the next reset starts it;
//! - nothing is done that the manual forbids.

pub mod driver;
mod lab;

use std::path::Path;

use anyhow::{Result, ensure};
use iap_core::intake::Transport;
use iap_profile::Profile;
use iap_protocol::status::Policy;
use iap_sim::bench::{Bench, real_map};
use iap_sim::nor::{Cut, Nor};
use iap_sim::rng::mix;
use iap_sim::settings;
use iap_sim::signer::public_keys;
use iap_sim::sweep::judge::{Fate, judge};
use iap_sim::sweep::pool;
use iap_sim::sweep::rules::Rules;
use iap_sim::sweep::start::{Kind, Sizes, Start, loaded};
use iap_sim::sweep::tally::Tally;
use iap_sim::sweep::track::Point;

use crate::flash::cache::LINES;
use crate::image::{Image, Symbols};
use lab::Lab;

/// Where the flash begins.
const FLASH: u32 = 0x0800_0000;
/// Images of two thousand words: one sector.
const SIZES: Sizes = Sizes {
    old: 9_001,
    new: 7_003,
};
/// Images of a sector, which is the same in both, and as much in the next one.
const PARTIAL: Sizes = Sizes {
    old: 128 * 1024 + 9_001,
    new: 128 * 1024 + 7_003,
};

/// The shipped firmware, and the board it is for.
pub struct Firmware {
    profile: Profile,
    rules: Rules,
    content: Vec<u8>,
    symbols: Symbols,
}

impl Firmware {
    /// Reads what `cargo xtask firmware` built for `profile`.
    pub fn load(profile: &str, elf: &Path) -> Result<Self> {
        let profile = Profile::load(profile)?;
        let image = Image::load(elf, FLASH)?;
        ensure!(
            *profile.memory_map() == real_map(),
            "the sweep knows the flash map `full` only"
        );
        let config = settings::config(&profile);
        let rules = match config.policy {
            Policy::Signed => Rules::Signed,
            Policy::Open | Policy::Login => Rules::Open,
        };
        ensure!(
            rules != Rules::Signed || config.public_keys == public_keys() && config.boot_signature,
            "the sweep signs with the keys of tests, and starts are checked with them"
        );
        let mut content = vec![0xFF; profile.memory_map().flash.region().len as usize];
        image.place(FLASH, &mut content)?;
        Ok(Self {
            profile,
            rules,
            content,
            symbols: image.symbols,
        })
    }

    /// A board's state with this firmware in its flash.
    fn start(&self, kind: Kind, seed: u64) -> Start {
        let sizes = if kind.is_partial() { PARTIAL } else { SIZES };
        let mut start = Start::new(kind, &real_map(), sizes, self.rules, seed);
        let map = &start.bench.config.map;
        // Sector by sector: those of the record lie between the firmware's.
        for sector in map
            .iap_sectors
            .iter()
            .filter_map(|index| map.flash.sector(index))
        {
            let from = (sector.region.start - FLASH) as usize;
            let to = self.content.len().min(from + sector.region.len as usize);
            start.bench.nor.load(
                sector.region.start,
                self.content.get(from..to).unwrap_or_default(),
            );
        }
        start
    }
}

/// Cuts about `count` operations of an update from each of these states.
pub fn run(firmware: &Firmware, kinds: &[Kind], count: usize, seed: u64, threads: usize) -> Tally {
    let mut tally = Tally::default();
    for &kind in kinds {
        let seed = firmware.rules.seed(seed, kind);
        let start = firmware.start(kind, seed);
        tally.add(run_from(firmware, &start, count, seed, threads));
    }
    tally
}

fn run_from(firmware: &Firmware, start: &Start, count: usize, seed: u64, threads: usize) -> Tally {
    let track = start.track();
    let mut tally = Tally::default();
    if let Err(what) = undisturbed(firmware, start, track.ops.len()) {
        tally.violation(format!("{:?}: {what}", start.kind));
    }
    let all = track.chosen_points(&start.bench.config.map);
    // Odd: cuts before and inside operations come in turn.
    let stride = (all.len() / count.max(1)).max(1) | 1;
    let points: Vec<_> = all.into_iter().step_by(stride).collect();
    tally.add(pool::run(threads, points.len(), |item, tally| {
        let Some(&point) = points.get(item) else {
            return;
        };
        tally.planned += 1;
        // One in four over HTTP.
        let transport = if item % 4 == 3 {
            Transport::Http
        } else {
            Transport::Tftp
        };
        if let Err(what) = cut(firmware, start, transport, point, seed, tally) {
            let (kind, at, name) = (start.kind, point.index, transport.name());
            tally.violation(format!(
                "{kind:?}, {:?}, over {name}, seed {seed:#x}, cut {:?} operation {at}: {what}",
                start.rules, point.moment
            ));
        }
    }));
    tally
}

/// Without a cut the binary does the operations of the core on the host, and ends with the new application.
fn undisturbed(firmware: &Firmware, start: &Start, expected: usize) -> Result<(), String> {
    let mut lab = Lab::new(firmware, start, LINES)?;
    lab.push(&start.file, start, Transport::Tftp)?;
    let before = start.bench.nor.counters().operations();
    let done = lab.nor().counters().operations() - before;
    if done != expected as u64 {
        return Err(format!(
            "{done} operations, the core on the host did {expected}"
        ));
    }
    lab.starts_new(start)
}

fn cut(
    firmware: &Firmware,
    start: &Start,
    transport: Transport,
    point: Point,
    seed: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut lab = Lab::new(firmware, start, LINES)?;
    lab.board
        .with_flash(|nor| nor.plan_cut(Cut::new(point.index as u64, point.moment)));
    let told = lab.push_until_the_power_goes(start, transport)?;
    tally.fired += 1;
    let at = (point.index as u64) << 8 ^ point.moment as u64;
    lab.board.with_flash(|nor| nor.reseed(mix(seed ^ at)));
    let fate = judge(start, lab.nor(), tally)?.fate;
    match (told, fate) {
        (None, _) | (Some(Ok(())), Fate::New) => {}
        (told, fate) => return Err(format!("{fate:?}, but the client was told {told:?}")),
    }
    lab.boots_as_the_host_does(start, tally)?;
    lab.push(&start.whole, start, transport)?;
    tally.pushes += 1;
    lab.starts_new(start)?;
    counts(start, lab.nor())?;
    lab.is_clean()
}

/// Security counter and revoked keys are what the new image makes of them.
fn counts(start: &Start, nor: Nor) -> Result<(), String> {
    let config = start.bench.config.clone();
    let record = loaded(&mut Bench { nor, config });
    let now = (record.counter, record.revoked);
    if now == start.afterwards {
        return Ok(());
    }
    Err(format!(
        "counter and revoked keys are {now:x?}, expected {:x?}",
        start.afterwards
    ))
}
