//! Files as they are read: whole, or, of an ELF file, what is needed of it. A file that somebody writes to meanwhile is refused.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::elf;
use crate::failure::{Exit, Failure};

/// The largest file that is read whole. A device file has no end.
const MAX_FILE_LEN: u64 = 1 << 30;

/// A file that is being read.
pub(super) struct Opened {
    file: File,
    /// Its first bytes.
    head: Vec<u8>,
    seen: Metadata,
}

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<Opened, Failure> {
    if path.is_dir() {
        let what = "is a directory, an image file was expected";
        return Err(failed(path, what)
            .help("name the file that the linker wrote, for example build/app.elf"));
    }
    Opened::new(path).map_err(|error| unreadable(path, &error))
}

impl Opened {
    fn new(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let seen = file.metadata()?;
        let mut head = Vec::new();
        (&file)
            .take(elf::MAGIC.len() as u64)
            .read_to_end(&mut head)?;
        Ok(Self { file, head, seen })
    }

    /// Whether it is an ELF file on a disk, parts of which can be read.
    pub(super) fn is_elf(&self) -> bool {
        self.seen.is_file() && self.head == elf::MAGIC
    }

    /// To read parts of it.
    pub(super) fn content(&self) -> &File {
        &self.file
    }

    /// All of it.
    pub(super) fn read(self, path: &Path) -> Result<Vec<u8>, Failure> {
        let mut bytes = self.head.clone();
        let left = MAX_FILE_LEN.saturating_add(1);
        (&self.file)
            .take(left)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(path, &error))?;
        if bytes.len() as u64 > MAX_FILE_LEN {
            return Err(failed(path, "is larger than 1 GiB, which no image is"));
        }
        self.still_the_same(path)?;
        Ok(bytes)
    }

    /// Fails if somebody wrote to it meanwhile, as far as length and time of the last change tell.
    pub(super) fn still_the_same(&self, path: &Path) -> Result<(), Failure> {
        let now = self.file.metadata();
        let now = now.map_err(|error| unreadable(path, &error))?;
        match !now.is_file() || stamp(&now) == stamp(&self.seen) {
            true => Ok(()),
            false => Err(failed(path, "was changed while it was read")
                .help("wait until the linker has written all of it")),
        }
    }
}

/// Length and time of the last change.
fn stamp(seen: &Metadata) -> impl PartialEq {
    (seen.len(), seen.modified().ok())
}

fn failed(path: &Path, what: &str) -> Failure {
    Failure::new(Exit::Local, format!("{}: {what}", path.display()))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => failed(path, "no such file"),
        _ => failed(path, &format!("cannot read: {error}")),
    }
}
