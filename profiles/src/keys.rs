//! Every key a profile can have, by table, in the order people see them. The test `keys_and_structs_agree` holds this list and the
//! structs of [`crate::schema`] together.
//!
//! A table ending in `[]` is an element of an array; `*` stands for any name. A key ending in `?` may be missing, all others must
//! be set by one of the profile's files.

use crate::error::Hint;

pub(crate) const TABLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "inherits?",
            "chip?",
            "board-id",
            "description",
            "leds",
            "ram",
            "core",
            "supply",
            "flash",
            "flash-maps",
            "clock",
            "ethernet",
            "network",
            "http",
            "iap",
            "iap-key",
        ],
    ),
    ("leds[]", &["pin", "active"]),
    ("ram[]", &["name", "address", "size-kib", "ethernet-dma"]),
    (
        "core",
        &[
            "vector-count",
            "max-sysclk-hz",
            "unique-id-address",
            "flash-size-address",
        ],
    ),
    ("supply", &["pvd-mv"]),
    (
        "flash",
        &[
            "base",
            "size-kib",
            "parallelism",
            "program-typ-us",
            "program-max-us",
            "erase-cycles",
            "sectors",
        ],
    ),
    (
        "flash.sectors[]",
        &["first", "count", "address", "size-kib", "erase-ms"],
    ),
    ("flash.sectors[].erase-ms", &["x8", "x16", "x32"]),
    ("flash-maps", &["*"]),
    (
        "flash-maps.*",
        &[
            "iap-sectors",
            "record-sectors",
            "user-flash-first-page-address",
            "http",
        ],
    ),
    ("clock", &["hse-hz", "hse"]),
    (
        "ethernet",
        &[
            "interface",
            "phy",
            "phy-address",
            "mac-address",
            "mco1-hz",
            "phy-reset-pin",
            "phy-reset-active",
            "phy-reset-hold-ms",
            "phy-reset-settle-ms",
            "pins",
        ],
    ),
    (
        "ethernet.pins",
        &[
            "mdio", "mdc", "rx-clk", "rx-dv", "rxd0", "rxd1", "tx-en", "txd0", "txd1", "tx-clk",
            "txd2", "txd3", "rxd2", "rxd3", "rx-er", "crs", "col",
        ],
    ),
    (
        "network",
        &[
            "use-dhcp",
            "dhcp-fallback-s",
            "address",
            "gateway",
            "host-name",
        ],
    ),
    ("http", &["user", "password"]),
    (
        "iap",
        &[
            "flash-map",
            "user-flash-first-page-address?",
            "iap-sectors?",
            "record-sectors?",
            "data-sectors",
            "policy",
            "public-keys",
            "security-counter",
            "boot-check",
            "bare-rule",
            "auto-start-s",
            "iap-idle-s",
            "power-on-window-s",
            "request-backup-register",
            "reset-cause-backup-register",
        ],
    ),
    ("iap-key", &["pin", "active"]),
];

/// Keys that a later version will have.
pub(crate) const NOT_YET: &[&str] = &["lcd", "use-lcd"];

/// How alike two names must be to be worth a question (Jaro-Winkler: 1 is the same).
const LIKENESS: f64 = 0.75;

/// The table that `path` is, if it is one; names of flash maps are any.
pub(crate) fn table(path: &str) -> Option<&'static [&'static str]> {
    let path = match path.strip_prefix("flash-maps.") {
        Some(name) if !name.contains('.') => "flash-maps.*",
        _ => path,
    };
    TABLES
        .iter()
        .find(|(name, _)| *name == path)
        .map(|(_, keys)| *keys)
}

/// The keys of `table`, without the marks.
pub(crate) fn names(table: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    table.iter().map(|key| key.trim_end_matches('?'))
}

/// Whether `key` may stand in `table`.
pub(crate) fn allows(table: &'static [&'static str], key: &str) -> bool {
    match table {
        ["*"] => !key.contains('.'), // paths of keys are dotted
        _ => names(table).any(|name| name == key),
    }
}

/// The keys of `table` that must be there.
pub(crate) fn required(table: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    table
        .iter()
        .copied()
        .filter(|key| !key.ends_with('?') && *key != "*")
}

