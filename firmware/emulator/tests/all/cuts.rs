//! The power goes in the middle of an update, at each erase, in each entry of the boot record, and at words chosen by a seed. Afterwards
//! the board starts a complete application or is in IAP mode, and takes an image.
//!
//! `firmware/core/SAFETY.md` tells of every operation being cut, on the host; here it is the shipped binary, 20 times.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::common::guest_errors;
use crate::common::iap::{Bench, RMII, Setup};
use iap_emulator::{FlashOperation, Stop};
use iap_profile::Profile;
use iap_protocol::header::HEADER_LEN;
use iap_protocol::memory::MemoryMap;
use iap_protocol::record::{ENTRY_LEN, LOG_OFFSET, SECTOR_SIZE_BYTES};
use iap_sim::nor::{Cut, Moment};
use iap_sim::rng::Rng;

const CUTS: usize = 20;
/// Boards that run at the same time.
const THREADS: usize = 4;
/// The image takes two sectors.
const LEN: usize = 132 * 1024;
/// Where it is in the flash.
const APPLICATION: usize = 0x2_0000;
const NEW: (u16, u16, u16) = (2, 0, 0);

/// One cut.
#[derive(Clone, Debug)]
struct Round {
    /// Operations that are done before.
    index: usize,
    operation: FlashOperation,
    moment: Moment,
}

/// The flash of a board that runs the sample application.
fn installed() -> Vec<u8> {
    let mut bench = Bench::ready(RMII);
    bench.push_application("tftp");
    bench.board().flash_content()
}

fn bench(content: &[u8]) -> Bench {
    let setup = Setup {
        content: Some(content.to_vec()),
        ..Setup::default()
    };
    let mut bench = Bench::new(RMII, setup);
    bench.enter_iap_mode();
    bench
}

/// What an uncut update does to the flash.
fn operations(content: &[u8]) -> Vec<FlashOperation> {
    let mut bench = bench(content);
    bench.board().take_flash_operations();
    let (file, _) = bench.image(NEW, LEN);
    bench.push("tftp", &file);
    bench.board().take_flash_operations()
}

/// The slot of the record that a word belongs to; none for words of the application.
fn record_slot(map: &MemoryMap, operation: &FlashOperation) -> Option<u32> {
    let FlashOperation::Program(address) = *operation else {
        return None;
    };
    let offset = address % SECTOR_SIZE_BYTES;
    let in_log = (offset.checked_sub(LOG_OFFSET)).map(|offset| offset / ENTRY_LEN as u32);
    let slot = in_log.map_or(offset / HEADER_LEN as u32, |slot| LOG_OFFSET + slot);
    (!map.application.contains(address)).then_some(address - offset + slot)
}

/// Each erase; each slot of the record, at one of its words; the rest are words of the application.
fn rounds(operations: &[FlashOperation]) -> Vec<Round> {
    let profile = Profile::load(RMII).unwrap();
    let map = profile.memory_map();
    let slots: Vec<_> = operations.iter().map(|it| record_slot(map, it)).collect();
    let mut rng = Rng::new(20);
    let mut chosen = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        let is_new = slot.is_some() && !slots[..index].contains(slot);
        if is_new {
            let words = slots.iter().filter(|other| *other == slot).count();
            let wanted = rng.below(words as u64) as usize;
            let same = (0..slots.len()).filter(|other| slots[*other] == *slot);
            chosen.extend(same.skip(wanted).take(1));
        } else if matches!(operations[index], FlashOperation::Erase(_)) {
            chosen.push(index);
        }
    }
    while chosen.len() < CUTS {
        let index = rng.below(operations.len() as u64) as usize;
        if slots[index].is_none() && !chosen.contains(&index) {
            chosen.push(index);
        }
    }
    let mut round = |index: usize| Round {
        index,
        operation: operations[index],
        moment: Moment::ALL[rng.below(Moment::ALL.len() as u64) as usize],
    };
    chosen.into_iter().map(&mut round).collect()
}

/// The power goes, and comes back: what the board is then. It takes an image afterwards, and that runs.
fn cut(content: &[u8], round: &Round) -> String {
    let mut bench = bench(content);
    bench.board().take_flash_operations();
    let plan = Cut::new(round.index as u64, round.moment);
    bench.board().with_flash(|nor| nor.plan_cut(plan));
    let (file, payload) = bench.image(NEW, LEN);
    let command = bench.command(&["push", file.to_str().unwrap()], "tftp");
    let (_, _, stop) = bench.serve(command);
    assert_eq!(stop, Some(Stop::PowerLost), "{round:?}: the cut fired");
    let operations = bench.board().take_flash_operations();
    assert_eq!(operations.last(), Some(&round.operation), "{round:?}");
    bench.board().power_on();
    let became = if bench.starts_or_settles() {
        let flash = bench.board().flash_content();
        let is_new = flash[APPLICATION..].starts_with(&payload);
        let is_old = flash[APPLICATION..] == content[APPLICATION..];
        assert!(is_new || is_old, "{round:?}: starts what is not complete");
        "starts an application".to_owned()
    } else {
        let text = bench.status("tftp");
        let mode = text.lines().find(|line| line.contains("IAP mode"));
        mode.map_or(text.clone(), |line| line.trim().to_owned())
    };
    bench.enter_iap_mode();
    bench.starts.clear();
    bench.push_application("tftp");
    bench.wait_for_start();
    bench.leds_count();
    assert_eq!(guest_errors(bench.board()), [""; 0], "{round:?}");
    became
}

fn named(operation: FlashOperation) -> String {
    match operation {
        FlashOperation::Erase(sector) => format!("the erase of sector {sector}"),
        FlashOperation::Program(address) => format!("the word at {address:#010x}"),
    }
}

#[test]
fn after_each_of_20_power_cuts_the_board_starts_an_application_or_takes_one() {
    let content = installed();
    let rounds = rounds(&operations(&content));
    assert_eq!(rounds.len(), CUTS, "{rounds:?}");
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(round) = rounds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let became = cut(&content, round);
            println!("{:?} {}: {became}", round.moment, named(round.operation));
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
}
