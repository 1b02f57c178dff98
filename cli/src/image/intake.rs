//! A payload on its way in: its bytes are kept, summed up and searched piece by piece, while they are in the processor's cache.
//!
//! A payload that is only to be written need not be kept behind what the checks look at: it goes out as soon as it has come in. Fresh memory
//! for 50 MB takes longer than reading, summing and searching them.

use std::io::{self, Read};

use iap_protocol::crc::Crc32;
use iap_protocol::info::{self, INFO_LEN, ImageInfo};
use memchr::memmem::Finder;

/// No check looks at what lies behind so many bytes of a payload.
pub(super) const KEPT_LEN: usize = 4 << 20;
/// What is read and looked at together: fits into the cache of one core.
const PIECE_LEN: usize = 128 * 1024;

/// What takes the bytes that are not kept.
pub type Outlet<'o> = &'o mut dyn FnMut(&[u8]);

/// A payload as far as it has come in.
pub(super) struct Intake<'o> {
    kept: Vec<u8>,
    seen: Seen,
    outlet: Option<Outlet<'o>>,
    /// The memory that pieces pass through.
    piece: Vec<u8>,
}

/// A payload that has come in.
pub(super) struct Taken {
    /// All of it, or without what has gone through the outlet.
    pub(super) kept: Vec<u8>,
    pub(super) size: usize,
    pub(super) crc32: u32,
    /// The application's descriptor: what [`ImageInfo::find`] finds, sooner.
    pub(super) info: Option<ImageInfo>,
}

impl Taken {
    /// A payload that is here.
    pub(super) fn of(payload: &[u8]) -> Self {
        let mut intake = Intake::new(None);
        intake.expect(payload.len());
        intake.put(payload);
        intake.end()
    }
}

impl<'o> Intake<'o> {
    /// Without an outlet all is kept. With one, a payload that is longer than [`KEPT_LEN`] and a piece goes through it, from its first byte
    /// on.
    pub(super) fn new(outlet: Option<Outlet<'o>>) -> Self {
        Self {
            kept: Vec::new(),
            seen: Seen::new(),
            outlet,
            piece: Vec::new(),
        }
    }

    /// So many bytes will come.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.kept.reserve_exact(match self.outlet {
            Some(_) => bytes.min(KEPT_LEN.saturating_add(PIECE_LEN)),
            None => bytes,
        });
    }

    /// How many have come.
    pub(super) fn size(&self) -> usize {
        self.seen.size
    }

    /// Takes bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE_LEN) {
            match self.open() {
                Some(outlet) => outlet(piece),
                None => self.kept.extend_from_slice(piece),
            }
            self.seen.look_at(piece);
        }
    }

    /// Takes `count` times the same byte.
    pub(super) fn fill(&mut self, count: usize, byte: u8) {
        let piece = vec![byte; count.min(PIECE_LEN)];
        let mut left = count;
        while left > 0 {
            let now = piece.get(..left).unwrap_or(&piece);
            self.put(now);
            left = left.saturating_sub(now.len());
        }
    }

    /// Takes the next `len` bytes of a file, all of which must be there.
    pub(super) fn read(&mut self, mut file: impl Read, len: usize) -> io::Result<()> {
        let mut left = len;
        while left > 0 {
            let now = left.min(PIECE_LEN);
            let mut piece = std::mem::take(&mut self.piece);
            match self.open() {
                Some(outlet) => {
                    piece.resize(now, 0);
                    file.read_exact(&mut piece)?;
                    outlet(&piece);
                    self.seen.look_at(&piece);
                }
                None => {
                    let at = self.kept.len();
                    if file.by_ref().take(now as u64).read_to_end(&mut self.kept)? < now {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    self.seen.look_at(self.kept.get(at..).unwrap_or_default());
                }
            }
            self.piece = piece;
            left = left.saturating_sub(now);
        }
        Ok(())
    }

    /// The outlet, if the next byte goes there; all that was kept has gone before.
    fn open(&mut self) -> Option<&mut Outlet<'o>> {
        let outlet = self.outlet.as_mut()?;
        if self.kept.len() < KEPT_LEN {
            return None;
        }
        if self.seen.size == self.kept.len() {
            outlet(&self.kept);
        }
        Some(outlet)
    }

    /// That was all.
    pub(super) fn end(self) -> Taken {
        Taken {
            kept: self.kept,
            size: self.seen.size,
            crc32: self.seen.crc.finish(),
            info: self.seen.search.found,
        }
    }
}

/// What is learnt of bytes that pass.
struct Seen {
    size: usize,
    crc: Crc32,
    search: Search,
}

impl Seen {
    fn new() -> Self {
        Self {
            size: 0,
            crc: Crc32::new(),
            search: Search {
                finder: Finder::new(&info::MAGIC),
                tail: Vec::new(),
                found: None,
            },
        }
    }

    fn look_at(&mut self, piece: &[u8]) {
        self.crc.update(piece);
        self.search.look_at(piece, self.size);
        self.size = self.size.saturating_add(piece.len());
    }
}

/// The search for the application's descriptor, which may lie across two pieces.
struct Search {
    finder: Finder<'static>,
    /// The last bytes of what has passed, in which a descriptor may have begun.
    tail: Vec<u8>,
    found: Option<ImageInfo>,
}

