//! Words for ETH_MACMIIAR, through which the PHY's registers are read and written (section 33.4.1 and 33.8.1).

/// ETH_MACMIIAR.MB: a transfer is under way; set by software, cleared by the MAC.
pub const BUSY: u32 = 1 << 0;
/// ETH_MACMIIAR.MW: write.
const WRITE: u32 = 1 << 1;
/// ETH_MACMIIAR.CR for an AHB clock of 150 to 168 MHz: MDC is 1/102 of it, 1.65 MHz at 168 MHz, below IEEE 802.3's 2.5 MHz.
const CR_DIV102: u32 = 0b100 << 2;

/// A frame of 64 bits takes 39 us at 1.65 MHz; ten times that at most.
pub const TIMEOUT_US: u32 = 400;

/// The word that starts a read of register `register` of PHY `phy`.
pub const fn read(phy: u8, register: u8) -> u32 {
    (phy as u32 & 0x1F) << 11 | (register as u32 & 0x1F) << 6 | CR_DIV102 | BUSY
}

/// The word that starts a write; the value goes into ETH_MACMIIDR before.
pub const fn write(phy: u8, register: u8) -> u32 {
    read(phy, register) | WRITE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_of_bmsr_of_phy_1() {
        // PA = 00001, MR = 00001, CR = 100, MW = 0, MB = 1.
        assert_eq!(read(1, 1), 0x0000_0851);
    }

    #[test]
    fn write_of_bmcr_of_phy_0() {
        assert_eq!(write(0, 0), 0x0000_0013);
    }

    #[test]
    fn highest_addresses_fill_their_fields_and_no_others() {
        assert_eq!(read(31, 31), 0x0000_FFD1);
        assert_eq!(read(0xFF, 0xFF), read(31, 31));
    }
}
