//! A board reduced to its flash: images go through the update machine, resets through the boot decision, without a network and
//! without time. What tests of the core, power cut sweeps and fault tests work on.
//!
//! A fixture that does not work is a bug of the test, so what cannot fail here panics.

use iap_core::boot::{self, BootInputs, Decision};
use iap_core::config::Config;
use iap_core::flash::{Flash, FlashError};
use iap_core::intake::{Intake, Outcome, Source, Ticket, Transport};
use iap_core::update::{Ring, Step, Updater};
use iap_profile::Profile;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::header::ImageHeader;
use iap_protocol::memory::{FlashMap, MemoryMap, Region, Sector};
use iap_protocol::version::Version;
use smoltcp::time::Instant;
use smoltcp::wire::Ipv4Address;

use crate::image;
use crate::nor::{FlashTimes, Nor};
use crate::settings;

/// The RAM ring of the update: its parts in SRAM and in CCM, as on the chip.
pub const RING: [usize; 2] = [44 * 1024, 52 * 1024];
/// Frames that the board's Ethernet holds until the core takes them, as on the chip.
pub const RECEIVE_RING: usize = 17;
/// First address of user flash in [`real_map`].
pub const APPLICATION: u32 = 0x0802_0000;
/// More steps than any update takes.
const MAX_STEPS: u32 = 10_000_000;

fn profile() -> Profile {
    Profile::builtin("sim").expect("the profile is built in")
}

/// The flash map `full` of the STM32F407.
pub fn real_map() -> MemoryMap {
    profile().memory_map().clone()
}

/// The same runs of sectors with the application's ones scaled down by 64, so that every single operation can be tried. The record's
/// sectors keep their size: the format needs it.
pub fn scaled_map() -> MemoryMap {
    const KIB: u32 = 1024;
    let real = real_map();
    let mut sizes = vec![16 * KIB; 4];
    sizes.push(64 * KIB);
    sizes.extend([2 * KIB; 7]);
    let map = MemoryMap {
        flash: FlashMap::new(real.flash.region().start, &sizes).expect("12 sectors"),
        application: Region::new(APPLICATION, 14 * KIB),
        ..real
    };
    map.check().expect("sectors without holes");
    map
}

/// The configuration of the board `sim` with this map, without the bare rule.
pub fn config(map: MemoryMap) -> Config {
    Config {
        map,
        bare_rule: false,
        public_keys: &[],
        security_counter: 0,
        boot_signature: false,
        ..settings::config(&profile())
    }
}

/// A payload that would start: a vector table, then bytes that depend on `seed`. As short as may be: [`crate::image::application`] brings
/// a descriptor, too.
pub fn payload(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) ^ (i >> 8) as u8)
        .collect();
    let mut words = [0u32; 16];
    (words[0], words[1]) = (0x2002_0000, APPLICATION + 0x21);
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The header that iapctl would put in front of `payload`.
pub fn header(payload: &[u8], version: Version, map: &MemoryMap) -> ImageHeader {
    ImageHeader {
        version,
        ..image::header(map, "sim", payload)
    }
}

/// A complete `.iap` file.
pub fn iap(payload: &[u8], version: (u16, u16, u16), map: &MemoryMap) -> Vec<u8> {
    let header = header(payload, Version::new(version.0, version.1, version.2), map);
    [&header.encode(), payload].concat()
}

/// What became of a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pushed {
    /// It is in flash, verified and recorded.
    Committed,
    /// The board refused it.
    Refused(Refusal),
    /// The power was cut.
    PowerLost,
}

/// A board without a network.
#[derive(Clone)]
pub struct Bench {
    /// Its flash.
    pub nor: Nor,
    /// What its firmware knows about it.
    pub config: Config,
}

impl Bench {
    /// A board with an erased flash; `seed` decides how bits touched by a cut read.
    pub fn new(map: MemoryMap, seed: u64) -> Self {
        let nor = Nor::new(map.flash.clone(), FlashTimes::ZERO, seed).panic_on_violation();
        Self {
            nor,
            config: config(map),
        }
    }

    /// A board on which `payload` was committed.
    pub fn with_application(map: MemoryMap, payload: &[u8], seed: u64) -> Self {
        let mut board = Self::new(map, seed);
        let file = iap(payload, (1, 0, 0), &board.config.map);
        assert_eq!(board.push(&file), Pushed::Committed);
        board
    }

