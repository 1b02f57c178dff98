//! A board: core, chip and memory, run as one in virtual time.
//!
//! [`Board::run`] executes until something happens that the caller has to know: the time is over, a frame left, the chip was reset, the power
//! went, or the run cannot go on. Between two instructions everything that is due happens, so a device never lags behind the core.

mod outside;
mod waiting;

use std::sync::{Arc, MutexGuard};

use iap_profile::Profile;
use iap_protocol::memory::Region;
use iap_sim::wire::Port;
use smoltcp::time::Instant;

use crate::chip::{Chip, Shared};
use crate::core::Core;
use crate::eth::Ethernet;
use crate::fault;
use crate::flash::{Flash, Wear, cache};
use crate::image::Symbols;
use crate::memory::{self, Rams};
use crate::rcc::ResetCause;
use crate::report::Kind;
use crate::time::{Clock, Pace, Time};
use crate::wires::Clocks;

const HARD_FAULT: u16 = 3;

/// How a board is made.
#[derive(Clone, Debug)]
pub struct BoardOptions {
    /// Typical or maximum times of the flash.
    pub wear: Wear,
    /// Decides what power-on leaves in RAM, how torn cells read, the unique id, and the random numbers.
    pub seed: u64,
    /// Cycles that pass for 100 of the interpreter's, which counts none for flash wait states and the bus: 150 for a core that loses one
    /// cycle in three to them.
    pub cycles_percent: u32,
    /// Lines of the flash's data cache. More than the chip's 8 forget less: for a driver that must not rely on what a cache forgets.
    pub data_cache_lines: usize,
    /// How long the PHY negotiates.
    pub link_up: Time,
    /// Whether [`Board::run`] comes back at the application's first instruction.
    pub stop_at_application: bool,
    /// Whether rounds of loops that only wait are counted, not executed: nothing else is different but the time it takes here.
    pub skip_waiting: bool,
}

impl Default for BoardOptions {
    fn default() -> Self {
        Self {
            wear: Wear::Typical,
            seed: 1,
            cycles_percent: 100,
            data_cache_lines: cache::LINES,
            link_up: Time::from_millis(1500),
            stop_at_application: false,
            skip_waiting: true,
        }
    }
}

/// Why [`Board::run`] came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The time is over.
    Limit,
    /// A frame is on the wire.
    Sent,
    /// The chip was reset and is about to start again.
    Reset(ResetCause),
    /// The application's first instruction is about to be executed; only if [`BoardOptions`] asks for it.
    Application,
    /// A planned cut took the power away; [`Board::power_on`] brings it back.
    PowerLost,
    /// The run cannot go on, and why.
    Failed(String),
}

/// A board.
#[derive(Debug)]
pub struct Board {
    core: Core,
    shared: Arc<Shared>,
    rams: Rams,
    clock: Clock,
    symbols: Symbols,
    key: Option<iap_profile::KeySettings>,
    port: Option<PortEnd>,
    seed: u64,
    boots: u64,
    application: Region,
    stops_at_application: bool,
    in_application: bool,
    started: Time,
    lowest_stack: u32,
    /// Time in which instructions were executed.
    executing: Time,
    /// Cycles of the instructions since the last reset, as the interpreter counts them.
    cycles: u64,
    pace: Pace,
    skips_waiting: bool,
    waiting: waiting::Loop,
    /// Cycles of instructions that were not executed.
    skipped: u64,
    /// The program counter before the last instruction.
    last_pc: u32,
    /// Taken over from the chip whenever it called.
    hz: u64,
    next_event: Time,
    busy_until: Time,
    stalled_until: Time,
}

/// The board's end of the Ethernet segment.
struct PortEnd(Port);

impl std::fmt::Debug for PortEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Port")
    }
}

