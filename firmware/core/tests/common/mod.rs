//! A board reduced to its flash: pushes images through the update machine and boots, without a network.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)] // each test file uses its own part of this

use iap_core::boot::{self, BootInputs, Decision};
use iap_core::config::{Config, NetworkConfig};
use iap_core::intake::{Intake, Outcome, Source, Ticket, Transport};
use iap_core::update::{Ring, Step, Updater};
use iap_protocol::crc::crc32;
use iap_protocol::error::Refusal;
use iap_protocol::header::{ImageHeader, PayloadDigest};
use iap_protocol::memory::{FlashMap, MemoryMap, Region, SectorSet};
use iap_protocol::status::Policy;
use iap_protocol::version::Version;
use iap_sim::nor::{FlashTimes, Nor};
use sha2::{Digest, Sha256};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, Ipv4Address, Ipv4Cidr};

const KIB: u32 = 1024;
/// The ring of the tests: SRAM and CCM parts as on the chip, 96 KiB in all.
pub const RING: [usize; 2] = [56 * 1024, 40 * 1024];
/// First address of user flash in [`real_map`].
pub const APPLICATION: u32 = 0x0802_0000;

/// The flash map `full` of the STM32F407.
pub fn real_map() -> MemoryMap {
    let mut sizes = vec![16 * KIB; 4];
    sizes.push(64 * KIB);
    sizes.extend([128 * KIB; 7]);
    map(&sizes, Region::new(APPLICATION, 896 * KIB))
}

/// The same runs of sectors with the application's ones scaled down by 64, so that every single operation can be tried.
pub fn scaled_map() -> MemoryMap {
    let mut sizes = vec![16 * KIB; 4];
    sizes.push(64 * KIB);
    sizes.extend([2 * KIB; 7]);
    map(&sizes, Region::new(APPLICATION, 14 * KIB))
}

fn map(sizes: &[u32], application: Region) -> MemoryMap {
    let map = MemoryMap {
        flash: FlashMap::new(0x0800_0000, sizes).unwrap(),
        iap_sectors: [0, 3, 4].into_iter().collect(),
        record_sectors: [1, 2],
        application,
        data_sectors: SectorSet::EMPTY,
        ram: [
            Region::new(0x2000_0000, 128 * KIB),
            Region::new(0x1000_0000, 64 * KIB),
            Region::default(),
            Region::default(),
        ],
        vector_count: 98,
    };
    map.check().unwrap();
    map
}

pub fn config(map: MemoryMap) -> Config {
    Config {
        board: "sim".try_into().unwrap(),
        map,
        policy: Policy::Open,
        bare_rule: false,
        user: "user".try_into().unwrap(),
        password: "stm32".try_into().unwrap(),
        network: NetworkConfig {
            mac: EthernetAddress([2, 0, 0, 0, 0, 1]),
            use_dhcp: false,
            dhcp_fallback_s: 30,
            address: Ipv4Cidr::new(Ipv4Address::new(192, 168, 0, 10), 24),
            gateway: None,
            host_name: "iap".try_into().unwrap(),
        },
        auto_start_s: 5,
        iap_idle_s: 300,
        power_on_window_s: 0,
    }
}

/// A payload that would start: a vector table, then bytes that depend on `seed`.
pub fn payload(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) ^ (i >> 8) as u8)
        .collect();
    let mut words = [0u32; 16];
    (words[0], words[1]) = (0x2002_0000, APPLICATION + 0x21);
    for (i, word) in words.iter().enumerate() {
        if let Some(place) = bytes.get_mut(4 * i..4 * i + 4) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
    bytes
}

/// The header that iapctl would put in front of `payload`.
pub fn header(payload: &[u8], version: Version, map: &MemoryMap) -> ImageHeader {
    let mut header = ImageHeader {
        board: "sim".try_into().unwrap(),
        version,
        load_address: map.application.start,
        payload_size: payload.len() as u32,
        payload_crc32: crc32(payload),
        digest: PayloadDigest::Sha256(Sha256::digest(payload).into()),
        ..ImageHeader::default()
    };
    for sector in map.flash.sectors() {
        let start = sector.region.start.saturating_sub(map.application.start) as usize;
        let end = (sector
            .region
            .end()
            .saturating_sub(u64::from(map.application.start)) as usize)
            .min(payload.len());
        if sector.region.start >= map.application.start && start < end {
            header.sector_crc32[usize::from(sector.index)] = crc32(&payload[start..end]);
        }
    }
    header
}

