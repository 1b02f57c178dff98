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
mod file;
pub mod finding;
mod format;
mod iap;
pub mod ihex;
mod intake;
pub mod report;
mod srec;
mod text;
mod wrap;

use std::path::{Path, PathBuf};

use iap_protocol::header::ImageHeader;
use iap_protocol::info::ImageInfo;
use iap_protocol::memory::{MemoryMap, Region};
use object::read::ReadCache;

use crate::failure::{Exit, Failure};
use assemble::Origin;
use finding::{Finding, Severity};
pub use format::Format;
pub use intake::Outlet;
use intake::{Intake, Taken};
pub use wrap::HeaderOverrides;

/// The fill for gaps between sections unless another is asked for: what erased flash reads as, so gaps cost no programming.
pub const DEFAULT_FILL: u8 = 0xFF;

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

/// Where a part of a file goes that has an address of its own: an ELF section or segment, a run of HEX records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// How people know it: `.data`, `segment 1`, `line 12`.
    pub name: String,
    /// Where its bytes lie in flash (LMA).
    pub address: u32,
    /// Where the program expects them at run time (VMA); the same, except for initialised data.
    pub run_address: u32,
    /// How many there are.
    pub len: u32,
}

impl Place {
    /// The addresses its bytes take in flash.
    pub fn region(&self) -> Region {
        Region::new(self.address, self.len)
    }
}

/// Such a part with its bytes.
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
    /// The bytes for flash, gaps filled; of an image from [`load_through`] that is large only as many as are looked at.
    pub payload: Vec<u8>,
    /// How many bytes there are for flash.
    pub size: usize,
    /// The CRC-32 of all of them.
    pub crc32: u32,
    /// Where the first of them goes.
    pub load_address: u32,
    /// The header, if the file was a `.iap`.
    pub header: Option<ImageHeader>,
    /// The application's own descriptor, if it has one.
    pub info: Option<ImageInfo>,
    /// The first descriptor in the bytes: what is left of it in a raw binary.
    pub info_in_bytes: Option<ImageInfo>,
    /// The board that the ELF file of an IAP firmware says it was built for.
    pub firmware_board: Option<String>,
    /// The rules that it says it was built with, one per line.
    pub firmware_rules: Option<String>,
    /// The linker's build id; zero where there is none.
    pub build_id: [u8; 20],
    /// The parts the payload was made of, by address.
    pub places: Vec<Place>,
    /// Bytes of the vector table where the file says it (size of its ELF section).
    pub vector_table_len: Option<u32>,
    /// What reading it brought up.
    pub findings: Vec<Finding>,
}

impl Image {
    fn new(format: Format, load_address: u32, taken: Taken) -> Self {
        Self {
            format,
            info: taken.info.clone(),
            info_in_bytes: taken.info,
            payload: taken.kept,
            size: taken.size,
            crc32: taken.crc32,
            load_address,
            header: None,
            firmware_board: None,
            firmware_rules: None,
            build_id: [0; 20],
            places: Vec::new(),
            vector_table_len: None,
            findings: Vec::new(),
        }
    }

    /// Whether all of the payload is here.
    pub fn is_whole(&self) -> bool {
        self.payload.len() == self.size
    }

    /// The bytes at a place of the payload.
    pub fn bytes_at(&self, place: &Place) -> &[u8] {
        let at = place.address.saturating_sub(self.load_address) as usize;
        let end = at.saturating_add(place.len as usize);
        self.payload.get(at..end).unwrap_or_default()
    }

    /// Bytes of the payload that no part covers; 0 for formats without parts.
    pub fn filled(&self) -> usize {
        let covered: usize = self.places.iter().map(|place| place.len as usize).sum();
        match self.places.len() {
            0 => 0,
            _ => self.size.saturating_sub(covered),
        }
    }

    /// The addresses the payload takes.
    pub fn region(&self) -> Region {
        Region::new(
            self.load_address,
            u32::try_from(self.size).unwrap_or(u32::MAX),
        )
    }
}

/// Reads a file that is to be converted; fails where no image can be made of it. Of an ELF file only what is loaded is read.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Image, Failure> {
    only_good(path, read(path, options)?)
}

/// The same for a payload that is only to be judged and written: if it is large, it goes through `outlet` while it is read, and all that
/// is kept of it is what the checks look at. What has gone through is of use only if no failure comes of it.
pub fn load_through(
    path: &Path,
    options: &LoadOptions,
    outlet: Outlet<'_>,
) -> Result<Image, Failure> {
    only_good(path, read_into(path, options, Intake::new(Some(outlet)))?)
}

/// Reads a file that is to be judged: what is wrong inside it, even fatally, is in the image's findings.
pub fn read(path: &Path, options: &LoadOptions) -> Result<Image, Failure> {
    read_into(path, options, Intake::new(None))
}

fn read_into(path: &Path, options: &LoadOptions, intake: Intake<'_>) -> Result<Image, Failure> {
    let file = file::open(path)?;
    if !file.is_elf() {
        return parse(&file.read(path)?, options).map_err(|failure| in_file(path, failure));
    }
    let tables = ReadCache::new(file.content());
    let image = elf::read(&tables, Origin::Disk(file.content()), options, intake);
    file.still_the_same(path)?;
    image.map_err(|failure| in_file(path, failure))
}

/// A file, read once: images for different boards are made of the same bytes, whatever happens to the file meanwhile.
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
            bytes: file::open(path)?.read(path)?,
        })
    }

    /// See [`load`].
    pub fn load(&self, options: &LoadOptions) -> Result<Image, Failure> {
        let image = parse(&self.bytes, options).map_err(|failure| in_file(&self.path, failure))?;
        only_good(&self.path, image)
    }
}

fn in_file(path: &Path, failure: Failure) -> Failure {
    Failure {
        message: format!("{}: {}", path.display(), failure.message),
        ..failure
    }
}

fn only_good(path: &Path, image: Image) -> Result<Image, Failure> {
    let fatal: Vec<Finding> = (image.findings.iter())
        .filter(|finding| finding.severity == Severity::Fatal)
        .cloned()
        .collect();
    if fatal.is_empty() {
        return Ok(image);
    }
    let message = format!("{}: no image can be made of this file", path.display());
    Err(Failure {
        findings: fatal,
        ..Failure::new(Exit::BadImage, message)
    })
}

/// Reads a file's content.
pub fn parse(bytes: &[u8], options: &LoadOptions) -> Result<Image, Failure> {
    let format = Format::of(bytes)?;
    match format {
        Format::Iap => iap::read(bytes, options),
        Format::Elf => elf::read(bytes, Origin::Memory(bytes), options, Intake::new(None)),
        Format::IntelHex => assemble::pieces(format, ihex::read(bytes)?, options),
        Format::Srec => assemble::pieces(format, srec::read(bytes)?, options),
        Format::Bin => Ok(Image::new(format, options.bin_address, Taken::of(bytes))),
    }
}
