//! The IAP firmware for boards with an STM32F407.
//!
//! A reset comes to [`boot`], which starts the application or goes on to [`iap_mode`]. All decisions are `iap-core`'s, the words for
//! registers `iap_stm32f407`'s; `chip/` moves them. Of `stm32f4xx-hal` only the register definitions are used: its clock set-up waits
//! for HSE for ever, its flash driver works 8 bits at a time, its pins are types where ours are data of the profile, and it has no Ethernet.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod chip;
#[cfg(target_os = "none")]
mod iap_mode;
#[cfg(target_os = "none")]
mod platform;
#[cfg(target_os = "none")]
mod start;

/// On the host there is nothing to run; the crate compiles there so that its library is tested.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the IAP firmware runs on a board: cargo xtask firmware builds it");
}
