//! CRC-32 as zlib computes it (CRC-32/ISO-HDLC: polynomial 0x04C11DB7 reflected, initial value and final XOR 0xFFFFFFFF).
//!
//! Over exactly the payload's bytes, so that `crc32 app.bin` on any host prints the number the header carries. The STM32's CRC unit
//! computes the same with RBIT on each word going in and RBIT and NOT on the result (RM0090 section 4).

use ::crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

static ALGORITHM: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// The CRC-32 of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    ALGORITHM.checksum(bytes)
}

/// A CRC-32 that is fed piece by piece.
#[derive(Clone)]
pub struct Crc32(Digest<'static, u32, Table<1>>);

impl Crc32 {
    /// The CRC of nothing yet.
    pub fn new() -> Self {
        Self(ALGORITHM.digest())
    }

    /// Continues from a finished CRC, as if its bytes had just been fed.
    pub fn resume(finished: u32) -> Self {
        // The digest takes its initial value before reflection: the register is the finished value without its final XOR, reversed.
        Self(ALGORITHM.digest_with_initial((finished ^ 0xFFFF_FFFF).reverse_bits()))
    }

    /// Feeds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC of all that was fed.
    pub fn finish(&self) -> u32 {
        self.0.clone().finalize()
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Crc32 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Crc32({:#010x})", self.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Python's zlib.crc32 over 00 01 02 ... (mod 256).
    const GOLDEN: [(usize, u32); 7] = [
        (0, 0x0000_0000),
        (1, 0xD202_EF8D),
        (2, 0x36DE_2269),
        (3, 0x0854_897F),
        (4, 0x8BB9_8613),
        (5, 0x515A_D3CC),
        (4095, 0xF93B_80FA),
    ];

    fn counting(len: usize) -> [u8; 4095] {
        let mut bytes = [0; 4095];
        for (i, byte) in bytes.iter_mut().take(len).enumerate() {
            *byte = i as u8;
        }
        bytes
    }

    #[test]
    fn agrees_with_zlib() {
        for (len, expected) in GOLDEN {
            assert_eq!(crc32(&counting(len)[..len]), expected, "{len} bytes");
        }
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn pieces_and_resumption_give_the_same_as_one_call() {
        let bytes = counting(4095);
        for cut in [0, 1, 3, 4, 2048, 4095] {
            let (head, tail) = bytes.split_at(cut);
            let mut pieces = Crc32::new();
            pieces.update(head);
            let mut resumed = Crc32::resume(pieces.finish());
            pieces.update(tail);
            resumed.update(tail);
            assert_eq!(pieces.finish(), crc32(&bytes));
            assert_eq!(resumed.finish(), crc32(&bytes));
        }
    }
}
