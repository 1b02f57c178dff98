//! An output file that is there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};

/// A temporary file beside the output, which [`Draft::finish`] renames: at any time there is the old file or the new one, never a part of
/// it. A draft that is dropped leaves nothing.
pub(super) struct Draft<'p> {
    path: &'p Path,
    temporary: PathBuf,
    file: Option<File>,
    /// The temporary file is there, and is ours.
    is_there: bool,
    /// Why the first bytes that are missing could not be written.
    error: Option<io::Error>,
}

/// Writes a file that is here.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut draft = Draft::new(path);
    draft.write(bytes);
    draft.finish()
}

impl<'p> Draft<'p> {
    /// Makes nothing yet: the first bytes do.
    pub(super) fn new(path: &'p Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self {
            path,
            temporary: path.with_file_name(format!(".{name}.{}.tmp", std::process::id())),
            file: None,
            is_there: false,
            error: None,
        }
    }

    /// Appends bytes. What cannot be written is told at the end: until then it may turn out that they are not wanted.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.try_write(bytes).err();
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let mut new = OpenOptions::new();
            self.file = Some(new.write(true).create_new(true).open(&self.temporary)?);
            self.is_there = true;
        }
        let file = self.file.as_mut();
        file.map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.file = None; // closed
        let error = self.error.take();
        let done = error.map_or_else(|| fs::rename(&self.temporary, self.path), Err);
        self.is_there &= done.is_err();
        done.map_err(|error| {
            let what = format!("{}: cannot write: {error}", self.path.display());
            Failure::new(Exit::Local, what)
        })
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        self.file = None;
        if self.is_there {
            // Whoever drops a draft has an error of their own to report.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
