//! What can be made to go wrong: planned power cuts and faults of the flash itself.

/// Where in an operation the power goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// The operation never begins.
    Before,
    /// In the middle: a torn word, a half-erased sector.
    Inside,
    /// The operation is complete, nobody learns of it.
    After,
}

impl Moment {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Before, Self::Inside, Self::After];
}

/// A planned power cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut {
    /// How many operations still succeed: 0 cuts at the next one.
    pub operations: u64,
    /// Where in the operation after them the power goes.
    pub moment: Moment,
    /// A supply that sinks slowly: so many of the operations before the cut report success and are as torn as the last one.
    pub unreliable: u32,
}

impl Cut {
    /// A sudden cut.
    pub const fn new(operations: u64, moment: Moment) -> Self {
        Self {
            operations,
            moment,
            unreliable: 0,
        }
    }
}

/// A fault of the flash, there until it is cleared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The erase of this sector reports an error and does nothing.
    EraseFails(u8),
    /// The erase of this sector reports success and does nothing.
    EraseDoesNothing(u8),
    /// Programming the word at this address reports an error and does nothing.
    ProgramFails(u32),
    /// The word at this address reads with these bits inverted.
    ReadsWrong {
        /// Address of the word.
        address: u32,
        /// Bits inverted in what it holds.
        bits: u32,
    },
    /// The sector is write-protected (option bytes nWRP).
    WriteProtected(u8),
    /// The supply is too low for the next so many calls of erase or program: they are refused and may be tried again.
    SupplyLow {
        /// Calls that are still refused.
        operations: u32,
    },
}

impl Fault {
    /// Changes what a read of `bytes` from `address` on returns.
    pub(super) fn disturb(&self, address: u32, bytes: &mut [u8]) {
        let Self::ReadsWrong { address: at, bits } = *self else {
            return;
        };
        for (position, bits) in (u64::from(at)..).zip(bits.to_le_bytes()) {
            let index = position.checked_sub(u64::from(address));
            if let Some(byte) = index.and_then(|index| bytes.get_mut(index as usize)) {
                *byte ^= bits;
            }
        }
    }
}
