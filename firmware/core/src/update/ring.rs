//! The RAM ring between the network and the flash: a FIFO of bytes over two pieces of memory, because the chip's RAM comes in two
//! (SRAM, and CCM, which the Ethernet DMA cannot reach).

/// A FIFO of bytes.
pub struct Ring<'a> {
    parts: [&'a mut [u8]; 2],
    head: usize,
    len: usize,
}

impl<'a> Ring<'a> {
    /// An empty ring over both pieces of memory; the second may be empty.
    pub fn new(parts: [&'a mut [u8]; 2]) -> Self {
        Self {
            parts,
            head: 0,
            len: 0,
        }
    }

    /// Bytes it can hold.
    pub fn capacity(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Bytes it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it has room for.
    pub fn free(&self) -> usize {
        self.capacity().saturating_sub(self.len)
    }

    /// Forgets all bytes.
    pub fn clear(&mut self) {
        (self.head, self.len) = (0, 0);
    }

    /// Appends what fits of `bytes`; how many that were.
    pub fn push(&mut self, mut bytes: &[u8]) -> usize {
        let pushed = bytes.len().min(self.free());
        bytes = bytes.get(..pushed).unwrap_or(&[]);
        while !bytes.is_empty() {
            let at = self.wrap(self.head.wrapping_add(self.len));
            let Some(run) = self.run_at_mut(at) else {
                break;
            };
            let fits = run.len().min(bytes.len());
            let (now, later) = bytes.split_at(fits);
            if let Some(place) = run.get_mut(..fits) {
                place.copy_from_slice(now);
            }
            self.len = self.len.wrapping_add(fits);
            bytes = later;
        }
        pushed
    }

    /// The first bytes without taking them, as many as lie in one piece; empty only if the ring is.
    pub fn front(&self) -> &[u8] {
        let run = self.run_at(self.head);
        run.get(..self.len).unwrap_or(run)
    }

    /// Copies bytes from `offset` after the first one on; `false` if there are not as many.
    pub fn peek(&self, offset: usize, mut bytes: &mut [u8]) -> bool {
        if offset
            .checked_add(bytes.len())
            .is_none_or(|end| end > self.len)
        {
            return false;
        }
        let mut at = self.wrap(self.head.wrapping_add(offset));
        while !bytes.is_empty() {
            let run = self.run_at(at);
            let fits = run.len().min(bytes.len());
            let (now, later) = bytes.split_at_mut(fits);
            if let Some(held) = run.get(..fits) {
                now.copy_from_slice(held);
            }
            at = self.wrap(at.wrapping_add(fits));
            bytes = later;
        }
        true
    }

    /// Drops the first `count` bytes, or all if there are fewer.
    pub fn skip(&mut self, count: usize) {
        let count = count.min(self.len);
        self.head = self.wrap(self.head.wrapping_add(count));
        self.len = self.len.saturating_sub(count);
    }

    fn wrap(&self, at: usize) -> usize {
        at.checked_sub(self.capacity()).unwrap_or(at)
    }

    /// The memory from position `at` to the end of its piece.
    fn run_at(&self, at: usize) -> &[u8] {
        let [first, second] = &self.parts;
        match at.checked_sub(first.len()) {
            None => first.get(at..).unwrap_or(&[]),
            Some(at) => second.get(at..).unwrap_or(&[]),
        }
    }

    fn run_at_mut(&mut self, at: usize) -> Option<&mut [u8]> {
        let [first, second] = &mut self.parts;
        match at.checked_sub(first.len()) {
            None => first.get_mut(at..),
            Some(at) => second.get_mut(at..),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_across_both_pieces_and_the_wrap() {
        let (mut a, mut b) = ([0; 5], [0; 3]);
        let mut ring = Ring::new([&mut a, &mut b]);
        let (mut next_in, mut next_out) = (0u8, 0u8);
        for round in 0..200usize {
            let bytes: [u8; 9] = core::array::from_fn(|i| next_in.wrapping_add(i as u8));
            let pushed = ring.push(&bytes[..1 + round % 9]);
            assert_eq!(pushed, (1 + round % 9).min(8 - (ring.len() - pushed)));
            next_in = next_in.wrapping_add(pushed as u8);
            let mut peeked = [0; 8];
            let held = ring.len();
            assert!(ring.peek(0, &mut peeked[..held]));
            assert!(!ring.peek(1, &mut peeked[..held]));
            for _ in 0..round % 5 {
                let Some(&byte) = ring.front().first() else {
                    break;
                };
                assert_eq!(byte, next_out);
                next_out = next_out.wrapping_add(1);
                ring.skip(1);
            }
        }
        assert!(next_out > 100, "the ring wrapped many times");
    }

    #[test]
    fn a_full_ring_takes_nothing_and_the_second_piece_may_be_empty() {
        let mut a = [0; 4];
        let mut ring = Ring::new([&mut a, &mut []]);
        assert_eq!(ring.push(b"abcdef"), 4);
        assert_eq!(
            (ring.free(), ring.push(b"x"), ring.front()),
            (0, 0, &b"abcd"[..])
        );
        ring.skip(9);
        assert!(ring.is_empty());
    }
}
