//! What flash operations cost and what was done.

/// How long operations take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlashTimes {
    /// Microseconds to program one word.
    pub word_us: u64,
    /// Microseconds to erase each sector, by sector number; 0 for sectors that are not listed.
    pub erase_us: Vec<u64>,
}

impl FlashTimes {
    /// Operations that take no time.
    pub const ZERO: Self = Self {
        word_us: 0,
        erase_us: Vec::new(),
    };

    pub(super) fn erase_us(&self, index: u8) -> u64 {
        self.erase_us.get(usize::from(index)).copied().unwrap_or(0)
    }
}

/// A program operation that tried to set bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The word's address.
    pub address: u32,
    /// What it read.
    pub old: u32,
    /// What was to be programmed.
    pub new: u32,
}

/// What was done to the flash since it was made.
#[derive(Clone, Default, Debug)]
pub struct Counters {
    /// Words programmed.
    pub words: u64,
    /// Words programmed that were not erased, only bits cleared: legal, and rare in good code.
    pub words_not_erased: u64,
    /// Erases by sector number.
    pub erases: Vec<u32>,
}

impl Counters {
    /// Sectors erased, all together.
    pub fn erased(&self) -> u64 {
        self.erases.iter().map(|&count| u64::from(count)).sum()
    }

    /// Operations: erases and words.
    pub fn operations(&self) -> u64 {
        self.erased() + self.words
    }
}
