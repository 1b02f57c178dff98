//! What is tried, and how long it may take.

use iap_emulator::Time;
use iap_profile::Profile;
use iap_protocol::header::HEADER_LEN;
use iap_protocol::memory::MemoryMap;
use iap_sim::signer::signed_file;
use iap_sim::{image, rng};

use super::errand::Transport;

/// What is pushed, and what the board holds before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Another application of this length.
    Full(usize),
    /// The application that it holds, of this length.
    Again(usize),
    /// An application in all of the user flash, of which one sector is another.
    OneSector,
    /// An image for another board.
    OtherBoard,
    /// An image whose vector table points elsewhere.
    BadVectors,
    /// An image with the signature of another one, for a board that checks it.
    BadSignature,
}

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) transport: Transport,
    pub(crate) round_trip: Time,
}

pub(crate) const SMALL: usize = 3464;
pub(crate) const MIDDLE: usize = 102_400;
pub(crate) const LARGE: usize = 917_504;
/// The sector that differs in [`Kind::OneSector`].
const CHANGED_SECTOR: u8 = 8;

const LAN: Time = Time::from_micros(200);

/// All rows.
pub(crate) fn all() -> Vec<Case> {
    const WAYS: [Transport; 2] = [Transport::Tftp, Transport::Http];
    let mut cases = Vec::new();
    let mut add = |kind, round_trip| {
        cases.extend(WAYS.map(|transport| Case {
            kind,
            transport,
            round_trip,
        }));
    };
    for len in [SMALL, MIDDLE, LARGE] {
        add(Kind::Full(len), LAN);
    }
    for round_trip in [Time::from_millis(10), Time::from_millis(50)] {
        for len in [MIDDLE, LARGE] {
            add(Kind::Full(len), round_trip);
        }
    }
    for kind in [
        Kind::Again(MIDDLE),
        Kind::Again(LARGE),
        Kind::OneSector,
        Kind::OtherBoard,
        Kind::BadVectors,
        Kind::BadSignature,
    ] {
        add(kind, LAN);
    }
    cases
}

/// What a board holds, and what is pushed to it.
pub(crate) struct Files {
    /// The application before.
    pub(crate) old: Vec<u8>,
    /// The file.
    pub(crate) new: Vec<u8>,
}

impl Case {
    /// Whether the board has to be one that checks signatures.
    pub(crate) fn is_signed(&self) -> bool {
        self.kind == Kind::BadSignature
    }

