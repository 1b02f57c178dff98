//! What the flash driver of the shipped binary promises to the core, and no test on the host can see: no operation while the supply is low,
//! and no read that a cache answers with what was there before an erase.

use iap_core::intake::Transport;
use iap_sim::bench::Pushed;
use iap_sim::sweep::start::{Kind, Start, file};

use super::Firmware;
use super::lab::Lab;
use crate::flash::cache::LINES;
use crate::time::Time;

/// Below the threshold of the supply monitor (2.9 V), and below what 32-bit operations need (2.7 V, RM0090 section 3.6.2).
const LOW_MV: u32 = 2500;
const GOOD_MV: u32 = 3300;
/// How long the supply is low.
const LOW: Time = Time::from_millis(2000);
/// Pushes until both record sectors have been used and the newer one is full.
const MAX_PUSHES: usize = 60;

/// The supply sinks in an update, again and again: the flash is left alone, and the update ends well when the supply is good again.
pub fn low_supply(firmware: &Firmware, seed: u64) -> Result<(), String> {
    let start = firmware.start(Kind::Application, seed);
    let mut lab = Lab::new(firmware, &start, LINES)?;
    lab.begin(&start.file, &start, Transport::Tftp);
    for part in 0..8u64 {
        // In the record, in front of and behind the erase, and in the image.
        let wanted = start.bench.nor.counters().operations()
            + [0, 3, 150, 163, 164, 180, 900, 1900][part as usize];
        lab.run_to_operation(wanted)?;
        lab.board.set_supply(LOW_MV);
        // What is under way ends.
        lab.runs(Time::from_millis(1100))?;
        let before = lab.operations();
        lab.runs(LOW)?;
        let done = lab.operations() - before;
        if done != 0 {
            return Err(format!("{done} flash operations at {LOW_MV} mV"));
        }
        lab.board.set_supply(GOOD_MV);
    }
    lab.is_told()?;
    lab.is_clean()?;
    lab.starts_new(&start)
}

/// The record moves back to a sector that held an older state, read shortly before its erase: with a cache of so many lines. The chip's has
/// 8, and a driver must not count on what they forget.
pub fn erased_is_read_as_erased(
    firmware: &Firmware,
    data_cache_lines: usize,
    seed: u64,
) -> Result<(), String> {
    let mut start = firmware.start(Kind::Application, seed);
    use_both_record_sectors(&mut start)?;
    let mut lab = Lab::new(firmware, &start, data_cache_lines)?;
    lab.push(&start.file, &start, Transport::Tftp)?;
    let [first, _] = start.bench.config.map.record_sectors.map(usize::from);
    if lab.nor().counters().erases[first] == start.bench.nor.counters().erases[first] {
        return Err("the record did not move".into());
    }
    lab.starts_new(&start)
}

/// Pushes on the host until the next one moves the record to its first sector.
fn use_both_record_sectors(start: &mut Start) -> Result<(), String> {
    let map = start.bench.config.map.clone();
    let payloads = [start.complete[0].1.clone(), start.new.clone()];
    let [first, _] = map.record_sectors.map(usize::from);
    for round in 0..MAX_PUSHES {
        let payload = &payloads[(round + 1) % 2];
        let file = file(payload, round as u16 + 10, &map);
        let mut trial = start.bench.clone();
        trial.nor.power_on();
        match trial.push(&file) {
            Pushed::Committed if trial.nor.counters().erases[first] > 0 => {
                (start.new, start.declared) = (payload.clone(), Some(file.len() as u32));
                start.file = file;
                return Ok(());
            }
            Pushed::Committed => start.bench = trial,
            pushed => return Err(format!("on the host: {pushed:?}")),
        }
    }
    Err("the record never moves to its first sector".into())
}
