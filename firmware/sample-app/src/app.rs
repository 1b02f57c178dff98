//! Start-up, the main loop and the descriptor.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SCB, SYST, syst::SystClkSource};
use cortex_m_rt::{entry, exception};
use iap_app::Iap;
use iap_protocol::header::Flags;
use iap_protocol::info::{INFO_LEN, ImageInfo};

use crate::gpio::{self, Pin};
use crate::key::Debounced;

// BOARD, CONFIRM, IAP, KEY, LEDS, VERSION and VERSION_SUFFIX, from the profile and the environment.
include!(concat!(env!("OUT_DIR"), "/board.rs"));

/// The core's clock after a reset (HSI, RM0090 section 7.2.2). The IAP firmware starts an application with RCC as a reset leaves it.
const CORE_CLOCK_HZ: u32 = 16_000_000;
/// How often the key is looked at.
const TICKS_PER_SECOND: u32 = 100;
/// The LEDs change four times a second.
const TICKS_PER_COUNT: u32 = TICKS_PER_SECOND / 4;

/// Version and board, for `iapctl` and the IAP firmware.
#[used]
#[unsafe(link_section = ".iap_info")]
static IAP_INFO: [u8; INFO_LEN] = ImageInfo::encode(VERSION, VERSION_SUFFIX, BOARD, FLAGS);

const FLAGS: Flags = if CONFIRM { Flags::CONFIRM } else { Flags(0) };

static TICKS: AtomicU32 = AtomicU32::new(0);

#[entry]
fn main() -> ! {
    gpio::clock(LEDS.into_iter().chain(KEY));
    LEDS.into_iter().for_each(Pin::make_output);
    KEY.into_iter().for_each(Pin::make_input);
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        start_ticks(peripherals.SYST);
    }
    let mut key = Debounced::default();
    let mut done = 0;
    loop {
        cortex_m::asm::wfi();
        let ticks = TICKS.load(Ordering::Relaxed);
        if ticks != done {
            done = ticks;
            tick(ticks, &mut key);
        }
    }
}

fn start_ticks(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(CORE_CLOCK_HZ / TICKS_PER_SECOND - 1);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
}

/// Wakes the main loop. The work is done there: a watchdog that an interrupt feeds does not notice when the main loop hangs.
#[exception]
fn SysTick() {
    TICKS.store(
        TICKS.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

fn tick(ticks: u32, key: &mut Debounced) {
    if CONFIRM {
        iap_app::feed_watchdog();
        // A second without a fault is all the self-test there is.
        if ticks == TICKS_PER_SECOND {
            IAP.confirm();
        }
    }
    show(ticks / TICKS_PER_COUNT);
    if KEY.is_some_and(|pin| key.is_press(pin.is_active())) {
        IAP.request_update();
    }
}

/// Shows the count: LED 0 is its lowest bit.
fn show(count: u32) {
    for (bit, led) in LEDS.into_iter().enumerate() {
        led.set(count >> bit & 1 != 0);
    }
}

/// A reset is the way back to the IAP firmware, and with it to the network.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
