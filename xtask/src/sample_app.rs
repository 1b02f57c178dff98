//! `cargo xtask sample-app`: the sample application as an ELF file that `iapctl` can be tried with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use object::read::elf::ElfFile32;
use object::{Object, ObjectSegment};

use crate::command::{self, cargo};
use crate::setup;

/// The target of every application for an STM32F407.
pub(crate) const TARGET: &str = "thumbv7em-none-eabihf";
const PACKAGE: &str = "iap-sample-app";

/// What to build.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Profile of the board it is for: a name or a file
    #[arg(long, default_value = "sim")]
    pub(crate) profile: String,
    /// Version it says it has, in `.iap_info`
    #[arg(long, default_value = "1.0.0")]
    pub(crate) version: String,
    /// The image has the CONFIRM flag: the application confirms its start and feeds the watchdog
    #[arg(long)]
    pub(crate) confirm: bool,
    /// Link it at this address instead of the profile's USER_FLASH_FIRST_PAGE_ADDRESS: an image that boards must refuse
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) base: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: "sim".into(),
            version: "1.0.0".into(),
            confirm: false,
            base: None,
        }
    }
}

/// Builds one and says where it is and how big.
pub(crate) fn run(options: &Options) -> Result<()> {
    let elf = build(options)?;
    println!("{}: {}", command::relative(&elf).display(), size(&elf)?);
    Ok(())
}

/// Builds one; the path of its ELF file.
pub(crate) fn build(options: &Options) -> Result<PathBuf> {
    setup::add_rust_target(TARGET)?;
    command::run(&mut cargo_build(options))?;
    let target = command::target_folder();
    let built = target.join(TARGET).join("firmware").join(PACKAGE);
    let profile_name = Path::new(&options.profile).file_stem().unwrap_or_default();
    let folder = target.join("sample-app").join(profile_name);
    let elf = folder.join(file_name(options));
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    fs::copy(&built, &elf)
        .with_context(|| format!("cannot copy {} to {}", built.display(), elf.display()))?;
    Ok(elf)
}

fn cargo_build(options: &Options) -> Command {
    let mut build = cargo();
    build
        .args(["build", "--quiet", "--package", PACKAGE])
        .args(["--target", TARGET, "--profile", "firmware"])
        .env("IAP_PROFILE", absolute_if_file(&options.profile))
        .env("IAP_APP_VERSION", &options.version);
    if options.confirm {
        build.env("IAP_APP_CONFIRM", "1");
    } else {
        build.env_remove("IAP_APP_CONFIRM");
    }
    if let Some(base) = &options.base {
        build.env("IAP_APP_BASE", base);
    }
    build
}

/// The build script runs in another folder than this task.
pub(crate) fn absolute_if_file(profile: &str) -> PathBuf {
    let path = PathBuf::from(profile);
    if profile.ends_with(".toml") {
        path.canonicalize().unwrap_or(path)
    } else {
        path
    }
}

fn file_name(options: &Options) -> String {
    let base = options.base.as_ref();
    let base = base.map_or(String::new(), |base| format!("-at-{base}"));
    let confirm = if options.confirm { "-confirm" } else { "" };
    format!("sample-app-{}{confirm}{base}.elf", options.version)
}

/// What it takes on the chip, from the program headers.
fn size(elf: &Path) -> Result<String> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file: ElfFile32 =
        ElfFile32::parse(&*bytes).with_context(|| format!("{} is no ELF file", elf.display()))?;
    let in_file: u64 = file.segments().map(|segment| segment.file_range().1).sum();
    let in_memory: u64 = file.segments().map(|segment| segment.size()).sum();
    let zeroed = in_memory.saturating_sub(in_file);
    Ok(format!(
        "{in_file} bytes of flash, {zeroed} bytes of zeroed RAM"
    ))
}
