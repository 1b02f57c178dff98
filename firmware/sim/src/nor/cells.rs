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

    /// Copies the part of `bytes`, which begins at `address`, that lies in this sector.
    pub(super) fn read(&self, address: u32, bytes: &mut [u8], seed: u64, boot: u64) {
        let Some((offset, range)) = self.overlap(address, bytes.len()) else {
            return;
        };
        let bytes = &mut bytes[range];
        bytes.copy_from_slice(&self.content[offset..offset + bytes.len()]);
        if self.is_shaky() {
            for (at, byte) in (offset..).zip(bytes) {
                *byte = self.shaky_byte(at, seed, boot);
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

    fn shaky_byte(&self, offset: usize, seed: u64, boot: u64) -> u8 {
        let (word, shift) = (offset as u32 & !3, 8 * (offset as u32 & 3));
        let draw = |salt: u64| {
            let address = u64::from(self.region.start + word);
            mix(seed ^ mix(boot ^ mix(address ^ (salt << 32))))
        };
        let mut byte = self.content[offset];
        if let Some(&bits) = self.torn.get(&word) {
            byte |= (torn_bits(bits, draw(1)) >> shift) as u8;
        }
        let Some(before) = &self.half_erased else {
            return byte;
        };
        let sector_draw = mix(seed ^ mix(boot ^ mix(u64::from(self.region.start) ^ (2 << 32))));
        let word_count = self.region.len / 4;
        byte & half_erased_byte(
            before[offset],
            sector_draw,
            draw(3),
            word / 4,
            word_count,
            shift,
        )
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

/// How a byte reads in a sector whose erase was cut: `sector_draw` is the same for the whole sector, `word_draw` for its word.
fn half_erased_byte(
    before: u8,
    sector_draw: u64,
    word_draw: u64,
    word: u32,
    words: u32,
    shift: u32,
) -> u8 {
    let random = (word_draw >> (16 + shift)) as u8;
    let boundary = ((sector_draw >> 32) % u64::from(words.max(1))) as u32;
    match sector_draw % 4 {
        0 => before,
        1 => 0xFF,
        2 if word < boundary => 0xFF,
        2 if word == boundary => random,
        2 => before,
        _ => match word_draw % 4 {
            0 => before,
            1 => 0xFF,
            2 => before | random,
            _ => random,
        },
    }
}
