//! The CRC unit made to compute zlib's CRC-32, and to continue one.
//!
//! The unit takes 32-bit words, most significant bit first, from an initial value that is always 0xFFFFFFFF (section 4). Three things
//! turn that into CRC-32/ISO-HDLC, continued from any state:
//!
//! - RBIT on each little-endian word: the bits then come in the order in which the reflected CRC takes them;
//! - RBIT and NOT on what the unit holds at the end;
//! - the register can only be set to 0xFFFFFFFF, but a step is `f(register ^ word)`: to start from another register value, XOR the difference
//!   into the first word.
//!
//! Bytes before the first and after the last aligned word are the software's.

/// What the unit's register must seem to hold before the first word, so that it continues from `finished`, a finished CRC-32 (0 for none).
pub const fn register(finished: u32) -> u32 {
    (!finished).reverse_bits()
}

/// The first word to write to CRC_DR after a reset of the unit.
pub const fn first_word(finished: u32, word: u32) -> u32 {
    word.reverse_bits() ^ register(finished) ^ 0xFFFF_FFFF
}

/// Every further word.
pub const fn next_word(word: u32) -> u32 {
    word.reverse_bits()
}

/// The finished CRC-32 from what CRC_DR reads.
pub const fn finish(data_register: u32) -> u32 {
    !data_register.reverse_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use iap_protocol::crc::crc32;

    /// The unit as section 4 describes it: polynomial 0x04C11DB7, initial value 0xFFFFFFFF, words, no reflection.
    struct Unit(u32);

    impl Unit {
        fn reset() -> Self {
            Self(0xFFFF_FFFF)
        }

        fn write(&mut self, word: u32) {
            self.0 ^= word;
            for _ in 0..32 {
                let carry = self.0 >> 31 != 0;
                self.0 = self.0 << 1 ^ if carry { 0x04C1_1DB7 } else { 0 };
            }
        }
    }

    fn by_unit(resume: u32, bytes: &[u8]) -> u32 {
        let mut unit = Unit::reset();
        for (i, chunk) in bytes.chunks_exact(4).enumerate() {
            let word = u32::from_le_bytes(chunk.try_into().unwrap());
            unit.write(if i == 0 {
                first_word(resume, word)
            } else {
                next_word(word)
            });
        }
        finish(unit.0)
    }

    #[test]
    fn the_model_of_the_unit_is_crc_32_mpeg_2() {
        let mut unit = Unit::reset();
        for word in [0x3132_3334, 0x3536_3738] {
            unit.write(word);
        }
        assert_eq!(mpeg2(b"123456789"), 0x0376_E6E7, "its check value");
        assert_eq!(unit.0, mpeg2(b"12345678"));
    }

    /// Byte by byte, to check the model of the unit against.
    fn mpeg2(bytes: &[u8]) -> u32 {
        bytes.iter().fold(0xFFFF_FFFF, |crc, &byte| {
            let mut crc = crc ^ u32::from(byte) << 24;
            for _ in 0..8 {
                crc = crc << 1 ^ if crc >> 31 != 0 { 0x04C1_1DB7 } else { 0 };
            }
            crc
        })
    }

    #[test]
    fn the_unit_gives_the_crc_of_zlib() {
        assert_eq!(by_unit(0, b"12345678"), 0x9AE0_DAAF, "crc32 of zlib");
        let bytes: Vec<u8> = (0..4096u32).map(|i| (i * 7 / 3) as u8).collect();
        assert_eq!(by_unit(0, &bytes), crc32(&bytes));
    }

    #[test]
    fn the_unit_continues_a_finished_crc_over_any_split() {
        let bytes: Vec<u8> = (0..64u32).map(|i| (i * i) as u8).collect();
        for split in 0..60 {
            let (head, tail) = bytes.split_at(split);
            let tail = &tail[..tail.len() / 4 * 4];
            let all = &bytes[..split + tail.len()];
            assert_eq!(by_unit(crc32(head), tail), crc32(all), "split at {split}");
        }
    }
}
