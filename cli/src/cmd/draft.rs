//! An output file that is there as a whole or not at all.
//!
//! What `-o` names stays what it is: a link keeps pointing where it points, a file keeps its mode, and what is no regular file (a pipe, a
//! device) is written to and not replaced. What the command reads is never its output.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};

/// Leftovers of killed runs that are stepped over.
const MAX_LEFTOVERS: u32 = 1000;
/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// What a command reads: the word for it, and where it is.
pub(super) type Source<'a> = (&'static str, &'a Path);

/// A temporary file beside the output, which [`Draft::finish`] renames: at any time there is the old file or the new one, never a part of
/// it. A draft that is dropped leaves nothing.
pub(super) struct Draft<'p> {
    /// As the user named it.
    path: &'p Path,
    place: Place,
    /// Why the first bytes that are missing could not be written.
    error: Option<io::Error>,
}

enum Place {
    /// A file, or none yet.
    File(Beside),
    /// Nothing that could be replaced as a whole: the bytes wait until it is clear that they are wanted.
    Node(Vec<u8>),
}

struct Beside {
    /// The file itself, behind all links.
    path: PathBuf,
    /// Known when it is there.
    temporary: PathBuf,
    /// Those of the file that is replaced.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is only read-only"))]
    permissions: Option<fs::Permissions>,
    file: Option<File>,
    /// The temporary file is there, and is ours.
    is_there: bool,
}

/// Writes a file whose bytes are here.
pub(super) fn write_whole(path: &Path, sources: &[Source], bytes: &[u8]) -> Result<(), Failure> {
    let mut draft = Draft::new(path, sources)?;
    draft.write(bytes);
    draft.finish()
}

/// `-` is no name for a file. Formats are chosen by the file's name, and results are shown on stdout: the file cannot go there too.
pub(super) fn require_file_name(path: &Path) -> Result<(), Failure> {
    if path != Path::new("-") {
        return Ok(());
    }
    let message = "-o -: this is not written to stdout, name a file";
    Err(Failure::new(Exit::Usage, message).help("a file whose name is - is ./-"))
}

impl<'p> Draft<'p> {
    /// Makes nothing yet: the first bytes do. Fails if the output is one of `sources`.
    pub(super) fn new(path: &'p Path, sources: &[Source]) -> Result<Self, Failure> {
        // One question in most cases: nothing is there, or a plain file.
        let there = match fs::symlink_metadata(path) {
            Ok(link) if link.is_symlink() => fs::metadata(path).map(|file| (file, true)),
            other => other.map(|file| (file, false)),
        };
        let mut error = None;
        let place = match there {
            Ok((old, _)) if !old.is_file() => Place::Node(Vec::new()),
            Ok((old, is_link)) => {
                refuse_source(path, &old, sources)?;
                // Its folder would let it be replaced, but who made it read-only wants to keep it.
                error = OpenOptions::new().write(true).open(path).err();
                Place::File(Beside::new(path, is_link, Some(&old)))
            }
            Err(why) => {
                // Nothing is there, or a link to nothing; anything else, as links in a circle, can only fail.
                error = (why.kind() != ErrorKind::NotFound).then_some(why);
                Place::File(Beside::new(path, true, None))
            }
        };
        Ok(Self { path, place, error })
    }

    /// Appends bytes. What cannot be written is told at the end: until then it may turn out that they are not wanted.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = match &mut self.place {
                Place::File(beside) => beside.write(bytes).err(),
                Place::Node(waiting) => {
                    waiting.extend_from_slice(bytes);
                    None
                }
            };
        }
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let done = match (self.error.take(), &mut self.place) {
            (Some(error), _) => Err(error),
            (None, Place::File(beside)) => beside.finish(),
            (None, Place::Node(waiting)) => (OpenOptions::new().write(true).open(self.path))
                .and_then(|mut node| node.write_all(waiting)),
        };
        done.map_err(|error| {
            let what = format!("{}: cannot write: {error}", self.path.display());
            Failure::new(Exit::Local, what)
        })
    }
}

impl Beside {
    fn new(path: &Path, may_be_link: bool, old: Option<&Metadata>) -> Self {
        let path = if may_be_link {
            behind_links(path)
        } else {
            path.to_owned()
        };
        Self {
            temporary: PathBuf::new(),
            permissions: old.map(Metadata::permissions),
            path,
            file: None,
            is_there: false,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(self.create()?);
        }
        let file = self.file.as_mut();
        file.map_or(Ok(()), |file| file.write_all(bytes))
    }

    fn create(&mut self) -> io::Result<File> {
        let mut new = OpenOptions::new();
        new.write(true).create_new(true);
        #[cfg(unix)]
        if self.permissions.is_some() {
            // Until it has the mode of the old file nobody else reads it.
            std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
        }
        let file = self.open_beside(&new)?;
        self.is_there = true;
        #[cfg(unix)] // elsewhere there is no more than "read-only", and such a file is not replaced
        if let Some(permissions) = &self.permissions {
            file.set_permissions(permissions.clone())?;
        }
        Ok(file)
    }

    /// A killed run leaves its temporary file, and in a container the next process may have the same number.
    fn open_beside(&mut self, new: &OpenOptions) -> io::Result<File> {
        let process = std::process::id();
        let mut number = 0;
        loop {
            // Not longer than any file's name may be.
            let name = format!(".iapctl.{process}.{number}.tmp");
            self.temporary = self.path.with_file_name(name);
            match new.open(&self.temporary) {
                Err(error)
                    if error.kind() == ErrorKind::AlreadyExists && number < MAX_LEFTOVERS =>
                {
                    number += 1;
                }
                opened => return opened,
            }
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file = None; // closed
        let done = fs::rename(&self.temporary, &self.path);
        self.is_there &= done.is_err();
        done
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.file = None;
        if self.is_there {
            // Whoever drops a draft has an error of their own to report.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Where a chain of links ends, whether something is there or not.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(target) = fs::read_link(&path) else {
            break;
        };
        // What a link says is meant from the folder it is in.
        path = match path.parent() {
            Some(folder) => folder.join(target),
            None => target,
        };
    }
    path
}

fn refuse_source(path: &Path, old: &Metadata, sources: &[Source]) -> Result<(), Failure> {
    match (sources.iter()).find(|(_, source)| is_same(path, old, source)) {
        None => Ok(()),
        Some((word, source)) => Err(Failure::new(
            Exit::Usage,
            format!(
                "{}: the output is the same file as the {word}{}, which would be lost",
                path.display(),
                match path == *source {
                    true => String::new(),
                    false => format!(" {}", source.display()),
                }
            ),
        )
        .help("name another file with -o")),
    }
}

#[cfg(unix)]
fn is_same(_: &Path, old: &Metadata, source: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(source).is_ok_and(|source| (source.dev(), source.ino()) == (old.dev(), old.ino()))
}

#[cfg(not(unix))]
fn is_same(path: &Path, _: &Metadata, source: &Path) -> bool {
    let file = |path| fs::canonicalize(path).ok();
    file(path).is_some_and(|path| Some(path) == file(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_stepped_over_and_a_long_name_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let name = "a".repeat(251) + ".bin";
        let process = std::process::id();
        let leftover = folder.path().join(format!(".iapctl.{process}.0.tmp"));
        fs::write(&leftover, b"left").unwrap();
        write_whole(&folder.path().join(&name), &[], b"new").unwrap();
        assert_eq!(fs::read(folder.path().join(&name)).unwrap(), b"new");
        assert_eq!(fs::read(&leftover).unwrap(), b"left");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
