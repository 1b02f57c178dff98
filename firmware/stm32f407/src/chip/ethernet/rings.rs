//! The descriptor rings and their buffers: who owns what, and in which order the words change hands.
//!
//! The DMA reads and writes the memory of a descriptor and its buffer while the descriptor's OWN bit is set, and only then. The software
//! reads or writes a buffer only while OWN is clear. `Memory` never moves: its owner holds a `&'static mut` to it for good, and
//! its addresses in the descriptors are made from that. This is why the DMA breaks no memory of the program.

use core::sync::atomic::{Ordering, fence};

use iap_stm32f407::descriptor::{
    BUFFER_LEN, FRAME_LEN, OWN, RDES1, Received, TDES0_IDLE, TDES0_SEND, received, tdes1,
};
use vcell::VolatileCell;

use crate::chip::memory::Zeroable;

/// Receive descriptors: the largest window of a client, and one for a broadcast that comes in between. RAM has no room for more.
pub(super) const RX: usize = 17;
/// Transmit descriptors: answers are short and sent at once.
const TX: usize = 3;

/// An enhanced descriptor: eight words (RM0090 sections 33.6.7 and 33.6.8).
#[repr(C, align(16))]
struct Descriptor([VolatileCell<u32>; 8]);

/// A buffer, aligned to the DMA's bursts.
#[repr(C, align(16))]
struct Buffer([u8; BUFFER_LEN]);

/// All that the DMA touches. Must lie in SRAM.
#[repr(C)]
pub(crate) struct Memory {
    rx: [Descriptor; RX],
    tx: [Descriptor; TX],
    rx_buffers: [Buffer; RX],
    tx_buffers: [Buffer; TX],
}

// SAFETY: integers only, in cells or not.
unsafe impl Zeroable for Memory {}

/// The receiving ring.
pub(super) struct RxRing {
    descriptors: &'static mut [Descriptor; RX],
    buffers: &'static mut [Buffer; RX],
    next: usize,
}

/// The sending ring.
pub(super) struct TxRing {
    descriptors: &'static mut [Descriptor; TX],
    buffers: &'static mut [Buffer; TX],
    next: usize,
}

/// Makes both rings; every receive descriptor is the DMA's, every transmit descriptor the software's.
pub(super) fn new(memory: &'static mut Memory) -> (RxRing, TxRing) {
    chain(&memory.rx, &memory.rx_buffers);
    chain(&memory.tx, &memory.tx_buffers);
    let mut rx = RxRing {
        descriptors: &mut memory.rx,
        buffers: &mut memory.rx_buffers,
        next: 0,
    };
    let mut tx = TxRing {
        descriptors: &mut memory.tx,
        buffers: &mut memory.tx_buffers,
        next: 0,
    };
    rx.restart();
    tx.restart();
    (rx, tx)
}

/// Gives each descriptor its buffer and its successor; the last one's is the first.
fn chain<const N: usize>(descriptors: &[Descriptor; N], buffers: &[Buffer; N]) {
    let mut successor = descriptors[0].address();
    for (descriptor, buffer) in descriptors.iter().zip(buffers).rev() {
        let [_, _, buffer_address, next, ..] = &descriptor.0;
        buffer_address.set(buffer.0.as_ptr() as u32);
        next.set(successor);
        successor = descriptor.address();
    }
}

impl Descriptor {
    fn address(&self) -> u32 {
        core::ptr::from_ref(self) as u32
    }

    fn status(&self) -> u32 {
        let status = self.0[0].get();
        // What the DMA wrote before it cleared OWN is read after it.
        fence(Ordering::SeqCst);
        status
    }

    fn is_free(&self) -> bool {
        self.status() & OWN == 0
    }

    /// Hands the descriptor over, with what its buffer holds.
    fn give(&self, word0: u32, word1: u32) {
        self.0[1].set(word1);
        // OWN is written last.
        fence(Ordering::SeqCst);
        self.0[0].set(word0);
        fence(Ordering::SeqCst);
    }
}

impl RxRing {
    /// The address for ETH_DMARDLAR.
    pub(super) fn address(&self) -> u32 {
        self.descriptors[0].address()
    }

    /// Gives all descriptors to the DMA, from the first; the DMA must be stopped.
    pub(super) fn restart(&mut self) {
        for descriptor in self.descriptors.iter() {
            descriptor.give(OWN, RDES1);
        }
        self.next = 0;
    }

    /// What the next descriptor holds.
    pub(super) fn peek(&self) -> Received {
        let descriptor = &self.descriptors[self.next];
        let status = descriptor.status();
        received(status, descriptor.0[4].get())
    }

    /// Lets `read` see the frame in the next descriptor, which [`RxRing::peek`] has found, then gives the descriptor back.
    pub(super) fn take<R>(&mut self, len: usize, read: impl FnOnce(&[u8]) -> R) -> R {
        let buffer = &self.buffers[self.next].0;
        // The length comes from `received`, which allows no more than FRAME_LEN.
        let result = read(buffer.get(..len).unwrap_or(buffer));
        self.release();
        result
    }

    /// Gives the next descriptor back unread.
    pub(super) fn release(&mut self) {
        self.descriptors[self.next].give(OWN, RDES1);
        self.next = (self.next + 1) % RX;
    }
}

impl TxRing {
    /// The address for ETH_DMATDLAR.
    pub(super) fn address(&self) -> u32 {
        self.descriptors[0].address()
    }

    /// Takes all descriptors back, from the first; the DMA must be stopped.
    pub(super) fn restart(&mut self) {
        for descriptor in self.descriptors.iter() {
            descriptor.give(TDES0_IDLE, 0);
        }
        self.next = 0;
    }

    /// Whether a frame can be sent now.
    pub(super) fn has_room(&self) -> bool {
        self.descriptors[self.next].is_free()
    }

    /// Whether every frame has left.
    pub(super) fn is_empty(&self) -> bool {
        self.descriptors.iter().all(Descriptor::is_free)
    }

    /// Lets `write` fill a frame of `len` bytes. There must be room.
    pub(super) fn fill<R>(&mut self, len: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let buffer = &mut self.buffers[self.next].0;
        write(buffer.get_mut(..len.min(FRAME_LEN)).unwrap_or_default())
    }

    /// Hands the frame of `len` bytes that [`TxRing::fill`] has filled to the DMA.
    pub(super) fn send(&mut self, len: usize) {
        self.descriptors[self.next].give(TDES0_SEND, tdes1(len.min(FRAME_LEN)));
        self.next = (self.next + 1) % TX;
    }
}
