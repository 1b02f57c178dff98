//! How to run a board, and its parts put together accordingly.

use std::path::PathBuf;

use anyhow::{Context, Result};
use iap_profile::Profile;
use smoltcp::time::Instant;

use crate::board::{AfterStart, Board, Reset};
use crate::clock::{Clock, Pace};
use crate::flash_file::FlashFile;
use crate::gateway::{Gateway, GatewayOptions};
use crate::nor::{Nor, SharedNor};
use crate::rng::Rng;
use crate::settings::{self, FlashSpeed};
use crate::wire::{Conditions, Port};

/// What a board begins with.
#[derive(Clone, Debug)]
pub enum FlashSource {
    /// An erased flash that nobody keeps.
    Erased,
    /// This content, which nobody keeps; bytes that are missing at the end are erased.
    Content(Vec<u8>),
    /// A file, created erased if missing, that follows every change.
    File(PathBuf),
}

/// How to run a board.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// The board.
    pub profile: Profile,
    /// Its flash.
    pub flash: FlashSource,
    /// UDP port on 127.0.0.1 for its TFTP server; 0: any free one.
    pub tftp_port: u16,
    /// TCP port on 127.0.0.1 for its HTTP server; 0: any free one.
    pub http_port: u16,
    /// Whether clients meet the flash's real delays.
    pub pace: Pace,
    /// How long flash operations take.
    pub flash_speed: FlashSpeed,
    /// What takes the place of applications.
    pub after_start: AfterStart,
    /// The first reset.
    pub reset: Reset,
    /// What the wire does to frames in either direction.
    pub conditions: Conditions,
    /// Where everything random comes from.
    pub seed: u64,
    /// Where to write the frames on the board's Ethernet, as a pcap file.
    pub pcap: Option<PathBuf>,
}

impl SimOptions {
    /// The board of this profile as `iap-sim run` runs it: real time, typical flash times, an erased flash, any free ports.
    pub fn new(profile: &str) -> Result<Self> {
        Ok(Self::with_profile(Profile::load(profile)?))
    }

    /// The same with a profile that is loaded already.
    pub fn with_profile(profile: Profile) -> Self {
        Self {
            profile,
            flash: FlashSource::Erased,
            tftp_port: 0,
            http_port: 0,
            pace: Pace::Paced,
            flash_speed: FlashSpeed::Typical,
            after_start: AfterStart::Key,
            reset: Reset::power_on(),
            conditions: Conditions::default(),
            seed: 1,
            pcap: None,
        }
    }

    /// The same with flash times that nobody waits for: for tests that are not about time.
    pub fn fast(profile: &str) -> Result<Self> {
        Ok(Self {
            pace: Pace::Charged,
            ..Self::new(profile)?
        })
    }
}

pub(super) fn open_gateway(options: &SimOptions, port: Port, now: Instant) -> Result<Gateway> {
    let network = &options.profile.settings.network;
    let gateway = GatewayOptions {
        tftp_port: options.tftp_port,
        http_port: options.http_port,
        board: settings::static_address(&options.profile),
        address: Some(network.gateway),
        dhcp: network.use_dhcp,
    };
    Gateway::open(&gateway, port, now).with_context(|| {
        format!(
            "cannot open UDP port {} and TCP port {} on 127.0.0.1: give other ports, or 0 for any free one",
            options.tftp_port, options.http_port
        )
    })
}

pub(super) fn board(options: &SimOptions, clock: Clock, port: Port) -> Result<Board> {
    let map = &options.profile.memory_map().flash;
    let (file, content) = match &options.flash {
        FlashSource::Erased => (None, Vec::new()),
        FlashSource::Content(content) => (None, content.clone()),
        FlashSource::File(path) => {
            let (file, content) = FlashFile::open(path, map)?;
            (Some(file), content)
        }
    };
    let times = settings::flash_times(&options.profile, options.flash_speed);
    let mut nor = Nor::new(map.clone(), times, options.seed);
    nor.load(map.region().start, &content);
    nor.take_changed();
    Ok(Board {
        config: settings::config(&options.profile),
        station: settings::station(&options.profile),
        nor: SharedNor::new(nor),
        clock,
        port,
        file,
        after_start: options.after_start,
        rng: Rng::new(options.seed),
    })
}
