//! The update: any file, in any pieces, with the power going at any step.

use iap_core::boot::{BootInputs, Decision, decide};
use iap_core::config::Config;
use iap_core::intake::{Intake, Outcome, Source, Ticket, Transport};
use iap_core::update::{RING_RESERVE, Ring, Step, Updater};
use iap_protocol::ErrorCode;
use iap_protocol::crc::crc32;
use iap_protocol::error::Refusal;
use iap_protocol::header::{HEADER_LEN, ImageHeader, PREFIX_LEN, PREFIX_MAGIC, Prefix};
use iap_protocol::memory::{Region, SectorSet};
use smoltcp::time::Instant;
use smoltcp::wire::Ipv4Address;

use super::board::{BASE, Nor, config};
use super::script::Script;

/// So that it is full before the largest image is complete.
const RING_LEN: usize = RING_RESERVE + 1024;
/// Erases, words, verifications and record entries of the largest image, many times over.
const MAX_STEPS: usize = 100_000;

/// A file from the input: its bytes as they are, or behind a header that fits them, so that the payload is reached. What the update says
/// is true: after a commit the board starts exactly it, after a refusal that touched nothing the flash is as it was.
pub fn update(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let config = config();
    let mut flash = Nor::erased();
    for _ in 0..2 {
        flash = upload(flash, &mut script, &config);
    }
    let mut file = script.rest();
    if file.len() > HEADER_LEN + config.map.application.len as usize {
        file = &[];
    }
    let (flash, outcome) = run(flash, &config, &mut Script::new(&[]), file);
    check(flash, outcome, &config, file);
}

/// One upload of a made-up file, which may end anywhere.
fn upload(flash: Nor, script: &mut Script<'_>, config: &Config) -> Nor {
    let kind = script.byte();
    let mut payload = vec![script.byte(); usize::from(script.u16() % 4096)];
    let reset = (BASE + 33 * 1024 + 65).to_le_bytes();
    for (n, word) in payload.chunks_exact_mut(4).take(16).enumerate() {
        let stack = 0x2002_0000_u32.to_le_bytes();
        word.copy_from_slice(if n == 0 { &stack } else { &reset });
    }
    let piece = script.piece();
    let at = usize::from(script.u16()) % payload.len().max(1);
    for (cell, byte) in payload[at..].iter_mut().zip(piece) {
        *cell = *byte;
    }
    let file = match kind & 3 {
        0 => payload,
        _ => with_header(kind, &payload, config, script),
    };
    let (flash, outcome) = run(flash, config, script, &file);
    check(flash, outcome, config, &file)
}

fn with_header(kind: u8, payload: &[u8], config: &Config, script: &mut Script<'_>) -> Vec<u8> {
    let mut sector_crc32 = ImageHeader::default().sector_crc32;
    let start = config.map.application.start;
    for sector in config.map.flash.sectors() {
        let from = sector.region.start.saturating_sub(start) as usize;
        let to = (sector.region.end().saturating_sub(start.into()) as usize).min(payload.len());
        if let Some(part) = payload.get(from..to).filter(|part| !part.is_empty()) {
            sector_crc32[usize::from(sector.index)] = crc32(part);
        }
    }
    let mut header = ImageHeader {
        load_address: start,
        payload_size: payload.len() as u32,
        payload_crc32: crc32(payload),
        sector_crc32,
        ..ImageHeader::default()
    };
    if kind & 4 != 0 {
        header.payload_size = header.payload_size.wrapping_add(script.u16().into());
    }
    if kind & 8 != 0 {
        header.payload_crc32 ^= 1;
    }
    if kind & 16 != 0 {
        header.sector_crc32[usize::from(script.byte()) % 24] ^= script.u32();
    }
    let head = header.encode();
    if kind & 32 == 0 {
        return [&head[..], payload].concat();
    }
    let sectors = SectorSet(script.u32());
    let mut file = [&Prefix { sectors }.encode()[..], &head].concat();
    for part in config.map.flash.sectors() {
        if sectors.contains(part.index) {
            let span = part
                .region
                .span_in(Region::new(start, payload.len() as u32));
            file.extend_from_slice(&payload[span.start as usize..span.end as usize]);
        }
    }
    file
}

