//! One push to one board, in virtual time, and where its time went.

use std::path::Path;

use iap_emulator::{Board, BoardOptions, FlashOperation, Image, Stop, Symbols, Time};
use iap_profile::Profile;
use iap_sim::bench::{Bench, Pushed};
use iap_sim::wire::{Conditions, segment};
use iap_sim::{image, settings};
use smoltcp::time::{Duration, Instant};

use super::cases::{Case, Files};
use super::errand::Errand;
use super::host::Host;

const FLASH: u32 = 0x0800_0000;
const FLASH_LEN: usize = 1024 * 1024;
/// Long enough for DHCP to be given up.
const SETTLED: Time = Time::from_millis(31_000);
/// No push takes longer.
const PATIENCE: Time = Time::from_millis(120_000);
const BITS_PER_S: u64 = 100_000_000;

/// The shipped firmware of a board.
pub(crate) struct Firmware {
    pub(crate) profile: Profile,
    content: Vec<u8>,
    symbols: Symbols,
}

/// What a push took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    /// From iapctl's first packet to the status that proves the update; of a refused image, from its first byte to the verdict.
    pub(crate) took: Time,
    pub(crate) limit: Time,
    pub(crate) target: Time,
    pub(crate) erasing: Time,
    pub(crate) programming: Time,
    pub(crate) processor: Time,
    /// Cycles of its instructions, as the interpreter counts them.
    pub(crate) cycles: u64,
    /// Bytes of the image that were sent, headers included.
    pub(crate) bytes: u32,
    /// TFTP blocks sent more than once, and frames that the board had no room for.
    pub(crate) repeated: u64,
    pub(crate) missed: u64,
    /// What is wrong besides the time.
    pub(crate) faults: Vec<String>,
}

impl Outcome {
    /// Waiting for the network, or for something to happen.
    pub(crate) fn idle(&self) -> Time {
        self.took - self.erasing - self.programming - self.processor
    }

    pub(crate) fn is_good(&self) -> bool {
        self.took <= self.target && self.faults.is_empty()
    }
}

/// Where the time is by now.
#[derive(Clone, Copy)]
struct Accounts {
    now: Time,
    erasing: Time,
    programming: Time,
    processor: Time,
    cycles: u64,
}

impl Accounts {
    fn of(board: &Board) -> Self {
        let flash = board.flash_use();
        Self {
            now: board.now(),
            erasing: flash.erasing,
            programming: flash.programming,
            processor: board.cpu_time(),
            cycles: board.cycles(),
        }
    }
}

impl Firmware {
    /// Reads what `cargo xtask firmware` built for `profile`.
    pub(crate) fn load(profile: &str, elf: &Path) -> Self {
        let image = Image::load(elf, FLASH).unwrap();
        let mut content = vec![0xFF; FLASH_LEN];
        image.place(FLASH, &mut content).unwrap();
        Self {
            profile: Profile::load(profile).unwrap(),
            content,
            symbols: image.symbols,
        }
    }

    /// The flash of a board on which `application` was committed.
    fn flash_with(&self, application: &[u8]) -> Vec<u8> {
        let map = self.profile.memory_map();
        let mut bench = Bench::new(map.clone(), 1);
        bench.config.board = self.profile.settings.board_id.clone().leak();
        let file = image::iap_file(map, &self.profile.settings.board_id, application);
        assert_eq!(bench.push(&file), Pushed::Committed);
        let mut content = bench.nor.content();
        // The firmware's own sectors, and no others: the record lies between them.
        for index in map.iap_sectors.iter() {
            let region = map.flash.sector(index).unwrap().region;
            let from = (region.start - FLASH) as usize;
            let range = from..from + region.len as usize;
            content[range.clone()].copy_from_slice(&self.content[range]);
        }
        content
    }
}

fn instant(time: Time) -> Instant {
    Instant::from_micros(i64::try_from(time.micros_ceil()).unwrap())
}

/// A board and a host on a line.
struct Lan {
    board: Board,
    host: Host,
}

impl Lan {
    fn new(firmware: &Firmware, case: &Case, files: &Files, percent: u32) -> Self {
        let options = BoardOptions {
            link_up: Time::from_millis(5),
            stop_at_application: true,
            cycles_percent: percent,
            ..BoardOptions::default()
        };
        let content = firmware.flash_with(&files.old);
        let symbols = firmware.symbols.clone();
        let mut board = Board::new(&firmware.profile, &options, &content, symbols).unwrap();
        let way = Conditions {
            delay: Duration::from_micros(case.round_trip.micros() / 2),
            ..Conditions::default()
        };
        // The board's own end sends at the line's speed already.
        let from_host = Conditions {
            bits_per_s: BITS_PER_S,
            ..way.clone()
        };
        let (near, far) = segment(1, from_host, way);
        board.connect(far);
        // It would start the application it holds.
        board.press_key(true);
        let host = Host::new(near, settings::static_address(&firmware.profile));
        Self { board, host }
    }

