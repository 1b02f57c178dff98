//! An image in a few lines, and the verdict on it: what `verify-image`, `convert` and `push` show, for people and as JSON.

use std::io;
use std::path::Path;

use iap_protocol::header::{Flags, ImageHeader};
use iap_protocol::memory::{Region, SectorSet};
use serde::Serialize;

use super::check::{self, Target};
use super::finding::{Finding, Severity};
use super::{Format, Image};
use crate::failure::Failure;
use crate::output::{Human, Paint};

/// An image in a few lines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Summary {
    /// What the file is.
    pub format: Format,
    /// First address.
    pub load_address: u32,
    /// Bytes of the payload.
    pub size: u32,
    /// CRC-32 of the payload (zlib's).
    pub crc32: u32,
    /// Flash sectors the payload touches.
    pub sectors: Vec<u8>,
    /// Application version.
    pub version: String,
    /// Board id in the image, or "any".
    pub board: String,
    /// The linker's build id in hexadecimal digits.
    pub build_id: Option<String>,
    /// The application must confirm its start.
    pub confirm: bool,
    /// The image brings content for data sectors.
    pub data: bool,
    /// A signature is there; says nothing about its truth.
    pub signed: bool,
}

impl Summary {
    /// The summary of an image with its header.
    pub fn new(image: &Image, header: &ImageHeader, target: &Target) -> Self {
        Self {
            format: image.format,
            load_address: header.load_address,
            size: header.payload_size,
            crc32: header.payload_crc32,
            sectors: header.sectors(&target.map.flash).iter().collect(),
            version: header.version.to_string(),
            board: header.board.to_string(),
            build_id: (header.build_id != [0; 20]).then(|| hex(&header.build_id)),
            confirm: header.flags.contains(Flags::CONFIRM),
            data: header.flags.contains(Flags::DATA),
            signed: header.is_signed(),
        }
    }

    /// Where the payload goes.
    pub fn region(&self) -> Region {
        Region::new(self.load_address, self.size)
    }
}

impl Human for Summary {
    fn human(&self, f: &mut dyn io::Write, _paint: Paint) -> io::Result<()> {
        let sectors: SectorSet = self.sectors.iter().copied().collect();
        writeln!(f, "  flash    {}, {}", self.region(), sector_list(sectors))?;
        writeln!(f, "  CRC-32   {:#010x}", self.crc32)?;
        writeln!(f, "  version  {} for board {}", self.version, self.board)?;
        match &self.build_id {
            Some(id) => writeln!(f, "  build id {id}"),
            None => Ok(()),
        }
    }
}

/// Everything that was found out about a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// The profile it was judged with.
    pub profile: String,
    /// The image.
    pub image: Summary,
    /// Whether it would start: there are no errors.
    pub good: bool,
    /// Number of errors.
    pub errors: usize,
    /// Number of warnings.
    pub warnings: usize,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Judges an image, as it would be with `overrides` in its header.
    pub fn new(
        file: &Path,
        profile: String,
        image: &Image,
        header: &ImageHeader,
        target: &Target,
    ) -> Self {
        let findings = check::judge(image, header, target);
        let count = |matching: fn(Severity) -> bool| {
            (findings.iter())
                .filter(|finding| matching(finding.severity))
                .count()
        };
        let errors = count(|severity| severity >= Severity::Error);
        Self {
            file: file.display().to_string(),
            profile,
            image: Summary::new(image, header, target),
            good: errors == 0,
            errors,
            warnings: count(|severity| severity == Severity::Warning),
            findings,
        }
    }
}

impl Human for Report {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        writeln!(f, "{}: {}", paint.strong(&self.file), self.image.format)?;
        self.image.human(f, paint)?;
        writeln!(f, "  profile  {}\n", self.profile)?;
        let mut explained = false;
        for finding in &self.findings {
            let explains = !finding.why.is_empty();
            if explained && !explains {
                writeln!(f)?;
            }
            explained = explains;
            finding.human(f, paint)?;
        }
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let verdict = match (self.errors, self.warnings) {
            (0, 0) => paint.good("good: this image starts on this board"),
            (0, n) => paint.warning(&format!("good, with {}", count(n, "warning"))),
            (n, _) => paint.error(&format!(
                "bad: {}, this image would not start",
                count(n, "error")
            )),
        };
        writeln!(f, "\n{verdict}")
    }
}

/// The image's header and file for the wire; fails if the image would not start. What `push` does first.
pub fn ready_to_send(
    file: &Path,
    image: &Image,
    header: ImageHeader,
    target: &Target,
) -> Result<(ImageHeader, Vec<u8>), Failure> {
    let bytes = image.with_header(&header);
    let findings = check::judge(image, &header, target);
    check::require_good(&file.display().to_string(), &findings, target)?;
    Ok((header, bytes))
}

/// `sector 5` or `sectors 5, 6`.
pub fn sector_list(sectors: SectorSet) -> String {
    let list: Vec<String> = sectors.iter().map(|index| index.to_string()).collect();
    match list.as_slice() {
        [] => "no sector".to_owned(),
        [one] => format!("sector {one}"),
        many => format!("sectors {}", many.join(", ")),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
