//! The flash kept in a file between runs: the raw content of the whole flash, as `iapctl factory` or a debug probe reads and writes it.
//!
//! Changes are written through as they happen, so the file is right even if the process is killed. What a power cut did to single bits
//! is not kept: the file holds bytes.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use iap_protocol::memory::{FlashMap, Region, Size};

/// An open flash file.
#[derive(Debug)]
pub struct FlashFile {
    file: File,
    path: PathBuf,
    region: Region,
}

impl FlashFile {
    /// Opens the file at `path` and returns its content; creates it with an erased flash if there is none.
    pub fn open(path: &Path, map: &FlashMap) -> Result<(Self, Vec<u8>)> {
        let shown = path.display();
        let region = map.region();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot open the flash file {shown}"))?;
        file.try_lock()
            .with_context(|| format!("another iap-sim uses the flash file {shown}"))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)
            .with_context(|| format!("cannot read the flash file {shown}"))?;
        let mut this = Self {
            file,
            path: path.to_owned(),
            region,
        };
        if content.is_empty() {
            content = vec![0xFF; region.len as usize];
            this.write(region.start..region.end() as u32, &content)?;
        }
        ensure!(
            content.len() == region.len as usize,
            "{shown} has {} bytes, the raw content of the flash {region} has {} bytes: give another file, or remove it to begin with an erased flash",
            content.len(),
            region.len,
        );
        Ok((this, content))
    }

    /// Writes `bytes`, the new content of the addresses in `range`.
    pub fn write(&mut self, range: Range<u32>, bytes: &[u8]) -> Result<()> {
        let offset = range.start.saturating_sub(self.region.start);
        let written = self
            .file
            .seek(SeekFrom::Start(offset.into()))
            .and_then(|_| self.file.write_all(bytes))
            .and_then(|()| self.file.flush());
        let path = self.path.display();
        written.with_context(|| {
            let size = Size(range.end.saturating_sub(range.start));
            format!("cannot write {size} to the flash file {path}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> FlashMap {
        FlashMap::new(0x0800_0000, &[1024, 1024]).unwrap()
    }

    #[test]
    fn a_missing_file_becomes_an_erased_flash_and_changes_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flash.bin");
        let (mut file, content) = FlashFile::open(&path, &map()).unwrap();
        assert_eq!(content, [0xFF; 2048]);
        file.write(0x0800_0400..0x0800_0404, b"abcd").unwrap();
        drop(file);
        let (_file, content) = FlashFile::open(&path, &map()).unwrap();
        assert_eq!(content[0x3FF..0x405], *b"\xFFabcd\xFF");
    }

    #[test]
    fn a_file_of_another_size_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.bin");
        std::fs::write(&path, b"an application").unwrap();
        let error = FlashFile::open(&path, &map()).unwrap_err().to_string();
        assert!(error.contains("app.bin has 14 bytes"), "{error}");
        assert!(error.contains("2048 bytes"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"an application");
    }

    #[test]
    fn two_boards_do_not_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flash.bin");
        let _first = FlashFile::open(&path, &map()).unwrap();
        let error = FlashFile::open(&path, &map()).unwrap_err().to_string();
        assert!(error.contains("another iap-sim"), "{error}");
    }
}
