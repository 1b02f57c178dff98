//! The chip's unique id.

use core::ptr;

use iap_stm32f407::board::UNIQUE_ID_ADDRESS;

/// The 96 bits in ascending addresses (RM0090 section 39.1). Not inlined: two callers.
#[inline(never)]
pub(crate) fn read() -> [u8; 12] {
    let mut id = [0; 12];
    for (address, place) in (UNIQUE_ID_ADDRESS..).step_by(4).zip(id.as_chunks_mut().0) {
        // SAFETY: a word of the system memory that every chip of the family has (RM0090 section 39.1); read only, never changing.
        let word = unsafe { ptr::read_volatile(address as *const u32) };
        *place = word.to_le_bytes();
    }
    id
}
