//! Which registers are read and written, in which order: over a trait, so that a test sees every access.
//!
//! All read-modify-write sequences put back what they changed. They must not be interrupted by code that changes PWR_CR or RCC_APB1ENR;
//! on the chip they run with interrupts masked.

use iap_protocol::mailbox::{NOTHING, REQUEST_UPDATE, Request, reset_flags};

use crate::reason::BootReason;

/// RTC backup registers of an STM32F407 (RM0090 section 26.6.20).
const BACKUP_REGISTERS: u8 = 20;

/// RCC_APB1ENR.PWREN: the clock of PWR (RM0090 section 7.3.13).
const PWREN: u32 = 1 << 28;
/// PWR_CR.DBP: the backup domain may be written (RM0090 section 5.4.1).
const DBP: u32 = 1 << 8;
/// IWDG_KR: reload (RM0090 section 21.4.1).
const RELOAD: u32 = 0xAAAA;
/// AIRCR.VECTKEY: without it a write is ignored (PM0214 section 4.4.5).
const VECTKEY: u32 = 0x05FA << 16;
/// AIRCR.PRIGROUP is kept, as PM0214 asks by "must be kept" of all other bits.
const PRIGROUP: u32 = 0b111 << 8;
/// AIRCR.SYSRESETREQ.
const SYSRESETREQ: u32 = 1 << 2;

/// A register of this crate: no other address is ever read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Register {
    /// RCC_APB1ENR, clock enable of APB1's peripherals.
    Apb1Enr,
    /// PWR_CR, power control.
    PwrCr,
    /// RTC_BKPxR, a backup register.
    Backup(BackupRegister),
    /// IWDG_KR, the watchdog's key register.
    IwdgKr,
    /// AIRCR of the core.
    Aircr,
}

/// The number of an RTC backup register, 0 to 19.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackupRegister(u8);

impl Register {
    /// Its address (RM0090 section 2.3; PM0214 section 4.4).
    pub const fn address(self) -> u32 {
        match self {
            Self::Apb1Enr => 0x4002_3800 + 0x40,
            Self::PwrCr => 0x4000_7000,
            Self::Backup(BackupRegister(number)) => 0x4000_2800 + 0x50 + 4 * number as u32,
            Self::IwdgKr => 0x4000_3000,
            Self::Aircr => 0xE000_ED0C,
        }
    }
}

/// Reads and writes registers: volatile accesses on the chip, a list in tests.
pub trait Registers {
    /// Reads one.
    fn read(&mut self, register: Register) -> u32;
    /// Writes one.
    fn write(&mut self, register: Register, value: u32);
    /// Waits until all writes have arrived (DSB).
    fn barrier(&mut self);
}

/// The mailbox between application and IAP firmware: two RTC backup registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Iap {
    request: BackupRegister,
    cause: BackupRegister,
}

impl Iap {
    /// The registers of all shipped profiles.
    pub const DEFAULT: Self = Self::new(19, 18);

    /// The registers that the board's profile names: `request-backup-register` and `reset-cause-backup-register`.
    ///
    /// # Panics
    /// On a number past 19, or the same twice; in a `const` the compiler reports it.
    pub const fn new(request: u8, cause: u8) -> Self {
        assert!(
            request < BACKUP_REGISTERS && cause < BACKUP_REGISTERS,
            "an STM32F407 has the RTC backup registers 0 to 19"
        );
        assert!(
            request != cause,
            "one backup register cannot hold two words"
        );
        Self {
            request: BackupRegister(request),
            cause: BackupRegister(cause),
        }
    }

    /// Leaves the request for IAP mode. It takes effect at the next reset: [`reset`].
    pub fn leave_request(&self, registers: &mut impl Registers) {
        write_backup(registers, self.request, REQUEST_UPDATE);
    }

    /// Takes the count of unconfirmed starts away; writes nothing if there is none.
    pub fn confirm_with(&self, registers: &mut impl Registers) {
        if self.unconfirmed_starts_with(registers) > 0 {
            write_backup(registers, self.request, NOTHING);
        }
    }

    /// How many starts in a row, this one included, were not confirmed; 0 after [`Self::confirm_with`] and for images without CONFIRM.
    pub fn unconfirmed_starts_with(&self, registers: &mut impl Registers) -> u8 {
        match Request::decode(registers.read(Register::Backup(self.request))) {
            Request::Unconfirmed(starts) => starts,
            Request::Nothing | Request::Update => 0,
        }
    }

    /// Why the chip was reset; `None` if no IAP firmware started this application.
    pub fn boot_reason_with(&self, registers: &mut impl Registers) -> Option<BootReason> {
        reset_flags(registers.read(Register::Backup(self.cause))).map(BootReason::from_flags)
    }
}

/// Writes a backup register: PWR gets its clock, the write protection is lifted, and both are put back (RM0090 section 5.1.2).
fn write_backup(registers: &mut impl Registers, register: BackupRegister, word: u32) {
    let clocks = registers.read(Register::Apb1Enr);
    registers.write(Register::Apb1Enr, clocks | PWREN);
    // The peripheral is ready two bus cycles after its clock bit is set (ES0182, delay after an RCC peripheral clock enabling).
    registers.read(Register::Apb1Enr);
    let control = registers.read(Register::PwrCr);
    registers.write(Register::PwrCr, control | DBP);
    // The protection is lifted when a read after the write has arrived (ES0182, delay in backup domain protection after programming DBP).
    registers.read(Register::PwrCr);
    registers.write(Register::Backup(register), word);
    // The write has arrived when a read after it has: the protection must not come back first.
    registers.read(Register::Backup(register));
    registers.write(Register::PwrCr, control);
    registers.write(Register::Apb1Enr, clocks);
}

/// Reloads the independent watchdog. Has no effect while it does not run.
pub fn feed_watchdog_with(registers: &mut impl Registers) {
    registers.write(Register::IwdgKr, RELOAD);
}

/// Asks for a system reset (PM0214 section 4.4.5), which comes some cycles later.
pub fn reset(registers: &mut impl Registers) {
    registers.barrier();
    let priorities = registers.read(Register::Aircr) & PRIGROUP;
    registers.write(Register::Aircr, VECTKEY | priorities | SYSRESETREQ);
    registers.barrier();
}
