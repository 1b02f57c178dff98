//! The states of a board from which cuts are tried.

use iap_core::boot::{self, BootInputs, Decision};
use iap_core::record::{Last, Record, RecordState};
use iap_protocol::ErrorCode;
use iap_protocol::crc::crc32;
use iap_protocol::header::{ANY_BOARD, HEADER_LEN, ImageHeader};
use iap_protocol::memory::MemoryMap;
use iap_protocol::record::{
    ENTRY_LEN, Entry, SEAL, SEAL_RUN_LEN, SECTOR_SIZE_BYTES, SectorHeader, log_offset,
};
use iap_protocol::vectors::SYSTEM_VECTORS_LEN;
use iap_protocol::version::Version;

use super::partial::share_a_sector;
use super::rules::{FOURTH, NEW, OLD, Rules, THIRD};
use super::track::{Op, Point, Recorder, Track};
use crate::bench::{self, Bench, Pushed, header, payload};
use crate::nor::Moment;
use crate::rng::mix;
use crate::signer::forge;

/// What the record of every board that has one says from its production on.
pub(super) const COUNTER: u32 = 7;
const REVOKED: u32 = 0b100;
const SETTING: (u8, [u8; 20]) = (9, [0xA5; 20]);

/// Which state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing in flash; with the bare rule an application from a probe.
    Blank,
    /// An application was committed.
    Application,
    /// The same, and the new image is a raw one whose length the client does not say.
    Raw,
    /// An update to a third image was cut in the middle.
    InterruptedOther,
    /// An update to the new image was cut in the middle.
    InterruptedSame,
    /// The record has no room for the next update.
    RecordFull,
    /// The last entry's seal is torn.
    TornSeal,
    /// The last entry's body is torn.
    TornBody,
    /// The active record sector holds noise.
    ActiveDamaged,
    /// The other record sector holds noise.
    OtherDamaged,
    /// An application was committed, and of the new image only the sectors come that differ.
    Partial,
    /// The same, and the record has no room for it.
    PartialRecordFull,
    /// Somebody without a key has sent the new image's header, signed as it is, with other bytes of the same CRCs behind it.
    Forged,
}

impl Kind {
    /// Those with partial transfers.
    pub const PARTIAL: [Self; 2] = [Self::Partial, Self::PartialRecordFull];

    /// All others.
    pub const ALL: [Self; 11] = [
        Self::Blank,
        Self::Application,
        Self::Raw,
        Self::InterruptedOther,
        Self::InterruptedSame,
        Self::RecordFull,
        Self::TornSeal,
        Self::TornBody,
        Self::ActiveDamaged,
        Self::OtherDamaged,
        Self::Forged,
    ];

    /// Whether the new image comes without the sectors that the board holds.
    pub fn is_partial(self) -> bool {
        Self::PARTIAL.contains(&self)
    }
}

/// Bytes of the old and the new application.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Old.
    pub old: usize,
    /// New.
    pub new: usize,
}

/// A board in a state, and what is pushed to it.
pub struct Start {
    /// Which state.
    pub kind: Kind,
    /// What the board takes and starts.
    pub rules: Rules,
    /// The board.
    pub bench: Bench,
    /// The payload of the new image.
    pub new: Vec<u8>,
    /// The new image as it is sent.
    pub file: Vec<u8>,
    /// What the client says of its length.
    pub declared: Option<u32>,
    /// What is sent after a cut: all of the new image.
    pub whole: Vec<u8>,
    /// Every payload that may ever be started, with its CRC-32.
    pub complete: Vec<(u32, Vec<u8>)>,
    /// What a reset decides; `None` where it depends on bits that a cut has touched.
    pub initial: Option<Decision>,
    /// What the record says.
    pub record: RecordState,
    /// Security counter and revoked keys once the new image is committed.
    pub afterwards: (u32, u32),
    /// What the board must not take once the new image is committed, and why.
    pub outdated: Vec<(ErrorCode, Vec<u8>)>,
}

