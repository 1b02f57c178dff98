//! The digest of what is in flash, a piece at a time: a whole application takes longer than the network can wait.

use iap_protocol::header::HeaderBytes;
use iap_protocol::memory::Region;

use crate::flash::{Flash, FlashError};
use crate::sha::Sha256;

/// A digest that is being computed.
pub(crate) struct FlashDigest {
    offset: u32,
    sha256: Sha256,
}

impl FlashDigest {
    /// Of nothing so far.
    pub(crate) fn new() -> Self {
        Self {
            offset: 0,
            sha256: Sha256::new(),
        }
    }

    /// Reads at most `len` bytes more of the image in flash, whole blocks; the verdict once all was read.
    pub(crate) fn advance(
        &mut self,
        flash: &dyn Flash,
        image: &HeaderBytes,
        len: u32,
    ) -> Result<Option<bool>, FlashError> {
        let left = image.payload_size().saturating_sub(self.offset);
        let address = image.load_address().saturating_add(self.offset);
        let blocks = Region::new(address, left.min(len) & !63);
        self.sha256.take_blocks(flash, blocks)?;
        self.offset = self.offset.saturating_add(blocks.len);
        let left = left.saturating_sub(blocks.len);
        let mut rest = [0; 64];
        let Some(rest) = rest.get_mut(..left as usize) else {
            return Ok(None);
        };
        flash.read(address.saturating_add(blocks.len), rest)?;
        self.sha256.update(rest, flash);
        let found = self.sha256.clone().finish(flash);
        Ok(Some(image.sha256() == Some(found)))
    }
}

/// Whether the flash holds what the image's digest says.
pub(crate) fn holds(flash: &dyn Flash, image: &HeaderBytes) -> Result<bool, FlashError> {
    let verdict = FlashDigest::new().advance(flash, image, image.payload_size())?;
    Ok(verdict == Some(true))
}
