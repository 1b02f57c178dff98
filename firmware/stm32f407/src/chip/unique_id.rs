//! The chip's unique id.

use core::ptr;

use iap_stm32f407::board::UNIQUE_ID_ADDRESS;

/// The 96 bits in ascending addresses (RM0090 section 39.1). Not inlined: two callers, twelve reads.
#[inline(never)]
pub(crate) fn read() -> [u8; 12] {
    // SAFETY: twelve bytes of the system memory that every chip of the family has (RM0090 section 39.1); read only, never changing.
    unsafe { ptr::read_volatile(UNIQUE_ID_ADDRESS as *const [u8; 12]) }
}
