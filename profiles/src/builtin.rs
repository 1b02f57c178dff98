//! The shipped profile files, compiled in. A new board is a file in `boards/` and a name here.

/// A shipped file.
pub(crate) struct Builtin {
    /// The name a person types.
    pub(crate) name: &'static str,
    /// The path that messages show, relative to the folder `profiles`.
    pub(crate) path: &'static str,
    /// Its content.
    pub(crate) text: &'static str,
}

macro_rules! files {
    ($folder:literal: $($name:literal)*) => {
        &[$(Builtin {
            name: $name,
            path: concat!($folder, "/", $name, ".toml"),
            text: include_str!(concat!("../", $folder, "/", $name, ".toml")),
        }),*]
    };
}

/// The bottom layer of every profile.
pub(crate) const DEFAULTS: Builtin = Builtin {
    name: "defaults",
    path: "defaults.toml",
    text: include_str!("../defaults.toml"),
};

macro_rules! boards {
    ($($name:literal)*) => {
        /// In alphabetical order, which is the order people see.
        pub(crate) const BOARDS: &[Builtin] = files!("boards": $($name)*);

        /// What the files of each board say in the end, as JSON: `build.rs` has merged them.
        pub(crate) const MERGED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!(env!("OUT_DIR"), "/", $name, ".json")))),*];
    };
}

boards!("olimex-stm32-e407" "sim" "stm324xg-eval" "stm324xg-eval-rmii" "stm32f4-discovery");

pub(crate) const CHIPS: &[Builtin] = files!("chips": "stm32f407xg");
