//! What a reset starts: the application, if and only if the record says that it is complete and the flash agrees; else IAP mode.

use iap_protocol::error::Refusal;
use iap_protocol::header::{Flags, HeaderBytes};
use iap_protocol::memory::{MemoryMap, Region, SectorSet};
use iap_protocol::status::IapReason;
use iap_protocol::vectors::{self, SYSTEM_VECTORS_LEN};

use crate::config::Config;
use crate::digest;
use crate::flash::{Flash, FlashError};
use crate::record::{Last, Record, RecordState};
use crate::signature;
use crate::update::holds_already;

/// Starts in a row that an image with the CONFIRM flag gets.
pub const MAX_UNCONFIRMED_STARTS: u8 = 3;

/// What is known at a reset beside the flash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BootInputs {
    /// The IAP key is held.
    pub key_held: bool,
    /// The application asked for IAP mode through the request word.
    pub requested: bool,
    /// The reset is a power-on.
    pub power_on: bool,
    /// Starts since the application last confirmed one.
    pub unconfirmed_starts: u8,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
// No heap to put the larger variant on; there is one Decision per reset.
#[allow(clippy::large_enum_variant)]
pub enum Decision {
    /// Start the application.
    Start(Start),
    /// Stay in IAP mode with the network up.
    Stay(IapReason),
}

/// The application to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    /// Its header; `None` for one that was programmed with a probe and starts by the bare rule.
    pub image: Option<HeaderBytes>,
    /// Initial stack pointer.
    pub stack_pointer: u32,
    /// Reset vector.
    pub reset_vector: u32,
}

impl Start {
    /// Whether the application must confirm the start, and the watchdog runs until it does.
    pub fn must_confirm(&self) -> bool {
        self.image
            .as_ref()
            .is_some_and(|image| image.flags().contains(Flags::CONFIRM))
    }
}

/// Decides. Writes only to make the last record entry firm before acting on it.
// Not inlined: the record is gone from the stack when the caller goes on.
#[inline(never)]
pub fn decide(
    inputs: BootInputs,
    config: &Config,
    flash: &mut dyn Flash,
) -> Result<Decision, FlashError> {
    if inputs.key_held {
        return Ok(Decision::Stay(IapReason::KeyHeld));
    }
    if inputs.requested {
        return Ok(Decision::Stay(IapReason::Requested));
    }
    let mut record = Record::unread();
    record.read(flash, &config.map)?;
    record.make_firm(flash, &config.map)?;
    Ok(match startable(record.state(), config, flash) {
        Err(reason) => Decision::Stay(reason),
        Ok(start)
            if start.must_confirm() && inputs.unconfirmed_starts >= MAX_UNCONFIRMED_STARTS =>
        {
            Decision::Stay(IapReason::NotConfirmed)
        }
        Ok(_) if inputs.power_on && config.power_on_window_s > 0 => {
            Decision::Stay(IapReason::PowerOnWindow)
        }
        Ok(start) => Decision::Start(start),
    })
}

/// The application that may be started, or why none may.
pub fn startable(
    state: &RecordState,
    config: &Config,
    flash: &mut dyn Flash,
) -> Result<Start, IapReason> {
    let map = &config.map;
    if let Some(image) = committed_application(state, flash, map) {
        // The signature's check is the deepest point of the stack: no copy of the header lies there meanwhile.
        if config.boot_signature && !is_genuine(image, config, flash) {
            return Err(IapReason::ApplicationDamaged);
        }
        return start(Some(image), flash, map);
    }
    let bare_rule = config.has_bare_rule();
    match state.last {
        Last::Begun => Err(IapReason::UpdateUnfinished),
        Last::Committed if !bare_rule => Err(IapReason::ApplicationDamaged),
        Last::Nothing if !bare_rule => Err(IapReason::NoApplication),
        Last::Committed => start(None, flash, map).map_err(|_| IapReason::ApplicationDamaged),
        Last::Nothing => start(None, flash, map).map_err(|_| IapReason::NoApplication),
    }
}

/// The committed image, if the flash holds exactly it, but for data sectors: what it brought there is the application's to change.
pub fn committed_application<'s>(
    state: &'s RecordState,
    flash: &mut dyn Flash,
    map: &MemoryMap,
) -> Option<&'s HeaderBytes> {
    let image = state
        .image
        .as_ref()
        .filter(|_| state.last == Last::Committed)?;
    let payload = image.payload_region();
    let inside =
        map.application.contains_region(&payload) && payload.start == map.application.start;
    (inside && is_intact(image, flash, map)).then_some(image)
}

fn is_intact(image: &HeaderBytes, flash: &mut dyn Flash, map: &MemoryMap) -> bool {
    let covered = image.sectors(&map.flash);
    let firm = SectorSet(covered.0 & !map.data_sectors.0);
    if firm == covered {
        return flash.crc32(0, image.payload_region()) == Ok(image.payload_crc32());
    }
    let size = Some(image.payload_size());
    firm.iter().all(|index| {
        let sector = map.flash.sector(index);
        sector.is_some_and(|sector| holds_already(flash, image, sector, size) == Ok(true))
    })
}

/// Whether one of the board's keys has signed exactly what is in flash. Revoked keys count here: an image is started under the rules it was
/// committed by, and whoever could forge the record could leave a revocation out.
fn is_genuine(image: &HeaderBytes, config: &Config, flash: &dyn Flash) -> bool {
    image.security_counter() >= config.security_counter
        && signature::check(image, config, 0, &mut Refusal::unsaid()).is_ok()
        && digest::holds(flash, image) == Ok(true)
}

/// AN3968's check, made complete: whether the vector table in flash would start.
fn start(
    image: Option<&HeaderBytes>,
    flash: &mut dyn Flash,
    map: &MemoryMap,
) -> Result<Start, IapReason> {
    let mut table = [0; SYSTEM_VECTORS_LEN];
    let region = image.map_or(map.application, HeaderBytes::payload_region);
    let readable = flash.read(map.application.start, &mut table).is_ok();
    if !readable
        || vectors::check(&table, Region::new(map.application.start, region.len), map).is_err()
    {
        return Err(IapReason::ApplicationDamaged);
    }
    let word = |at: usize| {
        table
            .get(at..)
            .and_then(|tail| tail.first_chunk())
            .map_or(0, |word| u32::from_le_bytes(*word))
    };
    Ok(Start {
        image: image.cloned(),
        stack_pointer: word(0),
        reset_vector: word(4),
    })
}