impl Start {
    /// A board with this map in this state.
    pub fn new(kind: Kind, map: &MemoryMap, sizes: Sizes, rules: Rules, seed: u64) -> Self {
        let (old, mut new) = (payload(sizes.old, 1), payload(sizes.new, 2));
        share_a_sector(&old, &mut new, map, 2);
        // Of small images only the first sector is full.
        if kind.is_partial() && !share_a_sector(&old, &mut new, map, 1) {
            share_a_sector(&old, &mut new, map, 0);
        }
        let third = payload(sizes.new, 3);
        let mut bench = Bench::new(map.clone(), mix(seed));
        rules.apply(&mut bench.config);
        let mut start = Self {
            kind,
            rules,
            file: rules.file(&new, &NEW, map),
            whole: rules.file(&new, &NEW, map),
            declared: Some(new.len() as u32 + 512),
            complete: [&old, &new, &third]
                .map(|bytes| (crc32(bytes), bytes.clone()))
                .into(),
            new,
            initial: None,
            record: loaded(&mut bench),
            bench,
            afterwards: (0, 0),
            outdated: rules.outdated(&old, map),
        };
        let installed = rules.file(&old, &OLD, map);
        if kind == Kind::Raw {
            (start.file, start.declared) = (start.new.clone(), None);
            start.whole.clone_from(&start.new);
            start.bench.produce(0, &installed);
        } else if kind != Kind::Blank {
            start.bench.produce(COUNTER, &installed);
        } else if rules == Rules::Bare {
            let address = map.application.start;
            start.bench.nor.load(address, &old);
        }
        // A board that fills its record on the way to a partial transfer keeps its application: by another name.
        let filler = if kind.is_partial() { &old } else { &third };
        let fourth = rules.file(filler, &FOURTH, map);
        let third = rules.file(&third, &THIRD, map);
        if kind.is_partial() {
            start.file = start.without(&old).expect("something is left out");
            start.declared = Some(start.file.len() as u32);
        }
        start.make(&third, &[&fourth, &installed]);
        start.settle();
        start
    }

    /// Brings the board from "an application was committed" into its state.
    fn make(&mut self, third: &[u8], fillers: &[&[u8]]) {
        match self.kind {
            Kind::Blank | Kind::Application | Kind::Raw | Kind::Partial => {}
            Kind::InterruptedOther => self.interrupt(third, in_the_middle),
            Kind::InterruptedSame => self.interrupt(&self.file.clone(), in_the_middle),
            Kind::TornSeal => self.interrupt(third, |ops| ops.len() - 1),
            Kind::TornBody => self.interrupt(third, |ops| ops.len() - 2),
            Kind::RecordFull | Kind::PartialRecordFull => self.fill(fillers),
            Kind::ActiveDamaged => self.damage(true),
            Kind::OtherDamaged => self.damage(false),
            Kind::Forged => self.forge(),
        }
    }

    /// Pushes the new image with five bytes changed at its beginning and five at its end, to a board with so small a ring that all of it is
    /// in flash, and both sectors are DONE, when the digest is looked at.
    fn forge(&mut self) {
        let mut forged = self.file.clone();
        let payload = &mut forged[HEADER_LEN..];
        forge(payload, SYSTEM_VECTORS_LEN);
        forge(payload, payload.len() - 5);
        let Bench { nor, config } = &mut self.bench;
        let pushed = bench::push_with_ring([1024; 2], nor, config, &forged, self.declared);
        match pushed {
            Ok(Pushed::Refused(why)) if why.code == ErrorCode::PayloadDigest => {}
            pushed => panic!("the digest is wrong: {pushed:?}"),
        }
        let record = loaded(&mut self.bench);
        let image = record.image.expect("an update has begun");
        let covered = image.sectors(&self.bench.config.map.flash);
        let forged = [covered.iter().next(), covered.iter().last()];
        assert!(
            forged
                .iter()
                .flatten()
                .all(|&index| record.done.contains(index))
        );
        self.bench.nor.power_on();
    }

    /// Pushes `file` and cuts the power inside the operation that `at` chooses.
    fn interrupt(&mut self, file: &[u8], at: impl Fn(&[Op]) -> usize) {
        let track = track_of_push(&self.bench, file, Some(file.len() as u32));
        let point = Point {
            index: at(&track.ops),
            moment: Moment::Inside,
        };
        let cut = track.cuts(&[point], 5).next();
        self.bench.nor = cut.and_then(|(_, nor)| nor.ok()).expect("the cut fires");
    }

    /// Pushes these images in turn until the push of the new one finds no room in the record.
    fn fill(&mut self, images: &[&[u8]]) {
        let erases = |bench: &Bench| bench.nor.counters().erases[1..3].to_vec();
        for image in images.iter().cycle().take(200) {
            let mut trial = self.bench.clone();
            assert_eq!(trial.push(&self.file), Pushed::Committed);
            if erases(&trial) != erases(&self.bench) {
                return;
            }
            assert_eq!(self.bench.push(image), Pushed::Committed);
            self.bench.nor.power_on();
        }
        panic!("the record is never full");
    }

    fn damage(&mut self, active: bool) {
        let map = &self.bench.config.map;
        let mut trial = self.bench.nor.clone();
        let head = |sector: u8| {
            let start = map.flash.sector(sector).map_or(0, |s| s.region.start);
            let head = self.bench.nor.content_of(start..start + 32);
            SectorHeader::decode(&head).unwrap_or(SectorHeader { generation: 0 })
        };
        let [first, second] = map.record_sectors;
        let newer = if head(second).is_newer_than(head(first)) {
            [second, first]
        } else {
            [first, second]
        };
        let sector = newer[usize::from(!active)];
        let start = map.flash.sector(sector).map_or(0, |s| s.region.start);
        let noise = |i: u32| mix(u64::from(i)).to_le_bytes();
        let bytes: Vec<u8> = (0..SECTOR_SIZE_BYTES / 8).flat_map(noise).collect();
        trial.load(start, &bytes);
        self.bench.nor = trial;
    }

