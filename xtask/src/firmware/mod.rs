//! `cargo xtask firmware`: the IAP firmware for a board, checked and measured.
//!
//! What a linker script cannot promise is looked up in the ELF file: `check.rs`. A configuration that is larger than it may be fails:
//! `configuration.rs`.

mod check;
pub(crate) mod compiler;
mod configuration;
mod frames;
mod image;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use iap_profile::{Policy, Profile};

use crate::command::{self, cargo};
use crate::ihex;
use crate::sample_app::{TARGET, absolute_if_file};
use crate::setup;
use configuration::{CONFIGURATIONS, Configuration, Verdict};
use image::FirmwareImage;

const PACKAGE: &str = "iap-stm32f407";
/// The board of the size table.
const MEASURED_BOARD: &str = "stm324xg-eval";

/// What to build.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Profile of the board: a name or a file
    #[arg(long, default_value = MEASURED_BOARD)]
    profile: String,
    /// Everything for all shipped profiles, and each configuration of the size table
    #[arg(long, conflicts_with_all = ["profile", "configuration"])]
    all: bool,
    /// What the firmware can do
    #[arg(long, default_value = CONFIGURATIONS[0].name,
        value_parser = PossibleValuesParser::new(CONFIGURATIONS.iter().map(|known| known.name)))]
    configuration: String,
}

impl Options {
    /// The firmware as it is shipped for one board.
    pub(crate) fn board(profile: &str) -> Self {
        Self {
            profile: profile.into(),
            all: false,
            configuration: CONFIGURATIONS[0].name.into(),
        }
    }

    fn builds(&self) -> Vec<(String, &'static Configuration)> {
        let everything = &CONFIGURATIONS[0];
        if self.all {
            let boards = Profile::builtins().map(|board| (board.to_owned(), everything));
            let sizes = CONFIGURATIONS.iter().skip(1);
            let sizes = sizes.map(|configuration| (board(configuration), configuration));
            return boards.chain(sizes).collect();
        }
        let configuration = Configuration::find(&self.configuration).unwrap_or(everything);
        let profile = match self.profile.as_str() {
            MEASURED_BOARD => board(configuration),
            other => other.to_owned(),
        };
        vec![(profile, configuration)]
    }
}

/// The profile that a configuration is measured with.
fn board(configuration: &Configuration) -> String {
    match configuration.board {
        Some(file) => command::root().join(file).to_string_lossy().into_owned(),
        None => MEASURED_BOARD.to_owned(),
    }
}

/// One that was built.
struct Built {
    profile: String,
    configuration: &'static Configuration,
    len: u32,
}

/// Builds what the options ask for. All are built before a failure is reported.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::add_rust_target(TARGET)?;
    let (mut built, mut failed) = (Vec::new(), Vec::new());
    for (profile, configuration) in options.builds() {
        match build_with_smaller_map(&profile, configuration) {
            Ok(more) => built.extend(more),
            Err(error) => failed.push(format!("{profile} ({}): {error:#}", configuration.name)),
        }
    }
    print!("{}", size_table(&built));
    let too_large = built
        .iter()
        .filter_map(|built| match built.configuration.judge(built.len) {
            Verdict::TooLarge(by) => Some(format!(
                "{} ({}): {} bytes of flash are {by} too many",
                built.profile, built.configuration.name, built.len
            )),
            _ => None,
        });
    failed.extend(too_large);
    if !failed.is_empty() {
        bail!("firmware that is not right:\n  {}", failed.join("\n  "));
    }
    Ok(())
}

/// Builds one, and again with the flash map it is made for if it fits there.
fn build_with_smaller_map(
    profile: &str,
    configuration: &'static Configuration,
) -> Result<Vec<Built>> {
    let mut built = vec![build(profile, configuration)?];
    let fits = built.iter().all(|built| built.len <= configuration.gate);
    let smaller = configuration
        .smaller_map
        .filter(|_| profile == MEASURED_BOARD);
    if let Some(smaller) = smaller.filter(|_| fits) {
        let smaller = command::root().join(smaller);
        built.push(build(&smaller.to_string_lossy(), configuration)?);
    }
    Ok(built)
}

/// Builds, checks, measures and writes one.
fn build(profile_name: &str, configuration: &'static Configuration) -> Result<Built> {
    let profile = Profile::load(profile_name)?;
    compile(profile_name, &profile, configuration)?;
    let target = command::target_folder();
    let built = target.join(TARGET).join("firmware").join(PACKAGE);
    let elf = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let image = FirmwareImage::parse(&elf)?;
    let mut faults = check::faults(&image, &profile);
    let frames = frames::frames(&elf)?;
    faults.extend(frames::faults(&frames));
    if configuration == &CONFIGURATIONS[0] {
        // The others have less of smoltcp.
        faults.extend(compiler::faults(&image.functions));
    }
    let folder = folder_name(profile_name, configuration);
    write(&target.join("firmware").join(folder), &elf, &image)?;
    print!("{}", image.table(&profile));
    print!("{}", frames::table(&frames));
    for warning in profile.warnings() {
        println!("warning: {warning}");
    }
    if !faults.is_empty() {
        bail!("the image is not right:\n  {}", faults.join("\n  "));
    }
    Ok(Built {
        profile: stem(profile_name),
        configuration,
        len: image.flash_len(),
    })
}

