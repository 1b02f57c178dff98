//! The sample application: what a user pushes to a board with `iapctl`, here in its smallest honest form.
//!
//! It is linked at USER_FLASH_FIRST_PAGE_ADDRESS of a board profile (`build.rs` writes the linker script), says its version and
//! board in `.iap_info`, and counts on the board's LEDs in binary, four times a second. When the board's key is pressed it asks for an
//! update and resets into IAP mode. Built with `IAP_APP_CONFIRM=1` its image has the CONFIRM flag; it confirms its start after a second
//! and feeds the watchdog. It takes no part in updates and touches no peripheral but GPIO, SysTick and what `iap-app` needs.
//!
//! `cargo xtask sample-app` builds it. VTOR is set by the reset code of cortex-m-rt (its feature `set-vtor`): without it every
//! exception would be taken from the vector table of the IAP firmware.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod app;
#[cfg(target_os = "none")]
mod gpio;
#[cfg(any(target_os = "none", test))]
mod key;

/// On the host there is nothing to run; the crate compiles there so that its tests run and `cargo check --workspace` covers it.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("the sample application runs on a board: cargo xtask sample-app builds it");
}
