//! `iapctl verify-image`: would this application start on this board, and if not, why and how to mend it.

use std::path::PathBuf;
use std::process::ExitCode;

use super::profile_args::ProfileArgs;
use crate::failure::{Exit, Failure};
use crate::image::report::Report;
use crate::image::{self, HeaderOverrides, LoadOptions};
use crate::output::Output;
use crate::signing::read_public;

/// Arguments of `iapctl verify-image`.
#[derive(clap::Args, Debug)]
pub struct VerifyImageArgs {
    /// The application: ELF, BIN, IAP, Intel HEX or S-records
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub profile: ProfileArgs,
    /// Checks the signature with this key instead of the profile's (PEM, private or public)
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Prints all findings; exit code 0 if the image would start, 3 if not.
pub fn run(args: &VerifyImageArgs, output: &Output) -> Result<ExitCode, Failure> {
    let chosen = args.profile.choose()?;
    let mut target = chosen.target();
    target.trust.key = args.key.as_deref().map(read_public).transpose()?;
    let image = image::read(&args.file, &LoadOptions::new(target.map))?;
    let (header, _) = image.to_iap(&HeaderOverrides::default(), target.map)?;
    let report = Report::new(&args.file, chosen.label(), &image, &header, &target);
    output.result(&report)?;
    Ok(if report.good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Exit::BadImage as u8)
    })
}
