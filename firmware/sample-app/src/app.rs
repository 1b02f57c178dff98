//! Start-up, the SysTick handler and the descriptor.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SCB, syst::SystClkSource};
use cortex_m_rt::{entry, exception};
use iap_protocol::header::Flags;
use iap_protocol::info::{INFO_LEN, ImageInfo};

use crate::led::{self, Led};

// BOARD, LEDS, VERSION and VERSION_SUFFIX, from the profile and the environment.
include!(concat!(env!("OUT_DIR"), "/board.rs"));

/// The core's clock after a reset (HSI, RM0090 section 7.2.2). The IAP firmware starts an application with RCC as a reset leaves it.
const CORE_CLOCK_HZ: u32 = 16_000_000;
/// How often the LEDs change.
const TICKS_PER_SECOND: u32 = 4;

/// Version and board, for `iapctl` and the IAP firmware.
#[used]
#[unsafe(link_section = ".iap_info")]
static IAP_INFO: [u8; INFO_LEN] = ImageInfo::encode(VERSION, VERSION_SUFFIX, BOARD, NO_FLAGS);

/// This application neither confirms its start nor brings data sectors.
const NO_FLAGS: Flags = Flags(0);

static TICKS: AtomicU32 = AtomicU32::new(0);

#[entry]
fn main() -> ! {
    led::configure(&LEDS);
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        let mut timer = peripherals.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(CORE_CLOCK_HZ / TICKS_PER_SECOND - 1);
        timer.clear_current();
        timer.enable_interrupt();
        timer.enable_counter();
    }
    loop {
        cortex_m::asm::wfi();
    }
}

/// Shows the count: LED 0 is its lowest bit.
#[exception]
fn SysTick() {
    let count = TICKS.load(Ordering::Relaxed).wrapping_add(1);
    TICKS.store(count, Ordering::Relaxed);
    for (bit, led) in LEDS.iter().enumerate() {
        led.set(count >> bit & 1 != 0);
    }
}

/// A reset is the way back to the IAP firmware, and with it to the network.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
