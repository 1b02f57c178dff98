//! What the firmware can be built to do, and how large each may be.

use std::fmt;

/// A set of features with its budget, in bytes of flash, pages included.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Configuration {
    pub(super) name: &'static str,
    /// Features of the crate.
    pub(super) features: &'static str,
    /// What it must not exceed.
    pub(super) gate: u32,
    /// What to work towards.
    pub(super) goal: u32,
    /// Only while it exceeds its gate: what it takes now, with one or two KiB to spare. It must not grow past that; lower it with each step down, and
    /// delete it when the gate is met.
    pub(super) known_over: Option<u32>,
    /// The profile with the flash map it is made for, once it fits there.
    pub(super) smaller_map: Option<&'static str>,
    /// The profile it is built for, where that is not the board of the size table.
    pub(super) board: Option<&'static str>,
}

/// The board of the size table, with policy `signed`.
const SIGNED_BOARD: &str = "firmware/stm32f407/stm324xg-eval-signed.toml";

/// All on by default comes first.
pub(super) static CONFIGURATIONS: [Configuration; 5] = [
    Configuration {
        name: "everything",
        features: "tftp,http,dhcp",
        gate: 81_920 + 16_384, // sectors 3 and 4, sector 0
        goal: 65_536,
        known_over: None,
        smaller_map: None,
        board: None,
    },
    Configuration {
        name: "signed",
        features: "tftp,http,dhcp", // and what a profile with policy `signed` adds
        gate: 81_920 + 16_384,
        goal: 65_536,
        known_over: None,
        smaller_map: None,
        board: Some(SIGNED_BOARD),
    },
    Configuration {
        name: "tftp-http-dhcp",
        features: "tftp,http,dhcp",
        gate: 56_000,
        goal: 41_196, // AN3968's own, with LCD, built by IAR
        known_over: Some(84_480),
        smaller_map: None,
        board: None,
    },
    Configuration {
        name: "http",
        features: "http",
        gate: 44_000,
        goal: 31_484, // AN3968's own
        known_over: Some(68_608),
        smaller_map: None,
        board: None,
    },
    Configuration {
        name: "tftp",
        features: "tftp",
        gate: 32_768, // sectors 0 and 1: the flash map `compact`
        goal: 24_000,
        known_over: Some(47_104),
        smaller_map: Some("firmware/stm32f407/stm324xg-eval-compact.toml"),
        board: None,
    },
];

/// How a size compares with its budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Within the goal too.
    Goal,
    /// Within the gate.
    Gate,
    /// So many bytes over the gate, and known to be.
    KnownOver(u32),
    /// So many bytes more than it may take.
    TooLarge(u32),
}

impl Configuration {
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        CONFIGURATIONS.iter().find(|known| known.name == name)
    }

    pub(super) fn judge(&self, len: u32) -> Verdict {
        let limit = self.known_over.unwrap_or(self.gate);
        if len <= self.goal {
            Verdict::Goal
        } else if len <= self.gate {
            Verdict::Gate
        } else if len <= limit {
            Verdict::KnownOver(len - self.gate)
        } else {
            Verdict::TooLarge(len - limit)
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Goal => f.write_str("goal reached"),
            Self::Gate => f.write_str("within its gate"),
            Self::KnownOver(by) => write!(f, "OVER ITS GATE by {by}"),
            Self::TooLarge(by) => write!(f, "TOO LARGE by {by}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Configuration = Configuration {
        name: "small",
        features: "",
        gate: 1000,
        goal: 800,
        known_over: None,
        smaller_map: None,
        board: None,
    };

    #[test]
    fn a_size_is_judged_by_goal_and_gate() {
        assert_eq!(SMALL.judge(800), Verdict::Goal);
        assert_eq!(SMALL.judge(1000), Verdict::Gate);
        assert_eq!(SMALL.judge(1001), Verdict::TooLarge(1));
    }

    #[test]
    fn one_that_is_known_to_be_over_must_not_grow() {
        let known = Configuration {
            known_over: Some(1200),
            ..SMALL
        };
        assert_eq!(known.judge(1000), Verdict::Gate);
        assert_eq!(known.judge(1200), Verdict::KnownOver(200));
        assert_eq!(known.judge(1201), Verdict::TooLarge(1));
    }

    #[test]
    fn the_gates_of_the_size_table_are_not_raised() {
        let gates = CONFIGURATIONS
            .each_ref()
            .map(|known| (known.name, known.gate));
        let expected = [
            ("everything", 98_304),
            ("signed", 98_304),
            ("tftp-http-dhcp", 56_000),
            ("http", 44_000),
            ("tftp", 32_768),
        ];
        assert_eq!(gates, expected);
    }
}
