//! The merged TOML of a profile: each key once, from the most specific file that has it, with the position it came from.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::error::ProfileError;
use crate::fault::{Fault, Wrong};
use crate::keys;
use crate::source::{Sources, excerpt_of};

/// A merged profile.
pub(crate) struct Document<'s> {
    pub(crate) sources: &'s Sources,
    pub(crate) root: DeTable<'s>,
}

impl<'s> Document<'s> {
    /// Merges the files and checks that every key is known and none is missing.
    pub(crate) fn merge(sources: &'s Sources) -> Result<Self, ProfileError> {
        let mut root = DeTable::new();
        for file in &sources.files {
            let table = DeTable::parse(&file.text).map_err(|error| file.syntax(&error))?;
            merge_table(&mut root, shift_table(table.into_inner(), file.start));
        }
        let mut document = Self { sources, root };
        document.check_keys(&document.root, "")?;
        document.root.remove("inherits"); // followed already
        document.check_missing(&document.root, "", sources.top())?;
        Ok(document)
    }

    /// Deserialises the whole.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ProfileError> {
        let root = Spanned::new(0..0, self.root.clone());
        T::deserialize(Deserializer::from(root)).map_err(|error| self.serde_error(&error))
    }

    /// The table at `path`.
    pub(crate) fn table(&self, path: &str) -> Option<&DeTable<'s>> {
        self.value(path)?.as_ref().as_table()
    }

    /// The error that a rule is broken, at the one of its keys that the most specific file sets: a person has just written it.
    pub(crate) fn error(&self, fault: Fault) -> ProfileError {
        let paths = fault.paths.iter().rev();
        let latest = paths.max_by_key(|path| self.position(path));
        let key = latest.cloned().unwrap_or_default();
        let span = self.value(&key).map_or(0..0, Spanned::span);
        let at = self.sources.location(span.start);
        match fault.wrong {
            Wrong::Rule(message) => ProfileError::Rule { key, at, message },
            Wrong::Map(error) => ProfileError::Map { key, at, error },
            Wrong::Value(expected) => ProfileError::Value {
                value: excerpt_of(&key, self.sources.slice(span)),
                key,
                at,
                expected,
            },
        }
    }

    fn position(&self, path: &str) -> usize {
        self.value(path).map_or(0, |value| value.span().start)
    }

    fn value(&self, path: &str) -> Option<&Spanned<DeValue<'s>>> {
        let mut table = &self.root;
        let mut keys = path.split('.').peekable();
        while let Some(key) = keys.next() {
            let (key, index) = match key.strip_suffix(']').and_then(|key| key.split_once('[')) {
                Some((key, index)) => (key, Some(index.parse::<usize>().ok()?)),
                None => (key, None),
            };
            let mut value = table.get(key)?;
            if let Some(index) = index {
                value = value.as_ref().as_array()?.get(index)?;
            }
            if keys.peek().is_none() {
                return Some(value);
            }
            table = value.as_ref().as_table()?;
        }
        None
    }

    fn check_keys(&self, table: &DeTable<'s>, path: &str) -> Result<(), ProfileError> {
        let Some(known) = keys::table(path) else {
            return Ok(()); // a table where a value is expected: deserialising says so
        };
        for (key, value) in table {
            let (name, at) = (key.as_ref(), || self.sources.location(key.span().start));
            if keys::NOT_YET.contains(&name.as_ref()) {
                return Err(ProfileError::NotSupportedYet {
                    key: name.to_string(),
                    at: at(),
                });
            }
            if !keys::allows(known, name) {
                return Err(ProfileError::UnknownKey {
                    key: name.to_string(),
                    at: at(),
                    hint: keys::hint(path, name),
                });
            }
            for (table, path, _) in tables_in(value, &join(path, name)) {
                self.check_keys(table, &path)?;
            }
        }
        Ok(())
    }

    /// Checks that every key that must be there is; `file` is where the user should add it.
    fn check_missing(
        &self,
        table: &DeTable<'s>,
        path: &str,
        file: &str,
    ) -> Result<(), ProfileError> {
        let known = keys::table(path).unwrap_or_default();
        let expected: Vec<&str> = match known {
            ["*"] => table.keys().map(|key| key.as_ref().as_ref()).collect(),
            _ => keys::required(known).collect(),
        };
        for key in expected {
            let path_of_key = join(path, key);
            match table.get(key) {
                Some(value) => {
                    for (table, path, place) in tables_in(value, &path_of_key) {
                        let place = place.map(|span| self.sources.location(span.start).to_string());
                        self.check_missing(table, &path, place.as_deref().unwrap_or(file))?;
                    }
                }
                // A table that is missing as a whole: the first of its keys that must be there is named.
                None if keys::table(&path_of_key).is_some() => {
                    self.check_missing(&DeTable::new(), &path_of_key, file)?;
                }
                None => {
                    return Err(ProfileError::MissingKey {
                        key: key.to_owned(),
                        place: keys::place(path),
                        file: file.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Says which value serde stumbled over.
    fn serde_error(&self, error: &toml::de::Error) -> ProfileError {
        let span = error.span().unwrap_or(0..0);
        let innermost = values(&self.root, "")
            .into_iter()
            .filter(|(_, outer)| outer.start <= span.start && span.end <= outer.end)
            .min_by_key(|(_, outer)| outer.len());
        let key = innermost.map_or(String::new(), |(key, _)| key);
        ProfileError::Value {
            value: excerpt_of(&key, self.sources.slice(span.clone())),
            key,
            expected: expected(error.message()),
            at: self.sources.location(span.start),
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The table that `value` is, or those it is an array of, with their paths in [`keys::TABLES`] and, in an array, their positions.
fn tables_in<'t, 's>(
    value: &'t Spanned<DeValue<'s>>,
    path: &str,
) -> Vec<(&'t DeTable<'s>, String, Option<Range<usize>>)> {
    match value.as_ref() {
        DeValue::Table(table) => vec![(table, path.to_owned(), None)],
        DeValue::Array(items) => items
            .iter()
            .filter_map(|item| {
                Some((
                    item.as_ref().as_table()?,
                    format!("{path}[]"),
                    Some(item.span()),
                ))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What serde expected, in words: its messages end in `, expected ...`, ours are nothing but that.
fn expected(message: &str) -> String {
    let expected = message
        .rsplit_once(", expected ")
        .map_or(message, |(_, expected)| expected);
    match expected.trim_start_matches("expected ") {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "an array of length 2" => "a list of 2 values".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list in [ ]".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}

/// Every value below `table` with its path and position.
fn values(table: &DeTable<'_>, path: &str) -> Vec<(String, Range<usize>)> {
    table
        .iter()
        .flat_map(|(key, value)| values_of(value, join(path, key.as_ref())))
        .collect()
}

fn values_of(value: &Spanned<DeValue<'_>>, path: String) -> Vec<(String, Range<usize>)> {
    let mut found = match value.as_ref() {
        DeValue::Table(table) => values(table, &path),
        DeValue::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, item)| values_of(item, format!("{path}[{index}]")))
            .collect(),
        _ => Vec::new(),
    };
    found.push((path, value.span()));
    found
}

/// Puts `over` on top of `base`.
fn merge_table<'s>(base: &mut DeTable<'s>, over: DeTable<'s>) {
    for (key, value) in over {
        // Removed and inserted anew, because the position of the key counts too.
        let merged = match (base.remove(&key), value.span(), value.into_inner()) {
            (Some(below), span, DeValue::Table(above)) => match below.into_inner() {
                DeValue::Table(mut below) => {
                    merge_table(&mut below, above);
                    Spanned::new(span, DeValue::Table(below))
                }
                _ => Spanned::new(span, DeValue::Table(above)),
            },
            (_, span, value) => Spanned::new(span, value),
        };
        base.insert(key, merged);
    }
}

/// Moves all positions by `by`.
fn shift_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    table
        .into_iter()
        .map(|(key, value)| {
            let span = key.span();
            (
                Spanned::new(moved(&span, by), key.into_inner()),
                shift(value, by),
            )
        })
        .collect()
}

fn moved(span: &Range<usize>, by: usize) -> Range<usize> {
    span.start.saturating_add(by)..span.end.saturating_add(by)
}

fn shift(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shift_table(table, by)),
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shift(item, by)).collect())
        }
        other => other,
    };
    Spanned::new(moved(&span, by), value)
}