/// What `key`, which `path` does not allow, was probably meant to be.
pub(crate) fn hint(path: &str, key: &str) -> Hint {
    let here = table(path).unwrap_or_default();
    // Keys of array elements and flash maps are no advice for anybody elsewhere.
    let elsewhere = || {
        TABLES
            .iter()
            .filter(|(name, _)| !name.contains(['[', '*']) && *name != path)
    };
    if let Some((name, _)) = elsewhere().find(|(_, keys)| *keys != ["*"] && allows(keys, key)) {
        return Hint::BelongsIn(show(name));
    }
    match (
        nearest(key, names(here)),
        nearest(key, elsewhere().flat_map(|(_, keys)| names(keys))),
    ) {
        (Some(name), _) | (None, Some(name)) => Hint::DidYouMean(name.to_owned()),
        (None, None) => Hint::None,
    }
}

/// The name that looks most like `key`, if any looks like it at all.
pub(crate) fn nearest<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(key, name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// A table of the file that has it, as part of a sentence.
fn show(path: &str) -> String {
    match path {
        "" => "the top of the file".to_owned(),
        _ => format!("[{path}]"),
    }
}

/// Where in a file, or at a place in it, a key should be.
pub(crate) fn place(path: &str) -> String {
    match path {
        "" => "at the top of".to_owned(),
        _ if path.contains('[') => format!("in `{}` of", path.replace("[]", "")),
        _ => format!("in [{path}] of"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Profile;

    /// A profile in which every optional key has a value.
    const COMPLETE: &str = "inherits = \"stm324xg-eval\"
        [ethernet]
        phy-reset-pin = \"PE2\"
        [iap]
        user-flash-first-page-address = 0x08020000
        iap-sectors = [0, 3, 4]
        record-sectors = [1, 2]
    ";

    fn collect(table: &toml::Table, path: &str, keys: &mut BTreeSet<String>) {
        for (key, value) in table {
            let key = if path == "flash-maps" { "*" } else { key };
            keys.insert(format!("{path}/{key}"));
            let path = if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            };
            match value {
                toml::Value::Table(table) => collect(table, &path, keys),
                toml::Value::Array(items) => items
                    .iter()
                    .filter_map(toml::Value::as_table)
                    .for_each(|table| collect(table, &format!("{path}[]"), keys)),
                _ => {}
            }
        }
    }

    #[test]
    fn keys_and_structs_agree() {
        let settings = Profile::from_toml(COMPLETE, "x.toml").unwrap().settings;
        let mut of_structs = BTreeSet::from(["/inherits".to_owned()]);
        collect(
            &toml::Table::try_from(&settings).unwrap(),
            "",
            &mut of_structs,
        );
        let of_tables: BTreeSet<String> = TABLES
            .iter()
            .flat_map(|(path, keys)| names(keys).map(move |key| format!("{path}/{key}")))
            .collect();
        assert_eq!(of_tables, of_structs);
    }

    #[test]
    fn the_readme_explains_every_key() {
        let readme = include_str!("../README.md");
        for (path, known) in TABLES {
            let section = readme
                .split("\n## ")
                .find(|section| section.starts_with(&format!("`{}`", heading(path))));
            let section =
                section.unwrap_or_else(|| panic!("README.md has no section `{}`", heading(path)));
            for key in names(known).filter(|key| *key != "*" && table(&join(path, key)).is_none()) {
                assert!(
                    section.contains(&format!("| `{key}` |")),
                    "README.md does not explain `{key}` of `{path}`"
                );
            }
        }
    }

    fn heading(path: &str) -> String {
        match path {
            "" => "top of the file".to_owned(),
            "flash-maps" | "flash-maps.*" => "[flash-maps.NAME]".to_owned(),
            _ if path.ends_with("[]") => path.trim_end_matches("[]").to_owned(),
            _ if path.contains('[') => path.replace("[]", ""),
            _ => format!("[{path}]"),
        }
    }

    fn join(path: &str, key: &str) -> String {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    }

    #[test]
    fn every_number_in_a_shipped_file_has_a_comment_with_its_source() {
        let files = crate::builtin::BOARDS
            .iter()
            .chain(crate::builtin::CHIPS)
            .chain([&crate::builtin::DEFAULTS]);
        for file in files {
            for paragraph in file.text.split("\n\n") {
                let covered = paragraph.starts_with('#');
                for line in paragraph.lines().filter(|line| line.contains(" = ")) {
                    let value = line.split_once(" = ").map_or("", |(_, value)| value);
                    let number = value.contains(|character: char| character.is_ascii_digit());
                    let named = ["board-id", "chip", "inherits", "description"]
                        .iter()
                        .any(|key| line.starts_with(key));
                    assert!(
                        !number
                            || named
                            || covered
                            || line.contains(" # ")
                            || line.starts_with('#')
                            || line.starts_with("    {"),
                        "{}: {line}",
                        file.path
                    );
                }
            }
        }
    }
}
