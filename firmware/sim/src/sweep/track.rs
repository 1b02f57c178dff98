//! The flash operations of a session, and the states that a power cut in it leaves.

use iap_core::flash::{Flash, FlashError};
use iap_protocol::memory::{FlashMap, MemoryMap, Region, Sector};

use crate::nor::{Cut, Moment, Nor};
use crate::rng::Rng;

/// One flash operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// The erase of a sector.
    Erase(u8),
    /// A word programmed.
    Word {
        /// Its address.
        address: u32,
        /// What was programmed.
        value: u32,
    },
}

impl Op {
    /// Whether it works on one of the boot record's sectors.
    pub fn is_record(self, map: &MemoryMap) -> bool {
        self.sector(&map.flash)
            .is_some_and(|sector| map.record_sectors.contains(&sector.index))
    }

    /// Whether it works on a sector that an update may change at all.
    pub fn is_allowed(self, map: &MemoryMap) -> bool {
        let sector = self.sector(&map.flash).map(|sector| sector.index);
        self.is_record(map) || sector.is_some_and(|index| map.application_sectors().contains(index))
    }

    /// The sector it works on.
    pub fn sector(self, map: &FlashMap) -> Option<Sector> {
        match self {
            Self::Erase(index) => map.sector(index),
            Self::Word { address, .. } => map.sector_at(address),
        }
    }

    /// Does it; the answer is what the firmware would get to see.
    pub fn apply(self, nor: &mut Nor) -> Result<(), FlashError> {
        match self {
            Self::Erase(index) => match nor.map().sector(index) {
                Some(sector) => nor.erase(sector),
                None => Ok(()),
            },
            Self::Word { address, value } => nor.program(address, &value.to_le_bytes()),
        }
    }
}

/// A flash that notes what is done to it.
pub struct Recorder<'a> {
    /// The flash.
    pub nor: &'a mut Nor,
    /// What was done.
    pub ops: &'a mut Vec<Op>,
}

impl Flash for Recorder<'_> {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.nor.read(address, bytes)
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        self.nor.erase(sector)?;
        self.ops.push(Op::Erase(sector.index));
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.nor.program(address, bytes)?;
        let (words, _) = bytes.as_chunks();
        let word = |(address, &word)| Op::Word {
            address,
            value: u32::from_le_bytes(word),
        };
        self.ops.extend((address..).step_by(4).zip(words).map(word));
        Ok(())
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        self.nor.crc32(resume, region)
    }
}

/// The operations of one session, from the flash it began with.
#[derive(Clone, Debug)]
pub struct Track {
    /// The flash at the reset that begins the session.
    pub base: Nor,
    /// What the session did to it.
    pub ops: Vec<Op>,
}

/// A cut of a track.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// The operation, counted from 0.
    pub index: usize,
    /// Where in it.
    pub moment: Moment,
}

impl Track {
    /// The state before each of `points`, which are in ascending order, with the power cut there. `seed` decides how the bits touched by
    /// this and earlier cuts read from now on. An error if a cut did not fire.
    pub fn cuts<'t>(
        &'t self,
        points: &'t [Point],
        seed: u64,
    ) -> impl Iterator<Item = (Point, Result<Nor, String>)> + 't {
        let mut nor = self.base.clone();
        let mut done = 0;
        points.iter().map(move |&point| {
            for op in self.ops.get(done..point.index).unwrap_or(&[]) {
                // It was done once without an error, and the replay is the same.
                let _ = op.apply(&mut nor);
                done += 1;
            }
            (point, self.cut(&nor, point, seed))
        })
    }

    fn cut(&self, nor: &Nor, point: Point, seed: u64) -> Result<Nor, String> {
        let mut nor = nor.clone();
        let fired = nor.cuts_fired();
        nor.plan_cut(Cut::new(0, point.moment));
        let result = self.ops.get(point.index).map(|op| op.apply(&mut nor));
        nor.reseed(Rng::new(seed ^ (point.index as u64) << 8 ^ point.moment as u64).next());
        match (result, nor.cuts_fired() == fired + 1 && nor.is_off()) {
            (Some(Err(_)), true) => Ok(nor),
            _ => Err("the planned cut did not fire".into()),
        }
    }

    /// Every cut of it.
    pub fn all_points(&self) -> Vec<Point> {
        self.points(|_, _| true)
    }

    /// The cuts at the operations that `wanted` chooses: before each, inside each, and after the last of the track.
    pub fn points(&self, mut wanted: impl FnMut(usize, Op) -> bool) -> Vec<Point> {
        let mut points = Vec::new();
        for (index, &op) in self.ops.iter().enumerate() {
            let is_last = index + 1 == self.ops.len();
            if wanted(index, op) || is_last {
                let mut at = |moment| points.push(Point { index, moment });
                at(Moment::Before);
                at(Moment::Inside);
                if is_last {
                    at(Moment::After);
                }
            }
        }
        points
    }

    /// About `count` of its cuts, drawn.
    pub fn some_points(&self, count: usize, rng: &mut Rng) -> Vec<Point> {
        let mut points = self.all_points();
        if points.len() > count {
            let rate_ppm = (count as u64 * 1_000_000 / points.len() as u64) as u32;
            points.retain(|_| rng.happens(rate_ppm));
        }
        points
    }

    /// The cuts that are tried on the real map: every erase and record operation, the first and last 64 words of each sector, every
    /// 997th other word.
    pub fn chosen_points(&self, map: &MemoryMap) -> Vec<Point> {
        let last_of_run = |index: usize, op: Op| {
            let ahead = self.ops.get(index + EDGE_WORDS);
            ahead.is_none_or(|ahead| ahead.sector(&map.flash) != op.sector(&map.flash))
        };
        let mut run = 0;
        self.points(|index, op| {
            run = if matches!(op, Op::Erase(_)) {
                0
            } else {
                run + 1
            };
            op.is_record(map) || run <= EDGE_WORDS || run % 997 == 0 || last_of_run(index, op)
        })
    }
}

/// Words at each end of a sector that are all cut.
const EDGE_WORDS: usize = 64;
