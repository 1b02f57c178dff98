//! Transfers that leave out the sectors a board holds already (protocol/README.md, "Prefix of a partial transfer").
//!
//! The board's status says what it holds, and the board judges it once more: a transfer that leaves out too much is refused before anything
//! is erased, and the whole image follows.

use bytes::Bytes;
use iap_protocol::header::{HEADER_LEN, ImageHeader, Prefix};
use iap_protocol::memory::{MemoryMap, Region, SectorSet};
use iap_protocol::status::Status;

use super::state;

/// The sectors whose part of the image is in the board's flash by its own account, as part of an application it would start.
pub fn held(map: &MemoryMap, header: &ImageHeader, status: &Status) -> SectorSet {
    let Some(application) = &status.application else {
        return SectorSet::EMPTY;
    };
    let (old, new) = (state::region(application), header.payload_region());
    let first = map
        .flash
        .sector_at(status.user_flash_first_page_address)
        .map_or(0, |sector| sector.index);
    // The list begins with the first sector of user flash.
    let listed = (first..).zip(application.sector_crc32.iter().copied());
    let is_same = |(index, crc): &(u8, u32)| {
        let wanted = header.sector_crc32.get(usize::from(*index));
        let sector = map.flash.sector(*index).map(|sector| sector.region);
        let part = |of: Region| sector.map(|sector| sector.span_in(of));
        old.start == new.start && wanted == Some(crc) && part(old) == part(new)
    };
    let same: SectorSet = listed.filter(is_same).map(|(index, _)| index).collect();
    same.intersection(header.sectors(&map.flash))
}

/// The bytes of a transfer of `file`, an image with its header, without the sectors `held`; `None` if those are none.
pub fn transfer(
    map: &MemoryMap,
    header: &ImageHeader,
    file: &[u8],
    held: SectorSet,
) -> Option<Bytes> {
    let (head, payload) = file.split_at_checked(HEADER_LEN)?;
    let covered = header.sectors(&map.flash);
    let sent: SectorSet = covered
        .iter()
        .filter(|index| !held.contains(*index))
        .collect();
    if sent == covered {
        return None;
    }
    let mut bytes = Prefix { sectors: sent }.encode().to_vec();
    bytes.extend_from_slice(head);
    for sector in sent.iter().filter_map(|index| map.flash.sector(index)) {
        let span = sector.region.span_in(header.payload_region());
        bytes.extend_from_slice(payload.get(span.start as usize..span.end as usize)?);
    }
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::state::tests::status;
    use iap_profile::Profile;
    use iap_protocol::crc::crc32;
    use iap_protocol::header::PREFIX_LEN;

    const SECTOR: usize = 128 * 1024;

    /// A payload of two sectors and a bit, its header, and a board that holds it.
    fn world() -> (MemoryMap, Vec<u8>, ImageHeader, Status) {
        let map = Profile::builtin("sim").unwrap().memory_map().clone();
        let payload: Vec<u8> = (0..2 * SECTOR + 100).map(|i| (i / 7) as u8).collect();
        let header = header(&payload);
        let mut status = status();
        let application = status.application.as_mut().unwrap();
        application.load_address = 0x0802_0000;
        application.size = payload.len() as u32;
        application.crc32 = header.payload_crc32;
        application.sector_crc32 = header.sector_crc32[5..8].iter().copied().collect();
        (map, payload, header, status)
    }

    fn header(payload: &[u8]) -> ImageHeader {
        let mut header = ImageHeader {
            load_address: 0x0802_0000,
            payload_size: payload.len() as u32,
            payload_crc32: crc32(payload),
            ..ImageHeader::default()
        };
        for (crc, part) in header.sector_crc32[5..]
            .iter_mut()
            .zip(payload.chunks(SECTOR))
        {
            *crc = crc32(part);
        }
        header
    }

    fn indices(set: SectorSet) -> Vec<u8> {
        set.iter().collect()
    }

    #[test]
    fn what_is_the_same_in_the_same_place_is_held() {
        let (map, mut payload, same, status) = world();
        assert_eq!(indices(held(&map, &same, &status)), [5, 6, 7]);
        payload[SECTOR] ^= 1;
        assert_eq!(indices(held(&map, &header(&payload), &status)), [5, 7]);
        // Longer in its last sector: what follows is not known.
        payload.push(0);
        assert_eq!(indices(held(&map, &header(&payload), &status)), [5]);
        let none = Status {
            application: None,
            ..status.clone()
        };
        assert!(held(&map, &same, &none).is_empty());
        let mut silent = status;
        silent.application.as_mut().unwrap().sector_crc32.clear();
        assert!(
            held(&map, &same, &silent).is_empty(),
            "policy login says none"
        );
    }

    #[test]
    fn a_transfer_has_the_other_sectors_bytes_in_their_order() {
        let (map, payload, header, _) = world();
        let file = [&header.encode()[..], &payload].concat();
        let of = |held: &[u8]| transfer(&map, &header, &file, held.iter().copied().collect());
        assert_eq!(of(&[]), None);
        let two = of(&[6]).unwrap();
        assert_eq!(
            Prefix::decode(&two).map(|it| indices(it.sectors)),
            Ok(vec![5, 7])
        );
        let expected = [
            &header.encode()[..],
            &payload[..SECTOR],
            &payload[2 * SECTOR..],
        ]
        .concat();
        assert_eq!(two[PREFIX_LEN..], expected);
        assert_eq!(of(&[5, 6, 7]).unwrap().len(), PREFIX_LEN + HEADER_LEN);
    }
}
