//! What was done to the flash, and what time it took.

use crate::time::Time;

/// What the flash did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FlashUse {
    /// Time spent erasing.
    pub erasing: Time,
    /// Time spent programming.
    pub programming: Time,
}

/// Something done to the array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlashOperation {
    /// A sector was erased.
    Erase(u8),
    /// The word at this address was programmed, or bytes of it.
    Program(u32),
}
