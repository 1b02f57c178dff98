//! The data cache of the flash interface: 8 lines of 128 bits (RM0090 section 3.5.2).
//!
//! What matters about it is what it gets wrong: after an erase it still answers with what it read before, until software resets it. So it
//! remembers which lines it holds, and their content only where an erase has made that stale. Programming updates it (section 3.6.3).
//! The instruction cache is not modelled: code does not erase itself.

/// Lines of the chip's.
pub(crate) const LINES: usize = 8;
pub(super) const LINE_BYTES: u32 = 16;

#[derive(Clone, Copy, Debug)]
struct Line {
    offset: u32,
    stale: Option<[u8; LINE_BYTES as usize]>,
}

#[derive(Debug)]
pub(super) struct Cache {
    /// Least recently used first.
    lines: Vec<Line>,
    len: usize,
}

impl Cache {
    /// An empty cache of so many lines.
    pub(super) const fn new(len: usize) -> Self {
        Self {
            lines: Vec::new(),
            len,
        }
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// A read that ends in this line: it is in the cache now. The stale content, if it is.
    pub(super) fn touch(&mut self, offset: u32) -> Option<[u8; LINE_BYTES as usize]> {
        let start = offset & !(LINE_BYTES - 1);
        if let Some(last) = self.lines.last()
            && last.offset == start
        {
            return last.stale;
        }
        let line = match self.lines.iter().position(|line| line.offset == start) {
            Some(index) => self.lines.remove(index),
            None => {
                if self.lines.len() == self.len {
                    self.lines.remove(0);
                }
                Line {
                    offset: start,
                    stale: None,
                }
            }
        };
        self.lines.push(line);
        line.stale
    }

    /// The array is about to change under the cache.
    pub(super) fn keep_stale(
        &mut self,
        start: u32,
        len: u32,
        old: impl Fn(u32) -> [u8; LINE_BYTES as usize],
    ) {
        for line in &mut self.lines {
            if (start..start.saturating_add(len)).contains(&line.offset) && line.stale.is_none() {
                line.stale = Some(old(line.offset));
            }
        }
    }

    /// Programming writes through.
    pub(super) fn update(&mut self, offset: u32, bytes: &[u8]) {
        let start = offset & !(LINE_BYTES - 1);
        let line = self.lines.iter_mut().find(|line| line.offset == start);
        let Some(stale) = line.and_then(|line| line.stale.as_mut()) else {
            return;
        };
        for (slot, byte) in stale.iter_mut().skip((offset - start) as usize).zip(bytes) {
            *slot = *byte;
        }
    }
}
