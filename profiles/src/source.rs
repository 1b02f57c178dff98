//! The files of a profile, found by following `inherits` and `chip`, and the map from a position in all of them to file and line.
//!
//! Positions count through the files one after the other, as if they were one text: so a value keeps one number that says where it
//! comes from, through merging and deserialising.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::builtin::{BOARDS, Builtin, CHIPS, DEFAULTS};
use crate::error::{Hint, Location, ProfileError};
use crate::keys;

/// One file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    /// As messages show it.
    pub(crate) file: String,
    /// Where relative paths in it begin; `None` for shipped files.
    folder: Option<PathBuf>,
    pub(crate) text: String,
    /// The position of its first byte.
    pub(crate) start: usize,
}

/// The files of one profile, the most general first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sources {
    name: String,
    pub(crate) files: Vec<Source>,
}

/// A name in a file that leads to another file, and the offset of its value.
struct Link {
    name: String,
    offset: usize,
}

/// Whether a person who types this means a file.
pub(crate) fn is_path(name: &str) -> bool {
    name.ends_with(".toml") || name.contains(['/', std::path::MAIN_SEPARATOR])
}

impl Source {
    fn shipped(file: &Builtin) -> Self {
        Self {
            file: file.path.to_owned(),
            folder: None,
            text: file.text.to_owned(),
            start: 0,
        }
    }

    fn text(text: &str, origin: &Path) -> Self {
        Self {
            file: origin.display().to_string(),
            folder: Some(origin.parent().unwrap_or(Path::new("")).to_owned()),
            text: text.to_owned(),
            start: 0,
        }
    }

    fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self::text(&std::fs::read_to_string(path)?, path))
    }

    /// One past its last position.
    fn end(&self) -> usize {
        self.start.saturating_add(self.text.len())
    }

    /// File, line and column of byte `offset` of this file.
    pub(crate) fn location(&self, offset: usize) -> Location {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before
            .rfind('\n')
            .map_or(0, |newline| newline.saturating_add(1));
        let indent = before.get(line_start..).unwrap_or_default();
        Location {
            file: self.file.clone(),
            line: before.matches('\n').count().saturating_add(1),
            column: indent.chars().count().saturating_add(1),
        }
    }

    /// The error for a text that is not TOML.
    pub(crate) fn syntax(&self, error: &toml::de::Error) -> ProfileError {
        let at = self.location(error.span().map_or(0, |span| span.start));
        let line = self.text.lines().nth(at.line.saturating_sub(1));
        let line = line.unwrap_or_default();
        ProfileError::Syntax {
            message: error.message().to_owned(),
            line: excerpt(without_password(line.trim())),
            at,
        }
    }

    /// Where `key` leads, if this file has it; everything else is read once it is known which file has the last word.
    fn link(&self, table: &DeTable<'_>, key: &'static str) -> Result<Option<Link>, ProfileError> {
        let Some(value) = table.get(key) else {
            return Ok(None);
        };
        let offset = value.span().start;
        match value.as_ref().as_str() {
            Some(name) => Ok(Some(Link {
                name: name.to_owned(),
                offset,
            })),
            None => Err(ProfileError::Value {
                key: key.to_owned(),
                at: self.location(offset),
                value: excerpt(self.text.get(value.span()).unwrap_or_default()),
                expected: "the name of a profile in quotes".to_owned(),
            }),
        }
    }

    /// Where this file leads: to the board it inherits, and to its chip.
    fn links(&self) -> Result<(Option<Link>, Option<Link>), ProfileError> {
        let table = DeTable::parse(&self.text)
            .map_err(|error| self.syntax(&error))?
            .into_inner();
        Ok((self.link(&table, "inherits")?, self.link(&table, "chip")?))
    }

    /// Refuses a chip that leads anywhere: it is the bottom.
    fn into_chip(self) -> Result<Self, ProfileError> {
        let (inherits, chip) = self.links()?;
        for (key, link) in [("inherits", inherits), ("chip", chip)] {
            if let Some(link) = link {
                let at = self.location(link.offset);
                let message = format!("a chip inherits nothing, remove `{key}`");
                return Err(ProfileError::Rule {
                    key: key.to_owned(),
                    at,
                    message,
                });
            }
        }
        Ok(self)
    }

    /// The file that `link` names: a shipped one, or one beside this one if the name ends in `.toml`.
    fn parent(&self, key: &'static str, link: &Link) -> Result<Self, ProfileError> {
        let (name, at) = (&link.name, self.location(link.offset));
        let shipped = if key == "chip" { CHIPS } else { BOARDS };
        if let (Some(folder), true) = (&self.folder, is_path(name)) {
            let path = folder.join(name);
            return Self::read(&path).map_err(|error| ProfileError::ReadParent {
                key,
                at,
                path,
                error,
            });
        }
        match shipped.iter().find(|file| file.name == name) {
            Some(file) => Ok(Self::shipped(file)),
            None => Err(ProfileError::UnknownParent {
                key,
                at,
                name: name.clone(),
                hint: nearest(name, shipped),
            }),
        }
    }
}

