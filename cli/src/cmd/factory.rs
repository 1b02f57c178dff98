//! `iapctl factory`: IAP firmware, boot record and application in one file for a production line, after all checks.

use std::io;
use std::path::{Path, PathBuf};

use iap_profile::{BootCheck, PublicKey};
use iap_protocol::header::ImageHeader;
use iap_protocol::memory::{MemoryMap, Region};
use iap_protocol::status::Policy;
use memchr::memmem;
use serde::Serialize;

use super::draft::{Source, require_file_name, write_whole};
use super::profile_args::{Chosen, ProfileArgs};
use crate::factory::{self, Application, Content};
use crate::failure::{Exit, Failure};
use crate::image::check::{Target, require_good};
use crate::image::report::{Summary, ready_to_send, sector_list};
use crate::image::{self, HeaderOverrides, LoadOptions, Piece, ihex};
use crate::output::{Human, Output, Paint, path};
use crate::signing::key_ids;

/// Arguments of `iapctl factory`.
#[derive(clap::Args, Debug)]
pub struct FactoryArgs {
    /// The application: ELF, BIN, IAP, Intel HEX or S-records; without one the board waits in IAP mode
    pub application: Option<PathBuf>,
    /// The IAP firmware for this board: ELF, Intel HEX or BIN; only of an ELF file it can be checked that it is for this board, by this profile
    #[arg(long, value_name = "FILE")]
    pub firmware: PathBuf,
    /// The file to write; its extension chooses the format: .hex, or .bin for the raw content of the whole flash. Not one that is read, and not - (stdout)
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub profile: ProfileArgs,
    /// The board refuses images with a lower security counter from the first day on
    #[arg(long, value_name = "N")]
    pub security_counter: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Hex,
    Bin,
}

impl Format {
    fn of(path: &Path) -> Result<Self, Failure> {
        require_file_name(path)?;
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "hex" | "ihex" => Ok(Self::Hex),
            "bin" => Ok(Self::Bin),
            _ => Err(Failure::new(
                Exit::Usage,
                format!(
                    "{}: the format to write is chosen by the extension, expected .hex or .bin",
                    path.display()
                ),
            )
            .help("-o factory.hex: addresses are in the file, and only what is used is programmed")
            .help("-o factory.bin: the whole flash from its first address, for gang programmers and iap-sim")),
        }
    }
}

#[derive(Serialize)]
struct Made {
    #[serde(serialize_with = "path")]
    output: PathBuf,
    output_size: usize,
    profile: String,
    /// Where the firmware's parts lie.
    firmware: Vec<Span>,
    /// The board it was built for, which is that of the profile; `None` if its file does not say.
    firmware_board: Option<String>,
    /// `None`: the board waits in IAP mode.
    application: Option<Summary>,
    security_counter: Option<u32>,
    /// Ids of keys that the board refuses from its first day on.
    revoked_keys: Vec<u8>,
    /// Sectors that hold something.
    sectors: Vec<u8>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Span {
    address: u32,
    size: u32,
}

impl Span {
    fn end(&self) -> u32 {
        self.address.saturating_add(self.size)
    }
}

impl Human for Made {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        for warning in &self.warnings {
            writeln!(f, "{}: {warning}", paint.warning("warning"))?;
        }
        let name = paint.strong(&self.output.display().to_string());
        let sectors = sector_list(self.sectors.iter().copied().collect());
        writeln!(f, "{name}: {} bytes written, {sectors}", self.output_size)?;
        for span in &self.firmware {
            writeln!(f, "  firmware {}", Region::new(span.address, span.size))?;
        }
        if let Some(board) = &self.firmware_board {
            writeln!(f, "           built for board {board}")?;
        }
        match &self.application {
            Some(application) => application.human(f, paint)?,
            None => writeln!(f, "  no application: the board waits in IAP mode")?,
        }
        if let Some(counter) = self.security_counter {
            writeln!(
                f,
                "  counter  {counter}: images with a lower one are refused"
            )?;
        }
        for id in &self.revoked_keys {
            writeln!(f, "  revoked  key {id}: images signed with it are refused")?;
        }
        writeln!(f, "  profile  {}", self.profile)
    }
}

