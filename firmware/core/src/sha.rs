//! SHA-256 and SHA-512 (FIPS 180-4), fed piece by piece. The blocks are the crate `sha2`'s, but those of SHA-256 on the chip, which comes with the
//! flash; filling them takes a few lines, where the crate's way, made for any hash there is, takes more of the flash.

use iap_protocol::memory::Region;

use crate::flash::{Block, Flash, FlashError};

macro_rules! hash {
    ($name:ident, $doc:literal, $word:ty, $block:literal, $engine:ty, $compress:expr, $start:expr) => {
        #[doc = $doc]
        #[derive(Clone)]
        pub(crate) struct $name {
            state: [$word; 8],
            /// The bytes that do not fill a block yet.
            block: Block<$block>,
            /// Bytes fed so far; what is hashed here is shorter than 4 GiB.
            len: u32,
        }

        impl $name {
            /// Of nothing so far.
            pub(crate) const fn new() -> Self {
                Self {
                    state: $start,
                    block: Block([0; $block]),
                    len: 0,
                }
            }

            /// Feeds `bytes`.
            #[inline(never)]
            pub(crate) fn update(&mut self, mut bytes: &[u8], engine: $engine) {
                while !bytes.is_empty() {
                    let room = self.block.0.get_mut(self.len as usize % $block..);
                    let room = room.unwrap_or_default();
                    let (now, later) = bytes.split_at(room.len().min(bytes.len()));
                    if let Some(room) = room.get_mut(..now.len()) {
                        room.copy_from_slice(now);
                    }
                    self.len = self.len.wrapping_add(now.len() as u32);
                    if self.len.is_multiple_of($block) {
                        ($compress)(engine, &mut self.state, &self.block);
                    }
                    bytes = later;
                }
            }

            /// The hash of all that was fed.
            pub(crate) fn finish(mut self, engine: $engine) -> [u8; 8 * size_of::<$word>()] {
                const WORD_LEN: usize = size_of::<$word>();
                const LENGTH_AT: u32 = $block - 2 * WORD_LEN as u32;
                // Section 5.1: a one, zeros, and the length in bits, twice as wide as a word.
                let bits = u64::from(self.len).wrapping_mul(8).to_be_bytes();
                self.update(&[0x80], engine);
                while self.len % $block != LENGTH_AT {
                    self.update(&[0], engine);
                }
                self.update(&[0; 2 * WORD_LEN - 8], engine);
                self.update(&bits, engine);
                let mut hash = [0; 8 * WORD_LEN];
                for (place, word) in hash.chunks_exact_mut(WORD_LEN).zip(self.state) {
                    place.copy_from_slice(&word.to_be_bytes());
                }
                hash
            }
        }
    };
}

// Section 5.3.3.
hash!(
    Sha256,
    "SHA-256.",
    u32,
    64,
    &dyn Flash,
    Flash::sha256_block,
    [
        0x6A09_E667,
        0xBB67_AE85,
        0x3C6E_F372,
        0xA54F_F53A,
        0x510E_527F,
        0x9B05_688C,
        0x1F83_D9AB,
        0x5BE0_CD19,
    ]
);

impl Sha256 {
    /// Feeds what is in flash, where nothing but whole blocks was fed so far and `region` has whole blocks.
    pub(crate) fn take_blocks(
        &mut self,
        flash: &dyn Flash,
        region: Region,
    ) -> Result<(), FlashError> {
        flash.sha256(&mut self.state, region)?;
        self.len = self.len.wrapping_add(region.len);
        Ok(())
    }
}

// Section 5.3.5.
#[cfg(feature = "signed")]
use sha2::block_api::compress512;
#[cfg(feature = "signed")]
hash!(
    Sha512,
    "SHA-512.",
    u64,
    128,
    (),
    |(), state, block: &Block<128>| compress512(state, core::slice::from_ref(&block.0)),
    [
        0x6A09_E667_F3BC_C908,
        0xBB67_AE85_84CA_A73B,
        0x3C6E_F372_FE94_F82B,
        0xA54F_F53A_5F1D_36F1,
        0x510E_527F_ADE6_82D1,
        0x9B05_688C_2B3E_6C1F,
        0x1F83_D9AB_FB41_BD6B,
        0x5BE0_CD19_137E_2179,
    ]
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Clock, Nor};
    use sha2::Digest;

    /// All lengths about the ends of two blocks, fed in pieces of all lengths.
    #[test]
    fn they_are_what_the_crate_computes() {
        let flash = Nor::new(&Clock::default());
        let bytes: [u8; 300] = core::array::from_fn(|i| (i * 7) as u8);
        for len in 0..bytes.len() {
            let (bytes, piece) = (&bytes[..len], len % 150 + 1);
            let (mut short, mut long) = (Sha256::new(), Sha512::new());
            for piece in bytes.chunks(piece) {
                short.update(piece, &flash);
                long.update(piece, ());
            }
            assert_eq!(
                short.finish(&flash)[..],
                sha2::Sha256::digest(bytes)[..],
                "{len}"
            );
            assert_eq!(
                long.finish(())[..],
                sha2::Sha512::digest(bytes)[..],
                "{len}"
            );
        }
    }

    /// FIPS 180-4's examples, whose values are not the crate's.
    #[test]
    fn the_hashes_of_abc_are_the_standard_s() {
        let flash = Nor::new(&Clock::default());
        let (mut short, mut long) = (Sha256::new(), Sha512::new());
        short.update(b"abc", &flash);
        long.update(b"abc", ());
        assert_eq!(short.finish(&flash)[..4], [0xBA, 0x78, 0x16, 0xBF]);
        assert_eq!(long.finish(())[..4], [0xDD, 0xAF, 0x35, 0xA1]);
    }
}