/// The most bytes of a descriptor that is not complete.
const TAIL_LEN: usize = INFO_LEN - 1;

impl Search {
    /// `at` bytes have passed before.
    fn look_at(&mut self, piece: &[u8], at: usize) {
        if self.found.is_some() {
            return;
        }
        let before = at.saturating_sub(self.tail.len());
        let seam = piece.get(..TAIL_LEN).unwrap_or(piece);
        self.tail.extend_from_slice(seam);
        self.found = self.first(&self.tail, before);
        if self.found.is_none() {
            self.found = self.first(piece, at);
        }
        if let Some(end) = piece.last_chunk::<TAIL_LEN>() {
            self.tail.clear();
            self.tail.extend_from_slice(end);
        } else {
            let excess = self.tail.len().saturating_sub(TAIL_LEN);
            self.tail.drain(..excess);
        }
    }

    /// The first descriptor in `bytes`, which are those from `at` on: descriptors lie at multiples of 4.
    fn first(&self, bytes: &[u8], at: usize) -> Option<ImageInfo> {
        (self.finder.find_iter(bytes))
            .filter(|found| at.saturating_add(*found).is_multiple_of(4))
            .find_map(|found| ImageInfo::decode(bytes.get(found..)?))
    }
}

#[cfg(test)]
mod tests {
    use iap_protocol::crc::crc32;
    use iap_protocol::header::Flags;

    use super::*;

    const DESCRIPTOR: [u8; INFO_LEN] = ImageInfo::encode((1, 2, 3), "", "sim", Flags::CONFIRM);

    /// Bytes without a pattern (xorshift64, Marsaglia 2003), and a descriptor at `at`.
    fn payload(len: usize, at: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut bytes: Vec<u8> = (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        bytes[at..at + INFO_LEN].copy_from_slice(&DESCRIPTOR);
        bytes
    }

    #[test]
    fn a_payload_in_pieces_is_the_same_as_in_one() {
        let whole = payload(1000, 500);
        for len in 1..=200 {
            let mut intake = Intake::new(None);
            for piece in whole.chunks(len) {
                intake.put(piece);
            }
            let taken = intake.end();
            assert_eq!(taken.kept, whole, "pieces of {len} bytes");
            assert_eq!(taken.size, whole.len());
            assert_eq!(taken.crc32, crc32(&whole));
            assert_eq!(taken.info, ImageInfo::find(&whole));
            assert!(taken.info.is_some());
        }
    }

    #[test]
    fn a_descriptor_is_found_wherever_the_seam_is_and_only_at_multiples_of_4() {
        for at in PIECE_LEN - 70..PIECE_LEN + 10 {
            let whole = payload(PIECE_LEN + 200, at);
            let taken = Taken::of(&whole);
            assert_eq!(taken.info.is_some(), at.is_multiple_of(4), "at {at}");
            assert_eq!(taken.info, ImageInfo::find(&whole));
        }
    }

    #[test]
    fn the_first_of_two_descriptors_counts() {
        let mut whole = payload(PIECE_LEN + 200, PIECE_LEN - 32);
        let second = ImageInfo::encode((9, 9, 9), "", "any", Flags::default());
        whole[PIECE_LEN + 100..][..INFO_LEN].copy_from_slice(&second);
        let found = Taken::of(&whole).info.map(|info| info.version.to_string());
        assert_eq!(found.as_deref(), Some("1.2.3"));
    }

    #[test]
    fn what_is_not_kept_goes_out_with_all_that_was_before_it() {
        for (len, goes_out) in [
            (KEPT_LEN - 1, false),
            (KEPT_LEN, false),
            (KEPT_LEN + PIECE_LEN + 1, true),
            (KEPT_LEN + 3 * PIECE_LEN + 5, true),
        ] {
            let whole = payload(len, len - INFO_LEN - len % 4);
            let mut out = Vec::new();
            let mut outlet = |bytes: &[u8]| out.extend_from_slice(bytes);
            let mut intake = Intake::new(Some(&mut outlet));
            intake.expect(len);
            let (first, rest) = whole.split_at(1001);
            intake.put(first);
            intake.read(rest, rest.len()).unwrap();
            let taken = intake.end();
            assert_eq!(taken.size, len);
            assert_eq!(taken.crc32, crc32(&whole));
            assert_eq!(taken.info, ImageInfo::find(&whole));
            assert_eq!(taken.kept, whole[..taken.kept.len()]);
            match goes_out {
                true => assert!(out == whole && taken.kept.len() >= KEPT_LEN, "{len}"),
                false => assert!(out.is_empty() && taken.kept == whole, "{len}"),
            }
        }
    }

    #[test]
    fn fill_takes_the_place_of_bytes_and_a_file_that_ends_is_an_error() {
        let mut intake = Intake::new(None);
        intake.put(b"begin");
        intake.fill(2 * PIECE_LEN + 1, 0xFF);
        assert!(intake.read(&b"end"[..], 4).is_err());
        assert_eq!(intake.size(), 5 + 2 * PIECE_LEN + 1);
        let taken = intake.end();
        assert_eq!(taken.crc32, crc32(&taken.kept[..taken.size]));
    }
}
