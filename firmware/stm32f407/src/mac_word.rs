//! Words for the MAC (section 33.8.1) and its DMA (section 33.8.4): how frames are filtered, checked and moved.
//!
//! Errata of ES0182 for the Ethernet and what of them is heeded where: transmitted data is corrupted when the FIFO runs empty within a
//! frame (store and forward: [`DMAOMR`]); the MAC hangs when the transmit FIFO is flushed at the wrong moment (it is never flushed: the
//! software reset starts anew); writes to a register that follow each other too fast get lost (`chip/ethernet/mac.rs`). Those about IPv6
//! and time stamps concern nothing here.

/// ETH_MACCR: transmitter and receiver on, checksums of received frames checked (IPCO); no automatic stripping, no
/// loopback. Speed and duplex are [`crate::phy::Link::maccr`]'s.
pub const MACCR: u32 = MACCR_IPCO | MACCR_TE | MACCR_RE;
const MACCR_IPCO: u32 = 1 << 10;
const MACCR_TE: u32 = 1 << 3;
const MACCR_RE: u32 = 1 << 2;

/// ETH_MACFFR: perfect filter on the board's own address, and broadcast. Nothing here uses multicast.
pub const MACFFR: u32 = 0;

/// ETH_DMABMR.SR: software reset, clears itself once all clocks of the MAC run.
pub const DMABMR_RESET: u32 = 1 << 0;
/// ETH_DMABMR: enhanced descriptors (EDFE), bursts of 32 words that are fixed and aligned (PBL, RDP, USP, FB, AAB).
pub const DMABMR: u32 = 1 << 25 | 1 << 23 | 32 << 17 | 1 << 16 | 32 << 8 | 1 << 7;

/// ETH_DMAOMR: store and forward both ways (RSF, TSF), which checksum insertion needs and which lets the MAC drop bad frames before they
/// reach memory (FEF and DTCEFD stay 0); the next frame is fetched while one is sent (OSF).
pub const DMAOMR: u32 = 1 << 25 | 1 << 21 | 1 << 2;
/// ETH_DMAOMR: [`DMAOMR`] with transmission and reception started (ST, SR).
pub const DMAOMR_RUN: u32 = DMAOMR | 1 << 13 | 1 << 1;

/// ETH_DMAIER: a received frame ends sleep (NISE, RIE). Nothing else is waited for.
pub const DMAIER: u32 = 1 << 16 | 1 << 6;

/// ETH_DMASR: all flags that are cleared by writing ones.
pub const DMASR_CLEAR: u32 = 0x0001_E7FF;
/// ETH_DMASR.RBUS: no descriptor was free.
pub const DMASR_RBUS: u32 = 1 << 7;
/// ETH_DMASR.TBUS: nothing to send was found.
pub const DMASR_TBUS: u32 = 1 << 2;

/// ETH_MACA0HR and ETH_MACA0LR for a MAC address; the first byte on the wire is the lowest.
pub const fn address(mac: [u8; 6]) -> [u32; 2] {
    let [a, b, c, d, e, f] = mac;
    let high = u32::from_le_bytes([e, f, 0, 0]);
    [0x8000_0000 | high, u32::from_le_bytes([a, b, c, d])]
}

/// The number of frames lost for want of a descriptor or of room in the FIFO, from ETH_DMAMFBOCR, which reading clears.
pub const fn missed_frames(dmamfbocr: u32) -> u32 {
    (dmamfbocr & 0xFFFF) + (dmamfbocr >> 17 & 0x7FF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bus_mode_and_operation_mode() {
        assert_eq!(DMABMR, 0x02C1_2080);
        assert_eq!(DMAOMR, 0x0220_0004);
        assert_eq!(DMAOMR_RUN, 0x0220_2006);
    }

    #[test]
    fn frames_with_errors_are_dropped_by_the_hardware() {
        assert_eq!(DMAOMR & 1 << 26, 0, "DTCEFD");
        assert_eq!(DMAOMR & 1 << 7, 0, "FEF");
        assert_ne!(DMAOMR & 1 << 25, 0, "RSF, without which FEF has no effect");
        assert_ne!(MACCR & 1 << 10, 0, "IPCO");
    }

    #[test]
    fn the_filter_is_on() {
        assert_eq!(MACFFR & 1 << 31, 0, "RA");
        assert_eq!(MACFFR & 1 << 5, 0, "BFD: broadcasts pass");
        assert_eq!(MACFFR & 1 << 0, 0, "PM");
    }

    #[test]
    fn the_address_of_an3968_in_its_registers() {
        assert_eq!(address([0, 0, 0, 0, 0, 2]), [0x8000_0200, 0x0000_0000]);
        assert_eq!(
            address([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]),
            [0x8000_5544, 0x3322_1102]
        );
    }

    #[test]
    fn flags_are_cleared_and_states_are_not() {
        // RPS and TPS are bits 17 to 22, read only.
        assert_eq!(DMASR_CLEAR & 0x007E_0000, 0);
        assert_eq!(
            DMASR_CLEAR & (DMASR_RBUS | DMASR_TBUS | 1 << 6 | 1 << 16),
            0x1_00C4
        );
    }

    #[test]
    fn missed_frames_are_those_of_both_counters() {
        assert_eq!(missed_frames(0x0000_0005), 5);
        assert_eq!(missed_frames(3 << 17 | 1 << 16 | 4), 7);
        assert_eq!(missed_frames(0xFFFF_FFFF), 0xFFFF + 0x7FF);
    }
}
