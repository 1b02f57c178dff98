//! The cells of one sector, and how those that a power cut has touched read.
//!
//! A cut inside a program operation leaves every bit it was to clear undecided; a cut inside an erase leaves every bit of the sector
//! undecided. How undecided bits read is drawn from seed, boot and address: stable within a boot, new at the next. The draw
//! favours the readings that mislead firmware most: as if the operation had never begun, and as if it had ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use iap_protocol::memory::Region;

use crate::rng::mix;

/// One sector. What is read is `(before-image of a cut erase, or ones) & (content, with torn bits drawn)`.
#[derive(Clone, Debug)]
pub(super) struct Cells {
    region: Region,
    /// What was programmed since the last erase, whether that one was completed or cut; torn bits count as cleared.
    content: Arc<Vec<u8>>,
    /// Bits that a cut program operation was to clear, by the word's offset.
    torn: Arc<BTreeMap<u32, u32>>,
    /// What the sector held before an erase that was cut.
    half_erased: Option<Arc<Vec<u8>>>,
}

impl Cells {
    pub(super) fn erased(region: Region) -> Self {
        Self {
            region,
            content: Arc::new(vec![0xFF; region.len as usize]),
            torn: Arc::default(),
            half_erased: None,
        }
    }

    pub(super) fn is_shaky(&self) -> bool {
        !self.torn.is_empty() || self.half_erased.is_some()
    }

    /// Whether some of `len` bytes from `address` on lie in this sector.
    pub(super) fn meets(&self, address: u32, len: usize) -> bool {
        let end = u64::from(address) + len as u64;
        u64::from(address) < self.region.end() && end > u64::from(self.region.start)
    }

    /// Copies the part of `bytes`, which begins at `address`, that lies in this sector.
    pub(super) fn read(&self, address: u32, bytes: &mut [u8], seed: u64, boot: u64) {
        let Some((offset, range)) = self.overlap(address, bytes.len()) else {
            return;
        };
        let bytes = &mut bytes[range];
        bytes.copy_from_slice(&self.content[offset..offset + bytes.len()]);
        if !self.is_shaky() {
            return;
        }
        let draws = Draws::new(seed, boot, self.region);
        self.read_torn(offset, bytes, &draws);
        if let Some(before) = &self.half_erased {
            for (at, byte) in (offset..).zip(bytes) {
                *byte &= draws.half_erased_byte(before[at], at as u32);
            }
        }
    }

    /// Sets the torn bits in `bytes`, which were read from `offset` on, that have not been cleared as it seems.
    fn read_torn(&self, offset: usize, bytes: &mut [u8], draws: &Draws) {
        let first = offset as u32 & !3;
        for (&word, &bits) in self.torn.range(first..(offset + bytes.len()) as u32) {
            let seen = torn_bits(bits, draws.word(1, word)).to_le_bytes();
            for (at, bits) in (word as usize..).zip(seen) {
                let byte = at.checked_sub(offset).and_then(|i| bytes.get_mut(i));
                if let Some(byte) = byte {
                    *byte |= bits;
                }
            }
        }
    }

    pub(super) fn program(&mut self, address: u32, new: u32, torn: bool) {
        if !self.region.contains(address) {
            return;
        }
        let offset = address - self.region.start;
        let word = &mut Arc::make_mut(&mut self.content)[offset as usize..offset as usize + 4];
        let mut cleared = 0;
        for (i, (byte, new)) in word.iter_mut().zip(new.to_le_bytes()).enumerate() {
            cleared |= u32::from(*byte & !new) << (8 * i);
            *byte &= new;
        }
        if torn && cleared != 0 {
            *Arc::make_mut(&mut self.torn).entry(offset).or_default() |= cleared;
        }
    }

    pub(super) fn erase(&mut self, torn: bool, seed: u64, boot: u64) {
        let half_erased = torn.then(|| {
            let mut before = vec![0; self.region.len as usize];
            self.read(self.region.start, &mut before, seed, boot);
            Arc::new(before)
        });
        *self = Self {
            half_erased,
            ..Self::erased(self.region)
        };
    }

    /// Replaces content without any operation.
    pub(super) fn load(&mut self, address: u32, bytes: &[u8]) {
        if let Some((offset, range)) = self.overlap(address, bytes.len()) {
            let content = &mut Arc::make_mut(&mut self.content)[offset..offset + range.len()];
            content.copy_from_slice(&bytes[range]);
        }
    }

    /// Where a slice of `len` bytes at `address` meets this sector: the offset here, and the range there.
    fn overlap(&self, address: u32, len: usize) -> Option<(usize, std::ops::Range<usize>)> {
        let start = u64::from(address.max(self.region.start));
        let end = (u64::from(address) + len as u64).min(self.region.end());
        let there = |at: u64| (at - u64::from(address)) as usize;
        (start < end).then(|| {
            let here = (start - u64::from(self.region.start)) as usize;
            (here, there(start)..there(end))
        })
    }
}

/// Which of the `bits` that a cut operation was to clear still read as 1.
fn torn_bits(bits: u32, draw: u64) -> u32 {
    let random = (draw >> 32) as u32;
    match draw % 4 {
        0 => 0,
        1 => bits,
        // The low bits were done, the rest were not.
        2 => bits & (u32::MAX << (random % 32)),
        _ => bits & random,
    }
}

/// The random numbers of one sector at one boot.
struct Draws {
    region: Region,
    boot: u64,
    /// The same for all of the sector.
    sector: u64,
}

impl Draws {
    fn new(seed: u64, boot: u64, region: Region) -> Self {
        let boot = mix(seed ^ mix(boot));
        let sector = mix(boot ^ mix(u64::from(region.start)));
        Self {
            region,
            boot,
            sector,
        }
    }

    fn word(&self, salt: u64, offset: u32) -> u64 {
        let address = u64::from(self.region.start) + u64::from(offset & !3);
        mix(self.boot ^ mix(address ^ (salt << 32)))
    }

    /// How the byte at `offset` reads, which was `before` when the erase was cut.
    fn half_erased_byte(&self, before: u8, offset: u32) -> u8 {
        let boundary = (self.sector >> 32) % u64::from(self.region.len.max(1));
        let boundary = boundary as u32 & !3;
        let random = |word: u64| (word >> (16 + 8 * (offset & 3))) as u8;
        match self.sector % 4 {
            0 => before,
            1 => 0xFF,
            // Erased up to some word, and that one is anything.
            2 if offset < boundary => 0xFF,
            2 if offset & !3 == boundary => random(self.word(2, offset)),
            2 => before,
            _ => {
                let word = self.word(3, offset);
                match word % 4 {
                    0 => before,
                    1 => 0xFF,
                    2 => before | random(word),
                    _ => random(word),
                }
            }
        }
    }
}