    /// Whether the board has to say no.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(
            self.kind,
            Kind::OtherBoard | Kind::BadVectors | Kind::BadSignature
        )
    }

    pub(crate) fn name(&self) -> String {
        let what = match self.kind {
            Kind::Full(SMALL) => "full push, 3 KB",
            Kind::Full(MIDDLE) => "full push, 100 KB",
            Kind::Full(_) => "full push, 896 KiB",
            Kind::Again(MIDDLE) => "same again, 100 KB",
            Kind::Again(_) => "same again, 896 KiB",
            Kind::OneSector => "one sector of seven",
            Kind::OtherBoard => "refused: other board",
            Kind::BadVectors => "refused: vector table",
            Kind::BadSignature => "refused: signature",
        };
        let ms = self.round_trip.micros() as f64 / 1000.0;
        let way = match self.transport {
            Transport::Tftp => "TFTP",
            Transport::Http => "HTTP",
        };
        format!("{what}, {way}, RTT {ms} ms")
    }

    /// The application before, and the file.
    pub(crate) fn files(&self, profile: &Profile) -> Files {
        let (map, board) = (profile.memory_map(), profile.settings.board_id.as_str());
        let application = |version, len| image::application(map, version, len);
        let file = |payload: &[u8]| image::iap_file(map, board, payload);
        match self.kind {
            Kind::Full(len) => Files {
                old: application((1, 0, 0), len),
                new: file(&application((2, 0, 0), len)),
            },
            Kind::Again(len) => {
                let old = application((1, 0, 0), len);
                Files {
                    new: file(&old),
                    old,
                }
            }
            Kind::OneSector => {
                let old = application((1, 0, 0), LARGE);
                let new = with_a_sector_changed(map, old.clone());
                Files {
                    new: file(&new),
                    old,
                }
            }
            Kind::OtherBoard => Files {
                old: application((1, 0, 0), MIDDLE),
                new: image::iap_file(map, "other", &application((2, 0, 0), MIDDLE)),
            },
            Kind::BadVectors => {
                let mut payload = application((2, 0, 0), MIDDLE);
                payload[4..8].copy_from_slice(&0x2000_0001u32.to_le_bytes());
                Files {
                    old: application((1, 0, 0), MIDDLE),
                    new: file(&payload),
                }
            }
            Kind::BadSignature => {
                let (one, two) = (
                    application((2, 0, 0), MIDDLE),
                    application((3, 0, 0), MIDDLE),
                );
                let sign = |payload: &[u8]| {
                    signed_file(image::header(map, board, payload), payload, 0, |_| {})
                };
                let (mut new, other) = (sign(&one), sign(&two));
                let signature = HEADER_LEN - 4 - 64..HEADER_LEN - 4;
                new[signature.clone()].copy_from_slice(&other[signature]);
                let crc = iap_protocol::crc::crc32(&new[..HEADER_LEN - 4]);
                new[HEADER_LEN - 4..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
                Files {
                    old: application((1, 0, 0), MIDDLE),
                    new,
                }
            }
        }
    }

    /// Erase and program time of the sectors in which the new application differs from the old one, by the datasheet's typical times.
    pub(crate) fn limit(&self, profile: &Profile, files: &Files) -> Time {
        if self.is_refused() {
            return Time::ZERO;
        }
        let (map, new) = (profile.memory_map(), &files.new[HEADER_LEN..]);
        let mut limit = Time::ZERO;
        for sector in map.flash.sectors() {
            let part = |of: &[u8]| part(of, map, sector.index).map(<[u8]>::to_vec);
            let Some(wanted) = part(new).filter(|wanted| Some(wanted) != part(&files.old).as_ref())
            else {
                continue;
            };
            let words = wanted.len().div_ceil(4) as u32;
            let programming = profile.program_time().typical * words;
            let erasing = profile.erase_time(sector.index).unwrap().typical;
            limit += Time::from(erasing + programming);
        }
        limit
    }

    /// How long it may take.
    pub(crate) fn target(&self, limit: Time) -> Time {
        let part = |percent: u64| Time::from_picos(limit.picos() / 100 * percent);
        match (self.kind, self.transport) {
            (Kind::Full(_), _) if self.round_trip > LAN => {
                part(115) + Time::from_picos(self.round_trip.picos() * 10)
            }
            (Kind::Full(_), Transport::Tftp) => part(105) + Time::from_millis(50),
            (Kind::Full(_), Transport::Http) => part(108) + Time::from_millis(100),
            (Kind::Again(_), _) => Time::from_millis(150),
            (Kind::OneSector, _) => part(110) + Time::from_millis(150),
            (Kind::OtherBoard | Kind::BadVectors, _) => Time::from_millis(20),
            (Kind::BadSignature, _) => Time::from_millis(150),
        }
    }

    /// The most bytes that may be sent: where the board's status says what it holds, those are left out.
    pub(crate) fn most_bytes(&self, files: &Files) -> usize {
        /// Header and prefix of a partial transfer.
        const HEADERS: usize = 1024;
        match self.kind {
            Kind::Again(_) => HEADERS,
            Kind::OneSector => HEADERS + 128 * 1024,
            _ => files.new.len(),
        }
    }
}

/// The bytes of a payload that lie in a sector.
fn part<'a>(payload: &'a [u8], map: &MemoryMap, sector: u8) -> Option<&'a [u8]> {
    let base = map.application.start;
    let region = map.flash.sector(sector)?.region;
    let start = region.start.checked_sub(base)? as usize;
    let end = payload.len().min(start + region.len as usize);
    payload.get(start..end).filter(|part| !part.is_empty())
}

fn with_a_sector_changed(map: &MemoryMap, mut payload: Vec<u8>) -> Vec<u8> {
    let region = map.flash.sector(CHANGED_SECTOR).unwrap().region;
    let start = (region.start - map.application.start) as usize;
    for (index, byte) in payload[start..start + region.len as usize]
        .iter_mut()
        .enumerate()
    {
        *byte = rng::mix(index as u64) as u8;
    }
    payload
}