    /// Looks at what the board would do now.
    fn settle(&mut self) {
        let mut first = self.bench.clone();
        let shaky = matches!(self.kind, Kind::TornSeal | Kind::TornBody);
        self.initial = first.boot().filter(|_| !shaky);
        self.record = loaded(&mut first);
        let (counter, revoked) = self.rules.raises();
        self.afterwards = (
            self.record.counter.max(counter),
            self.record.revoked | revoked,
        );
    }

    /// The session that pushes the new image.
    pub fn track(&self) -> Track {
        let mut bench = self.bench.clone();
        bench.nor.power_on();
        let base = bench.nor.clone();
        let mut ops = Vec::new();
        let mut recorder = Recorder {
            nor: &mut bench.nor,
            ops: &mut ops,
        };
        let decided = boot::decide(BootInputs::default(), &bench.config, &mut recorder);
        decided.expect("the flash is good");
        let pushed = bench::push(recorder, &bench.config, &self.file, self.declared);
        assert_eq!(pushed, Ok(Pushed::Committed), "{:?}", self.kind);
        Track { base, ops }
    }
}

/// What the record says at this boot.
pub fn loaded(bench: &mut Bench) -> RecordState {
    let record = Record::load(&mut bench.nor, &bench.config.map);
    record.expect("the flash can be read").state().clone()
}

/// Whether nothing that must never fall has fallen since `before`.
pub fn nothing_fell(before: &RecordState, now: &RecordState) -> Result<(), String> {
    let setting = before.setting(SETTING.0);
    if now.counter < before.counter {
        Err(format!(
            "the counter fell from {} to {}",
            before.counter, now.counter
        ))
    } else if now.revoked & before.revoked != before.revoked {
        Err(format!(
            "revoked keys {:#x} became {:#x}",
            before.revoked, now.revoked
        ))
    } else if setting.is_some() && now.setting(SETTING.0) != setting {
        Err(format!("a setting was lost: {:?}", now.setting(SETTING.0)))
    } else if before.last != Last::Nothing && now.last == Last::Nothing {
        Err("the record forgot its image".into())
    } else {
        Ok(())
    }
}

fn in_the_middle(ops: &[Op]) -> usize {
    ops.len() * 3 / 5
}

fn track_of_push(bench: &Bench, file: &[u8], declared: Option<u32>) -> Track {
    let mut bench = bench.clone();
    bench.nor.power_on();
    let base = bench.nor.clone();
    let mut ops = Vec::new();
    let recorder = Recorder {
        nor: &mut bench.nor,
        ops: &mut ops,
    };
    let pushed = bench::push(recorder, &bench.config, file, declared);
    assert_eq!(pushed, Ok(Pushed::Committed));
    Track { base, ops }
}

/// An `.iap` file with the security counter of all boards here.
pub fn file(payload: &[u8], major: u16, map: &MemoryMap) -> Vec<u8> {
    [&head(payload, major, map).encode(), payload].concat()
}

/// Its header.
pub(super) fn head(payload: &[u8], major: u16, map: &MemoryMap) -> ImageHeader {
    let mut header = header(payload, Version::new(major, 0, 0), map);
    header.security_counter = COUNTER;
    // The emulator's boards take them too.
    header.board = heapless::String::try_from(ANY_BOARD).unwrap_or_default();
    header
}

impl Bench {
    /// Makes an empty board one from production, with `file` committed.
    fn produce(&mut self, counter: u32, file: &[u8]) {
        let map = &self.config.map;
        let sector = map.flash.sector(map.record_sectors[0]);
        let start = sector.map_or(0, |sector| sector.region.start);
        let head = [
            &SectorHeader { generation: 1 }.encode()[..],
            &[0; SEAL_RUN_LEN],
        ]
        .concat();
        self.nor.load(start, &head);
        let (key, value) = SETTING;
        let entries = [
            Entry::Counter { value: counter },
            Entry::Revoked { keys: REVOKED },
            Entry::Setting { key, value },
        ];
        for (slot, entry) in (0..).zip(entries) {
            let bytes: Vec<u8> = [&entry.encode()[..], &SEAL].concat();
            debug_assert_eq!(bytes.len(), ENTRY_LEN);
            self.nor.load(start + log_offset(slot), &bytes);
        }
        assert_eq!(self.push(file), Pushed::Committed);
        self.nor.power_on();
    }
}
