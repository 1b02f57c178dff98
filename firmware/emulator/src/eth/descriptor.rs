//! Descriptors in memory (RM0090 sections 33.6.7 and 33.6.8): four words, or eight with DMABMR.EDFE; chained, in a ring, or both.

use super::bits::{bmr, rdes1, tdes0};
use super::memory::{DmaMemory, Unreachable};

/// Where a list of descriptors begins, and how far they lie apart where they are not chained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) base: u32,
    stride: u32,
}

impl Layout {
    /// `mode`: DMABMR with EDFE and DSL, the number of words between two descriptors.
    pub(super) fn new(base: u32, mode: u32) -> Self {
        let size = if mode & bmr::EDFE != 0 { 32 } else { 16 };
        Self {
            base,
            stride: size + (mode >> 2 & 0x1F) * 4,
        }
    }

    fn next(&self, address: u32, end_of_ring: bool, chained: Option<u32>) -> u32 {
        match (end_of_ring, chained) {
            (true, _) => self.base,
            (false, Some(next)) => next,
            (false, None) => address.wrapping_add(self.stride),
        }
    }
}

/// A descriptor as it is in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Descriptor {
    pub(super) address: u32,
    pub(super) words: [u32; 4],
}

/// A buffer: address and length.
pub(super) type Buffer = (u32, usize);

impl Descriptor {
    pub(super) fn fetch(memory: &DmaMemory, address: u32) -> Result<Self, Unreachable> {
        let mut words = [0; 4];
        for (index, word) in words.iter_mut().enumerate() {
            *word = memory.word(address.wrapping_add(4 * index as u32))?;
        }
        Ok(Self { address, words })
    }

    /// OWN has the same place in both kinds.
    pub(super) fn is_owned(&self) -> bool {
        self.words[0] & tdes0::OWN != 0
    }

    /// The buffers; the second address of a chained descriptor is no buffer.
    fn buffers(&self, chained: bool) -> [Buffer; 2] {
        let [_, sizes, first, second] = self.words;
        let second_len = if chained { 0 } else { sizes >> 16 & 0x1FFF };
        [
            (first, (sizes & 0x1FFF) as usize),
            (second, second_len as usize),
        ]
    }

    pub(super) fn transmit_buffers(&self) -> [Buffer; 2] {
        self.buffers(self.words[0] & tdes0::TCH != 0)
    }

    pub(super) fn receive_buffers(&self) -> [Buffer; 2] {
        self.buffers(self.words[1] & rdes1::RCH != 0)
    }

    pub(super) fn next_transmit(&self, layout: &Layout) -> u32 {
        let chained = (self.words[0] & tdes0::TCH != 0).then_some(self.words[3]);
        layout.next(self.address, self.words[0] & tdes0::TER != 0, chained)
    }

    pub(super) fn next_receive(&self, layout: &Layout) -> u32 {
        let chained = (self.words[1] & rdes1::RCH != 0).then_some(self.words[3]);
        layout.next(self.address, self.words[1] & rdes1::RER != 0, chained)
    }
}
