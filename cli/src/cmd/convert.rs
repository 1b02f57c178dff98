//! `iapctl convert`: any readable image as a `.bin` or `.iap` file, after the checks of `verify-image`.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::draft::{Draft, Source, require_file_name};
use super::profile_args::ProfileArgs;
use crate::failure::{Exit, Failure};
use crate::image::finding::{Finding, Severity};
use crate::image::report::{Report, Summary};
use crate::image::{self, DEFAULT_FILL, HeaderOverrides, LoadOptions, check};
use crate::output::{Human, Output, Paint, path};

/// Arguments of `iapctl convert`.
#[derive(clap::Args, Debug)]
pub struct ConvertArgs {
    /// The application: ELF, BIN, IAP, Intel HEX or S-records
    pub file: PathBuf,
    /// The file to write; its extension chooses the format: .bin, or .iap with the image header. Not one that is read, and not - (stdout)
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub profile: ProfileArgs,
    /// Byte for gaps between sections: 0xff, as erased flash reads, or 0x00, as objcopy fills
    #[arg(long, value_name = "BYTE", value_parser = fill, default_value = "0xff")]
    pub fill: u8,
    /// Writes the file even if the application would not start on the board
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub header: HeaderOverrides,
}

fn fill(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "0x00" => Ok(0x00),
        "0xff" => Ok(DEFAULT_FILL),
        _ => Err("expected 0x00 or 0xff".into()),
    }
}

/// The formats that can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Bin,
    Iap,
}

impl Target {
    fn of(path: &Path) -> Result<Self, Failure> {
        require_file_name(path)?;
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "bin" => Ok(Self::Bin),
            "iap" => Ok(Self::Iap),
            _ => Err(Failure::new(
                Exit::Usage,
                format!(
                    "{}: the format to write is chosen by the extension, expected .bin or .iap",
                    path.display()
                ),
            )
            .help(
                "-o app.iap: header and payload, for boards with the IAP firmware of this project",
            )
            .help("-o app.bin: the payload alone, for any board and any tool")),
        }
    }
}

#[derive(Serialize)]
struct Converted {
    #[serde(serialize_with = "path")]
    output: PathBuf,
    output_size: usize,
    profile: String,
    image: Summary,
    /// Bytes that no section covers, and what they were filled with.
    filled: usize,
    fill: u8,
    /// Errors that --force let pass.
    errors: usize,
    findings: Vec<Finding>,
}

impl Human for Converted {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        for finding in &self.findings {
            finding.human(f, paint)?;
        }
        let forced = match self.errors {
            0 => "",
            _ => ", as --force asked: the board will refuse it or cannot start it",
        };
        let name = paint.strong(&self.output.display().to_string());
        writeln!(f, "{name}: {} bytes written{forced}", self.output_size)?;
        self.image.human(f, paint)?;
        if self.filled > 0 {
            writeln!(
                f,
                "  fill     {} bytes of {:#04x} between sections",
                self.filled, self.fill
            )?;
        }
        writeln!(f, "  profile  {}", self.profile)
    }
}

impl ConvertArgs {
    fn sources(&self) -> Vec<Source<'_>> {
        let input = Some(("input", self.file.as_path()));
        input.into_iter().chain(self.profile.source()).collect()
    }

    /// A raw binary has no place for what the options say.
    fn require_no_header(&self) -> Result<(), Failure> {
        let given = self.header.given();
        if given.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{}: a .bin is the payload alone and has no image header for {}",
            self.output.display(),
            given.join(", ")
        );
        Err(Failure::new(Exit::Usage, message)
            .help("write a file with a header: -o app.iap")
            .help("or leave the option out, and let the application say it itself in .iap_info"))
    }
}

/// Reads, checks, writes; nothing is left at OUT unless all of it succeeded.
pub fn run(args: &ConvertArgs, output: &Output) -> Result<(), Failure> {
    let format = Target::of(&args.output)?;
    if format == Target::Bin {
        args.require_no_header()?;
    }
    let chosen = args.profile.choose()?;
    let target = chosen.target();
    let options = LoadOptions {
        fill: args.fill,
        ..LoadOptions::new(target.map)
    };
    let mut draft = Draft::new(&args.output, &args.sources())?;
    let (image, header, file) = match format {
        Target::Bin => {
            let mut outlet = |bytes: &[u8]| draft.write(bytes);
            let image = image::load_through(&args.file, &options, &mut outlet)?;
            let header = image.described()?;
            (image, header, None)
        }
        Target::Iap => {
            let image = image::load(&args.file, &options)?;
            let (header, file) = image.to_iap(&args.header, target.map)?;
            (image, header, Some(file))
        }
    };
    let report = Report::new(&args.file, chosen.label(), &image, &header, &target);
    if !args.force {
        check::require_good(&report.file, &report.findings, &target)
            .map_err(|failure| failure.help("to write the file all the same: --force"))?;
    }
    match &file {
        Some(file) => draft.write(file),
        None if image.is_whole() => draft.write(&image.payload),
        None => {} // has been written while it was read
    }
    draft.finish()?;
    let summary = match format {
        Target::Iap => report.image,
        // What verify-image will say of it, whatever a header said before.
        Target::Bin => {
            let header = image.described_as_bin()?;
            Summary::new(&image, &header, &target)
        }
    };
    output.result(&Converted {
        output: args.output.clone(),
        output_size: file.map_or(image.size, |file| file.len()),
        filled: image.filled(),
        fill: args.fill,
        errors: report.errors,
        findings: (report.findings.into_iter())
            .filter(|finding| finding.severity >= Severity::Warning)
            .collect(),
        profile: report.profile,
        image: summary,
    })
}
