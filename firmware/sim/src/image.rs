//! Applications for tests: real to everything that looks at bytes, though no processor will run them.
//!
//! A vector table that every check accepts, an `.iap_info` descriptor, and a body that is different in every word, so that a block in the
//! wrong place shows.

use iap_protocol::crc::crc32;
use iap_protocol::header::{Flags, ImageHeader, PayloadDigest};
use iap_protocol::info::{INFO_LEN, ImageInfo};
use iap_protocol::memory::{FlashMap, MAX_SECTORS, MemoryMap, Region};
use iap_protocol::vectors::SYSTEM_VECTORS_LEN;
use iap_protocol::version::Version;
use sha2::{Digest, Sha256};

use crate::rng::mix;

/// The least an application from here has: a vector table, the descriptor and a word of code.
pub const MIN_LEN: usize = SYSTEM_VECTORS_LEN + INFO_LEN + 4;

/// An application of `len` bytes (at least [`MIN_LEN`]) linked at the map's USER_FLASH_FIRST_PAGE_ADDRESS.
pub fn application(map: &MemoryMap, version: (u16, u16, u16), len: usize) -> Vec<u8> {
    let seed = u64::from(version.0) << 32 | u64::from(version.1) << 16 | u64::from(version.2);
    let mut bytes: Vec<u8> = (0..)
        .flat_map(|i| (mix(seed ^ mix(i)) as u32).to_le_bytes())
        .take(len.max(MIN_LEN))
        .collect();
    let code = map.user_flash_first_page_address() + (SYSTEM_VECTORS_LEN + INFO_LEN) as u32;
    let stack = map.ram_regions().next().map_or(0, |ram| ram.end() as u32);
    let mut words = [code | 1; SYSTEM_VECTORS_LEN / 4];
    words[0] = stack;
    words[7..11].fill(0); // reserved (ARMv7-M ARM B1.5.3)
    for (field, word) in bytes.chunks_exact_mut(4).zip(words) {
        field.copy_from_slice(&word.to_le_bytes());
    }
    let info = ImageInfo::encode(version, "", "any", Flags::default());
    bytes[SYSTEM_VECTORS_LEN..SYSTEM_VECTORS_LEN + INFO_LEN].copy_from_slice(&info);
    bytes
}

/// The header that `iapctl convert` would put in front of `payload`.
pub fn header(map: &MemoryMap, board: &str, payload: &[u8]) -> ImageHeader {
    let load_address = map.user_flash_first_page_address();
    let info = ImageInfo::find(payload);
    ImageHeader {
        board: heapless::String::try_from(board).unwrap_or_default(),
        version: info.map_or_else(Version::default, |info| info.version),
        load_address,
        payload_size: payload.len() as u32,
        payload_crc32: crc32(payload),
        digest: PayloadDigest::Sha256(Sha256::digest(payload).into()),
        sector_crc32: sector_crc32(&map.flash, load_address, payload),
        ..ImageHeader::default()
    }
}

/// A whole `.iap` file.
pub fn iap_file(map: &MemoryMap, board: &str, payload: &[u8]) -> Vec<u8> {
    let mut file = header(map, board, payload).encode().to_vec();
    file.extend_from_slice(payload);
    file
}

fn sector_crc32(flash: &FlashMap, load_address: u32, payload: &[u8]) -> [u32; MAX_SECTORS] {
    let mut crcs = [0; MAX_SECTORS];
    let whole = Region::new(load_address, payload.len() as u32);
    for (crc, sector) in crcs.iter_mut().zip(flash.sectors()) {
        let start = sector.region.start.max(whole.start);
        let end = sector.region.end().min(whole.end());
        if u64::from(start) < end {
            let offset = |address: u64| (address - u64::from(whole.start)) as usize;
            *crc = crc32(&payload[offset(start.into())..offset(end)]);
        }
    }
    crcs
}

#[cfg(test)]
mod tests {
    use super::*;
    use iap_profile::Profile;
    use iap_protocol::vectors;

    #[test]
    fn the_application_passes_every_check_of_its_vector_table() {
        let profile = Profile::builtin("sim").unwrap();
        let map = profile.memory_map();
        for len in [MIN_LEN, 3464, 300_000] {
            let payload = application(map, (1, 2, 3), len);
            assert_eq!(payload.len(), len);
            let region = Region::new(map.user_flash_first_page_address(), len as u32);
            assert_eq!(vectors::check(&payload, region, map), Ok(()));
            let header = header(map, "sim", &payload);
            assert_eq!(ImageHeader::decode(&header.encode()), Ok(header.clone()));
            assert_eq!(header.version, Version::new(1, 2, 3));
            let crcs = header.sector_crc32.iter().filter(|&&crc| crc != 0).count();
            assert_eq!(crcs as u32, header.sectors(&map.flash).len());
        }
    }
}
