//! For applications on boards with the IAP firmware: ask for an update, confirm a start, find out why the chip was reset.
//!
//! The application and the IAP firmware never run at the same time. They leave each other words (`iap_protocol::mailbox`) in two RTC
//! backup registers, which survive every reset; [`Iap`] knows which two. Nothing here is needed to be updated: the IAP key and a power
//! cycle do without. `iap_app.h` is the same for applications in C.
//!
//! ```ignore
//! use iap_app::{Iap, ResetCause};
//!
//! const IAP: Iap = Iap::DEFAULT; // or Iap::new(19, 18), the two numbers in the board's profile
//!
//! if IAP.boot_reason().is_some_and(|reason| reason.cause() == ResetCause::IndependentWatchdog) { /* say so */ }
//! IAP.confirm();          // the start was good: network up, self-test passed
//! iap_app::feed_watchdog(); // in the main loop, at least every 20 s, if the image has the CONFIRM flag
//! IAP.request_update();   // over to the IAP firmware; does not return
//! ```
//!
//! [`registers`] holds the sequences of register accesses, tested on the host access by access; [`Iap`]'s own functions exist where the
//! chip does (`target_os = "none"`).
#![no_std]

pub mod registers;

#[cfg(target_os = "none")]
mod chip;

mod reason;

pub use reason::{BootReason, ResetCause};
pub use registers::Iap;

#[cfg(target_os = "none")]
pub use chip::{boot_reason, confirm, feed_watchdog, request_update};