pub(crate) fn instant(micros: u64) -> Instant {
    Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

impl Board {
    /// A board of this profile under power, with this content of the whole flash.
    pub fn new(
        profile: &Profile,
        options: &BoardOptions,
        content: &[u8],
        symbols: Symbols,
    ) -> anyhow::Result<Self> {
        let rams = Rams::new(options.seed);
        let flash = Flash::new(profile, options, content);
        let eth = Ethernet::new(profile, Arc::clone(&rams.sram), options.link_up);
        let shared = Arc::new(Shared::new(Chip::new(profile, flash, eth, options.seed)));
        let space = Arc::new(memory::space(&shared, &rams)?);
        let mut board = Self {
            core: Core::new(space),
            shared,
            rams,
            clock: Clock::default(),
            symbols,
            key: profile
                .settings
                .iap_key
                .pin
                .map(|_| profile.settings.iap_key),
            port: None,
            seed: options.seed,
            boots: 0,
            application: profile.memory_map().application,
            in_application: !options.stop_at_application,
            stops_at_application: options.stop_at_application,
            started: Time::ZERO,
            lowest_stack: u32::MAX,
            executing: Time::ZERO,
            cycles: 0,
            pace: Pace::new(options.cycles_percent),
            skips_waiting: options.skip_waiting,
            waiting: waiting::Loop::default(),
            skipped: 0,
            last_pc: 0,
            hz: Clocks::RESET.hclk_hz,
            next_event: Time::ZERO,
            busy_until: Time::ZERO,
            stalled_until: Time::ZERO,
        };
        board.press_key(false);
        board.reset(ResetCause::PowerOn);
        Ok(board)
    }

    /// Plugs in the Ethernet cable.
    pub fn connect(&mut self, port: Port) {
        self.port = Some(PortEnd(port));
    }

    /// Virtual time since the board was made. It goes on over resets and power cuts.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    fn chip(&self) -> MutexGuard<'_, Chip> {
        memory::lock(&self.shared)
    }

    fn reset(&mut self, cause: ResetCause) {
        let now = self.now();
        self.chip().reset(cause, now);
        self.core.reset();
        self.in_application = !self.stops_at_application;
        self.started = now;
        self.cycles = 0;
        self.waiting = waiting::Loop::default();
        self.lowest_stack = u32::MAX;
        self.shared.call();
    }

    /// Executes until `limit`, or until something happens.
    pub fn run(&mut self, limit: Time) -> Stop {
        loop {
            if (self.shared.take_call() || self.now() >= self.next_event)
                && let Some(stop) = self.attend()
            {
                return stop;
            }
            if self.now() >= limit {
                return Stop::Limit;
            }
            if let Some(stop) = self.advance(limit.min(self.next_event)) {
                return stop;
            }
        }
    }

    /// One instruction, or the time until `limit` if there is none to execute.
    fn advance(&mut self, limit: Time) -> Option<Stop> {
        let registers = self.core.registers();
        let pc = registers.r[15];
        // A core that has locked up executes nothing.
        let stuck = pc == self.last_pc && self.core.is_locked_up();
        if registers.exception().0 == HARD_FAULT || stuck {
            let text = fault::describe(&self.core, &self.symbols);
            return Some(Stop::Failed(format!(
                "{} at {}",
                text.trim_end(),
                self.now()
            )));
        }
        let waiting = self.waits_for_flash(pc);
        if waiting > self.now() {
            self.idle(waiting.min(limit), false);
            return None;
        }
        if !self.in_application && self.application.contains(pc) {
            self.in_application = true;
            return Some(Stop::Application);
        }
        if registers.msp != 0 {
            self.lowest_stack = self.lowest_stack.min(registers.msp);
        }
        // Whoever asks for a reset waits for it in a loop, and a core that sleeps does not get on: the two questions cost a lock each.
        let (looped, still) = (pc <= self.last_pc, pc == self.last_pc);
        if looped && !still {
            self.skip_waiting(&registers, limit);
        }
        self.last_pc = pc;
        if looped && self.core.take_reset_request() {
            self.reset(ResetCause::Software);
            return Some(Stop::Reset(ResetCause::Software));
        }
        self.shared.publish(self.now(), pc);
        let before = self.now();
        let cycles = self.core.step(&registers);
        self.clock.advance(self.pace.passed(cycles), self.hz);
        self.executing += self.now() - before;
        self.cycles += cycles;
        if still && limit > self.now() && self.core.is_asleep() {
            return self.sleep(limit);
        }
        None
    }

    fn sleep(&mut self, limit: Time) -> Option<Stop> {
        if self.core.uses_slow_systick() {
            return Some(Stop::Failed(
                "not modelled: SysTick on HCLK/8 (SYST_CSR.CLKSOURCE = 0)".to_owned(),
            ));
        }
        self.idle(limit, true);
        None
    }

    /// Until when the core stands still: an access to the flash waits, and so does the fetch of code that lies there (RM0090 section 3.6).
    fn waits_for_flash(&self, pc: u32) -> Time {
        let runs_from_flash = pc < 0x1000_0000;
        if runs_from_flash {
            self.stalled_until.max(self.busy_until)
        } else {
            self.stalled_until
        }
    }

    fn idle(&mut self, until: Time, asleep: bool) {
        let cycles = until.since(self.now()).cycles_ceil(self.hz);
        let passed = self.core.idle(cycles, asleep);
        self.clock.advance(passed, self.hz);
    }

    /// The chip called, or something is due in it.
    fn attend(&mut self) -> Option<Stop> {
        let (now, pc) = (self.now(), self.shared.pc());
        let shared = Arc::clone(&self.shared);
        let mut chip = memory::lock(&shared);
        self.receive(&mut chip, now);
        let watchdog = chip.advance(now, pc);
        for (number, level) in chip.interrupts() {
            self.core.set_interrupt(number, level);
        }
        self.core.set_nmi(chip.devices.rcc.nmi());
        self.hz = chip.wires.clocks.hclk_hz;
        self.busy_until = chip.devices.flash.busy_until();
        self.stalled_until = chip.devices.flash.stalled_until();
        self.next_event = chip.next_event(now).min(self.next_arrival());
        let stop = self.outcome(&mut chip);
        drop(chip);
        match (stop, watchdog) {
            (None, Some(cause)) => {
                self.reset(cause);
                Some(Stop::Reset(cause))
            }
            (stop, _) => stop,
        }
    }

    fn outcome(&self, chip: &mut Chip) -> Option<Stop> {
        if chip.devices.flash.nor().is_off() {
            return Some(Stop::PowerLost);
        }
        if chip.reports.is_fatal() {
            let fatal = chip
                .reports
                .list()
                .iter()
                .find(|report| report.kind == Kind::NotModelled);
            let text =
                fatal.map(|report| format!("{report}, in {}", self.symbols.describe(report.pc)));
            return Some(Stop::Failed(text.unwrap_or_default()));
        }
        self.send(chip).then_some(Stop::Sent)
    }

    /// Frames whose first bit arrives now.
    fn receive(&self, chip: &mut Chip, now: Time) {
        let Some(PortEnd(port)) = &self.port else {
            return;
        };
        while let Some(frame) = port.take_frame(instant(now.micros())) {
            chip.devices.eth.arrive(frame, now);
        }
    }

    fn next_arrival(&self) -> Time {
        let arrival = self
            .port
            .as_ref()
            .and_then(|PortEnd(port)| port.next_arrival());
        arrival.map_or(Time::NEVER, |at| {
            Time::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
        })
    }

    fn send(&self, chip: &mut Chip) -> bool {
        let frames = chip.devices.eth.take_sent();
        let sent = !frames.is_empty();
        if let Some(PortEnd(port)) = &self.port {
            for (at, frame) in frames {
                port.send_frame(instant(at.micros_ceil()), frame);
            }
        }
        sent
    }

    /// Whether an operation of the flash runs.
    pub(crate) fn is_flash_busy(&self) -> bool {
        self.busy_until > self.now()
    }

    /// Whoever sends frames to the board between two runs has to say so.
    pub fn look_at_wire(&mut self) {
        self.shared.call();
    }
}
