//! Words of the Ethernet DMA's enhanced descriptors (section 33.6.7, transmit, and 33.6.8, receive).
//!
//! Each descriptor has eight words and one buffer, and names its successor (chained); the last names the first. A frame always fits one
//! buffer, so a frame that is spread over several is an error here.

// What comes off the wire may end nothing.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// Bytes of a buffer: a tagged frame with its FCS has 1522, rounded up to the burst of the AHB master.
pub const BUFFER_LEN: usize = 1536;
/// The longest frame without FCS: what smoltcp calls the MTU of an Ethernet device.
pub const FRAME_LEN: usize = 1514;
/// The frame check sequence, which the MAC leaves in the buffer.
const FCS_LEN: usize = 4;
/// The shortest thing worth a look: an Ethernet header.
const HEADER_LEN: usize = 14;

/// TDES0 and RDES0: the descriptor is the DMA's.
pub const OWN: u32 = 1 << 31;

/// TDES0 of a descriptor that is the software's: chained.
pub const TDES0_IDLE: u32 = 1 << 20;
/// TDES0: last and first segment; one buffer is one frame.
const TDES0_LS_FS: u32 = 1 << 29 | 1 << 28;
/// TDES0.CIC = 11: insert IP header checksum, and payload checksum with its pseudo-header.
const TDES0_CIC_FULL: u32 = 0b11 << 22;

/// TDES0 that hands a frame to the DMA, to be written after TDES1.
pub const TDES0_SEND: u32 = OWN | TDES0_LS_FS | TDES0_CIC_FULL | TDES0_IDLE;

/// TDES1 for a frame of `len` bytes: TBS1, 13 bits.
pub const fn tdes1(len: usize) -> u32 {
    len as u32 & 0x1FFF
}

/// RDES1 of every receive descriptor: chained, one buffer of [`BUFFER_LEN`]. DIC stays 0: the interrupt wakes the core.
pub const RDES1: u32 = 1 << 14 | BUFFER_LEN as u32;

/// RDES0 bits (section 33.6.8).
const RDES0_ES: u32 = 1 << 15;
const RDES0_FS: u32 = 1 << 9;
const RDES0_LS: u32 = 1 << 8;
/// RDES0 bit 0 of an enhanced descriptor: RDES4 is valid.
const RDES0_ESA: u32 = 1 << 0;
/// RDES4: error in the IP header, error in the payload's checksum.
const RDES4_IP_ERRORS: u32 = 1 << 3 | 1 << 4;

/// What a receive descriptor holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// Nothing yet: it is the DMA's.
    Pending,
    /// A frame of so many bytes without its FCS.
    Frame(usize),
    /// Something that is to be dropped and counted.
    Bad,
}

/// Reads RDES0 and RDES4.
pub const fn received(rdes0: u32, rdes4: u32) -> Received {
    if rdes0 & OWN != 0 {
        return Received::Pending;
    }
    let whole = rdes0 & RDES0_FS != 0 && rdes0 & RDES0_LS != 0;
    let bad_ip = rdes0 & RDES0_ESA != 0 && rdes4 & RDES4_IP_ERRORS != 0;
    let len = (rdes0 >> 16 & 0x3FFF) as usize;
    if !whole || rdes0 & RDES0_ES != 0 || bad_ip {
        return Received::Bad;
    }
    if len < HEADER_LEN + FCS_LEN || len > FRAME_LEN + FCS_LEN {
        return Received::Bad;
    }
    Received::Frame(len.saturating_sub(FCS_LEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_of_the_dma_is_pending_whatever_else_it_says() {
        assert_eq!(received(0x8000_0000, 0), Received::Pending);
        assert_eq!(received(0x8040_0320, 0x18), Received::Pending);
    }

    #[test]
    fn a_minimal_frame_has_60_bytes_without_its_fcs() {
        // FL = 64, FS, LS, FT, RDES4 valid; RDES4: IPv4, UDP.
        assert_eq!(received(0x0040_0321, 0x0000_0041), Received::Frame(60));
    }

    #[test]
    fn the_longest_frame_passes_and_a_longer_one_does_not() {
        assert_eq!(received(0x05EE_0320, 0), Received::Frame(1514));
        assert_eq!(received(0x05EF_0320, 0), Received::Bad);
    }

    #[test]
    fn errors_are_bad() {
        let cases = [
            (0x0040_8322, 0, "ES with CE: wrong FCS"),
            (0x0040_8B20, 0, "ES with OE: FIFO overflow"),
            (0x0040_0220, 0, "first segment only"),
            (0x0040_0120, 0, "last segment only"),
            (0x0011_0320, 0, "shorter than a header"),
            (0x0000_0000, 0, "never used"),
            (0x0040_0321, 0x08, "IP header"),
            (0x0040_0321, 0x10, "payload checksum"),
        ];
        for (rdes0, rdes4, what) in cases {
            assert_eq!(received(rdes0, rdes4), Received::Bad, "{what}");
        }
    }

    #[test]
    fn extended_status_counts_only_where_it_is_valid() {
        assert_eq!(received(0x0040_0320, 0xFFFF_FFFF), Received::Frame(60));
    }

    #[test]
    fn words_of_the_software() {
        // OWN, LS, FS, CIC = 11, TCH.
        assert_eq!(TDES0_SEND, 0xB0D0_0000);
        assert_eq!(TDES0_IDLE, 0x0010_0000);
        assert_eq!(tdes1(1514), 0x0000_05EA);
        // RCH, RBS1 = 1536.
        assert_eq!(RDES1, 0x0000_4600);
        assert_eq!(BUFFER_LEN % 16, 0, "bursts of four words");
    }
}