/// Reads, checks, puts together, writes; nothing is left at OUT unless all of it succeeded.
pub fn run(args: &FactoryArgs, output: &Output) -> Result<(), Failure> {
    let format = Format::of(&args.output)?;
    let chosen = args.profile.choose()?;
    let target = chosen.target();
    let Firmware {
        parts: firmware,
        board: firmware_board,
        is_told,
    } = read_firmware(&args.firmware, &chosen)?;
    require_keys(args, &firmware, &chosen)?;
    let application = read_application(args, &target)?;
    require_signature(args, application.as_ref(), &chosen)?;
    // What the board would have noted, had the image come over the network.
    let signed = chosen.profile.settings.iap.policy == Policy::Signed;
    let vouched = (application.as_ref().map(|read| &read.header))
        .filter(|header| signed && header.is_signed());
    let counter = vouched.map(|header| header.security_counter);
    let security_counter = args
        .security_counter
        .max(counter.filter(|&counter| counter > 0));
    let revoked_keys = vouched.map_or(0, |header| header.revoked_keys);
    let content = Content {
        firmware,
        application: application.as_ref().map(|read| Application {
            header: &read.header,
            payload: &read.image.payload,
        }),
        security_counter,
        revoked_keys,
    };
    let pieces = factory::pieces(&content, target.map);
    let bytes = match format {
        Format::Hex => ihex::write(&pieces).into_bytes(),
        Format::Bin => factory::flash(&pieces, target.map),
    };
    write_whole(&args.output, &args.sources(), &bytes)?;
    output.result(&Made {
        output: args.output.clone(),
        output_size: bytes.len(),
        warnings: warnings(&chosen, is_told, application.as_ref()),
        firmware_board,
        profile: chosen.label(),
        firmware: spans(&content.firmware, target.map),
        application: application.map(|read| Summary::new(&read.image, &read.header, &target)),
        security_counter,
        revoked_keys: key_ids(revoked_keys),
        sectors: factory::sectors(&pieces, target.map).iter().collect(),
    })
}

impl FactoryArgs {
    fn sources(&self) -> Vec<Source<'_>> {
        let application = self.application.as_deref();
        (application.map(|file| ("application", file)).into_iter())
            .chain([("firmware", self.firmware.as_path())])
            .chain(self.profile.source())
            .collect()
    }
}

/// A firmware that is the right one, as far as its file tells.
struct Firmware {
    parts: Vec<Piece>,
    /// The board that the file names.
    board: Option<String>,
    /// It tells all that can be checked.
    is_told: bool,
}

fn read_firmware(path: &Path, chosen: &Chosen) -> Result<Firmware, Failure> {
    let target = &chosen.target();
    let options = LoadOptions {
        bin_address: target.map.flash.region().start,
        ..LoadOptions::new(target.map)
    };
    let image = image::load(path, &options)?;
    let file = path.display().to_string();
    require_good(&file, &image.findings, target)?;
    let parts = factory::firmware_parts(&file, &image, target.map)?;
    let board = factory::require_board(&file, &image, &chosen.profile)?;
    let has_rules = factory::require_rules(&file, &image, &chosen.profile)?;
    Ok(Firmware {
        parts,
        is_told: has_rules && board.is_some(),
        board,
    })
}

