//! FLASH_ACR, KEYR, OPTKEYR, SR, CR and OPTCR (RM0090 section 3.9).

use super::Flash;
use crate::register::{Context, Refusal, Registers, Result, Write};

const ACR: u32 = 0x00;
const KEYR: u32 = 0x04;
const OPTKEYR: u32 = 0x08;
const SR: u32 = 0x0C;
const CR: u32 = 0x10;
const OPTCR: u32 = 0x14;

const DCEN: u32 = 1 << 10;
const ICEN: u32 = 1 << 9;
const ICRST: u32 = 1 << 11;
const DCRST: u32 = 1 << 12;
const ACR_MASK: u32 = 0x1F07;

const PG: u32 = 1;
const SER: u32 = 1 << 1;
const MER: u32 = 1 << 2;
const STRT: u32 = 1 << 16;
const EOPIE: u32 = 1 << 24;
const ERRIE: u32 = 1 << 25;
const LOCK: u32 = 1 << 31;
const CR_MASK: u32 = PG | SER | MER | 0xF << 3 | 3 << 8 | EOPIE | ERRIE;

const BSY: u32 = 1 << 16;
/// Of OPTCR (section 3.9.10).
pub(super) const WDG_SW: u32 = 1 << 5;
const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];

/// FLASH_SR without BSY.
#[derive(Default, Debug)]
pub(super) struct Status {
    pub(super) end: bool,
    pub(super) operation_error: bool,
    pub(super) errors: u32,
}

impl Status {
    pub(super) const PROTECTION_ERROR: u32 = 1 << 4;
    pub(super) const ALIGNMENT_ERROR: u32 = 1 << 5;
    pub(super) const PARALLELISM_ERROR: u32 = 1 << 6;
    pub(super) const SEQUENCE_ERROR: u32 = 1 << 7;

    fn bits(&self) -> u32 {
        u32::from(self.end) | u32::from(self.operation_error) << 1 | self.errors
    }

    fn clear(&mut self, ones: u32) {
        self.end &= ones & 1 == 0;
        self.operation_error &= ones & 2 == 0;
        self.errors &= !ones;
    }
}

/// How far the unlock sequence of a key register has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keys {
    None,
    First,
    Open,
    /// A wrong key: closed until the next reset (RM0090 section 3.6.1).
    Blocked,
}

/// What an erase is for.
pub(super) enum Target {
    Sector(u8),
    All,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    pub(super) acr: u32,
    pub(super) optcr: u32,
    cr: u32,
    keys: Keys,
}

impl Control {
    /// OPTCR: nWRP all ones (no protection), RDP level 0, BOR off (RM0090 section 3.9.10).
    pub(super) const RESET: Self = Self {
        acr: 0,
        optcr: 0x0FFF_AAED,
        cr: 0,
        keys: Keys::None,
    };

    pub(super) fn data_cache_on(&self) -> bool {
        self.acr & DCEN != 0
    }

    pub(super) fn psize(&self) -> u32 {
        self.cr >> 8 & 3
    }

    pub(super) fn is_locked(&self) -> bool {
        self.keys != Keys::Open
    }

    pub(super) fn programming(&self) -> bool {
        self.cr & PG != 0
    }

    pub(super) fn end_interrupt(&self) -> bool {
        self.cr & EOPIE != 0
    }

    pub(super) fn error_interrupt(&self) -> bool {
        self.cr & ERRIE != 0
    }

    pub(super) fn is_protected(&self, sector: u8) -> bool {
        self.optcr >> (16 + u32::from(sector)) & 1 == 0
    }

    pub(super) fn erase_target(&self) -> Option<Target> {
        match self.cr & (PG | SER | MER) {
            SER => Some(Target::Sector((self.cr >> 3 & 0xF) as u8)),
            MER => Some(Target::All),
            _ => None,
        }
    }

    fn bits(&self) -> u32 {
        self.cr | if self.is_locked() { LOCK } else { 0 }
    }

    fn key(&mut self, key: u32) -> Result<()> {
        self.keys = match (self.keys, key) {
            (Keys::None, key) if key == KEYS[0] => Keys::First,
            (Keys::First, key) if key == KEYS[1] => Keys::Open,
            _ => {
                self.keys = Keys::Blocked;
                return Err(Refusal::BusError);
            }
        };
        Ok(())
    }
}

impl Flash {
    fn write_acr(&mut self, write: Write, context: &mut Context<'_>) {
        let new = write.over(self.control.acr) & ACR_MASK;
        for (reset, enable, name) in [(ICRST, ICEN, "instruction"), (DCRST, DCEN, "data")] {
            if new & reset != 0 && new & enable != 0 {
                context.guest_error(format!("FLASH_ACR: the {name} cache is reset while it is enabled (RM0090 section 3.9.1)"));
            }
        }
        if new & DCRST != 0 && new & DCEN == 0 {
            self.cache.clear();
        }
        self.control.acr = new;
    }

    /// A write while an operation runs stalls the bus (RM0090 section 3.9.6).
    fn write_cr(&mut self, write: Write, context: &mut Context<'_>) {
        let start = self.stall(context.now);
        if self.control.is_locked() {
            context.guest_error(
                "FLASH_CR is written while it is locked: ignored (RM0090 section 3.6.1)",
            );
            return;
        }
        let new = write.over(self.control.cr);
        self.control.cr = new & CR_MASK;
        if new & LOCK != 0 {
            self.control.keys = Keys::None;
        }
        if new & STRT != 0 {
            self.start_erase(start, context);
        }
    }
}

impl Registers for Flash {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> Result<u32> {
        self.advance(context.now);
        Ok(match offset {
            ACR => self.control.acr,
            KEYR | OPTKEYR => 0,
            SR => self.status.bits() | if self.operation.is_some() { BSY } else { 0 },
            CR => {
                self.control.bits()
                    | if self
                        .operation
                        .as_ref()
                        .is_some_and(|it| it.before.is_some())
                    {
                        STRT
                    } else {
                        0
                    }
            }
            OPTCR => self.control.optcr,
            _ => return Err(Refusal::NotModelled),
        })
    }

    fn write(&mut self, offset: u32, write: Write, context: &mut Context<'_>) -> Result<()> {
        self.advance(context.now);
        match offset {
            ACR => self.write_acr(write, context),
            KEYR => return self.control.key(write.value),
            SR => self.status.clear(write.ones()),
            CR => self.write_cr(write, context),
            _ => return Err(Refusal::NotModelled), // option bytes are programmed on the production line
        }
        Ok(())
    }
}
