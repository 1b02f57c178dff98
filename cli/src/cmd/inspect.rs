//! `iapctl inspect`: what is in an image file, without a verdict on whether it would start. Damage inside the file is shown.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use iap_protocol::header::{ImageHeader, PayloadDigest, SIGNED_LEN};
use iap_protocol::memory::Region;
use serde::Serialize;

use super::profile_args::ProfileArgs;
use crate::failure::{Exit, Failure};
use crate::image::check::Target;
use crate::image::finding::{Finding, Severity};
use crate::image::report::{Summary, hex};
use crate::image::{self, Format, HeaderOverrides, Image, LoadOptions};
use crate::output::{Human, Output, Paint};
use crate::signing::key_ids;

/// Arguments of `iapctl inspect`.
#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// The image: IAP, ELF, BIN, Intel HEX or S-records
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub profile: ProfileArgs,
}

#[derive(Serialize)]
struct Inspection {
    file: String,
    profile: String,
    image: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    initial_stack_pointer: Option<u32>,
    reset_vector: Option<u32>,
    sectors: Vec<Sector>,
    pieces: Vec<Piece>,
    findings: Vec<Finding>,
}

/// What only a `.iap` file has.
#[derive(Serialize)]
struct Header {
    security_counter: u32,
    min_iap_version: String,
    sha256: Option<String>,
    key_id: u32,
    revoked_keys: Vec<u8>,
    signature: Option<String>,
}

#[derive(Serialize)]
struct Sector {
    index: u8,
    address: u32,
    size: u32,
    crc32: u32,
}

#[derive(Serialize)]
struct Piece {
    name: String,
    address: u32,
    size: u32,
    run_address: u32,
}

/// Shows the content; exit code 3 if the file is damaged.
pub fn run(args: &InspectArgs, output: &Output) -> Result<ExitCode, Failure> {
    let chosen = args.profile.choose()?;
    let target = chosen.target();
    let image = image::read(&args.file, &LoadOptions::new(target.map))?;
    let (header, _) = image.to_iap(&HeaderOverrides::default(), target.map)?;
    let inspection = Inspection {
        file: args.file.display().to_string(),
        profile: chosen.label(),
        image: Summary::new(&image, &header, &target),
        header: (image.format == Format::Iap).then(|| Header::of(&header)),
        initial_stack_pointer: word(&image.payload, 0),
        reset_vector: word(&image.payload, 4),
        sectors: sectors(&header, &target),
        pieces: pieces(&image),
        findings: image.findings,
    };
    output.result(&inspection)?;
    let damaged = (inspection.findings.iter()).any(|finding| finding.severity == Severity::Fatal);
    Ok(match damaged {
        true => ExitCode::from(Exit::BadImage as u8),
        false => ExitCode::SUCCESS,
    })
}

fn word(payload: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*payload.get(at..)?.first_chunk()?))
}

impl Header {
    fn of(header: &ImageHeader) -> Self {
        let (major, minor, patch) = header.min_iap_version;
        Self {
            security_counter: header.security_counter,
            min_iap_version: format!("{major}.{minor}.{patch}"),
            sha256: match &header.digest {
                PayloadDigest::Sha256(digest) => Some(hex(digest)),
                PayloadDigest::None => None,
            },
            key_id: header.key_id,
            revoked_keys: key_ids(header.revoked_keys),
            signature: header.is_signed().then(|| hex(&header.signature)),
        }
    }
}

/// The part of the payload in each sector, with the header's CRC of it.
fn sectors(header: &ImageHeader, target: &Target) -> Vec<Sector> {
    let payload = header.payload_region();
    (target.map.flash.sectors().zip(header.sector_crc32))
        .filter(|(sector, _)| sector.region.overlaps(&payload))
        .map(|(sector, crc32)| {
            let start = sector.region.start.max(payload.start);
            let end = sector.region.end().min(payload.end());
            Sector {
                index: sector.index,
                address: start,
                size: (end - u64::from(start)) as u32, // a part of a sector
                crc32,
            }
        })
        .collect()
}

fn pieces(image: &Image) -> Vec<Piece> {
    (image.places.iter())
        .map(|piece| Piece {
            name: piece.name.trim_matches('`').to_owned(),
            address: piece.address,
            size: piece.region().len,
            run_address: piece.run_address,
        })
        .collect()
}

impl Human for Inspection {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        writeln!(f, "{}: {}", paint.strong(&self.file), self.image.format)?;
        self.image.human(f, paint)?;
        if let (Some(stack), Some(reset)) = (self.initial_stack_pointer, self.reset_vector) {
            writeln!(
                f,
                "  vectors  stack from {stack:#010x}, reset {reset:#010x}"
            )?;
        }
        let flags: Vec<&str> = [(self.image.confirm, "CONFIRM"), (self.image.data, "DATA")]
            .into_iter()
            .filter_map(|(set, name)| set.then_some(name))
            .collect();
        if !flags.is_empty() {
            writeln!(f, "  flags    {}", flags.join(", "))?;
        }
        if let Some(header) = &self.header {
            header.human(f, paint)?;
        }
        writeln!(f, "  profile  {}", self.profile)?;
        self.tables(f)?;
        for finding in &self.findings {
            finding.human(f, paint)?;
        }
        Ok(())
    }
}

impl Inspection {
    fn tables(&self, f: &mut dyn io::Write) -> io::Result<()> {
        for sector in &self.sectors {
            let region = Region::new(sector.address, sector.size);
            writeln!(
                f,
                "  sector {:>2}  {region}, CRC-32 {:#010x}",
                sector.index, sector.crc32
            )?;
        }
        let width = self
            .pieces
            .iter()
            .map(|piece| piece.name.chars().count())
            .max();
        for piece in &self.pieces {
            let region = Region::new(piece.address, piece.size);
            write!(
                f,
                "  {:width$}  {region}",
                piece.name,
                width = width.unwrap_or(0)
            )?;
            match piece.run_address == piece.address {
                true => writeln!(f)?,
                false => writeln!(f, ", runs at {:#010x}", piece.run_address)?,
            }
        }
        Ok(())
    }
}

impl Header {
    /// What the signed bytes hold.
    fn covers(&self) -> &'static str {
        match self.sha256 {
            Some(_) => "all fields above, and the payload by its SHA-256",
            None => "all fields above, but not the payload: there is no digest of it",
        }
    }
}

impl Human for Header {
    fn human(&self, f: &mut dyn io::Write, _paint: Paint) -> io::Result<()> {
        if let Some(digest) = &self.sha256 {
            writeln!(f, "  SHA-256  {digest}")?;
        }
        writeln!(
            f,
            "  counter  {}, needs IAP firmware {} or newer",
            self.security_counter, self.min_iap_version
        )?;
        match &self.signature {
            Some(signature) => {
                writeln!(
                    f,
                    "  signed   with key {}, header bytes 0..{SIGNED_LEN}: {}",
                    self.key_id,
                    self.covers()
                )?;
                writeln!(f, "  Ed25519  {signature}")?;
            }
            None => writeln!(f, "  signed   no")?,
        }
        if !self.revoked_keys.is_empty() {
            let keys: Vec<String> = self.revoked_keys.iter().map(u8::to_string).collect();
            writeln!(f, "  revokes  keys {}", keys.join(", "))?;
        }
        Ok(())
    }
}
