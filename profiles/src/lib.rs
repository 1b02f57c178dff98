//! Board profiles: the only place where a number about a board is written, read by `iapctl`, `iap-sim` and the firmware's build.
//!
//! A profile is a stack of TOML files: `defaults.toml`, then a chip, then the boards that are inherited, then the board itself. The
//! shipped ones are compiled in; `profiles/README.md` lists every key. This crate reads and checks them. It does not talk to boards,
//! and it writes no linker scripts: what a number is used for is the business of its reader.
//!
//! ```
//! let board = iap_profile::Profile::load("sim")?;
//! assert_eq!(board.memory_map().user_flash_first_page_address(), 0x0802_0000);
//! assert_eq!(board.settings.network.address.to_string(), "192.168.0.10/24");
//! # Ok::<(), iap_profile::ProfileError>(())
//! ```

// What a profile says must not end whoever reads it.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod builtin;
mod check;
mod document;
mod error;
mod ethernet;
mod fault;
mod flash;
mod keys;
mod render;
mod rules;
mod schema;
mod source;
mod value;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER};
use iap_protocol::memory::{MemoryMap, Region};

pub use error::{Hint, Location, ProfileError};
pub use ethernet::{EthernetPins, EthernetSettings, Interface};
pub use iap_protocol::status::Policy;
pub use rules::{FIRMWARE_BOARD_SECTION, FIRMWARE_RULES_SECTION};
pub use schema::*;
pub use value::{Ipv4Network, MacAddress, Pin, PublicKey};

use document::Document;
use source::Sources;

/// A board, completely described and checked.
///
/// Every field is what the profile's files say in the end; [`Profile::memory_map`] and the other methods derive what its readers
/// need from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// What the profile was loaded by: the name of a shipped board, or the path of a file.
    pub name: String,
    /// Everything the files say.
    pub settings: Settings,
    map: MemoryMap,
    /// `None` for the shipped board of this name as it was merged when this was built.
    sources: Option<Sources>,
}

impl Profile {
    /// The shipped board `name`.
    pub fn builtin(name: &str) -> Result<Self, ProfileError> {
        match Self::merged(name) {
            Some(profile) => Ok(profile),
            // No such board: this way says so, and which names are like it.
            None => Self::from_sources(Sources::builtin(name)?),
        }
    }

    /// The shipped board as `build.rs` merged it. Its rules are not checked again: a test has found it equal to what its files give.
    fn merged(name: &str) -> Option<Self> {
        let (_, settings) = builtin::MERGED.iter().find(|(board, _)| *board == name)?;
        let settings: Settings = serde_json::from_str(settings).ok()?;
        Some(Self {
            name: name.to_owned(),
            map: flash::memory_map(&settings).ok()?,
            settings,
            sources: None,
        })
    }

