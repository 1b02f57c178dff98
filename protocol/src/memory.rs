//! Where things lie on a board: flash sectors, RAM, and who owns which sector.
//!
//! Built from a board profile on both ends. A [`MemoryMap`] that [`MemoryMap::check`] accepts has sectors without holes and owners
//! that do not overlap; the firmware's flash windows rely on it.

use core::fmt;
use core::ops::Range;

/// Sectors a memory map can hold: an STM32F4 with 2 MiB has 24 (RM0090 section 3.4, table 6).
pub const MAX_SECTORS: usize = 24;
/// RAM regions a memory map can hold.
pub const MAX_RAM_REGIONS: usize = 4;
/// The vector table's address must be a multiple of this (98 vectors, next power of two: ARMv7-M ARM B3.2.5, VTOR).
pub const VECTOR_TABLE_ALIGNMENT: u32 = 512;

/// A half-open range of addresses. Shown as `0x08020000..0x08100000 (896 KiB)`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Region {
    /// First address.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Region {
    /// The region of `len` bytes from `start`.
    pub const fn new(start: u32, len: u32) -> Self {
        Self { start, len }
    }

    /// One past the last address; 64 bits wide because a region may end at 4 GiB.
    pub const fn end(&self) -> u64 {
        (self.start as u64).wrapping_add(self.len as u64) // twice 32 bits do not wrap 64
    }

    /// Whether `address` lies inside.
    pub const fn contains(&self, address: u32) -> bool {
        match address.checked_sub(self.start) {
            Some(offset) => offset < self.len,
            None => false,
        }
    }

    /// Whether all of `other` lies inside; an empty region lies inside where its start does, or at the end.
    pub const fn contains_region(&self, other: &Region) -> bool {
        match other.start.checked_sub(self.start) {
            Some(offset) => offset <= self.len && other.len <= self.len.wrapping_sub(offset),
            None => false,
        }
    }

    /// The offsets in `payload` of what both share; empty at an end of it where they share nothing.
    pub const fn span_in(&self, payload: Region) -> Range<u32> {
        let end = self.start.saturating_add(self.len);
        let (start, end) = (
            self.start.saturating_sub(payload.start),
            end.saturating_sub(payload.start),
        );
        let start = if start < payload.len {
            start
        } else {
            payload.len
        };
        start..if end < payload.len { end } else { payload.len }
    }

    /// Whether the two share an address; an empty region shares none.
    pub const fn overlaps(&self, other: &Region) -> bool {
        let both = self.len > 0 && other.len > 0;
        both && (self.contains(other.start) || other.contains(self.start))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}..", self.start)?;
        match u32::try_from(self.end()) {
            Ok(end) => write!(f, "{end:#010x}")?,
            // Only a region up to the last address ends here; 64-bit formatting would cost the firmware more than the region is worth.
            Err(_) => f.write_str("0x100000000")?,
        }
        write!(f, " ({})", Size(self.len))
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number of bytes for people: `896 KiB` where it is whole KiB, `3464 bytes` elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u32);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            kib if kib >= 1024 && kib.is_multiple_of(1024) => write!(f, "{} KiB", kib / 1024),
            1 => f.write_str("1 byte"),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

/// One flash sector: the smallest part that can be erased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sector {
    /// Number as in the manual (FLASH_CR.SNB counts the same on parts with one bank).
    pub index: u8,
    /// Where it lies.
    pub region: Region,
}

/// A set of flash sectors, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct SectorSet(pub u32);

impl SectorSet {
    /// No sector.
    pub const EMPTY: Self = Self(0);

    /// Whether sector `index` is in the set.
    pub const fn contains(self, index: u8) -> bool {
        index < 32 && self.0 & (1 << index) != 0
    }

    /// Adds sector `index`; indices past 31 are not sectors and leave the set as it is.
    pub const fn insert(&mut self, index: u8) {
        if index < 32 {
            self.0 |= 1 << index;
        }
    }

    /// Takes sector `index` out.
    pub const fn remove(&mut self, index: u8) {
        if index < 32 {
            self.0 &= !(1 << index);
        }
    }

    /// Whether there is no sector in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many sectors are in it.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The sectors that are in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The sectors that are in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The indices in ascending order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |&index| self.contains(index))
    }
}

