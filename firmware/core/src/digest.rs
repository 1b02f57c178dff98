//! The digest of what is in flash, a piece at a time: a whole application takes longer than the network can wait.

use iap_protocol::header::HeaderBytes;

use crate::flash::{Flash, FlashError};
use crate::sha::Sha256;

/// Bytes read at a time.
const CHUNK_LEN: usize = 256;

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

    /// Reads at most `len` bytes more of the image in flash; the verdict once all was read.
    pub(crate) fn advance(
        &mut self,
        flash: &dyn Flash,
        image: &HeaderBytes,
        len: u32,
    ) -> Result<Option<bool>, FlashError> {
        let stop = image.payload_size().min(self.offset.saturating_add(len));
        while self.offset < stop {
            let mut chunk = [0; CHUNK_LEN];
            let len = stop.saturating_sub(self.offset).min(CHUNK_LEN as u32);
            let Some(bytes) = chunk.get_mut(..len as usize) else {
                break;
            };
            flash.read(image.load_address().saturating_add(self.offset), bytes)?;
            self.sha256.update(bytes);
            self.offset = self.offset.saturating_add(len);
        }
        if self.offset < image.payload_size() {
            return Ok(None);
        }
        let found = self.sha256.clone().finish();
        Ok(Some(image.sha256() == Some(found)))
    }
}

/// Whether the flash holds what the image's digest says.
pub(crate) fn holds(flash: &dyn Flash, image: &HeaderBytes) -> Result<bool, FlashError> {
    let verdict = FlashDigest::new().advance(flash, image, image.payload_size())?;
    Ok(verdict == Some(true))
}
