//! The chip's unique id.

use core::ptr;

use iap_stm32f407::board::UNIQUE_ID_ADDRESS;

/// The 96 bits in ascending addresses (RM0090 section 39.1).
pub(crate) fn read() -> [u8; 12] {
    // SAFETY: three aligned words of the system memory that every chip of the family has (RM0090 section 39.1); read only, never changing.
    let words = unsafe { ptr::read_volatile(UNIQUE_ID_ADDRESS as *const [u32; 3]) };
    let [a, b, c] = words.map(u32::to_le_bytes);
    let mut id = [0; 12];
    for (to, from) in id.iter_mut().zip([a, b, c].iter().flatten()) {
        *to = *from;
    }
    id
}
