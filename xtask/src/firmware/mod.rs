//! `cargo xtask firmware`: the IAP firmware for a board, checked and measured.
//!
//! What a linker script cannot promise is looked up in the ELF file: `check.rs`. A configuration that is larger than its gate fails.

mod check;
mod image;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use iap_profile::Profile;

use crate::command::{self, cargo};
use crate::ihex;
use crate::sample_app::{TARGET, absolute_if_file};
use crate::setup;
use image::FirmwareImage;

const PACKAGE: &str = "iap-stm32f407";

/// What to build.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Profile of the board: a name or a file
    #[arg(long, default_value = "stm324xg-eval")]
    profile: String,
    /// All shipped profiles
    #[arg(long, conflicts_with = "profile")]
    all: bool,
    /// What the firmware can do
    #[arg(long, value_enum, default_value = "everything")]
    configuration: Configuration,
}

/// What the firmware can do: features of the crate, and how large it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Configuration {
    /// TFTP with a static address
    Tftp,
    /// HTTP with a static address
    Http,
    /// TFTP, HTTP and DHCP
    TftpHttpDhcp,
    /// All features that are on by default
    Everything,
}

impl Configuration {
    fn features(self) -> &'static str {
        match self {
            Self::Tftp => "tftp",
            Self::Http => "http",
            Self::TftpHttpDhcp => "tftp,http,dhcp",
            Self::Everything => "default",
        }
    }

    /// Bytes of flash at most.
    fn gate(self) -> u32 {
        match self {
            Self::Tftp => 32_768,
            Self::Http => 44_000,
            Self::TftpHttpDhcp => 56_000,
            Self::Everything => 81_920 + 16_384,
        }
    }
}

/// Builds what the options ask for. All are built before a failure is reported.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::add_rust_target(TARGET)?;
    let profiles: Vec<String> = match options.all {
        true => Profile::builtins().map(str::to_owned).collect(),
        false => vec![options.profile.clone()],
    };
    let mut failed = Vec::new();
    for profile in &profiles {
        if let Err(error) = build(profile, options.configuration) {
            println!("{profile}: {error:#}");
            failed.push(profile.as_str());
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("no firmware for {}", failed.join(", "))
    }
}

/// Builds, checks, measures and writes one.
fn build(profile_name: &str, configuration: Configuration) -> Result<()> {
    let profile = Profile::load(profile_name)?;
    compile(profile_name, configuration)?;
    let target = command::target_folder();
    let built = target.join(TARGET).join("firmware").join(PACKAGE);
    let elf = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let image = FirmwareImage::parse(&elf)?;
    let faults = check::faults(&image, &profile);
    let name = Path::new(profile_name).file_stem().unwrap_or_default();
    let folder = target.join("firmware").join(name);
    write(&folder, &elf, &image)?;
    print!("{}", image.table(&profile));
    if !faults.is_empty() {
        bail!("the image is not right:\n  {}", faults.join("\n  "));
    }
    over_gate(image.flash_len(), configuration)
}

fn compile(profile: &str, configuration: Configuration) -> Result<()> {
    let mut build = cargo();
    build
        .args(["build", "--quiet", "--package", PACKAGE])
        .args(["--target", TARGET, "--profile", "firmware"])
        .args(["--no-default-features", "--features"])
        .arg(configuration.features())
        .env("IAP_PROFILE", absolute_if_file(profile));
    command::run(&mut build)
}

fn write(folder: &Path, elf: &[u8], image: &FirmwareImage) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    let parts = image
        .parts
        .iter()
        .map(|part| (part.address, &part.bytes[..]));
    let files = [
        ("iap.elf", elf.to_vec()),
        ("iap.bin", image.flat()),
        ("iap.hex", ihex::encode(parts).into_bytes()),
    ];
    for (name, bytes) in files {
        let path: PathBuf = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("{}", command::relative(&path).display());
    }
    Ok(())
}

fn over_gate(len: u32, configuration: Configuration) -> Result<()> {
    let gate = configuration.gate();
    if len > gate {
        bail!(
            "{len} bytes of flash, the gate of this configuration is {gate}: {} too many",
            len - gate
        );
    }
    Ok(())
}
