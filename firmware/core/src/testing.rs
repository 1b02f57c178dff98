//! What the tests of several modules need: a board, its flash, and applications for it.

extern crate std;

use std::cell::Cell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use iap_protocol::crc::Crc32;
use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER};
use iap_protocol::memory::{FlashMap, MemoryMap, Region, Sector, SectorSet};
use iap_protocol::status::Policy;
use smoltcp::time::Instant;
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

use crate::config::{Config, NetworkConfig};
use crate::flash::{Flash, FlashError, FlashFault};

const KIB: u32 = 1024;
/// Where the flash of the test board begins.
const BASE: u32 = 0x0800_0000;

/// An STM32F407 with the flash map `full` and a static address.
pub(crate) fn config() -> Config {
    let mut sizes = [128 * KIB; 12];
    sizes[..5].copy_from_slice(&[16 * KIB, 16 * KIB, 16 * KIB, 16 * KIB, 64 * KIB]);
    let map = MemoryMap {
        flash: FlashMap::new(BASE, &sizes).unwrap(),
        iap_sectors: [0, 3, 4].into_iter().collect(),
        record_sectors: [1, 2],
        application: Region::new(BASE + 128 * KIB, 896 * KIB),
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
    Config {
        board: "sim",
        map,
        policy: Policy::Open,
        bare_rule: false,
        public_keys: &[],
        security_counter: 0,
        boot_signature: false,
        user: DEFAULT_USER,
        password: DEFAULT_PASSWORD,
        network: NetworkConfig {
            use_dhcp: false,
            dhcp_fallback_s: 30,
            address: Ipv4Cidr::new(Ipv4Address::new(192, 168, 0, 10), 24),
            gateway: Some(Ipv4Address::new(192, 168, 0, 1)),
            host_name: "iap-sim",
        },
        auto_start_s: 0,
        iap_idle_s: 0,
        power_on_window_s: 0,
    }
}

/// An application of `len` bytes that would start.
pub(crate) fn application(len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|i| (i / 7 + i) as u8).collect();
    for n in 0..16 {
        let word: u32 = if n == 0 { 0x2002_0000 } else { 0x0802_0041 };
        bytes[4 * n..4 * n + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A clock that several can hold; it moves when they say so.
#[derive(Clone, Default)]
pub(crate) struct Clock(Rc<Cell<i64>>);

impl Clock {
    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.0.get())
    }

    pub(crate) fn advance_to(&self, at: Instant) {
        self.0.set(self.0.get().max(at.total_micros()));
    }

    fn pass(&self, micros: i64) {
        self.0.set(self.0.get() + micros);
    }
}

/// A NOR flash that takes its time (STM32F407 datasheet DS8626 table 40, typical values at x32: 16 us per word, 1 s per 128 KiB).
pub(crate) struct Nor {
    pub(crate) bytes: Vec<u8>,
    pub(crate) supply_low: bool,
    clock: Clock,
}

impl Nor {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            bytes: vec![0xFF; 1024 * KIB as usize],
            supply_low: false,
            clock: clock.clone(),
        }
    }

    fn check_supply(&self, address: u32) -> Result<(), FlashError> {
        if self.supply_low {
            return Err(FlashError::new(FlashFault::SupplyLow, address));
        }
        Ok(())
    }

    fn range(region: Region) -> Result<core::ops::Range<usize>, FlashError> {
        let start = region.start.wrapping_sub(BASE) as usize;
        let end = start + region.len as usize;
        if end > 1024 * KIB as usize {
            return Err(FlashError::new(FlashFault::Read, region.start));
        }
        Ok(start..end)
    }
}

impl Flash for Nor {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let range = Self::range(Region::new(address, bytes.len() as u32))?;
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        self.check_supply(sector.region.start)?;
        self.clock
            .pass(1_000_000 * i64::from(sector.region.len) / i64::from(128 * KIB));
        self.bytes[Self::range(sector.region)?].fill(0xFF);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.check_supply(address)?;
        let range = Self::range(Region::new(address, bytes.len() as u32))?;
        self.clock.pass(16 * bytes.len() as i64 / 4);
        for (cell, byte) in self.bytes[range].iter_mut().zip(bytes) {
            assert_eq!(*cell & byte, *byte, "a bit goes from 1 to 0 only");
            *cell = *byte;
        }
        Ok(())
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        let mut crc = Crc32::resume(resume);
        crc.update(&self.bytes[Self::range(region)?]);
        Ok(crc.finish())
    }
}