impl FromIterator<u8> for SectorSet {
    fn from_iter<I: IntoIterator<Item = u8>>(indices: I) -> Self {
        let mut set = Self::EMPTY;
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}

impl fmt::Debug for SectorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The flash of a chip: a base address and the sizes of its sectors in order, without holes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlashMap {
    base: u32,
    sizes: [u32; MAX_SECTORS],
    count: u8,
}

impl FlashMap {
    /// A flash at `base` with sectors of these sizes in bytes; `None` if there are too many, none, an empty one, or the end reaches
    /// 4 GiB.
    #[allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "const: there is no get yet; the indices are below both lengths, the sum of 24 sizes fits"
    )]
    pub const fn new(base: u32, sizes: &[u32]) -> Option<Self> {
        if sizes.is_empty() || sizes.len() > MAX_SECTORS {
            return None;
        }
        let mut map = Self {
            base,
            sizes: [0; MAX_SECTORS],
            count: sizes.len() as u8,
        };
        let mut end = base as u64;
        let mut i = 0;
        while i < sizes.len() {
            end += sizes[i] as u64;
            if sizes[i] == 0 || end > u32::MAX as u64 {
                return None;
            }
            map.sizes[i] = sizes[i];
            i += 1;
        }
        Some(map)
    }

    /// All of it.
    pub fn region(&self) -> Region {
        Region::new(self.base, self.sizes.iter().sum())
    }

    /// The sectors in ascending order.
    pub fn sectors(&self) -> impl Iterator<Item = Sector> + '_ {
        let mut start = self.base;
        (0..self.count).zip(&self.sizes).map(move |(index, &len)| {
            let region = Region::new(start, len);
            start = start.wrapping_add(len);
            Sector { index, region }
        })
    }

    /// Sector `index`.
    #[inline(never)]
    pub fn sector(&self, index: u8) -> Option<Sector> {
        self.sectors().find(|sector| sector.index == index)
    }

    /// The sector in which `address` lies.
    pub fn sector_at(&self, address: u32) -> Option<Sector> {
        self.sectors()
            .find(|sector| sector.region.contains(address))
    }

    /// The sectors that `region` touches.
    #[inline(never)]
    pub fn sectors_of(&self, region: Region) -> SectorSet {
        self.sectors()
            .filter(|sector| sector.region.overlaps(&region))
            .map(|sector| sector.index)
            .collect()
    }
}

/// Where everything lies on one board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryMap {
    /// The chip's flash.
    pub flash: FlashMap,
    /// The sectors of the IAP firmware: no update reaches them.
    pub iap_sectors: SectorSet,
    /// The two sectors of the boot record.
    pub record_sectors: [u8; 2],
    /// User flash: from USER_FLASH_FIRST_PAGE_ADDRESS, which must begin a sector, to the end.
    pub application: Region,
    /// Sectors inside `application` that belong to the application's own data and are written only by images with the DATA flag.
    pub data_sectors: SectorSet,
    /// RAM regions a stack may lie in; unused ones have length 0.
    pub ram: [Region; MAX_RAM_REGIONS],
    /// Words in the vector table: 16 exceptions and the chip's interrupts.
    pub vector_count: u16,
}

/// Why a memory map is not usable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// USER_FLASH_FIRST_PAGE_ADDRESS is not the first address of a sector, or the application does not end where one ends.
    ApplicationNotOnSectors(Region),
    /// A sector is named that the chip does not have.
    NoSuchSector(u8),
    /// Two owners claim this sector.
    Overlap(u8),
    /// The two record sectors are the same one.
    OneRecordSector(u8),
    /// A record sector is smaller than the record format needs.
    RecordSectorTooSmall(u8),
    /// A data sector lies outside user flash.
    DataOutsideApplication(u8),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApplicationNotOnSectors(region) => {
                write!(
                    f,
                    "user flash {region} does not begin and end on sector boundaries"
                )
            }
            Self::NoSuchSector(index) => write!(f, "the chip has no flash sector {index}"),
            Self::Overlap(index) => {
                write!(
                    f,
                    "flash sector {index} has two owners among IAP firmware, boot record and application"
                )
            }
            Self::OneRecordSector(index) => write!(
                f,
                "both record sectors are sector {index}, they must differ"
            ),
            Self::RecordSectorTooSmall(index) => {
                write!(
                    f,
                    "record sector {index} is smaller than {} bytes",
                    crate::record::SECTOR_SIZE_BYTES
                )
            }
            Self::DataOutsideApplication(index) => {
                write!(f, "data sector {index} lies outside user flash")
            }
        }
    }
}

impl core::error::Error for MapError {}

impl MemoryMap {
    /// Refuses a map in which sectors are missing, too small, or claimed twice.
    pub fn check(&self) -> Result<(), MapError> {
        let application = self.application_sectors();
        let covered: u64 = application
            .iter()
            .filter_map(|i| self.flash.sector(i))
            .map(|s| u64::from(s.region.len))
            .sum();
        // The sum alone would accept a region that begins inside a sector and sticks out of the flash by as much.
        let inside = self.flash.region().contains_region(&self.application);
        if !inside || covered != u64::from(self.application.len) || self.application.len == 0 {
            return Err(MapError::ApplicationNotOnSectors(self.application));
        }
        let [first, second] = self.record_sectors;
        if first == second {
            return Err(MapError::OneRecordSector(first));
        }
        let mut owned = application;
        for index in self.iap_sectors.iter().chain(self.record_sectors) {
            let sector = self
                .flash
                .sector(index)
                .ok_or(MapError::NoSuchSector(index))?;
            if owned.contains(index) {
                return Err(MapError::Overlap(index));
            }
            if self.record_sectors.contains(&index)
                && sector.region.len < crate::record::SECTOR_SIZE_BYTES
            {
                return Err(MapError::RecordSectorTooSmall(index));
            }
            owned.insert(index);
        }
        match self
            .data_sectors
            .iter()
            .find(|&index| !application.contains(index))
        {
            Some(index) => Err(MapError::DataOutsideApplication(index)),
            None => Ok(()),
        }
    }