/// Where the files go: the profile's name, with the configuration's unless it is the default or has a profile of its own.
fn folder_name(profile: &str, configuration: &Configuration) -> String {
    let name = stem(profile);
    if configuration == &CONFIGURATIONS[0] || configuration.board.is_some() {
        name
    } else {
        format!("{name}-{}", configuration.name)
    }
}

/// The name of a profile, also of one that was given as a file.
fn stem(profile: &str) -> String {
    let stem = Path::new(profile).file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The configuration's features, as far as the board uses them: one that takes anything needs no code for signatures, and one with a
/// static address none for DHCP.
fn features(profile: &Profile, configuration: &Configuration) -> String {
    let (iap, network) = (&profile.settings.iap, &profile.settings.network);
    let used = |feature: &&str| *feature != "dhcp" || network.use_dhcp;
    let signed = (iap.policy == Policy::Signed).then_some("signed");
    let features: Vec<&str> = (configuration.features.split(',').filter(used))
        .chain(signed)
        .collect();
    features.join(",")
}

fn compile(name: &str, profile: &Profile, configuration: &Configuration) -> Result<()> {
    let mut build = cargo();
    build
        .args(["build", "--quiet", "--package", PACKAGE])
        .args(["--target", TARGET, "--profile", "firmware"])
        .args(["--no-default-features", "--features"])
        .arg(features(profile, configuration))
        .env("IAP_PROFILE", absolute_if_file(name));
    compiler::with_attributes(&mut build)?;
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

/// What each takes of its budget.
fn size_table(built: &[Built]) -> String {
    let mut text = String::new();
    if !built.is_empty() {
        text += &row(["profile", "configuration", "bytes", "gate", "goal", ""]);
    }
    for Built {
        profile,
        configuration,
        len,
    } in built
    {
        let verdict = configuration.judge(*len).to_string();
        let [bytes, gate, goal] =
            [*len, configuration.gate, configuration.goal].map(|n| n.to_string());
        text += &row([profile, configuration.name, &bytes, &gate, &goal, &verdict]);
    }
    text
}

fn row([profile, configuration, bytes, gate, goal, verdict]: [&str; 6]) -> String {
    let row =
        format!("{profile:<20} {configuration:<15} {bytes:>7} {gate:>7} {goal:>7}  {verdict}");
    format!("{}\n", row.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_builds_every_profile_and_every_configuration() {
        let all = Options {
            all: true,
            ..Options::board(MEASURED_BOARD)
        };
        let builds = all.builds();
        for board in Profile::builtins() {
            assert!(
                builds.contains(&(board.to_owned(), &CONFIGURATIONS[0])),
                "{board}"
            );
        }
        for configuration in &CONFIGURATIONS {
            assert!(builds.iter().any(|(_, built)| *built == configuration));
        }
    }

    #[test]
    fn a_board_gets_the_features_it_uses() {
        let signed = Configuration::find("signed").unwrap();
        let profile = Profile::load(&board(signed)).unwrap();
        assert_eq!(features(&profile, signed), "tftp,http,dhcp,signed");
        let everything = &CONFIGURATIONS[0];
        let dynamic = Profile::builtin(MEASURED_BOARD).unwrap();
        assert_eq!(features(&dynamic, everything), "tftp,http,dhcp");
        let fixed = Profile::builtin("sim").unwrap();
        assert_eq!(features(&fixed, everything), "tftp,http");
    }

    #[test]
    fn a_configuration_over_its_gate_is_named_in_the_table() {
        let tftp = Configuration::find("tftp").unwrap();
        let built = [Built {
            profile: MEASURED_BOARD.into(),
            configuration: tftp,
            len: tftp.gate + 7,
        }];
        let table = size_table(&built);
        assert_eq!(table.lines().count(), 2, "{table}");
        let expected = match tftp.known_over {
            Some(_) => "OVER ITS GATE by 7",
            None => "TOO LARGE by 7",
        };
        assert!(table.contains(expected), "{table}");
    }

    #[test]
    fn the_profile_of_the_smaller_map_has_it() {
        for smaller in CONFIGURATIONS.iter().filter_map(|known| known.smaller_map) {
            let profile = Profile::load(command::root().join(smaller).to_str().unwrap()).unwrap();
            assert_eq!(profile.settings.iap.flash_map, "compact");
            assert!(!profile.has_http());
        }
    }
}
