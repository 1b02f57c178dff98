//! A flash with two holders: the board that works on it and a test that looks at it, in another thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iap_core::flash::{Flash, FlashError};
use iap_protocol::memory::{Region, Sector};

use super::Nor;

/// A handle on a flash; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct SharedNor(Arc<Mutex<Nor>>);

impl SharedNor {
    /// Shares `nor`.
    pub fn new(nor: Nor) -> Self {
        Self(Arc::new(Mutex::new(nor)))
    }

    /// The flash, while nobody else has it.
    pub fn lock(&self) -> MutexGuard<'_, Nor> {
        // A panic elsewhere (a violation, for instance) leaves the content behind: it can still be looked at.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flash for SharedNor {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.lock().read(address, bytes)
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        self.lock().erase(sector)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.lock().program(address, bytes)
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        self.lock().crc32(resume, region)
    }
}
