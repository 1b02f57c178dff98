//! Which board a command is for: `--profile`, IAPCTL_PROFILE, or AN3968's board, and the output says which it was.

use std::path::Path;

use iap_profile::{Profile, ProfileError};

use super::draft::Source;
use crate::failure::{Exit, Failure};
use crate::image::check::{Target, Trust};
use crate::output::one_line;

/// AN3968's board. Its memory map is that of every STM32F407xG with the full flash map.
pub const DEFAULT_PROFILE: &str = "stm324xg-eval";

/// The option that chooses a board profile.
#[derive(Clone, Default, Debug, clap::Args)]
pub struct ProfileArgs {
    /// Board profile: the name of a shipped one (iapctl profiles list) or a TOML file [default: stm324xg-eval]
    #[arg(long, value_name = "NAME|FILE", env = "IAPCTL_PROFILE")]
    pub profile: Option<String>,
}

/// A profile and how it was chosen.
#[derive(Debug)]
pub struct Chosen {
    /// The profile.
    pub profile: Profile,
    /// Nobody named it.
    pub by_default: bool,
}

impl ProfileArgs {
    /// The profile as a file that is read, if it is one.
    pub(super) fn source(&self) -> Option<Source<'_>> {
        let name = self.profile.as_deref()?;
        Some(("profile", Path::new(name)))
    }

    /// Reads the profile.
    pub fn choose(&self) -> Result<Chosen, Failure> {
        let name = self.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        Ok(Chosen {
            profile: load(name)?,
            by_default: self.profile.is_none(),
        })
    }
}

impl Chosen {
    /// What images are judged for.
    pub fn target(&self) -> Target<'_> {
        Target {
            map: self.profile.memory_map(),
            board: &self.profile.settings.board_id,
            trust: Trust::of(&self.profile.settings.iap),
        }
    }

    /// `sim`, or `stm324xg-eval (default; choose with --profile)`.
    pub fn label(&self) -> String {
        let name = &self.profile.name;
        if self.by_default {
            format!("{name} (default; choose with --profile)")
        } else {
            name.clone()
        }
    }
}

/// Reads a profile by name or path.
pub fn load(name_or_file: &str) -> Result<Profile, Failure> {
    Profile::load(name_or_file).map_err(|error| {
        let failure = Failure::new(Exit::Usage, one_line(&error.to_string()));
        match error {
            ProfileError::UnknownProfile { .. } => {
                failure.help("iapctl profiles list shows the shipped ones")
            }
            _ => failure,
        }
    })
}