/// Gives `file` to the update in the pieces and with the steps that the script says, then does all steps that are left.
fn run(flash: Nor, config: &Config, script: &mut Script<'_>, file: &[u8]) -> (Nor, Outcome) {
    let mut memory = vec![0; RING_LEN];
    let (first, second) = memory.split_at_mut(700);
    let mut updater = Updater::new(flash, config, Ring::new([first, second])).unwrap();
    let source = Source {
        transport: Transport::Tftp,
        peer: Ipv4Address::new(192, 168, 0, 1),
    };
    let declared = (script.byte() & 1 != 0).then_some(file.len() as u32);
    let mut why = Refusal::unsaid();
    let outcome = match updater.begin(Instant::ZERO, source, declared, &mut why) {
        Ok(ticket) => send(&mut updater, ticket, script, file),
        Err(_) => Outcome::Failed(why),
    };
    assert!(!updater.is_busy(), "the board is not free");
    (updater.into_flash(), outcome)
}

fn send(
    updater: &mut Updater<'_, Nor>,
    ticket: Ticket,
    script: &mut Script<'_>,
    file: &[u8],
) -> Outcome {
    let (mut rest, mut why) = (file, Refusal::unsaid());
    for _ in 0..MAX_STEPS {
        if rest.is_empty() {
            break;
        }
        // An input that is over sends the rest in large pieces.
        let action = script.byte();
        let len = match action {
            0 => 512,
            _ => usize::from(action),
        };
        let len = len.min(rest.len()).min(updater.room());
        let (piece, later) = rest.split_at(len);
        rest = later;
        if updater.accept(ticket, piece, &mut why).is_err() {
            break;
        }
        for _ in 0..script.byte() % 8 {
            updater.step();
        }
        match script.byte() {
            0xFF => {
                updater.abort(ticket, &ErrorCode::ClientSilent.into());
                break;
            }
            _ if len == 0 => assert_ne!(updater.step(), Step::Idle, "no room and nothing to do"),
            _ => {}
        }
    }
    if rest.is_empty() {
        let _ = updater.finish(ticket, &mut why);
    }
    for _ in 0..MAX_STEPS {
        if updater.step() == Step::Idle {
            return updater.outcome(ticket).clone();
        }
    }
    panic!("the update never ends");
}

/// Whether the outcome is true, by what the next reset decides.
fn check(mut flash: Nor, outcome: Outcome, config: &Config, file: &[u8]) -> Nor {
    let decision = decide(BootInputs::default(), config, &mut flash).unwrap();
    if outcome == Outcome::Committed {
        let Decision::Start(start) = decision else {
            panic!("committed, and not started: {decision:?}");
        };
        let at = (config.map.application.start - BASE) as usize;
        let image = file.get(PREFIX_LEN..);
        if let Some(image) = image.filter(|_| file.starts_with(&PREFIX_MAGIC)) {
            let header = ImageHeader::decode(image).expect("a header that was accepted");
            let held = &flash.bytes[at..at + header.payload_size as usize];
            assert_eq!(crc32(held), header.payload_crc32);
            assert_eq!(start.image.unwrap().payload_crc32(), header.payload_crc32);
            return flash;
        }
        let payload = match ImageHeader::decode(file) {
            Ok(_) => &file[HEADER_LEN..],
            Err(_) => file,
        };
        assert!(flash.bytes[at..].starts_with(payload));
        assert_eq!(start.image.unwrap().payload_crc32(), crc32(payload));
    } else {
        assert_ne!(outcome, Outcome::Running, "no verdict");
    }
    flash
}
