//! The shipped firmware on an emulated STM32F407: vector table, linker script, clocks, DMA descriptors, stalls and the jump, none of which the
//! host build in `iap-sim` can show.
//!
//! The core is rsemu's Cortex-M4; every peripheral is ours, a module each, written from RM0090, DS8626 and ES0182. A [`Board`] is made from a
//! profile and the content of its flash, and runs in virtual time. What the manual forbids is reported as a guest error, what the
//! emulator does not have ends the run: nothing is guessed.
//!
//! What is not here: flash wait states and bus contention (cycles are the interpreter's estimates), power saving modes other than sleep,
//! and all peripherals that no network firmware needs.

mod blocks;
mod board;
mod chip;
mod core;
mod eth;
mod fault;
mod flash;
mod gpio;
mod image;
mod memory;
mod panel;
mod pwr;
mod rcc;
mod register;
mod report;
mod session;
pub mod sweep;
mod system;
#[cfg(target_os = "linux")]
mod tap;
mod time;
mod timer;
mod watchdog;
mod wires;

pub use board::{Board, BoardOptions, Stop};
pub use eth::EthernetUse;
pub use flash::{FlashOperation, FlashUse, Wear};
pub use gpio::LedChange;
pub use image::{Image, Symbols};
pub use panel::Panel;
pub use rcc::ResetCause;
pub use report::{Kind, Report};
pub use session::{Peer, Session, SessionOptions};
#[cfg(target_os = "linux")]
pub use tap::Tap;
pub use time::Time;
pub use wires::Clocks;
