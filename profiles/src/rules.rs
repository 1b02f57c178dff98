//! What an IAP firmware was built with, as text in its ELF file: `iapctl factory` holds it against the profile that it is given.
//!
//! The record and the application of a new board are made by the profile, and judged by the firmware. Where the two were made from different
//! states of the profile, a board refuses what it was delivered with, or takes what its owner meant to refuse.

use crate::Profile;

/// The section of the IAP firmware's ELF file with the board id it was built for, as text. It is not loaded, and takes no flash.
pub const FIRMWARE_BOARD_SECTION: &str = ".iap_board";

/// The section of the IAP firmware's ELF file with [`Profile::firmware_rules`]. It is not loaded, and takes no flash.
pub const FIRMWARE_RULES_SECTION: &str = ".iap_rules";

/// Where the profile names its flash map and what it has instead of it: the sectors that come out of that count.
const RESOLVED: [&str; 4] = [
    "flash-map",
    "user-flash-first-page-address",
    "iap-sectors",
    "record-sectors",
];

impl Profile {
    /// The rules of the board, one `key = value` per line: `[iap]`, who owns which sector, and whether the login is the default one.
    /// Nothing in it is secret, and the order of the lines says nothing.
    pub fn firmware_rules(&self) -> Vec<String> {
        let map = &self.map;
        let sectors = |key: &str, list: Vec<u8>| format!("{key} = {list:?}");
        let owners = [
            sectors("iap-sectors", map.iap_sectors.iter().collect()),
            sectors("record-sectors", map.record_sectors.to_vec()),
            format!("user flash = {}", map.application),
        ];
        let iap = serde_json::to_value(&self.settings.iap).unwrap_or_default();
        let iap = iap.as_object().cloned().unwrap_or_default();
        iap.iter()
            .filter(|(key, _)| !RESOLVED.contains(&key.as_str()))
            .map(|(key, value)| format!("{key} = {value}"))
            .chain(owners)
            .chain([format!("default login = {}", self.has_default_login())])
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rules(iap: &str) -> Vec<String> {
        let text = format!("inherits = \"stm324xg-eval\"\n{iap}");
        let profile = Profile::from_toml(&text, "rules.toml").unwrap();
        profile.firmware_rules()
    }

    #[test]
    fn the_rules_are_those_of_iap_and_the_sectors_that_come_out_of_them() {
        let shipped = rules("");
        for line in [
            r#"policy = "open""#,
            "public-keys = []",
            "security-counter = 0",
            r#"boot-check = "crc""#,
            "data-sectors = []",
            "request-backup-register = 19",
            "iap-sectors = [0, 3, 4]",
            "record-sectors = [1, 2]",
            "user flash = 0x08020000..0x08100000 (896 KiB)",
            "default login = true",
        ] {
            assert!(
                shipped.iter().any(|rule| rule == line),
                "{line}: {shipped:?}"
            );
        }
        assert_eq!(rules("[iap]\nrecord-sectors = [1, 2]"), shipped);
    }

    #[test]
    fn every_rule_that_changes_is_seen_and_no_password() {
        for (change, line) in [
            ("[iap]\npolicy = \"login\"", r#"policy = "login""#),
            ("[iap]\ndata-sectors = [11]", "data-sectors = [11]"),
            ("[iap]\nauto-start-s = 0", "auto-start-s = 0"),
            ("[http]\npassword = \"8-trees\"", "default login = false"),
        ] {
            let changed = rules(change);
            assert!(changed.iter().any(|rule| rule == line), "{changed:?}");
            assert!(!changed.concat().contains("8-trees"));
        }
    }
}
