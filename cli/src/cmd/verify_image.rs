//! `iapctl verify-image`: would this application start on this board, and if not, why and how to mend it.

use std::path::PathBuf;
use std::process::ExitCode;

use super::profile_args::ProfileArgs;
use crate::failure::{Exit, Failure};
use crate::image::report::Report;
use crate::image::{self, HeaderOverrides, LoadOptions};
use crate::output::Output;

/// Arguments of `iapctl verify-image`.
#[derive(clap::Args, Debug)]
pub struct VerifyImageArgs {
    /// The application: ELF, BIN, IAP, Intel HEX or S-records
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub profile: ProfileArgs,
}

/// Prints all findings; exit code 0 if the image would start, 3 if not.
pub fn run(args: &VerifyImageArgs, output: &Output) -> Result<ExitCode, Failure> {
    let chosen = args.profile.choose()?;
    let target = chosen.target();
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
