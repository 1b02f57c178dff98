//! The large buffers: which memory each is in, and that each is given out once. None of them is touched before the boot decision.
//!
//! | what | where | bytes |
//! |---|---|---|
//! | Ethernet descriptors and buffers | SRAM (the DMA reaches nothing else) | [`rings::Memory`] |
//! | first part of the update's ring | SRAM | [`RING_IN_SRAM`] |
//! | second part | CCM, above the stack | [`RING_IN_CCM`] |
//! | sockets and connections | SRAM | [`Memory`] |
//! | the network loop | SRAM | [`Iap`] |

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use iap_core::http::Connection;
use iap_core::net::{BYTES, HTTP_SOCKETS, Iap, Memory, Metadata, SOCKETS};
use smoltcp::iface::SocketStorage;

use super::ethernet::rings;
use super::flash::ChipFlash;

/// Bytes of the update's ring in SRAM.
const RING_IN_SRAM: usize = 44 * 1024;
/// Bytes of the update's ring in the CCM RAM: all but the stack.
const RING_IN_CCM: usize = 52 * 1024;
const _: () = assert!(RING_IN_SRAM + RING_IN_CCM >= 96 * 1024);

#[unsafe(link_section = ".dma")]
static DMA: Once<rings::Memory> = Once::new();
#[unsafe(link_section = ".uninit")]
static SOCKET_PLACES: Once<[SocketStorage<'static>; SOCKETS]> = Once::new();
#[unsafe(link_section = ".uninit")]
static CONNECTIONS: Once<[Connection; HTTP_SOCKETS]> = Once::new();
#[unsafe(link_section = ".uninit")]
static SOCKET_BYTES: Once<[u8; BYTES]> = Once::new();
#[unsafe(link_section = ".uninit")]
static METADATA: Once<Metadata<'static>> = Once::new();
#[unsafe(link_section = ".uninit")]
static RING_SRAM: Once<[u8; RING_IN_SRAM]> = Once::new();
#[unsafe(link_section = ".ccm")]
static RING_CCM: Once<[u8; RING_IN_CCM]> = Once::new();

/// Set once the buffers have been given out; lies in `.bss`, which is cleared at every reset.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The network loop itself: too large for the stack.
#[unsafe(link_section = ".uninit")]
static IAP: Once<Iap<'static, ChipFlash>> = Once::new();

/// All of them, as their users want to find them.
pub(crate) struct Buffers {
    /// For the Ethernet DMA.
    pub(crate) dma: &'static mut rings::Memory,
    /// For the sockets.
    pub(crate) network: Memory<'static>,
    /// For the update's ring.
    pub(crate) ring: [&'static mut [u8]; 2],
    /// For the network loop.
    pub(crate) iap: IapPlace,
}

/// The place of the network loop.
pub(crate) struct IapPlace(());

impl IapPlace {
    /// Puts it there.
    pub(crate) fn put(self, iap: Iap<'static, ChipFlash>) -> &'static mut Iap<'static, ChipFlash> {
        // SAFETY: `take` makes one place, and this uses it up.
        unsafe { IAP.holding(iap) }
    }
}

/// Gives the buffers out; nothing at the second call.
pub(crate) fn take() -> Option<Buffers> {
    // No compare-and-swap: there is one thread, and no handler.
    if TAKEN.load(Ordering::Relaxed) {
        return None;
    }
    TAKEN.store(true, Ordering::Relaxed);
    // SAFETY: TAKEN lets this happen once.
    let (dma, sram, ccm) = unsafe { (DMA.zeroed(), RING_SRAM.zeroed(), RING_CCM.zeroed()) };
    Some(Buffers {
        dma,
        network: network(),
        ring: [sram, ccm],
        iap: IapPlace(()),
    })
}

/// To be called by [`take`] alone.
fn network() -> Memory<'static> {
    // SAFETY: `take` lets this happen once.
    unsafe {
        Memory {
            // Not `SocketStorage::EMPTY`: a constant is copied whole, from 336 bytes of flash.
            sockets: SOCKET_PLACES.each(SocketStorage::default),
            connections: CONNECTIONS.each(Connection::new),
            bytes: SOCKET_BYTES.zeroed(),
            metadata: METADATA.holding(Metadata::new()),
        }
    }
}

/// Memory that a reset leaves as it is.
struct Once<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: every access is unsafe, and happens once.
unsafe impl<T> Sync for Once<T> {}

/// Types for which all bytes zero is a value.
///
/// # Safety
///
/// It must be.
pub(crate) unsafe trait Zeroable {}

// SAFETY: zero is a value of every byte.
unsafe impl<const N: usize> Zeroable for [u8; N] {}

impl<T> Once<T> {
    const fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// The memory, holding `value`.
    ///
    /// # Safety
    ///
    /// To be called once, and not beside [`Once::zeroed`]: it hands out the only reference.
    #[allow(clippy::mut_from_ref)] // the caller promises that there is no other
    unsafe fn holding(&'static self, value: T) -> &'static mut T {
        // SAFETY: the only reference, by the caller's promise.
        unsafe { (*self.0.get()).write(value) }
    }
}

impl<T, const N: usize> Once<[T; N]> {
    /// The memory, holding a value from `make` in each place. One after the other: all of them at a time are too much for the stack.
    ///
    /// # Safety
    ///
    /// As for [`Once::holding`].
    #[allow(clippy::mut_from_ref)] // the caller promises that there is no other
    unsafe fn each(&'static self, make: impl Fn() -> T) -> &'static mut [T; N] {
        // SAFETY: the only reference, by the caller's promise. An array of N values begins where the first does, and after the loop
        // each of them is there.
        unsafe {
            let memory = &mut *self.0.get();
            let first: *mut T = memory.as_mut_ptr().cast();
            for index in 0..N {
                first.add(index).write(make());
            }
            memory.assume_init_mut()
        }
    }
}

impl<T: Zeroable> Once<T> {
    /// The memory, all zero.
    ///
    /// # Safety
    ///
    /// To be called once: it hands out the only reference.
    #[allow(clippy::mut_from_ref)] // the caller promises that there is no other
    unsafe fn zeroed(&'static self) -> &'static mut T {
        // SAFETY: the only reference, by the caller's promise; after the bytes are zeroed it holds a value, by `Zeroable`.
        unsafe {
            let memory = &mut *self.0.get();
            memory.as_mut_ptr().write_bytes(0, 1);
            memory.assume_init_mut()
        }
    }
}
