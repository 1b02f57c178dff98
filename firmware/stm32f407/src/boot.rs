//! The reset path: 152 MHz from HSI, what the reset was, what the key and the application say, and `iap-core`'s decision. An application
//! that is to start is started here, from a chip that looks as after a reset; else this returns what IAP mode needs.

use iap_core::boot::{BootInputs, Decision, Start, decide};
use iap_protocol::mailbox::{NOTHING, Request, unconfirmed};
use iap_protocol::status::IapReason;
use iap_stm32f407::board::{CONFIG, IAP_KEY};
use iap_stm32f407::reset_flags;
use stm32f4xx_hal::pac::{Peripherals, RCC, RNG, TIM2};

use crate::chip::backup::Backup;
use crate::chip::ethernet::Parts;
use crate::chip::flash::ChipFlash;
use crate::chip::gpio::{self, Mode};
use crate::chip::supply::Supply;
use crate::chip::watchdog::Watchdog;
use crate::chip::{clocks, jump};

/// What IAP mode goes on with.
pub(crate) struct Stay {
    pub(crate) reason: IapReason,
    pub(crate) rcc: RCC,
    pub(crate) flash: ChipFlash,
    pub(crate) backup: Backup,
    pub(crate) watchdog: Watchdog,
    pub(crate) tim2: TIM2,
    pub(crate) rng: RNG,
    pub(crate) ethernet: Parts,
}

/// Starts the application, or says why not.
pub(crate) fn run(peripherals: Peripherals) -> Stay {
    let watchdog = Watchdog::new(peripherals.IWDG);
    let rcc = peripherals.RCC;
    // Without the PLL the decision takes ten times as long and is the same.
    let _ = clocks::start_from_hsi(&rcc, &peripherals.FLASH);
    let backup = Backup::new(peripherals.RTC, &peripherals.PWR, &rcc);
    let supply = Supply::new(peripherals.PWR);
    let mut stay = Stay {
        reason: IapReason::NoApplication,
        flash: ChipFlash::new(peripherals.FLASH, peripherals.CRC, supply, &rcc),
        rcc,
        backup,
        watchdog,
        tim2: peripherals.TIM2,
        rng: peripherals.RNG,
        ethernet: Parts {
            mac: peripherals.ETHERNET_MAC,
            dma: peripherals.ETHERNET_DMA,
            syscfg: peripherals.SYSCFG,
        },
    };
    let csr = take_reset_flags(&stay.rcc);
    let inputs = inputs(csr, &stay);
    stay.backup.set_reset_cause(reset_flags::byte(csr));
    if inputs.requested {
        // Asked for once: the next reset is a new decision.
        stay.backup.set_request(NOTHING);
    }
    match decide(inputs, &CONFIG, &mut stay.flash) {
        Ok(Decision::Start(start)) => start_application(&start, inputs.unconfirmed_starts, stay),
        Ok(Decision::Stay(reason)) => stay.reason = reason,
        // The record could not be made firm: whoever comes over the network finds out more.
        Err(_) => stay.reason = IapReason::ApplicationDamaged,
    }
    stay
}

/// Reads and clears the flags of RCC_CSR, which add up over resets (RM0090 section 7.3.21).
fn take_reset_flags(rcc: &RCC) -> u32 {
    let csr = rcc.csr().read().bits();
    rcc.csr().modify(|_, w| w.rmvf().set_bit());
    csr
}

fn inputs(csr: u32, stay: &Stay) -> BootInputs {
    let request = stay.backup.request();
    BootInputs {
        key_held: is_key_held(&stay.rcc),
        requested: request == Request::Update,
        power_on: reset_flags::is_power_on(csr),
        unconfirmed_starts: match request {
            Request::Unconfirmed(starts) => starts,
            _ => 0,
        },
    }
}

/// Reads the key, after the weak pull has had time to charge the line.
fn is_key_held(rcc: &RCC) -> bool {
    /// 40 kOhm (DS8626 section 5.3.16) and 100 nF of debouncing take 4 ms; five times that, at 168 MHz.
    const SETTLE_CYCLES: u32 = 20 * 168_000;
    let Some(key) = IAP_KEY else {
        return false;
    };
    let pull_up = key.active_low;
    gpio::configure(rcc, key.pin, Mode::Input { pull_up });
    // A line that is at rest at once needs no patience.
    if !gpio::is_active(key) {
        return false;
    }
    cortex_m::asm::delay(SETTLE_CYCLES);
    gpio::is_active(key)
}

fn start_application(start: &Start, unconfirmed_starts: u8, mut stay: Stay) -> ! {
    if start.must_confirm() {
        let starts = unconfirmed_starts.saturating_add(1);
        stay.backup.set_request(unconfirmed(starts));
        stay.watchdog.start();
    } else {
        stay.backup.set_request(NOTHING);
    }
    let vectors = CONFIG.map.user_flash_first_page_address();
    let flash = stay.flash.into_interface();
    clocks::back_to_reset(&stay.rcc, &flash);
    jump::start(vectors, start.stack_pointer, start.reset_vector)
}
