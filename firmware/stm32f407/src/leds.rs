//! What the LEDs say. The first one alone says everything, because some boards have no other; more of them add detail.
//!
//! A pattern is 20 slots of 100 ms:
//!
//! | state | first LED |
//! |---|---|
//! | clock failure: the PHY has no clock | five flashes, pause |
//! | supply below the threshold | four flashes, pause |
//! | last update failed | three flashes, pause |
//! | no address yet | two flashes, pause |
//! | no link | one flash, pause |
//! | ready: address and link | one second on, one second off |
//! | receiving | 200 ms on, 200 ms off |
//! | erasing | steadily on: the core stands still meanwhile |
//! | programming, verifying | 100 ms on, 100 ms off |
//! | done | on, with a gap of 200 ms every two seconds |
//!
//! The second LED is on while the link is up, the third while an update runs, the fourth after a failure and while the supply is low.

use iap_protocol::status::Phase;

/// Length of a slot.
pub const SLOT_MS: u32 = 100;
/// Slots until the pattern repeats.
pub const SLOTS: u32 = 20;

/// What there is to show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Situation {
    /// HSE did not start, and the PHY's clock comes from it.
    pub clock_failed: bool,
    /// The link is up.
    pub link: bool,
    /// The board has an address.
    pub has_address: bool,
    /// What the update is doing.
    pub phase: Phase,
}

/// Which LEDs are on in slot `slot`, one bit each from the first.
pub const fn on(situation: &Situation, slot: u32) -> u8 {
    let first = pattern(situation) >> (slot % SLOTS) & 1 != 0;
    let running = matches!(
        situation.phase,
        Phase::Receiving | Phase::Erasing | Phase::Programming | Phase::Verifying
    );
    let trouble =
        situation.clock_failed || matches!(situation.phase, Phase::Failed | Phase::SupplyLow);
    first as u8 | (situation.link as u8) << 1 | (running as u8) << 2 | (trouble as u8) << 3
}

/// The slots of the first LED, from bit 0.
const fn pattern(situation: &Situation) -> u32 {
    match situation.phase {
        _ if situation.clock_failed => flashes(5),
        Phase::SupplyLow => flashes(4),
        Phase::Erasing => 0xF_FFFF,
        Phase::Programming | Phase::Verifying => 0x5_5555,
        Phase::Receiving => 0x3_3333,
        Phase::Failed => flashes(3),
        Phase::Committed => 0x3_FFFF,
        Phase::Idle | Phase::Unknown if !situation.link => flashes(1),
        Phase::Idle | Phase::Unknown if !situation.has_address => flashes(2),
        Phase::Idle | Phase::Unknown => 0x0_03FF,
    }
}

/// So many slots on, with a slot off after each.
const fn flashes(count: u32) -> u32 {
    0x155 & ((1 << (2 * count)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Situation = Situation {
        clock_failed: false,
        link: true,
        has_address: true,
        phase: Phase::Idle,
    };

    /// The first LED over one period.
    fn drawn(situation: Situation) -> String {
        (0..SLOTS)
            .map(|slot| {
                if on(&situation, slot) & 1 != 0 {
                    '#'
                } else {
                    '.'
                }
            })
            .collect()
    }

    fn in_phase(phase: Phase) -> Situation {
        Situation { phase, ..READY }
    }

    #[test]
    fn each_state_has_the_pattern_of_the_table() {
        let no_link = Situation {
            link: false,
            has_address: false,
            ..READY
        };
        let no_address = Situation {
            has_address: false,
            ..READY
        };
        let no_clock = Situation {
            clock_failed: true,
            ..no_link
        };
        let table = [
            (no_clock, "#.#.#.#.#..........."),
            (in_phase(Phase::SupplyLow), "#.#.#.#............."),
            (in_phase(Phase::Failed), "#.#.#..............."),
            (no_address, "#.#................."),
            (no_link, "#..................."),
            (READY, "##########.........."),
            (in_phase(Phase::Receiving), "##..##..##..##..##.."),
            (in_phase(Phase::Erasing), "####################"),
            (in_phase(Phase::Programming), "#.#.#.#.#.#.#.#.#.#."),
            (in_phase(Phase::Verifying), "#.#.#.#.#.#.#.#.#.#."),
            (in_phase(Phase::Committed), "##################.."),
        ];
        for (situation, expected) in table {
            assert_eq!(drawn(situation), expected, "{situation:?}");
        }
    }

    #[test]
    fn the_other_leds_show_link_update_and_trouble() {
        assert_eq!(on(&READY, 0) >> 1, 0b001);
        assert_eq!(on(&in_phase(Phase::Programming), 0) >> 1, 0b011);
        assert_eq!(on(&in_phase(Phase::Failed), 0) >> 1, 0b101);
        assert_eq!(on(&in_phase(Phase::Committed), 0) >> 1, 0b001);
        let unplugged = Situation {
            link: false,
            ..in_phase(Phase::SupplyLow)
        };
        assert_eq!(on(&unplugged, 0) >> 1, 0b100);
    }

    #[test]
    fn patterns_repeat() {
        for slot in 0..SLOTS {
            let now = on(&in_phase(Phase::Receiving), slot);
            assert_eq!(now, on(&in_phase(Phase::Receiving), slot + 7 * SLOTS));
        }
    }
}