    fn run(&mut self, span: Time, mut act: impl FnMut(Instant, &mut Host) -> Option<Instant>) {
        let limit = self.board.now() + span;
        loop {
            let now = instant(self.board.now());
            self.host.poll(now);
            let due = act(now, &mut self.host);
            self.host.poll(now);
            self.board.look_at_wire();
            if due == Some(Instant::ZERO) || self.board.now() >= limit {
                return;
            }
            let at = [due, self.host.poll_at(now)].into_iter().flatten().min();
            let at = at.map_or(limit, |at| {
                Time::from_micros(at.total_micros().unsigned_abs())
            });
            let at = at.max(self.board.now() + Time::from_micros(1));
            match self.board.run(limit.min(at)) {
                Stop::Limit | Stop::Sent => {}
                stop => panic!("{stop:?} at {:x?}", self.board.pc()),
            }
        }
    }
}

/// Pushes; `percent` of the interpreter's cycles pass.
pub(crate) fn run(firmware: &Firmware, case: &Case, percent: u32) -> Outcome {
    let files = case.files(&firmware.profile);
    let mut lan = Lan::new(firmware, case, &files, percent);
    lan.run(SETTLED, |_, _| None);
    lan.board.take_flash_operations();
    let missed_before = missed(&lan.board);
    let mut before = Accounts::of(&lan.board);
    let map = firmware.profile.memory_map().clone();
    let mut errand = Errand::new(case.transport, map, files.new.clone());
    let mut first_block = None;
    while errand.result().is_none() && lan.board.now() - before.now < PATIENCE {
        lan.run(PATIENCE, |now, host| {
            errand.act(now, host);
            // Back to the accounts where the first byte of the file leaves, and in the end.
            let is_first = first_block.is_none() && errand.first_block.is_some();
            match is_first || errand.result().is_some() {
                true => Some(Instant::ZERO),
                false => errand.poll_at().map(|at| at.max(Instant::from_micros(1))),
            }
        });
        first_block.get_or_insert_with(|| Accounts::of(&lan.board));
    }
    if case.is_refused() {
        before = first_block.unwrap_or(before);
    }
    let limit = case.limit(&firmware.profile, &files);
    let after = Accounts::of(&lan.board);
    let took = after.now - before.now;
    Outcome {
        took,
        limit,
        target: case.target(limit),
        erasing: after.erasing - before.erasing,
        programming: after.programming - before.programming,
        processor: after.processor - before.processor,
        cycles: after.cycles - before.cycles,
        bytes: sent_bytes(&errand),
        repeated: errand.repeated,
        missed: missed(&lan.board) - missed_before,
        faults: faults(case, &files, &errand, &mut lan.board, firmware),
    }
}

fn missed(board: &Board) -> u64 {
    let usage = board.ethernet_use();
    usage.missed + usage.overflowed
}

fn sent_bytes(errand: &Errand) -> u32 {
    let update = errand
        .status
        .as_ref()
        .and_then(|status| status.update.as_ref());
    update.map_or(0, |update| update.received)
}

/// What must be true besides the time.
fn faults(
    case: &Case,
    files: &Files,
    errand: &Errand,
    board: &mut Board,
    firmware: &Firmware,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            faults.push(what);
        }
    };
    let result = errand.result().unwrap_or(Err("it does not end".into()));
    check(
        result.is_err() == case.is_refused(),
        format!("told {result:?}"),
    );
    let application = firmware.profile.memory_map().application;
    let is_application_s = |operation: &FlashOperation| match operation {
        FlashOperation::Erase(sector) => *sector >= 5,
        FlashOperation::Program(address) => application.contains(*address),
    };
    let operations = board.take_flash_operations();
    let touched = operations.iter().filter(|it| is_application_s(it)).count();
    if case.is_refused() {
        let count = operations.len();
        check(count == 0, format!("{count} flash operations"));
    } else {
        let limit = case.limit(&firmware.profile, files);
        check(
            limit > Time::ZERO || touched == 0,
            format!("{touched} operations in the application's sectors"),
        );
        let (from, new) = ((application.start - FLASH) as usize, &files.new[512..]);
        let holds = board.flash_content()[from..].starts_with(new);
        check(holds, "the flash does not hold it".into());
        let (sent, most) = (sent_bytes(errand) as usize, case.most_bytes(files));
        check(sent <= most, format!("{sent} bytes sent, {most} do"));
    }
    let reports = board.reports();
    check(reports.is_empty(), format!("{reports:?}"));
    faults
}
