//! IAP mode: HSE, the network, and `iap-core`'s loop, which sleeps whenever there is nothing to do. Ends in a system reset, always.

use cortex_m::peripheral::SCB;
use iap_core::net::{Iap, Platform, Turn};
use iap_core::update::{Ring, Updater};
use iap_protocol::mailbox::NOTHING;
use iap_protocol::status::Phase;
use iap_stm32f407::board::{CONFIG, FIXED_MAC, HSE_HZ, MCO1_HZ};
use iap_stm32f407::clock::Source;
use iap_stm32f407::mac_address;
use smoltcp::wire::EthernetAddress;
use stm32f4xx_hal::pac::RCC;

use crate::boot::Stay;
use crate::chip::backup::Backup;
use crate::chip::ethernet::{Ethernet, LINK_PERIOD_US, Mac};
use crate::chip::flash::ChipFlash;
use crate::chip::random::Random;
use crate::chip::time::Timer;
use crate::chip::watchdog::Watchdog;
use crate::chip::{clocks, memory, sleep, unique_id};
use crate::platform::ChipPlatform;

/// How long frames may take to leave before a reset.
const DRAIN_US: u64 = 20_000;

/// The board in IAP mode.
struct Board {
    iap: &'static mut Iap<'static, ChipFlash>,
    ethernet: Ethernet,
    platform: ChipPlatform,
    housekeeping: Housekeeping,
}

/// Runs IAP mode.
pub(crate) fn run(stay: Stay) -> ! {
    let mut board = assemble(stay);
    sleep::enable_wakers();
    loop {
        turn(&mut board);
    }
}

/// Puts everything together. Not inlined: what it has on the stack must be gone when the loop runs.
#[inline(never)]
fn assemble(stay: Stay) -> Board {
    let Some(buffers) = memory::take() else {
        SCB::sys_reset();
    };
    let source = match clocks::change_to_hse(&stay.rcc) {
        Ok(()) => Source::Hse(HSE_HZ),
        Err(_) => Source::Hsi,
    };
    let mut platform = platform(stay.tim2, stay.rng, source, &stay.rcc);
    let station = FIXED_MAC.unwrap_or_else(derived_mac);
    let mac = Mac::new(stay.ethernet, station, &stay.rcc, &mut platform.timer);
    let mut ethernet = Ethernet::new(mac, buffers.dma, &mut platform.timer);
    let iap = Iap::new(
        &CONFIG,
        Updater::unread(stay.flash, &CONFIG, Ring::new(buffers.ring)),
        stay.reason,
        EthernetAddress(station),
        buffers.network,
        &mut ethernet,
        &mut platform,
    );
    let iap = buffers.iap.put(iap);
    // Only now, where it stays: it is too large for the stack.
    if iap.updater_mut().read_record().is_err() {
        SCB::sys_reset();
    }
    Board {
        iap,
        ethernet,
        platform,
        housekeeping: Housekeeping::new(stay.backup, stay.watchdog),
    }
}

/// One turn of the loop: what is due, then sleep. Not inlined, for the same reason.
#[inline(never)]
fn turn(board: &mut Board) {
    let Board {
        iap,
        ethernet,
        platform,
        housekeeping,
    } = board;
    ethernet.acknowledge();
    sleep::acknowledge();
    let turn = iap.poll(ethernet, platform);
    if housekeeping.run(ethernet, platform) {
        // What it sends now is sent in the next turn, at once.
        iap.link_is_up(platform.now());
        return;
    }
    if turn.reset.is_some() {
        leave(ethernet, platform);
    }
    housekeeping.sleep(turn, platform);
}

fn derived_mac() -> [u8; 6] {
    mac_address::from_unique_id(&unique_id::read())
}

fn platform(
    tim2: stm32f4xx_hal::pac::TIM2,
    rng: stm32f4xx_hal::pac::RNG,
    source: Source,
    rcc: &RCC,
) -> ChipPlatform {
    let timer = Timer::new(tim2, source, rcc);
    // Where PA8 is not driven the PHY has a clock of its own, and the network works on HSI.
    let clock_failed = source == Source::Hsi && MCO1_HZ != 0;
    let seed = unique_id::read();
    let seed = seed
        .iter()
        .fold(0, |seed: u32, byte| seed.rotate_left(5) ^ u32::from(*byte));
    ChipPlatform::new(timer, Random::new(rng, rcc, seed), clock_failed, rcc)
}

/// Lets the last frames leave, then resets the chip: what starts next is the boot's decision.
fn leave(ethernet: &Ethernet, platform: &mut ChipPlatform) -> ! {
    let deadline = platform.timer.now_us() + DRAIN_US;
    while !ethernet.is_sent() && platform.timer.now_us() < deadline {}
    SCB::sys_reset()
}

/// What is due now and then.
struct Housekeeping {
    backup: Backup,
    watchdog: Watchdog,
    link_due_us: u64,
    committed: bool,
}

impl Housekeeping {
    fn new(backup: Backup, watchdog: Watchdog) -> Self {
        Self {
            backup,
            watchdog,
            link_due_us: 0,
            committed: false,
        }
    }

    /// Does it. Whether the link has come up.
    fn run(&mut self, ethernet: &mut Ethernet, platform: &mut ChipPlatform) -> bool {
        self.watchdog.feed();
        let mut is_new = false;
        if platform.timer.now_us() >= self.link_due_us {
            is_new = ethernet.follow_link(&mut platform.timer);
            self.link_due_us = platform.timer.now_us() + LINK_PERIOD_US;
        }
        platform.refresh(ethernet.is_up());
        // A new application has all its starts before it.
        let committed = platform.phase() == Phase::Committed;
        if committed && !self.committed {
            self.backup.set_request(NOTHING);
        }
        self.committed = committed;
        is_new
    }

    /// Sleeps until a frame comes or something is due.
    fn sleep(&self, turn: Turn, platform: &mut ChipPlatform) {
        let own = platform.next_slot_us().min(self.link_due_us);
        let due = turn.poll_at.map(|at| at.total_micros().unsigned_abs());
        let due = due.map_or(own, |due| due.min(own));
        if platform.now().total_micros().unsigned_abs() < due && platform.timer.wake_at(due) {
            sleep::sleep();
        }
    }
}
