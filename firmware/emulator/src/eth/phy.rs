//! The PHY at the other end of MDIO: the registers of IEEE 802.3 clause 22, those that drivers of these parts read besides, and a link
//! that takes its time.
//!
//! The link partner negotiates and offers everything up to 100 Mbit/s full duplex.

use crate::time::Time;

const BMCR: u8 = 0;
const BMSR: u8 = 1;
const ANAR: u8 = 4;
const ANLPAR: u8 = 5;
const ANER: u8 = 6;

const RESET: u16 = 1 << 15;
const SPEED_100: u16 = 1 << 13;
const NEGOTIATE: u16 = 1 << 12;
const POWER_DOWN: u16 = 1 << 11;
const ISOLATE: u16 = 1 << 10;
const RESTART: u16 = 1 << 9;
const FULL_DUPLEX: u16 = 1 << 8;

/// Abilities of ANAR and ANLPAR: 10 half, 10 full, 100 half, 100 full.
const ABILITIES: u16 = 0x01E0;
/// How long a forced link needs.
const FORCED_LINK_UP: Time = Time::from_millis(50);

/// The part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Dp83848,
    Lan87xx { id: u16 },
}

/// Speed and duplex of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mode {
    pub(super) is_100: bool,
    pub(super) is_full: bool,
}

#[derive(Debug)]
pub(super) struct Phy {
    part: Part,
    address: u8,
    link_up: Time,
    cable: bool,
    alive: bool,
    control: u16,
    advertised: u16,
    plain: [u16; 32],
    /// When the link was last begun anew.
    begun: Time,
    /// BMSR's link bit latches low until it is read (clause 22.2.4.2.13).
    lost: bool,
}

impl Phy {
    pub(super) fn new(name: &str, address: u8, link_up: Time) -> Self {
        let part = match name {
            "DP83848" => Part::Dp83848,
            "LAN8742A" => Part::Lan87xx { id: 0xC131 },
            _ => Part::Lan87xx { id: 0xC0F1 }, // LAN8710A and LAN8720A share theirs
        };
        Self {
            part,
            address,
            link_up,
            cable: true,
            alive: true,
            control: SPEED_100 | NEGOTIATE | FULL_DUPLEX,
            advertised: ABILITIES | 1,
            plain: [0; 32],
            begun: Time::ZERO,
            lost: true,
        }
    }

    /// Reset by its pin, or by BMCR.
    pub(super) fn reset(&mut self, now: Time) {
        self.control = SPEED_100 | NEGOTIATE | FULL_DUPLEX;
        self.advertised = ABILITIES | 1;
        self.plain = [0; 32];
        self.restart(now);
    }

    fn restart(&mut self, now: Time) {
        self.begun = now;
        self.lost = true;
    }

    pub(super) fn set_cable(&mut self, plugged: bool, now: Time) {
        if self.cable != plugged {
            self.cable = plugged;
            self.restart(now);
        }
    }

    /// Clock and reset pin: a PHY without either is silent.
    pub(super) fn set_alive(&mut self, alive: bool, now: Time) {
        if alive && !self.alive {
            self.reset(now);
        }
        self.alive = alive;
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive
    }

    /// How long the link has been up.
    pub(super) fn link_age(&self, now: Time) -> Time {
        now.since(self.begun + self.takes())
    }

    fn takes(&self) -> Time {
        match self.control & NEGOTIATE {
            0 => FORCED_LINK_UP,
            _ => self.link_up,
        }
    }

    /// The link, if it is up.
    pub(super) fn link(&self, now: Time) -> Option<Mode> {
        let negotiating = self.control & NEGOTIATE != 0;
        let up = self.cable
            && self.alive
            && self.control & (POWER_DOWN | ISOLATE) == 0
            && now >= self.begun + self.takes();
        let mode = match negotiating {
            // The partner offers everything: the best of what we advertise.
            true => Mode {
                is_100: self.advertised & 0x0180 != 0,
                is_full: self.advertised & 0x0100 != 0 || self.advertised & 0x01C0 == 0x0040,
            },
            false => Mode {
                is_100: self.control & SPEED_100 != 0,
                is_full: self.control & FULL_DUPLEX != 0,
            },
        };
        up.then_some(mode)
    }

    /// A register over MDIO; what nobody drives is pulled up.
    pub(super) fn read(&mut self, address: u8, register: u8, now: Time) -> u16 {
        if address != self.address || !self.alive {
            return 0xFFFF;
        }
        let link = self.link(now);
        let done = link.is_some() && self.control & NEGOTIATE != 0;
        match register {
            BMCR => self.control,
            BMSR => {
                let shown = link.is_some() && !self.lost;
                self.lost = link.is_none();
                0x7809 | u16::from(shown) << 2 | u16::from(done) << 5
            }
            2 => {
                if self.part == Part::Dp83848 {
                    0x2000
                } else {
                    0x0007
                }
            }
            3 => match self.part {
                Part::Dp83848 => 0x5C90,
                Part::Lan87xx { id } => id,
            },
            ANAR => self.advertised,
            ANLPAR => {
                if done {
                    0x4000 | ABILITIES | 1
                } else {
                    0
                }
            }
            ANER => u16::from(done) | 4,
            _ => self.vendor(register, link, done),
        }
    }

    fn vendor(&self, register: u8, link: Option<Mode>, done: bool) -> u16 {
        match (self.part, register, link) {
            // PHYSTS (DP83848 datasheet section 7.2.1): link, 10 Mbit/s, full duplex, negotiation complete.
            (Part::Dp83848, 0x10, Some(mode)) => {
                1 | u16::from(!mode.is_100) << 1
                    | u16::from(mode.is_full) << 2
                    | u16::from(done) << 4
            }
            (Part::Dp83848, 0x10, None) => 0,
            // PHYCR: MDIX and the straps.
            (Part::Dp83848, 0x19, _) => 0x8020 | u16::from(self.address),
            // Special modes: straps and address (LAN8720A datasheet section 4.2.9).
            (Part::Lan87xx { .. }, 18, _) => 0x60E0 | u16::from(self.address),
            // Special control/status: negotiation done, speed and duplex (section 4.2.14).
            (Part::Lan87xx { .. }, 31, Some(mode)) => {
                let speed = if mode.is_100 { 2 } else { 1 };
                0x0040 | u16::from(done) << 12 | (speed | u16::from(mode.is_full) << 2) << 2
            }
            (Part::Lan87xx { .. }, 31, None) => 0x0040,
            (_, register, _) => self
                .plain
                .get(usize::from(register))
                .copied()
                .unwrap_or(0xFFFF),
        }
    }

    pub(super) fn write(&mut self, address: u8, register: u8, value: u16, now: Time) {
        if address != self.address || !self.alive {
            return;
        }
        match register {
            BMCR if value & RESET != 0 => self.reset(now),
            BMCR => {
                let changed = (self.control ^ value)
                    & (SPEED_100 | NEGOTIATE | POWER_DOWN | ISOLATE | FULL_DUPLEX)
                    != 0;
                self.control = value & !(RESET | RESTART);
                if changed || value & RESTART != 0 {
                    self.restart(now);
                }
            }
            ANAR => self.advertised = value,
            BMSR | 2 | 3 | ANLPAR | ANER => {}
            register => {
                if let Some(slot) = self.plain.get_mut(usize::from(register)) {
                    *slot = value;
                }
            }
        }
    }
}