    /// USER_FLASH_FIRST_PAGE_ADDRESS.
    pub fn user_flash_first_page_address(&self) -> u32 {
        self.application.start
    }

    /// The sectors of user flash, data sectors among them.
    pub fn application_sectors(&self) -> SectorSet {
        self.flash.sectors_of(self.application)
    }

    /// RAM regions in use.
    pub fn ram_regions(&self) -> impl Iterator<Item = Region> + '_ {
        self.ram.iter().copied().filter(|region| region.len > 0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn full_map() -> MemoryMap {
        const K: u32 = 1024;
        let sizes = [
            16 * K,
            16 * K,
            16 * K,
            16 * K,
            64 * K,
            128 * K,
            128 * K,
            128 * K,
            128 * K,
            128 * K,
            128 * K,
            128 * K,
        ];
        MemoryMap {
            flash: FlashMap::new(0x0800_0000, &sizes).unwrap(),
            iap_sectors: [0, 3, 4].into_iter().collect(),
            record_sectors: [1, 2],
            application: Region::new(0x0802_0000, 896 * K),
            data_sectors: SectorSet::EMPTY,
            ram: [
                Region::new(0x2000_0000, 128 * K),
                Region::new(0x1000_0000, 64 * K),
                Region::default(),
                Region::default(),
            ],
            vector_count: 98,
        }
    }

    #[test]
    fn regions_are_compared_as_if_addresses_had_64_bits() {
        let edges = [0, 1, 2, 0x8000_0000, u32::MAX - 1, u32::MAX];
        let pairs = edges.map(|start| edges.map(|len| Region::new(start, len)));
        let regions = pairs.as_flattened();
        for a in regions {
            let (start, end) = (u64::from(a.start), a.end());
            for address in edges {
                let inside = (start..end).contains(&address.into());
                assert_eq!(a.contains(address), inside, "{a} {address:#x}");
            }
            for b in regions {
                let (from, to) = (u64::from(b.start), b.end());
                let inside = from >= start && to <= end;
                assert_eq!(a.contains_region(b), inside, "{a} {b}");
                let shared = start.max(from) < end.min(to);
                assert_eq!(a.overlaps(b), shared, "{a} {b}");
            }
        }
    }

    #[test]
    fn sectors_follow_each_other_without_holes() {
        let map = full_map();
        let mut next = 0x0800_0000;
        for sector in map.flash.sectors() {
            assert_eq!(sector.region.start, next);
            next += sector.region.len;
        }
        assert_eq!(next, 0x0810_0000);
        assert_eq!(map.flash.sector_at(0x0802_0000).unwrap().index, 5);
        assert_eq!(map.flash.sector_at(0x0801_FFFF).unwrap().index, 4);
        assert_eq!(map.flash.sector_at(0x0810_0000), None);
        assert_eq!(map.application_sectors(), (5..12).collect());
        assert_eq!(map.check(), Ok(()));
    }

    #[test]
    fn maps_with_two_owners_or_missing_sectors_are_refused() {
        let refused = |change: fn(&mut MemoryMap)| {
            let mut map = full_map();
            change(&mut map);
            map.check().unwrap_err()
        };
        assert_eq!(refused(|m| m.iap_sectors.insert(5)), MapError::Overlap(5));
        assert_eq!(refused(|m| m.record_sectors = [3, 2]), MapError::Overlap(3));
        assert_eq!(
            refused(|m| m.record_sectors = [1, 1]),
            MapError::OneRecordSector(1)
        );
        assert_eq!(
            refused(|m| m.record_sectors = [1, 12]),
            MapError::NoSuchSector(12)
        );
        assert_eq!(
            refused(|m| m.data_sectors.insert(4)),
            MapError::DataOutsideApplication(4)
        );
        let shifted = Region::new(0x0802_0200, 0x1000);
        assert_eq!(
            refused(|m| m.application = Region::new(0x0802_0200, 0x1000)),
            MapError::ApplicationNotOnSectors(shifted)
        );
        let past_the_end = Region::new(0x0802_0200, 896 * 1024);
        assert_eq!(
            refused(|m| m.application.start += 0x200),
            MapError::ApplicationNotOnSectors(past_the_end)
        );
    }

    #[test]
    fn an_empty_region_overlaps_nothing() {
        let empty = Region::new(0x0802_0010, 0);
        let around = Region::new(0x0802_0000, 0x100);
        assert!(!empty.overlaps(&around) && !around.overlaps(&empty));
        assert!(around.contains_region(&empty));
    }

    #[test]
    fn regions_are_shown_with_their_size() {
        extern crate std;
        assert_eq!(
            std::format!("{}", Region::new(0x0801_0000, 960 * 1024)),
            "0x08010000..0x08100000 (960 KiB)"
        );
        assert_eq!(std::format!("{}", Size(3464)), "3464 bytes");
    }
}
