//! CRC-32 as zlib computes it (CRC-32/ISO-HDLC: polynomial 0x04C11DB7 reflected, initial value and final XOR 0xFFFFFFFF).
//!
//! Over exactly the payload's bytes, so that `crc32 app.bin` on any host prints the number the header carries. The STM32's CRC unit
//! computes the same with RBIT on each word going in and RBIT and NOT on the result (RM0090 section 4).

#[cfg(not(target_os = "none"))]
use self::wide as engine;
#[cfg(target_os = "none")]
use nibbles as engine;

/// The CRC-32 of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.finish()
}

/// A CRC-32 that is fed piece by piece.
#[derive(Clone)]
pub struct Crc32(engine::State);

impl Crc32 {
    /// The CRC of nothing yet.
    pub fn new() -> Self {
        Self::resume(0)
    }

    /// Continues from a finished CRC, as if its bytes had just been fed.
    pub fn resume(finished: u32) -> Self {
        Self(engine::State::new(finished ^ 0xFFFF_FFFF))
    }

    /// Feeds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC of all that was fed.
    pub fn finish(&self) -> u32 {
        self.0.finish()
    }
}

/// The crate `crc32fast`, which takes the processor's instructions for it where there are some.
#[cfg(not(target_os = "none"))]
mod wide {
    use crc32fast::Hasher;

    #[derive(Clone)]
    pub(super) struct State(Hasher);

    impl State {
        /// From the register's value.
        pub(super) fn new(register: u32) -> Self {
            Self(Hasher::new_with_initial(!register))
        }

        pub(super) fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        pub(super) fn finish(&self) -> u32 {
            self.0.clone().finalize()
        }
    }
}

/// Four bits at a time with a table of 64 bytes: what the firmware has room for. A test holds it to the other one.
#[cfg(any(target_os = "none", test))]
mod nibbles {
    /// 0x04C11DB7, reflected.
    const POLYNOMIAL: u32 = 0xEDB8_8320;
    static TABLE: [u32; 16] = table();

    #[allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "const: evaluated when it is compiled"
    )]
    const fn table() -> [u32; 16] {
        let mut table = [0; 16];
        let mut i = 0;
        while i < 16 {
            let (mut register, mut bit) = (i as u32, 0);
            while bit < 4 {
                let carry = register & 1 != 0;
                register = register >> 1 ^ if carry { POLYNOMIAL } else { 0 };
                bit += 1;
            }
            table[i] = register;
            i += 1;
        }
        table
    }

    #[derive(Clone)]
    pub(super) struct State(u32);

    impl State {
        pub(super) fn new(register: u32) -> Self {
            Self(register)
        }

        pub(super) fn update(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                self.0 ^= u32::from(byte);
                for _ in 0..2 {
                    let nibble = (self.0 & 0xF) as usize;
                    self.0 = self.0 >> 4 ^ TABLE.get(nibble).copied().unwrap_or(0);
                }
            }
        }

        pub(super) fn finish(&self) -> u32 {
            self.0 ^ 0xFFFF_FFFF
        }
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
    fn the_firmware_s_own_agrees_with_the_crate() {
        let bytes = counting(4095);
        for len in [0, 1, 2, 3, 5, 255, 256, 4095] {
            let mut own = nibbles::State::new(0xFFFF_FFFF);
            own.update(&bytes[..len / 2]);
            own.update(&bytes[len / 2..len]);
            assert_eq!(own.finish(), crc32(&bytes[..len]), "{len} bytes");
        }
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
