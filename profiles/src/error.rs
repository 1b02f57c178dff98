//! What can be wrong with a profile, said with file, line, column and the offending text.

use std::fmt;
use std::path::PathBuf;

use iap_protocol::memory::MapError;
use thiserror::Error;

/// A place in a profile's file. Shown as `boards/x.toml:12:5`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// The file as it was named, or the path of a shipped one inside `profiles/`.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What an unknown name was probably meant to be. Shown as the end of a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hint {
    /// Nothing is near.
    None,
    /// A known name that looks like it.
    DidYouMean(String),
    /// The key exists, in another table.
    BelongsIn(String),
    /// The shipped files.
    OneOf(Vec<String>),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::DidYouMean(name) => write!(f, ", did you mean `{name}`?"),
            Self::BelongsIn(table) => write!(f, ", it belongs in {table}"),
            Self::OneOf(names) => write!(
                f,
                ", expected one of `{}`, or a file with its ending .toml",
                names.join("`, `")
            ),
        }
    }
}

/// Why a profile is refused.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// No shipped board has this name.
    #[error("no shipped profile is named `{name}`{hint}")]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// The nearest shipped one.
        hint: Hint,
    },
    /// A file cannot be read.
    #[error("cannot read the profile {}: {error}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file that another one names cannot be read.
    #[error("cannot read {} that `{key}` in {at} names: {error}", path.display())]
    ReadParent {
        /// `chip` or `inherits`.
        key: &'static str,
        /// Where it is named.
        at: Location,
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file names a shipped chip or board that does not exist.
    #[error("`{key}` in {at} names `{name}`, which is not shipped{hint}")]
    UnknownParent {
        /// `chip` or `inherits`.
        key: &'static str,
        /// Where it is named.
        at: Location,
        /// What it names.
        name: String,
        /// The nearest shipped one.
        hint: Hint,
    },
    /// A file inherits itself, directly or not.
    #[error("inheritance goes round in a circle at {at}: {}", chain.join(" inherits "))]
    Cycle {
        /// The key that closes the circle.
        at: Location,
        /// The files in the order of inheritance, the first one again at the end.
        chain: Vec<String>,
    },
    /// No file of the profile names a chip.
    #[error(
        "{file} names no chip: write chip = \"stm32f407xg\", or inherits = \"stm324xg-eval\" to take everything from a board"
    )]
    NoChip {
        /// The file at the bottom of the inheritance.
        file: String,
    },
    /// A file is not TOML.
    #[error("{at}: this is not TOML: {message}: {line}")]
    Syntax {
        /// Where the parser stopped.
        at: Location,
        /// What it expected.
        message: String,
        /// The line, without blanks around it.
        line: String,
    },
    /// A key that no profile has.
    #[error("unknown key `{key}` in {at}{hint}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it is.
        at: Location,
        /// What was probably meant.
        hint: Hint,
    },
    /// A key that is planned.
    #[error("`{key}` in {at} is not supported yet")]
    NotSupportedYet {
        /// The key.
        key: String,
        /// Where it is.
        at: Location,
    },
    /// A key that every profile needs is in none of its files.
    #[error("key `{key}` is missing {place} {file}")]
    MissingKey {
        /// The key.
        key: String,
        /// The table it belongs in, with the words around it.
        place: String,
        /// The most specific file, or the place of the array element that lacks it.
        file: String,
    },
    /// A value of the wrong type, form or range.
    #[error("`{key}` in {at} is {value}, expected {expected}")]
    Value {
        /// The key with its tables, such as `ethernet.phy-address`.
        key: String,
        /// Where the value is.
        at: Location,
        /// The value as it is written.
        value: String,
        /// What it should be.
        expected: String,
    },
    /// The flash map is not usable.
    #[error("{error} (`{key}` in {at})")]
    Map {
        /// The key that decides.
        key: String,
        /// Where its value is.
        at: Location,
        /// What is wrong.
        error: MapError,
    },
    /// Two settings that exclude each other, or a flash without a complete list of sectors.
    #[error("{message} (`{key}` in {at})")]
    Rule {
        /// The key that decides.
        key: String,
        /// Where its value is.
        at: Location,
        /// What is wrong and what to do.
        message: String,
    },
}