/// What is shown of the value of `key`: of a password nothing, for messages end up in logs.
pub(crate) fn excerpt_of(key: &str, text: &str) -> String {
    let is_empty = matches!(text, "" | "\"\"" | "''");
    match key.ends_with(PASSWORD) && !is_empty {
        true => "not shown".to_owned(),
        false => excerpt(text),
    }
}

const PASSWORD: &str = "password";

/// A line up to the word, if it may set a password.
fn without_password(line: &str) -> &str {
    let end = line
        .find(PASSWORD)
        .map(|at| at.saturating_add(PASSWORD.len()));
    end.and_then(|end| line.get(..end)).unwrap_or(line)
}

/// The beginning of `text`, fit for one line on a terminal: people do pass ELF files.
pub(crate) fn excerpt(text: &str) -> String {
    const MOST: usize = 80;
    let line = text.lines().next().unwrap_or_default();
    let plain = |character: char| {
        if character.is_control() {
            '?'
        } else {
            character
        }
    };
    let shown: String = line.chars().take(MOST).map(plain).collect();
    if line.chars().count() > MOST || line.len() < text.len() {
        format!("{shown} ...")
    } else {
        shown
    }
}

/// The shipped file that looks like `name`, or the names of all.
fn nearest(name: &str, shipped: &[Builtin]) -> Hint {
    match keys::nearest(name, shipped.iter().map(|file| file.name)) {
        Some(name) => Hint::DidYouMean(name.to_owned()),
        None => Hint::OneOf(shipped.iter().map(|file| file.name.to_owned()).collect()),
    }
}

impl Sources {
    pub(crate) fn builtin(name: &str) -> Result<Self, ProfileError> {
        match BOARDS.iter().find(|file| file.name == name) {
            Some(file) => Self::follow(name, Source::shipped(file)),
            None => Err(ProfileError::UnknownProfile {
                name: name.to_owned(),
                hint: nearest(name, BOARDS),
            }),
        }
    }

    pub(crate) fn file(path: &Path) -> Result<Self, ProfileError> {
        let source = Source::read(path).map_err(|error| ProfileError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::follow(&path.display().to_string(), source)
    }

    pub(crate) fn text(text: &str, origin: &str) -> Result<Self, ProfileError> {
        Self::follow(origin, Source::text(text, Path::new(origin)))
    }

    /// Collects the files below `top`.
    fn follow(name: &str, top: Source) -> Result<Self, ProfileError> {
        let mut files = Vec::new();
        let mut chip = None;
        let mut last = top;
        // Ends: `inherit` refuses a file that is already in the list.
        loop {
            let (inherits, names_chip) = last.links()?;
            if let (None, Some(link)) = (&chip, &names_chip) {
                chip = Some(last.parent("chip", link)?.into_chip()?);
            }
            let next = match inherits {
                Some(link) => inherit(&files, &last, &link)?,
                None => break,
            };
            files.push(std::mem::replace(&mut last, next));
        }
        let chip = chip.ok_or_else(|| ProfileError::NoChip {
            file: last.file.clone(),
        })?;
        files.extend([last, chip, Source::shipped(&DEFAULTS)]);
        files.reverse();
        let mut start = 0;
        for file in &mut files {
            file.start = start;
            start = file.end().saturating_add(1); // one more, so that the end of a file is still its own
        }
        Ok(Self {
            name: name.to_owned(),
            files,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file that has the last word.
    pub(crate) fn top(&self) -> &str {
        self.files.last().map_or(&self.name, |file| &file.file)
    }

    /// Where a position is.
    pub(crate) fn location(&self, position: usize) -> Location {
        let after = self.files.partition_point(|file| file.start <= position);
        match after.checked_sub(1).and_then(|index| self.files.get(index)) {
            Some(file) => file.location(position.saturating_sub(file.start)),
            None => Location {
                file: self.name.clone(),
                line: 1,
                column: 1,
            },
        }
    }

    /// The text at positions, as it is written.
    pub(crate) fn slice(&self, span: Range<usize>) -> &str {
        self.files
            .iter()
            .find(|file| file.start <= span.start && span.end <= file.end())
            .and_then(|file| {
                let start = span.start.checked_sub(file.start)?;
                file.text.get(start..span.end.checked_sub(file.start)?)
            })
            .unwrap_or_default()
    }
}

/// The file that `last`, the end of the chain so far, inherits, unless it is in the chain already.
fn inherit(files: &[Source], last: &Source, link: &Link) -> Result<Source, ProfileError> {
    let next = last.parent("inherits", link)?;
    let identity = |source: &Source| match source.folder {
        Some(_) => std::fs::canonicalize(&source.file).unwrap_or(PathBuf::from(&source.file)),
        None => PathBuf::from(&source.file),
    };
    let chain = || files.iter().chain([last]);
    let is_next = |file: &&Source| identity(file) == identity(&next);
    if !chain().any(|file| is_next(&file)) {
        return Ok(next);
    }
    let cycle = chain().skip_while(|file| !is_next(file)).chain([&next]);
    Err(ProfileError::Cycle {
        at: last.location(link.offset),
        chain: cycle.map(|file| file.file.clone()).collect(),
    })
}