    /// The names of the shipped boards, in alphabetical order.
    pub fn builtins() -> impl Iterator<Item = &'static str> {
        builtin::BOARDS.iter().map(|file| file.name)
    }

    /// The shipped board of this name, or the file at this path. An argument with a path separator or ending in `.toml` is a path.
    pub fn load(name_or_file: &str) -> Result<Self, ProfileError> {
        if source::is_path(name_or_file) {
            Self::from_sources(Sources::file(Path::new(name_or_file))?)
        } else {
            Self::builtin(name_or_file)
        }
    }

    /// A profile from its text. `origin` is the path that messages show; files it inherits are looked for beside it.
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, ProfileError> {
        Self::from_sources(Sources::text(text, origin)?)
    }

    fn from_sources(sources: Sources) -> Result<Self, ProfileError> {
        let document = Document::merge(&sources)?;
        let settings: Settings = document.read()?;
        let map = check::check(&settings).map_err(|fault| document.error(fault))?;
        Ok(Self {
            name: sources.name().to_owned(),
            settings,
            map,
            sources: Some(sources),
        })
    }

    /// The profile as one TOML text without inheritance; a comment after each key names the file and line it comes from.
    pub fn to_toml(&self) -> String {
        // These files have been merged before.
        self.rendered().unwrap_or_else(|error| error.to_string())
    }

    fn rendered(&self) -> Result<String, ProfileError> {
        let sources = match &self.sources {
            Some(sources) => sources,
            None => &Sources::builtin(&self.name)?,
        };
        Ok(render::render(&Document::merge(sources)?))
    }

    /// Where everything lies; [`MemoryMap::check`] has accepted it.
    pub fn memory_map(&self) -> &MemoryMap {
        &self.map
    }

    /// The flash map that `iap.flash-map` names.
    pub fn flash_map(&self) -> Option<&FlashMapSettings> {
        self.settings.flash_maps.get(&self.settings.iap.flash_map)
    }

    /// Whether the IAP firmware on this board holds the HTTP server; the smaller flash map has no room for it.
    pub fn has_http(&self) -> bool {
        self.flash_map().is_some_and(|map| map.http)
    }

    /// How long the erase of flash sector `index` takes at the profile's parallelism; `None` if there is no such sector.
    pub fn erase_time(&self, index: u8) -> Option<Timing> {
        let run = self
            .settings
            .flash
            .sectors
            .iter()
            .find(|run| run.contains(index))?;
        let [typical_ms, maximum_ms] = match self.settings.flash.parallelism {
            Parallelism::X8 => run.erase_ms.x8,
            Parallelism::X16 => run.erase_ms.x16,
            Parallelism::X32 => run.erase_ms.x32,
        };
        Some(Timing {
            typical: Duration::from_millis(typical_ms.into()),
            maximum: Duration::from_millis(maximum_ms.into()),
        })
    }

    /// How long one program operation takes, whatever its width.
    pub fn program_time(&self) -> Timing {
        Timing {
            typical: Duration::from_micros(self.settings.flash.program_typ_us.into()),
            maximum: Duration::from_micros(self.settings.flash.program_max_us.into()),
        }
    }

    /// The pins of the Ethernet interface with their names in RM0090, those of MII only where the interface is MII.
    pub fn ethernet_pins(&self) -> Vec<(&'static str, Pin)> {
        self.settings
            .ethernet
            .pins
            .in_use(self.settings.ethernet.interface)
    }

    /// Whether the HTTP login is the one that AN3968 prints.
    pub fn has_default_login(&self) -> bool {
        self.settings.http.user == DEFAULT_USER && self.settings.http.password == DEFAULT_PASSWORD
    }

    /// What a person who uses this profile should know.
    pub fn warnings(&self) -> Vec<Warning> {
        let open = self.settings.iap.policy == Policy::Open;
        let fixed = self.settings.ethernet.mac_address == MacAddress::AN3968;
        let keyless = self.settings.iap_key.pin.is_none();
        let waits_s = self.settings.iap.power_on_window_s;
        [
            (self.has_default_login(), Warning::DefaultPassword),
            (open, Warning::PolicyOpen),
            (fixed, Warning::An3968MacAddress),
            (keyless && waits_s == 0, Warning::NoWayBack),
        ]
        .into_iter()
        .filter_map(|(applies, warning)| applies.then_some(warning))
        .collect()
    }

    /// RAM regions that the Ethernet DMA reaches.
    pub fn dma_ram(&self) -> impl Iterator<Item = Region> + '_ {
        self.settings
            .ram
            .iter()
            .filter(|ram| ram.ethernet_dma)
            .map(RamSettings::region)
    }
}

/// How long a flash operation takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// The datasheet's typical value.
    pub typical: Duration,
    /// The datasheet's maximum.
    pub maximum: Duration,
}

/// Something about a profile that is allowed and still worth a sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Warning {
    /// The HTTP login is the one that AN3968 prints.
    DefaultPassword,
    /// Anybody on the network may install anything.
    PolicyOpen,
    /// The MAC address is AN3968's: two such boards cannot share a LAN.
    An3968MacAddress,
    /// Nothing but the application leads to IAP mode.
    NoWayBack,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DefaultPassword => {
                "the board has the default HTTP login user / stm32, which everybody knows: set `user` and `password` in [http]"
            }
            Self::PolicyOpen => {
                "the board's policy is open, anybody on its network may install anything over TFTP: set `policy` in [iap] to \"signed\""
            }
            Self::An3968MacAddress => {
                "the board has AN3968's fixed MAC address, two such boards cannot share a LAN: set `mac-address` in [ethernet] to \"unique-id\""
            }
            Self::NoWayBack => {
                "the board has no IAP key and waits for nobody at power-on: once an application runs that does not ask for an update itself, only a probe helps: set `pin` in [iap-key] or `power-on-window-s` in [iap]"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_boards_are_what_their_files_say() {
        for name in Profile::builtins() {
            let merged = Profile::merged(name).unwrap_or_else(|| panic!("{name} is not merged"));
            let read = Profile::from_sources(Sources::builtin(name).unwrap()).unwrap();
            assert_eq!(merged.settings, read.settings, "{name}");
            assert_eq!(merged.map, read.map, "{name}");
            assert_eq!(merged.to_toml(), read.to_toml(), "{name}");
        }
    }
}
