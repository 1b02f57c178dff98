//! Deliberate defects, to prove that the sweep can fail: each is one of the mistakes that the rules of the record and the update exclude.
//!
//! Only the feature `defects` brings them into a build, and only for the host. Without it [`has`] is a constant `false`, and the branches
//! that ask are gone.

#[cfg(all(feature = "defects", target_os = "none"))]
compile_error!("the feature `defects` breaks the firmware on purpose: it is for tests on the host");

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defect {
    /// COMMITTED is written before the flash content was verified.
    CommitBeforeVerify,
    /// An entry counts whatever its CRC says.
    EntryWithoutCheck,
    /// An entry counts although its seal was never begun.
    UnsealedEntry,
    /// BEGUN and TOUCHED are written after the erase.
    BegunAfterErase,
    /// A sector is skipped for its CRC although a cut may have touched it.
    SkipTouched,
    /// DONE is written before the sector is programmed and verified.
    DoneBeforeVerify,
    /// The active record sector is erased before its state was copied.
    RecordErasedBeforeCopy,
    /// The header of a record sector is written before its entries.
    RecordHeaderFirst,
    /// The security counter is copied after the header of the new record sector.
    CounterAfterHeader,
    /// Security counter and revoked keys are recorded after the commit.
    CounterAfterCommit,
    /// The slot after the last entry is used although a cut may have touched it.
    TornSlotReused,
    /// A window lets everything through.
    WindowNotEnforced,
    /// The last entry counts as settled although nothing proves its seal.
    SealBelieved,
    /// The servers say that the image is installed when its last byte has come.
    AckBeforeCommit,
    /// The status says what the board holds although an update has begun.
    StatusAfterBegun,
    /// DONE of an earlier transfer counts where a signature's digest is promised.
    DoneBelieved,
}

#[cfg(feature = "defects")]
mod selected {
    extern crate std;

    use core::cell::Cell;

    use super::Defect;

    std::thread_local! {
        static DEFECT: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Switches a defect on in this thread, or all off.
    pub fn select(defect: Option<Defect>) {
        DEFECT.set(defect);
    }

    pub(crate) fn has(defect: Defect) -> bool {
        DEFECT.get() == Some(defect)
    }
}

#[cfg(feature = "defects")]
pub(crate) use selected::has;
#[cfg(feature = "defects")]
pub use selected::select;

/// Whether a defect is switched on: never.
#[cfg(not(feature = "defects"))]
pub(crate) const fn has(_: Defect) -> bool {
    false
}
