//! How long operations take: the datasheet's times, as the profile has them (DS8626 section 5.3.12).

use iap_profile::Profile;

use crate::time::Time;

/// Which of the datasheet's times operations take.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Wear {
    /// The typical ones.
    #[default]
    Typical,
    /// The longest.
    Maximum,
}

/// The times of a flash, from its profile.
#[derive(Clone, Debug)]
pub(super) struct Times {
    pub(super) program: Time,
    /// Per sector: x8, x16, x32.
    erase: Vec<[Time; 3]>,
}

impl Times {
    pub(super) fn new(profile: &Profile, wear: Wear) -> Self {
        let flash = &profile.settings.flash;
        let pick = |[typical, maximum]: [u32; 2]| match wear {
            Wear::Typical => typical,
            Wear::Maximum => maximum,
        };
        let run = |run: &iap_profile::SectorRun| {
            let times = [run.erase_ms.x8, run.erase_ms.x16, run.erase_ms.x32];
            let times = times.map(|times| Time::from_millis(pick(times).into()));
            std::iter::repeat_n(times, run.count.into())
        };
        Self {
            program: Time::from_micros(pick([flash.program_typ_us, flash.program_max_us]).into()),
            erase: flash.sectors.iter().flat_map(run).collect(),
        }
    }

    /// PSIZE 0, 1, 2: x8, x16, x32; 3, x64, erases no slower than x32.
    pub(super) fn erase(&self, sector: u8, psize: u32) -> Time {
        let times = self.erase.get(usize::from(sector));
        times.map_or(Time::ZERO, |times| times[psize.min(2) as usize])
    }
}
