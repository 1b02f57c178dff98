//! A MAC address from the chip's unique id, for boards that have no address of their own.
//!
//! The first byte is 02: a single station, locally administered (IEEE 802-2014 section 8.2). The other five are the 64-bit FNV-1a hash of
//! the twelve bytes of the id (section 39.1) in ascending addresses, its upper 24 bits XORed into its lower 40, most significant byte
//! first. Among a thousand boards of one LAN two have the same address with a probability below one in a million.

const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

/// The address of the chip with this id.
pub fn from_unique_id(id: &[u8; 12]) -> [u8; 6] {
    let hash = id.iter().fold(FNV_OFFSET, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    });
    let [_, _, _, b, c, d, e, f] = (hash ^ hash >> 40).to_be_bytes();
    [0x02, b, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn it_is_the_hash_that_the_documentation_says() {
        // FNV-1a 64 of "stm32iap-id!" by an independent program (Python), folded as documented.
        let address = from_unique_id(b"stm32iap-id!");
        assert_eq!(address, GOLDEN);
    }
    const GOLDEN: [u8; 6] = [0x02, 0x07, 0x35, 0x11, 0x24, 0x0C];

    #[test]
    fn it_is_local_and_no_group() {
        let [first, ..] = from_unique_id(&[0xFF; 12]);
        assert_eq!(first, 0b0000_0010);
    }

    #[test]
    fn neighbours_on_a_wafer_differ() {
        let mut seen = HashSet::new();
        for x in 0..100u8 {
            for y in 0..100u8 {
                let id = [x, 0, y, 0, 7, b'Q', b'1', b'2', b'3', b'4', b'5', b'6'];
                assert!(seen.insert(from_unique_id(&id)), "{x} {y}");
            }
        }
    }
}
