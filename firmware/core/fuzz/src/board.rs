//! A board that costs little to make anew for each input: a small flash that keeps the rules of NOR, and an intake without one.

use std::collections::VecDeque;

use iap_core::config::{Config, NetworkConfig};
use iap_core::flash::{Flash, FlashError, FlashFault};
use iap_core::intake::{Intake, Outcome, Source, Ticket};
use iap_protocol::ErrorCode;
use iap_protocol::crc::Crc32;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER};
use iap_protocol::memory::{FlashMap, MemoryMap, Region, Sector, SectorSet};
use iap_protocol::status::Policy;
use smoltcp::time::Instant;
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

pub const BASE: u32 = 0x0800_0000;
const KIB: u32 = 1024;
/// IAP firmware, two record sectors, two sectors of the application.
const SECTORS: [u32; 5] = [KIB, 16 * KIB, 16 * KIB, KIB, 2 * KIB];
const FLASH_LEN: usize = 36 * 1024;

pub fn map() -> MemoryMap {
    let map = MemoryMap {
        flash: FlashMap::new(BASE, &SECTORS).unwrap(),
        iap_sectors: [0].into_iter().collect(),
        record_sectors: [1, 2],
        application: Region::new(BASE + 33 * KIB, 3 * KIB),
        data_sectors: SectorSet::EMPTY,
        ram: [
            Region::new(0x2000_0000, 128 * KIB),
            Region::default(),
            Region::default(),
            Region::default(),
        ],
        vector_count: 98,
    };
    map.check().unwrap();
    map
}

pub fn config() -> Config {
    Config {
        board: "sim",
        map: map(),
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
            gateway: None,
            host_name: "",
        },
        auto_start_s: 0,
        iap_idle_s: 0,
        power_on_window_s: 0,
    }
}

/// A NOR flash: erasing sets the bits of a sector, programming clears bits and never sets one, as the chip does it.
pub struct Nor {
    pub bytes: Vec<u8>,
}

impl Nor {
    pub fn erased() -> Self {
        Self {
            bytes: vec![0xFF; FLASH_LEN],
        }
    }

    fn range(region: Region) -> Result<core::ops::Range<usize>, FlashError> {
        let start = region.start.wrapping_sub(BASE) as usize;
        match start.checked_add(region.len as usize) {
            Some(end) if end <= FLASH_LEN => Ok(start..end),
            _ => Err(FlashError::new(FlashFault::Read, region.start)),
        }
    }
}

impl Flash for Nor {
    fn read(&self, address: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let range = Self::range(Region::new(address, bytes.len() as u32))?;
        bytes.copy_from_slice(&self.bytes[range]);
        Ok(())
    }

    fn erase(&mut self, sector: Sector) -> Result<(), FlashError> {
        assert_ne!(sector.index, 0, "the IAP firmware is never erased");
        self.bytes[Self::range(sector.region)?].fill(0xFF);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        assert!(address >= BASE + SECTORS[0], "nor programmed");
        assert!(address.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        let range = Self::range(Region::new(address, bytes.len() as u32))?;
        for (cell, byte) in self.bytes[range].iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }

    fn crc32(&mut self, resume: u32, region: Region) -> Result<u32, FlashError> {
        let mut crc = Crc32::resume(resume);
        crc.update(&self.bytes[Self::range(region)?]);
        Ok(crc.finish())
    }
}

/// An intake that holds the servers to its contract, and does what the input says: how much room there is, and what becomes of it all.
pub struct Upload {
    tickets: u32,
    pub room: usize,
    pub refuses: bool,
    pub taken: usize,
    pub finished: bool,
    outcome: Option<Outcome>,
    pub sources: VecDeque<Source>,
}

impl Upload {
    pub fn new() -> Self {
        Self {
            tickets: 0,
            room: usize::MAX,
            refuses: false,
            taken: 0,
            finished: false,
            outcome: None,
            sources: VecDeque::new(),
        }
    }

    /// The flash gets on: an upload that is complete comes to its end.
    pub fn step(&mut self, good: bool) {
        if self.finished && self.is_busy() {
            self.outcome = Some(match good {
                true => Outcome::Committed,
                false => Outcome::Failed(ErrorCode::FlashVerify.into()),
            });
        }
    }

    fn running(&mut self, ticket: Ticket, why: &mut Refusal) -> Result<(), Refused> {
        match self.outcome(ticket) {
            Outcome::Running => Ok(()),
            Outcome::Failed(refusal) => Err(why.refuse_as(refusal)),
            _ => Err(why.refuse(ErrorCode::TakenOver)),
        }
    }
}

impl Intake for Upload {
    fn begin(
        &mut self,
        _: Instant,
        source: Source,
        _: Option<u32>,
        why: &mut Refusal,
    ) -> Result<Ticket, Refused> {
        if self.is_busy() {
            return Err(why.refuse(ErrorCode::Busy));
        }
        self.tickets += 1;
        (self.taken, self.finished) = (0, false);
        self.outcome = Some(Outcome::Running);
        self.sources = [source].into();
        Ok(Ticket(self.tickets))
    }

    fn room(&self) -> usize {
        self.room
    }

    fn accept(&mut self, ticket: Ticket, bytes: &[u8], why: &mut Refusal) -> Result<(), Refused> {
        self.running(ticket, why)?;
        assert!(bytes.len() <= self.room, "more than there was room for");
        assert!(!self.finished, "bytes after the end");
        self.taken += bytes.len();
        if self.refuses {
            let refused = why.refuse(ErrorCode::WrongBoard);
            self.outcome = Some(Outcome::Failed(why.clone()));
            return Err(refused);
        }
        Ok(())
    }

    fn finish(&mut self, ticket: Ticket, why: &mut Refusal) -> Result<(), Refused> {
        self.running(ticket, why)?;
        assert!(!self.finished, "an end after the end");
        self.finished = true;
        Ok(())
    }

    fn abort(&mut self, ticket: Ticket, reason: &Refusal) {
        if *self.outcome(ticket) == Outcome::Running {
            self.outcome = Some(Outcome::Failed(reason.clone()));
        }
    }

    fn outcome(&self, ticket: Ticket) -> &Outcome {
        match &self.outcome {
            Some(outcome) if ticket.0 == self.tickets => outcome,
            _ => &Outcome::TakenOver,
        }
    }

    fn is_busy(&self) -> bool {
        self.outcome == Some(Outcome::Running)
    }
}
