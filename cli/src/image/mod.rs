//! Images as files: what is read (ELF, BIN, IAP, Intel HEX, S-records), what it becomes (bytes for an address), and what is wrong
//! with it. The format is recognised by content, never by the file's name.

// What a peer or a file says must not end this program.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod assemble;
pub mod check;
mod elf;
pub mod finding;
mod format;
mod iap;
pub mod ihex;
pub mod report;
mod srec;
mod text;
mod wrap;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use iap_protocol::header::ImageHeader;
use iap_protocol::info::ImageInfo;
use iap_protocol::memory::{MemoryMap, Region};

use crate::failure::{Exit, Failure};
use finding::{Finding, Severity};
pub use format::Format;
pub use wrap::HeaderOverrides;

/// The fill for gaps between sections unless another is asked for: what erased flash reads as, so gaps cost no programming.
pub const DEFAULT_FILL: u8 = 0xFF;

/// The largest file that is read. An ELF with debug information can have hundreds of MiB, a device file has no end.
const MAX_FILE_LEN: u64 = 1 << 30;

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// The board the image is for: says where flash is.
    pub map: &'a MemoryMap,
    /// The byte for gaps between sections.
    pub fill: u8,
    /// Where the first byte of a raw binary goes.
    pub bin_address: u32,
}

impl<'a> LoadOptions<'a> {
    /// The defaults for an application on a board.
    pub const fn new(map: &'a MemoryMap) -> Self {
        Self {
            map,
            fill: DEFAULT_FILL,
            bin_address: map.application.start,
        }
    }
}

/// A part of a file that has an address of its own: an ELF section or segment, a run of HEX records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// How people know it: `.data`, `segment 1`, `line 12`.
    pub name: String,
    /// Where its bytes lie in flash (LMA).
    pub address: u32,
    /// Where the program expects them at run time (VMA); the same, except for initialised data.
    pub run_address: u32,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Piece {
    /// The addresses its bytes take in flash.
    pub fn region(&self) -> Region {
        Region::new(
            self.address,
            u32::try_from(self.data.len()).unwrap_or(u32::MAX),
        )
    }
}

/// A file's content, ready for a board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// What the file was.
    pub format: Format,
    /// The bytes for flash, gaps filled.
    pub payload: Vec<u8>,
    /// Where the first of them goes.
    pub load_address: u32,
    /// The header, if the file was a `.iap`.
    pub header: Option<ImageHeader>,
    /// The application's own descriptor, if it has one.
    pub info: Option<ImageInfo>,
    /// The linker's build id; zero where there is none.
    pub build_id: [u8; 20],
    /// The parts the payload was made of, by address.
    pub pieces: Vec<Piece>,
    /// Bytes of the vector table where the file says it (size of its ELF section).
    pub vector_table_len: Option<u32>,
    /// What reading it brought up.
    pub findings: Vec<Finding>,
}

impl Image {
    fn new(format: Format, load_address: u32, payload: Vec<u8>) -> Self {
        Self {
            format,
            info: ImageInfo::find(&payload),
            payload,
            load_address,
            header: None,
            build_id: [0; 20],
            pieces: Vec::new(),
            vector_table_len: None,
            findings: Vec::new(),
        }
    }

    /// Bytes of the payload that no piece covers; 0 for formats without pieces.
    pub fn filled(&self) -> usize {
        let covered: usize = self.pieces.iter().map(|piece| piece.data.len()).sum();
        match self.pieces.len() {
            0 => 0,
            _ => self.payload.len().saturating_sub(covered),
        }
    }

    /// The addresses the payload takes.
    pub fn region(&self) -> Region {
        Region::new(
            self.load_address,
            u32::try_from(self.payload.len()).unwrap_or(u32::MAX),
        )
    }
}

/// Reads a file that is to be pushed or converted; fails where no image can be made of it.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Image, Failure> {
    Source::open(path)?.load(options)
}

/// Reads a file that is to be judged: what is wrong inside it, even fatally, is in the image's findings.
pub fn read(path: &Path, options: &LoadOptions) -> Result<Image, Failure> {
    Source::open(path)?.read(options)
}

/// A file, read once: images for different boards are made of the same bytes.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Source {
    /// Reads the whole file.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            path: path.to_owned(),
            bytes: read_file(path)?,
        })
    }

    /// See [`load`].
    pub fn load(&self, options: &LoadOptions) -> Result<Image, Failure> {
        let image = self.read(options)?;
        let fatal: Vec<Finding> = (image.findings.iter())
            .filter(|finding| finding.severity == Severity::Fatal)
            .cloned()
            .collect();
        if fatal.is_empty() {
            return Ok(image);
        }
        let path = self.path.display();
        let message = format!("{path}: no image can be made of this file");
        Err(Failure {
            findings: fatal,
            ..Failure::new(Exit::BadImage, message)
        })
    }

    /// See [`read`].
    pub fn read(&self, options: &LoadOptions) -> Result<Image, Failure> {
        parse(&self.bytes, options).map_err(|failure| Failure {
            message: format!("{}: {}", self.path.display(), failure.message),
            ..failure
        })
    }
}

/// Reads the content of a file.
pub fn parse(bytes: &[u8], options: &LoadOptions) -> Result<Image, Failure> {
    let format = Format::of(bytes)?;
    match format {
        Format::Iap => iap::read(bytes, options),
        Format::Elf => elf::read(bytes, options),
        Format::IntelHex => assemble::assemble(format, ihex::read(bytes)?, options),
        Format::Srec => assemble::assemble(format, srec::read(bytes)?, options),
        Format::Bin => Ok(Image::new(format, options.bin_address, bytes.to_vec())),
    }
}

/// Reads a file whole; false if somebody wrote to it meanwhile, as far as length and time of the last change tell.
fn read_steady(file: File, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    let seen = |file: &File| {
        let metadata = file.metadata()?;
        Ok::<_, std::io::Error>((metadata.len(), metadata.modified().ok()))
    };
    let before = seen(&file)?;
    (&file)
        .take(MAX_FILE_LEN.saturating_add(1))
        .read_to_end(bytes)?;
    Ok(!file.metadata()?.is_file() || before == seen(&file)?)
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |what: String| Failure::new(Exit::Local, format!("{}: {what}", path.display()));
    if path.is_dir() {
        return Err(failed("is a directory, an image file was expected".into())
            .help("name the file that the linker wrote, for example build/app.elf"));
    }
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| read_steady(file, &mut bytes)) {
        Ok(_) if bytes.len() as u64 > MAX_FILE_LEN => {
            Err(failed("is larger than 1 GiB, which no image is".into()))
        }
        Ok(true) => Ok(bytes),
        Ok(false) => Err(failed("was changed while it was read".into())
            .help("wait until the linker has written all of it")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(failed("no such file".into())),
        Err(error) => Err(failed(format!("cannot read: {error}"))),
    }
}
