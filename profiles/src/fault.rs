//! A rule that settings break, said by the keys among which a person has to change one. Rules know no files: the document finds the key
//! in them, and makes the error of it.

use iap_protocol::memory::MapError;

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    /// Settings that exclude each other, in a sentence.
    Rule(String),
    /// A value that is none of those that can be; what was expected.
    Value(String),
    /// The flash map.
    Map(MapError),
}

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// Keys with their tables, such as `iap.policy` or `leds[0].pin`; of those that the most specific file sets, the first counts.
    pub(crate) paths: Vec<String>,
    pub(crate) wrong: Wrong,
}

impl Fault {
    /// `message` says which rule one of `paths` breaks.
    pub(crate) fn rule(paths: &[&str], message: String) -> Self {
        Self {
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
            wrong: Wrong::Rule(message),
        }
    }

    /// The value at `path` is not what was `expected`.
    pub(crate) fn value(path: &str, expected: String) -> Self {
        Self {
            paths: vec![path.to_owned()],
            wrong: Wrong::Value(expected),
        }
    }
}
