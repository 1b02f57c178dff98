//! The PHY: standard registers of IEEE 802.3 clause 22, which DP83848, LAN8720 and LAN8742 all have.
//!
//! Speed and duplex come from what both ends advertised (ANAR & ANLPAR), not from the PHY's own status register, which every vendor puts
//! elsewhere. A partner that does not negotiate shows up in ANLPAR by parallel detection: one half-duplex bit.

/// Basic mode control register.
pub const BMCR: u8 = 0;
/// Basic mode status register.
pub const BMSR: u8 = 1;
/// What this end advertises.
pub const ANAR: u8 = 4;
/// What the other end advertises.
pub const ANLPAR: u8 = 5;

/// BMCR: software reset, clears itself.
pub const BMCR_RESET: u16 = 1 << 15;
/// BMCR: negotiate; negotiate anew.
pub const BMCR_NEGOTIATE: u16 = 1 << 12 | 1 << 9;
/// ANAR: 10 and 100 Mbit/s, half and full duplex, IEEE 802.3.
pub const ANAR_ALL: u16 = 0x01E1;

/// BMSR: link; latched low, so that the first read after a failure shows it.
const BMSR_LINK: u16 = 1 << 2;
/// BMSR: negotiation is complete, ANLPAR is valid.
const BMSR_NEGOTIATED: u16 = 1 << 5;

/// ETH_MACCR.FES: 100 Mbit/s (section 33.8.1).
const MACCR_FES: u32 = 1 << 14;
/// ETH_MACCR.DM: full duplex (section 33.8.1).
const MACCR_DM: u32 = 1 << 11;

/// A link that is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// 100 Mbit/s; else 10.
    pub fast: bool,
    /// Full duplex; else half.
    pub full_duplex: bool,
}

impl Link {
    /// The speed and duplex bits of ETH_MACCR.
    pub const fn maccr(self) -> u32 {
        let speed = if self.fast { MACCR_FES } else { 0 };
        let duplex = if self.full_duplex { MACCR_DM } else { 0 };
        speed | duplex
    }
}

/// Whether a PHY answers at all: MDIO is pulled up, so nobody reads as ones.
pub const fn answers(id1: u16) -> bool {
    id1 != 0xFFFF
}

/// Whether the link is up and its speed known.
pub const fn is_up(bmsr: u16) -> bool {
    let wanted = BMSR_LINK | BMSR_NEGOTIATED;
    bmsr != 0xFFFF && bmsr & wanted == wanted
}

/// The best that both ends advertise, in the order of IEEE 802.3 annex 28B.3; `None` if they have nothing in common.
pub const fn negotiated(anar: u16, anlpar: u16) -> Option<Link> {
    let common = anar & anlpar;
    let (fast, full_duplex) = match common {
        _ if common & 1 << 8 != 0 => (true, true),
        _ if common & 1 << 7 != 0 => (true, false),
        _ if common & 1 << 6 != 0 => (false, true),
        _ if common & 1 << 5 != 0 => (false, false),
        _ => return None,
    };
    Some(Link { fast, full_duplex })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BMSR, ANAR and ANLPAR of a PHY on a partner.
    struct Registers {
        bmsr: u16,
        anar: u16,
        anlpar: u16,
    }

    impl Registers {
        fn link(&self) -> Option<Link> {
            is_up(self.bmsr).then(|| negotiated(self.anar, self.anlpar))?
        }
    }

    const FAST_FULL: Option<Link> = Some(Link {
        fast: true,
        full_duplex: true,
    });

    #[test]
    fn dp83848_on_a_switch() {
        // DP83848 datasheet: BMSR 0x7849 after reset; link and negotiation complete set; ANAR 0x01E1.
        let up = Registers {
            bmsr: 0x786D,
            anar: 0x01E1,
            anlpar: 0xC5E1,
        };
        assert_eq!(up.link(), FAST_FULL);
        let unplugged = Registers { bmsr: 0x7849, ..up };
        assert_eq!(unplugged.link(), None);
    }

    #[test]
    fn lan8720_on_a_switch() {
        // LAN8720A datasheet DS00002165: BMSR 0x7809 after reset, ANAR 0x01E1 with MODE[2:0] = 111.
        let up = Registers {
            bmsr: 0x782D,
            anar: 0x01E1,
            anlpar: 0x45E1,
        };
        assert_eq!(up.link(), FAST_FULL);
        let negotiating = Registers { bmsr: 0x7809, ..up };
        assert_eq!(negotiating.link(), None);
    }

    #[test]
    fn lan8742_on_an_old_hub_runs_at_10_mbit_half_duplex() {
        // LAN8742A datasheet DS00001989; parallel detection sets bit 5 of ANLPAR alone.
        let hub = Registers {
            bmsr: 0x782D,
            anar: 0x01E1,
            anlpar: 0x0021,
        };
        let link = hub.link().unwrap();
        assert!(!link.fast && !link.full_duplex);
        assert_eq!(link.maccr(), 0);
    }

    #[test]
    fn a_link_that_is_up_but_still_negotiates_is_not_used() {
        assert!(!is_up(0x7849 | 1 << 2));
        assert!(!is_up(0x7849 | 1 << 5));
    }

    #[test]
    fn no_phy_reads_as_ones_and_has_no_link() {
        assert!(!answers(0xFFFF));
        assert!(answers(0x2000), "DP83848");
        assert!(answers(0x0007), "LAN87xx");
        assert!(!is_up(0xFFFF));
    }

    #[test]
    fn the_best_common_ability_wins() {
        let cases = [
            (0x0101, 0x4800),
            (0x0081, 0x4000),
            (0x0041, 0x0800),
            (0x0021, 0x0000),
            (0x00E1, 0x4000),
            (0x01E1, 0x4800),
        ];
        for (anlpar, maccr) in cases {
            let link = negotiated(ANAR_ALL, anlpar).unwrap();
            assert_eq!(link.maccr(), maccr, "{anlpar:#06x}");
        }
        assert_eq!(negotiated(ANAR_ALL, 0x0001), None);
        assert_eq!(negotiated(0x0061, 0x0181), None, "each alone is not common");
    }
}