    /// Hands `file` over in pieces, as fast as the machine takes it; `declared` as the client announced it.
    pub fn push_declared(&mut self, file: &[u8], declared: Option<u32>) -> Pushed {
        let pushed = push(&mut self.nor, &self.config, file, declared);
        match self.nor.is_off() {
            true => Pushed::PowerLost,
            false => pushed.expect("the record can be read"),
        }
    }

    /// The same with a client that announces the true length.
    pub fn push(&mut self, file: &[u8]) -> Pushed {
        self.push_declared(file, Some(file.len() as u32))
    }

    /// Resets or powers the board on, and decides; `None` if the power was cut while it did.
    pub fn boot(&mut self) -> Option<Decision> {
        self.nor.power_on();
        self.decide(BootInputs::default())
    }

    /// Decides what to start, without a reset.
    pub fn decide(&mut self, inputs: BootInputs) -> Option<Decision> {
        let decision = boot::decide(inputs, &self.config, &mut self.nor);
        (!self.nor.is_off()).then(|| decision.expect("the flash can be read and repaired"))
    }

    /// The first bytes of user flash.
    pub fn application_bytes(&self, len: usize) -> Vec<u8> {
        let start = self.config.map.application.start;
        self.nor.content_of(start..start + len as u32)
    }
}

/// A client for the benches.
pub fn source() -> Source {
    Source {
        transport: Transport::Tftp,
        peer: Ipv4Address::new(192, 168, 0, 1),
    }
}

/// One push from the reset of the board to the verdict.
pub fn push<F: Flash>(
    flash: F,
    config: &Config,
    file: &[u8],
    declared: Option<u32>,
) -> Result<Pushed, FlashError> {
    push_with_ring(RING, flash, config, file, declared)
}

/// The same on a board with a ring of these two parts, which must hold a block: one that an image does not fit is written as it comes.
pub fn push_with_ring<F: Flash>(
    ring: [usize; 2],
    flash: F,
    config: &Config,
    file: &[u8],
    declared: Option<u32>,
) -> Result<Pushed, FlashError> {
    let [mut sram, mut ccm] = ring.map(|len| vec![0; len]);
    let mut updater = Updater::new(flash, config, Ring::new([&mut sram, &mut ccm]))?;
    Ok(transfer(&mut updater, file, declared))
}

/// Hands `file` over to a board that runs, and waits for the verdict.
pub fn transfer<F: Flash>(
    updater: &mut Updater<'_, F>,
    file: &[u8],
    declared: Option<u32>,
) -> Pushed {
    let mut why = Refusal::unsaid();
    let Ok(ticket) = updater.begin(Instant::ZERO, source(), declared, &mut why) else {
        return Pushed::Refused(why);
    };
    let handed_over =
        feed(updater, ticket, file, &mut why).and_then(|()| updater.finish(ticket, &mut why));
    if handed_over.is_err() {
        return Pushed::Refused(why);
    }
    for _ in 0..MAX_STEPS {
        match updater.outcome(ticket) {
            Outcome::Committed => return Pushed::Committed,
            Outcome::Failed(refusal) => return Pushed::Refused(refusal.clone()),
            Outcome::TakenOver => panic!("by whom"),
            Outcome::Running => updater.step(),
        };
    }
    panic!("the update never ends");
}

/// Feeds blocks of a size that is no power of two; the machine works only when it has to.
pub fn feed<F: Flash>(
    updater: &mut Updater<'_, F>,
    ticket: Ticket,
    file: &[u8],
    why: &mut Refusal,
) -> Result<(), Refused> {
    for block in file.chunks(1428) {
        let mut steps = 0;
        while updater.room() < block.len() {
            assert!(updater.step() != Step::Idle, "no room, and nothing to do");
            steps += 1;
            assert!(steps < MAX_STEPS, "room never comes");
            if let Outcome::Failed(refusal) = updater.outcome(ticket) {
                return Err(why.refuse_as(refusal));
            }
        }
        updater.accept(ticket, block, why)?;
    }
    Ok(())
}

impl Flash for &mut Nor {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        (**self).read(address, bytes)
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        (**self).erase(sector)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        (**self).program(address, bytes)
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        (**self).crc32(resume, region)
    }
}
