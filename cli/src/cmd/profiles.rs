//! `iapctl profiles`: which boards are known, what their profiles say, and whether a profile of one's own is right.

use std::io;

use clap::Subcommand;
use iap_profile::Profile;
use serde::Serialize;

use super::profile_args::load;
use crate::failure::Failure;
use crate::output::{Human, Output, Paint};

/// Arguments of `iapctl profiles`.
// --json also behind the command of the command.
#[derive(clap::Args, Debug)]
#[command(mut_arg("json", |json| json.global(true)))]
pub struct ProfilesArgs {
    /// What to do with profiles.
    #[command(subcommand)]
    pub command: ProfilesCommand,
}

/// The commands about profiles.
#[derive(Subcommand, Debug)]
pub enum ProfilesCommand {
    /// Lists the shipped profiles
    List,
    /// Shows a profile with everything it inherits, and where each value comes from
    Show {
        /// The name of a shipped profile, or a TOML file
        #[arg(value_name = "NAME|FILE")]
        profile: String,
    },
    /// Checks a profile
    Check {
        /// The name of a shipped profile, or a TOML file
        #[arg(value_name = "NAME|FILE")]
        profile: String,
    },
}

/// A profile in one line.
#[derive(Serialize)]
struct Entry {
    name: String,
    board: String,
    description: String,
    user_flash_first_page_address: u32,
    user_flash_size: u32,
}

impl Entry {
    fn of(profile: &Profile) -> Self {
        let user = profile.memory_map().application;
        Self {
            name: profile.name.clone(),
            board: profile.settings.board_id.clone(),
            description: profile.settings.description.clone(),
            user_flash_first_page_address: user.start,
            user_flash_size: user.len,
        }
    }
}

#[derive(Serialize)]
struct List {
    profiles: Vec<Entry>,
}

impl Human for List {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        let width = self
            .profiles
            .iter()
            .map(|entry| entry.name.chars().count())
            .max()
            .unwrap_or(0);
        for entry in &self.profiles {
            let name = format!("{:width$}", entry.name);
            let (start, size) = (
                entry.user_flash_first_page_address,
                entry.user_flash_size / 1024,
            );
            writeln!(
                f,
                "{}  {start:#010x} {size} KiB  {}",
                paint.strong(&name),
                entry.description
            )?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Shown {
    profile: Entry,
    toml: String,
    warnings: Vec<String>,
}

impl Human for Shown {
    fn human(&self, f: &mut dyn io::Write, _paint: Paint) -> io::Result<()> {
        f.write_all(self.toml.as_bytes())
    }
}

#[derive(Serialize)]
struct Checked {
    profile: Entry,
    good: bool,
    warnings: Vec<String>,
}

impl Human for Checked {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        for warning in &self.warnings {
            writeln!(f, "{}: {warning}", paint.warning("warning"))?;
        }
        writeln!(
            f,
            "{}: {}",
            self.profile.name,
            paint.good("this profile is right")
        )
    }
}

/// Lists, shows or checks.
pub fn run(args: &ProfilesArgs, output: &Output) -> Result<(), Failure> {
    match &args.command {
        ProfilesCommand::List => {
            let profiles: Result<Vec<Entry>, Failure> = Profile::builtins()
                .map(|name| load(name).map(|profile| Entry::of(&profile)))
                .collect();
            output.result(&List {
                profiles: profiles?,
            })
        }
        ProfilesCommand::Show { profile } => {
            let profile = load(profile)?;
            output.result(&Shown {
                profile: Entry::of(&profile),
                toml: profile.to_toml(),
                warnings: warnings(&profile),
            })
        }
        ProfilesCommand::Check { profile } => {
            let profile = load(profile)?;
            output.result(&Checked {
                profile: Entry::of(&profile),
                good: true,
                warnings: warnings(&profile),
            })
        }
    }
}

fn warnings(profile: &Profile) -> Vec<String> {
    profile.warnings().iter().map(ToString::to_string).collect()
}
