//! The RTC backup registers, where application and firmware leave each other words.

use iap_protocol::mailbox;
use iap_stm32f407::board::{REQUEST_BACKUP_REGISTER, RESET_CAUSE_BACKUP_REGISTER};
use stm32f4xx_hal::pac::{PWR, RCC, RTC};

/// PWR_CR.DBP (RM0090 section 5.4.1).
const DBP: u32 = 1 << 8;
/// RCC_APB1ENR.PWREN (RM0090 section 7.3.13).
const PWREN: u32 = 1 << 28;

/// The two registers of the profile.
pub(crate) struct Backup {
    rtc: RTC,
}

impl Backup {
    /// Allows writes to the backup domain (RM0090 section 5.1.2). The RTC's own clock is not needed for its backup registers: nothing
    /// here touches RCC_BDCR, which is the application's.
    pub(crate) fn new(rtc: RTC, pwr: &PWR, rcc: &RCC) -> Self {
        change!(rcc.apb1enr(), clear 0, set PWREN);
        // ES0182, delay after an RCC peripheral clock enabling: a dummy read.
        rcc.apb1enr().read();
        change!(pwr.cr(), clear 0, set DBP);
        // ES0182, delay in backup domain protection after programming the DBP bit: a dummy read.
        pwr.cr().read();
        Self { rtc }
    }

    /// What the application left.
    pub(crate) fn request(&self) -> mailbox::Request {
        let word = self.rtc.bkpr(REQUEST_BACKUP_REGISTER).read().bits();
        mailbox::Request::decode(word)
    }

    /// Leaves a word in the request register.
    pub(crate) fn set_request(&mut self, word: u32) {
        self.leave(REQUEST_BACKUP_REGISTER, word);
    }

    /// Leaves the flags of the last reset for the application.
    pub(crate) fn set_reset_cause(&mut self, flags: u8) {
        self.leave(RESET_CAUSE_BACKUP_REGISTER, mailbox::reset_cause(flags));
    }

    /// Writes RTC_BKPxR (RM0090 section 26.6.20). The write has arrived when a read after it has: before the jump PWR is reset, over another
    /// bus, and the protection comes back.
    fn leave(&mut self, register: usize, word: u32) {
        put!(self.rtc.bkpr(register), word);
        self.rtc.bkpr(register).read();
    }
}
