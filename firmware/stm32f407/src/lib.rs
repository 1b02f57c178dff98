//! The part of the chip's firmware that is not a register: which words go into registers, and what the words that come out mean.
//!
//! Everything here is a pure function with golden numbers from the manual in its tests, and compiles on the host. The binary
//! (`main.rs` and `chip/`) moves these words to and from the registers of the STM32F407 and decides nothing by itself; what an update
//! may do and what a reset starts is `iap-core`'s.
//!
//! Sections are those of RM0090 Rev 18 unless another document is named.
#![cfg_attr(not(test), no_std)]

pub mod board;
pub mod clock;
pub mod crc_unit;
pub mod descriptor;
pub mod flash_word;
pub mod leds;
pub mod mac_address;
pub mod mac_word;
pub mod mdio;
pub mod phy;
pub mod random_word;
pub mod reset_flags;
pub mod watchdog;
