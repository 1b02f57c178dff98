//! RCC: 152 MHz from HSI for the boot decision, 168 MHz from HSE for the network, and everything back for the application.

use iap_stm32f407::board::{HSE_BYPASS, MCO1, PLLCFGR_HSE, PLLCFGR_HSI};
use iap_stm32f407::clock::{SW_HSI, SW_PLL, cfgr};
use iap_stm32f407::flash_word;
use stm32f4xx_hal::pac::{FLASH, RCC};

use super::within;

/// RCC_CR bits (RM0090 section 7.3.1).
const HSION: u32 = 1 << 0;
const HSEON: u32 = 1 << 16;
const HSERDY: u32 = 1 << 17;
const HSEBYP: u32 = 1 << 18;
const CSSON: u32 = 1 << 19;
const PLLON: u32 = 1 << 24;
const PLLRDY: u32 = 1 << 25;
/// RCC_CFGR.SW.
const SW: u32 = 0b11;

/// Reset values (RM0090 sections 7.3.2 and 7.3.10).
const PLLCFGR_RESET: u32 = 0x2400_3010;
const AHB1ENR_RESET: u32 = 0x0010_0000;

/// Tries for what takes microseconds: the PLL locks within 300 us (DS8626 section 5.3.10), a try takes at least four cycles.
const TRIES: u32 = 100_000;
/// Tries for HSE: more than 50 ms at 168 MHz, where a crystal takes 2 ms (DS8626 section 5.3.8).
const HSE_TRIES: u32 = 2_100_000;

/// An oscillator or the PLL did not start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ClockFault;

/// Runs the core at 152 MHz from HSI. The chip is as a reset leaves it.
pub(crate) fn start_from_hsi(rcc: &RCC, flash: &FLASH) -> Result<(), ClockFault> {
    // RM0090 section 3.5.1, increasing the CPU frequency: wait states first, and read back.
    put!(flash.acr(), flash_word::ACR);
    if !within(TRIES, || flash.acr().read().bits() == flash_word::ACR) {
        return Err(ClockFault);
    }
    run_pll(rcc, PLLCFGR_HSI, cfgr(0))
}

/// Changes over to HSE, and puts it on PA8 where the profile asks for it. If it does not start, the core goes on with HSI.
pub(crate) fn change_to_hse(rcc: &RCC) -> Result<(), ClockFault> {
    // RM0090 section 7.2.1: the bypass is chosen before HSE is switched on.
    let bypass = if HSE_BYPASS { HSEBYP } else { 0 };
    change!(rcc.cr(), clear HSEON, set bypass);
    change!(rcc.cr(), clear 0, set HSEON);
    if !within(HSE_TRIES, || rcc.cr().read().bits() & HSERDY != 0) {
        change!(rcc.cr(), clear HSEON | HSEBYP, set 0);
        return Err(ClockFault);
    }
    select(rcc, SW_HSI)?;
    if run_pll(rcc, PLLCFGR_HSE, cfgr(MCO1)).is_err() {
        run_pll(rcc, PLLCFGR_HSI, cfgr(0))?;
        return Err(ClockFault);
    }
    // RM0090 section 7.2.7: if HSE fails later, the chip falls back to HSI and takes NMI, which resets it.
    change!(rcc.cr(), clear 0, set CSSON);
    Ok(())
}

/// Starts the PLL anew and takes it as system clock; that is HSI until then.
fn run_pll(rcc: &RCC, pllcfgr: u32, cfgr: u32) -> Result<(), ClockFault> {
    // RM0090 section 7.3.2: RCC_PLLCFGR is written only while the PLL is off.
    change!(rcc.cr(), clear PLLON, set 0);
    if !within(TRIES, || rcc.cr().read().bits() & PLLRDY == 0) {
        return Err(ClockFault);
    }
    put!(rcc.pllcfgr(), pllcfgr);
    put!(rcc.cfgr(), cfgr);
    change!(rcc.cr(), clear 0, set PLLON);
    if !within(TRIES, || rcc.cr().read().bits() & PLLRDY != 0) {
        return Err(ClockFault);
    }
    select(rcc, SW_PLL)
}

/// Chooses the system clock and waits for it: RCC_CFGR.SWS follows SW two bits higher (RM0090 section 7.3.3).
fn select(rcc: &RCC, source: u32) -> Result<(), ClockFault> {
    change!(rcc.cfgr(), clear SW, set source);
    let taken = within(TRIES, || rcc.cfgr().read().bits() >> 2 & SW == source);
    taken.then_some(()).ok_or(ClockFault)
}

/// Puts RCC and the flash interface back to how a reset leaves them, and resets the peripherals that the boot decision has used.
pub(crate) fn back_to_reset(rcc: &RCC, flash: &FLASH) {
    /// Bits of the RSTR registers: ports A to I and the CRC unit; PWR (RM0090 sections 7.3.5 and 7.3.8).
    const USED_AHB1: u32 = 0x0000_11FF;
    const USED_APB1: u32 = 1 << 28;
    put!(rcc.ahb1rstr(), USED_AHB1);
    put!(rcc.ahb1rstr(), 0);
    put!(rcc.apb1rstr(), USED_APB1);
    put!(rcc.apb1rstr(), 0);
    // HSI has run all the time: nothing here can fail to start.
    let _ = select(rcc, SW_HSI);
    change!(rcc.cr(), clear PLLON | HSEON | HSEBYP | CSSON, set HSION);
    within(TRIES, || rcc.cr().read().bits() & PLLRDY == 0);
    put!(rcc.pllcfgr(), PLLCFGR_RESET);
    put!(rcc.cfgr(), 0);
    put!(rcc.cir(), 0);
    put!(rcc.ahb1enr(), AHB1ENR_RESET);
    put!(rcc.apb1enr(), 0);
    // RM0090 section 3.5.1, decreasing the CPU frequency: wait states last. Section 3.9.1: caches are reset while disabled.
    put!(flash.acr(), flash_word::ACR_NO_CACHE);
    put!(flash.acr(), flash_word::ACR_RESET_CACHES);
    put!(flash.acr(), 0);
}
