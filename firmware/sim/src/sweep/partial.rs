//! Transfers that leave out sectors of the image (protocol/README.md, "Prefix of a partial transfer"), as the sweep makes them.

use iap_protocol::ErrorCode;
use iap_protocol::header::{HEADER_LEN, Prefix};
use iap_protocol::memory::{MemoryMap, Region, SectorSet};

use super::start::Start;
use super::tally::Tally;
use crate::bench::Pushed;

impl Start {
    /// A transfer of the new image that leaves out the sectors in which it and `there`, what is in user flash, are the same; `None` if those are
    /// none.
    pub(super) fn without(&self, there: &[u8]) -> Option<Vec<u8>> {
        let map = &self.bench.config.map;
        let payload = Region::new(map.application.start, self.new.len() as u32);
        let (mut sectors, mut parts) = (SectorSet::EMPTY, Vec::new());
        for sector in map.flash.sectors() {
            let span = sector.region.span_in(payload);
            let range = span.start as usize..span.end as usize;
            let part = self.new.get(range.clone()).unwrap_or_default();
            if !part.is_empty() && there.get(range) != Some(part) {
                sectors.insert(sector.index);
                parts.extend_from_slice(part);
            }
        }
        let header = self.whole.get(..HEADER_LEN)?;
        let file = [&Prefix { sectors }.encode()[..], header, &parts].concat();
        (parts.len() < self.new.len()).then_some(file)
    }

    /// Pushes the new image once more with `push`, to a board with `there` in user flash. Where partial transfers are tried the client is tempted:
    /// it leaves out whatever reads right, and comes with the whole image if the board refuses that.
    pub(super) fn push_again(
        &self,
        there: &[u8],
        tally: &mut Tally,
        mut push: impl FnMut(&[u8], Option<u32>) -> Result<Pushed, String>,
    ) -> Result<Pushed, String> {
        let tempting = self.without(there).filter(|_| self.kind.is_partial());
        if let Some(file) = tempting {
            match push(&file, Some(file.len() as u32))? {
                Pushed::Refused(refusal) if refusal.code == ErrorCode::PartialTransfer => {
                    tally.refused += 1;
                }
                pushed => {
                    tally.tempted += 1;
                    return Ok(pushed);
                }
            }
        }
        push(&self.whole, self.declared.map(|_| self.whole.len() as u32))
    }
}

/// One sector of both images is the same where they are long enough, so that a skip is among what is cut; whether they are.
pub(super) fn share_a_sector(old: &[u8], new: &mut [u8], map: &MemoryMap, number: usize) -> bool {
    let shared = map.application_sectors().iter().nth(number);
    let Some(sector) = shared.and_then(|index| map.flash.sector(index)) else {
        return false;
    };
    let start = (sector.region.start - map.application.start) as usize;
    let range = start..start + sector.region.len as usize;
    match (old.get(range.clone()), new.get_mut(range)) {
        (Some(old), Some(new)) => {
            new.copy_from_slice(old);
            true
        }
        _ => false,
    }
}