/// A firmware for signed images that was built with other keys would refuse everything, and only a probe could mend it.
fn require_keys(args: &FactoryArgs, firmware: &[Piece], chosen: &Chosen) -> Result<(), Failure> {
    let iap = &chosen.profile.settings.iap;
    let mut bytes: Vec<u8> = Vec::new();
    let mut end = 0;
    for part in firmware {
        // A key may lie across the border of two sectors, but not of two parts with a hole between them.
        if part.address != end {
            bytes.extend([0xFF; 32]);
        }
        bytes.extend(&part.data);
        end = part.address.saturating_add(part.region().len);
    }
    let keys: Vec<[u8; 32]> = iap.public_keys.iter().map(|key| key.0).collect();
    let contains = |wanted: &[u8]| memmem::find(&bytes, wanted).is_some();
    // A key's id is its place in the list: all of them, one after the other.
    if iap.policy != Policy::Signed || contains(&keys.concat()) {
        return Ok(());
    }
    let is_missing = |key: &&PublicKey| !contains(&key.0);
    let what = match iap.public_keys.iter().find(is_missing) {
        Some(key) => format!("the public key {key}"),
        None => "the public keys in the order".to_owned(),
    };
    Err(Failure::new(
        Exit::BadImage,
        format!(
            "{}: this firmware was not built with {what} of profile {}",
            args.firmware.display(),
            chosen.profile.name
        ),
    )
    .help("build it again for this board: cargo xtask firmware --profile FILE"))
}

/// With `boot-check = "signature"` a board starts nothing else.
fn require_signature(
    args: &FactoryArgs,
    application: Option<&Read>,
    chosen: &Chosen,
) -> Result<(), Failure> {
    let checks = chosen.profile.settings.iap.boot_check == BootCheck::Signature;
    match (&args.application, application) {
        (Some(path), Some(read)) if checks && !read.header.is_signed() => Err(Failure::new(
            Exit::BadImage,
            format!(
                "{}: not signed, and the board starts signed applications only (boot-check = \"signature\")",
                path.display()
            ),
        )
        .help("sign it first: iapctl sign --key FILE -o app.iap")),
        _ => Ok(()),
    }
}

/// An application that has passed the checks of `verify-image`.
struct Read {
    image: image::Image,
    header: ImageHeader,
}

fn read_application(args: &FactoryArgs, target: &Target) -> Result<Option<Read>, Failure> {
    let Some(path) = &args.application else {
        return Ok(None);
    };
    let image = image::load(path, &LoadOptions::new(target.map))?;
    let header = image.header_with(&HeaderOverrides::default(), target.map)?;
    let (header, _) = ready_to_send(path, &image, header, target)?;
    match args.security_counter {
        Some(counter) if counter > header.security_counter => Err(Failure::new(
            Exit::BadImage,
            format!(
                "{}: its security counter is {}, and the board is to refuse images below {counter}",
                path.display(),
                header.security_counter
            ),
        )
        .help(format!(
            "raise it first: iapctl convert --security-counter {counter} {} -o app.iap",
            path.display()
        ))),
        _ => Ok(Some(Read { image, header })),
    }
}

fn warnings(chosen: &Chosen, is_told: bool, application: Option<&Read>) -> Vec<String> {
    let profile = &chosen.profile;
    let mut warnings: Vec<String> = profile.warnings().iter().map(ToString::to_string).collect();
    if !is_told {
        warnings.push("the firmware's file does not say for which board and with which rules it was built, so that could not be checked: the ELF file that `cargo xtask firmware` makes says it".into());
    }
    let unsigned = application.is_some_and(|read| !read.header.is_signed());
    if profile.settings.iap.policy == Policy::Signed && unsigned {
        warnings.push("the application is not signed: the board starts it, but would refuse it over the network".into());
    }
    warnings
}

/// Parts with nothing but the firmware's own sectors between them as one.
fn spans(parts: &[Piece], map: &MemoryMap) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for part in parts {
        let region = part.region();
        match spans.last_mut() {
            Some(last) if is_firmware_s(last.end(), region.start, map) => {
                last.size = region.start.saturating_sub(last.address) + region.len;
            }
            _ => spans.push(Span {
                address: region.start,
                size: region.len,
            }),
        }
    }
    spans
}

/// Whether all sectors in the hole from `start` to `end` are the IAP firmware's.
fn is_firmware_s(start: u32, end: u32, map: &MemoryMap) -> bool {
    let hole = map
        .flash
        .sectors_of(Region::new(start, end.saturating_sub(start)));
    hole.intersection(map.iap_sectors) == hole
}
