//! What a push will do to a board, before it does anything.

use std::io;
use std::time::Duration;

use iap_profile::Profile;
use iap_protocol::header::ImageHeader;
use iap_protocol::memory::{Region, Size};
use iap_protocol::status::Status;
use serde::Serialize;

use super::{Target, partial};
use crate::image::report::{Summary, sector_list};
use crate::output::{Human, Paint};

/// What a push will do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Plan {
    /// The board.
    pub target: Target,
    /// The profile, and who named it.
    pub profile: String,
    /// The image.
    pub image: Summary,
    /// Bytes that go over the wire, headers of the transport not counted.
    pub transfer_bytes: u64,
    /// Sectors that will be erased and programmed.
    pub write: Vec<u8>,
    /// Sectors that hold the right bytes already.
    pub unchanged: Vec<u8>,
    /// Whether the board said what it holds; otherwise it decides by itself which sectors it leaves alone.
    pub board_asked: bool,
    /// Typical milliseconds of erasing and programming (datasheet), the network not counted.
    pub flash_time_ms: u64,
}

impl Plan {
    /// Compares what the image brings with what the board says it holds.
    pub fn new(
        target: &Target,
        (profile, label): (&Profile, String),
        image: Summary,
        header: &ImageHeader,
        transfer_bytes: u64,
        status: &Status,
    ) -> Self {
        let map = profile.memory_map();
        let held = partial::held(map, header, status);
        let is_held = |sector: u8| held.contains(sector);
        let (unchanged, write) = (image.sectors.iter()).partition(|sector| is_held(**sector));
        let application = status.application.as_ref();
        let board_asked =
            application.is_some_and(|application| !application.sector_crc32.is_empty());
        let mut plan = Self {
            target: target.clone(),
            profile: label,
            image,
            transfer_bytes,
            write,
            unchanged,
            board_asked,
            flash_time_ms: 0,
        };
        plan.flash_time_ms = plan.flash_time(profile).as_millis() as u64;
        plan
    }

    /// What it does to the flash, in a few words.
    pub fn line(&self) -> String {
        let list = |sectors: &[u8]| sector_list(sectors.iter().copied().collect());
        let seconds = Duration::from_millis(self.flash_time_ms).as_secs_f64();
        match (self.board_asked, self.write.is_empty()) {
            (_, true) => "would write nothing".to_owned(),
            (true, false) => format!("would write {} ({seconds:.1} s)", list(&self.write)),
            (false, false) => format!(
                "would write {}, or less ({seconds:.1} s)",
                list(&self.write)
            ),
        }
    }

    fn flash_time(&self, profile: &Profile) -> Duration {
        let image = self.image.region();
        (self.write.iter())
            .filter_map(|&index| {
                let sector = profile.memory_map().flash.sector(index)?.region;
                let words = overlap(sector, image).div_ceil(4);
                let program = profile.program_time().typical * words;
                Some(profile.erase_time(index)?.typical + program)
            })
            .sum()
    }
}

/// Bytes that two regions share.
fn overlap(a: Region, b: Region) -> u32 {
    let start = a.start.max(b.start);
    let end = a.end().min(b.end());
    u32::try_from(end.saturating_sub(start.into())).unwrap_or(0)
}

impl Human for Plan {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        let list = |sectors: &[u8]| sector_list(sectors.iter().copied().collect());
        writeln!(f, "{}", paint.strong(&format!("plan for {}", self.target)))?;
        writeln!(f, "  profile    {}", self.profile)?;
        writeln!(
            f,
            "  image      version {} for board {}, {}, CRC-32 {:#010x}",
            self.image.version,
            self.image.board,
            self.image.region(),
            self.image.crc32
        )?;
        let size = Size(u32::try_from(self.transfer_bytes).unwrap_or(u32::MAX));
        writeln!(f, "  send       {size}")?;
        let seconds = Duration::from_millis(self.flash_time_ms).as_secs_f64();
        match self.write.is_empty() {
            true => writeln!(f, "  write      nothing")?,
            false => writeln!(
                f,
                "  write      {} (about {seconds:.1} s of erasing and programming)",
                list(&self.write)
            )?,
        }
        match (self.board_asked, self.unchanged.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => writeln!(f, "  unchanged  {}", list(&self.unchanged)),
            (false, _) => {
                writeln!(
                    f,
                    "  unchanged  the board leaves alone what is right already"
                )
            }
        }
    }
}
