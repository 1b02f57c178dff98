//! What a peripheral looks like from the bus: 32-bit registers, read and written in lanes.

use crate::report::{Kind, Reports};
use crate::time::Time;
use crate::wires::Wires;

/// A write to a register: only the bits of `mask` are driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Write {
    pub(crate) value: u32,
    pub(crate) mask: u32,
}

impl Write {
    /// A write of the whole word.
    pub(crate) const fn word(value: u32) -> Self {
        Self {
            value,
            mask: u32::MAX,
        }
    }

    /// What a plain register holds afterwards.
    pub(crate) const fn over(self, old: u32) -> u32 {
        old & !self.mask | self.value & self.mask
    }

    /// The bits written as 1: for registers where a 1 does something.
    pub(crate) const fn ones(self) -> u32 {
        self.value & self.mask
    }
}

/// Why an access got no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// The emulator does not have this register.
    NotModelled,
    /// The chip answers with a bus error.
    BusError,
}

/// What an access comes to.
pub(crate) type Result<T, E = Refusal> = std::result::Result<T, E>;

/// What a peripheral knows while it is accessed.
pub(crate) struct Context<'a> {
    pub(crate) now: Time,
    pub(crate) pc: u32,
    pub(crate) wires: &'a Wires,
    pub(crate) reports: &'a mut Reports,
}

impl<'a> Context<'a> {
    pub(crate) fn new(now: Time, pc: u32, wires: &'a Wires, reports: &'a mut Reports) -> Self {
        Self {
            now,
            pc,
            wires,
            reports,
        }
    }

    /// The firmware does what the manual forbids.
    pub(crate) fn guest_error(&mut self, text: impl Into<String>) {
        self.reports
            .add(self.now, self.pc, Kind::GuestError, text.into());
    }

    /// The firmware uses a feature of a known register that the emulator does not have.
    pub(crate) fn not_modelled(&mut self, text: impl Into<String>) {
        self.reports
            .add(self.now, self.pc, Kind::NotModelled, text.into());
    }
}

/// A peripheral's registers. Offsets are multiples of 4.
pub(crate) trait Registers {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32>;
    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()>;
}