/// A complete `.iap` file.
pub fn iap(payload: &[u8], version: (u16, u16, u16), map: &MemoryMap) -> Vec<u8> {
    let header = header(payload, Version::new(version.0, version.1, version.2), map);
    [&header.encode(), payload].concat()
}

/// What became of a push.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pushed {
    Committed,
    Refused(Refusal),
    /// The power was cut.
    PowerLost,
}

pub struct Board {
    pub nor: Nor,
    pub config: Config,
}

impl Board {
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
        let (mut sram, mut ccm) = (vec![0; RING[0]], vec![0; RING[1]]);
        let ring = Ring::new([&mut sram, &mut ccm]);
        let nor = std::mem::replace(
            &mut self.nor,
            Nor::new(self.config.map.flash.clone(), FlashTimes::ZERO, 0),
        );
        let mut spare = nor.clone();
        match Updater::new(nor, &self.config, ring) {
            Ok(mut updater) => {
                let pushed = transfer(&mut updater, file, declared);
                self.nor = updater.into_flash();
                if self.nor.is_off() {
                    Pushed::PowerLost
                } else {
                    pushed
                }
            }
            Err(error) => {
                spare.power_off();
                self.nor = spare;
                panic!("the record cannot be read: {error}");
            }
        }
    }

    pub fn push(&mut self, file: &[u8]) -> Pushed {
        self.push_declared(file, Some(file.len() as u32))
    }

    /// Resets or powers the board on, and decides; `None` if the power was cut while it did.
    pub fn boot(&mut self) -> Option<Decision> {
        self.nor.power_on();
        self.decide(BootInputs::default())
    }

    pub fn decide(&mut self, inputs: BootInputs) -> Option<Decision> {
        let decision = boot::decide(inputs, &self.config, &mut self.nor);
        if self.nor.is_off() {
            None
        } else {
            Some(decision.unwrap())
        }
    }

    /// The bytes of user flash.
    pub fn application_bytes(&self, len: usize) -> Vec<u8> {
        let start = (self.config.map.application.start - 0x0800_0000) as usize;
        self.nor.content()[start..start + len].to_vec()
    }
}

pub fn source() -> Source {
    Source {
        transport: Transport::Tftp,
        peer: Ipv4Address::new(192, 168, 0, 1),
    }
}

fn transfer(updater: &mut Updater<'_, Nor>, file: &[u8], declared: Option<u32>) -> Pushed {
    let ticket = match updater.begin(Instant::ZERO, source(), declared) {
        Ok(ticket) => ticket,
        Err(refusal) => return Pushed::Refused(refusal),
    };
    if let Err(refusal) = feed(updater, ticket, file) {
        return Pushed::Refused(refusal);
    }
    if let Err(refusal) = updater.finish(ticket) {
        return Pushed::Refused(refusal);
    }
    for _ in 0..10_000_000u32 {
        match updater.outcome(ticket) {
            Outcome::Committed => return Pushed::Committed,
            Outcome::Failed(refusal) => return Pushed::Refused(refusal),
            Outcome::Running => updater.step(),
        };
    }
    panic!("the update never ends");
}

/// Feeds blocks of a size that is no power of two; the machine works only when it has to.
fn feed(updater: &mut Updater<'_, Nor>, ticket: Ticket, file: &[u8]) -> Result<(), Refusal> {
    for block in file.chunks(1428) {
        let mut steps = 0u32;
        while updater.room() < block.len() {
            if updater.step() == Step::Idle {
                panic!("no room, and nothing to do");
            }
            steps += 1;
            assert!(steps < 10_000_000, "room never comes");
            if let Outcome::Failed(refusal) = updater.outcome(ticket) {
                return Err(refusal);
            }
        }
        updater.accept(ticket, block)?;
    }
    Ok(())
}
