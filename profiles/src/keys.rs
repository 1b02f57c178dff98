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
    table == ["*"] || names(table).any(|name| name == key)
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

/// A table as people know it.
pub(crate) fn show(path: &str) -> String {
    match path {
        "" => "the top of the file".to_owned(),
        _ => format!("[{path}]"),
    }
}
