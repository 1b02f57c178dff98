//! Transmission: descriptors, checksum insertion, the wire, write-back (RM0090 section 33.6.7).
//!
//! A frame's last descriptor is given back when its last bit has left, not when it was read: a driver that spins on OWN spins that long.
//! With OSF the next frame is fetched while one is on the wire.

use super::bits::{maccr, omr, sr, tdes0};
use super::checksum;
use super::descriptor::Descriptor;
use super::dma::TransmitState;
use super::memory::Unreachable;
use super::{Ethernet, INTER_FRAME_BYTES, MIN_FRAME_BYTES, OVERHEAD_BYTES};
use crate::register::Context;
use crate::time::Time;

/// A frame of this many segments is a list that has lost its end.
const MAX_SEGMENTS: usize = 64;
/// The transmit FIFO (RM0090 section 33.2.2): longer frames get no checksums inserted.
const FIFO_BYTES: usize = 2048;

/// A frame on its way out.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) ends: Time,
    frame: Vec<u8>,
    /// Address and first word of the descriptor that is still the DMA's.
    last: (u32, u32),
    status: u32,
    reaches_wire: bool,
}

/// A frame gathered from its descriptors.
struct Gathered {
    frame: Vec<u8>,
    first_word: u32,
    last: Descriptor,
    next: u32,
    /// The descriptors before the last one.
    closed: Vec<Descriptor>,
}

/// Why nothing was gathered.
enum Nothing {
    /// The next descriptor is software's.
    NotOwned,
    Unreachable {
        error: Unreachable,
        descriptor: bool,
    },
    Malformed(&'static str),
}

impl Ethernet {
    /// Starts what can start.
    pub(super) fn pump_transmit(&mut self, context: &mut Context<'_>) {
        let in_flight = if self.dma.has(omr::OSF) { 2 } else { 1 };
        while self.may_transmit() && self.departures.len() < in_flight {
            match self.gather() {
                Ok(gathered) => self.depart(gathered, context),
                Err(nothing) => return self.explain(nothing, context),
            }
        }
    }

    fn may_transmit(&self) -> bool {
        let running =
            self.dma.transmit_state == TransmitState::Waiting && !self.dma.transmit_stalled;
        running && self.mac.cr & maccr::TE != 0 && self.is_operational()
    }

    fn explain(&mut self, nothing: Nothing, context: &mut Context<'_>) {
        match nothing {
            Nothing::NotOwned => {
                self.dma.transmit_state = TransmitState::Suspended;
                self.dma.raise(sr::TBUS);
            }
            Nothing::Unreachable { error, descriptor } => {
                let what = if descriptor {
                    "a transmit descriptor"
                } else {
                    "a transmit buffer"
                };
                context.guest_error(error.explain(what));
                self.usage.bus_errors += 1;
                self.dma.fail(true, descriptor, true);
            }
            Nothing::Malformed(text) => {
                context.guest_error(format!(
                    "transmit descriptor {:#010x}: {text} (RM0090 section 33.6.7)",
                    self.dma.transmit_at
                ));
                self.dma.transmit_state = TransmitState::Suspended;
                self.dma.raise(sr::TUS | sr::TBUS);
            }
        }
    }

    /// Reads the descriptors of one frame and its bytes.
    fn gather(&mut self) -> Result<Gathered, Nothing> {
        let layout = self.dma.transmit_layout();
        let (mut at, mut frame, mut closed, mut first_word) =
            (self.dma.transmit_at, Vec::new(), Vec::new(), None);
        for _ in 0..MAX_SEGMENTS {
            let descriptor = Descriptor::fetch(&self.memory, at);
            let descriptor = descriptor.map_err(|error| Nothing::Unreachable {
                error,
                descriptor: true,
            })?;
            let word = descriptor.words[0];
            match (descriptor.is_owned(), first_word) {
                (false, None) => return Err(Nothing::NotOwned),
                (false, Some(_)) => {
                    return Err(Nothing::Malformed(
                        "the frame is not complete, this segment is not the DMA's",
                    ));
                }
                (true, None) if word & tdes0::FS == 0 => {
                    return Err(Nothing::Malformed("the first segment of a frame lacks FS"));
                }
                (true, Some(_)) if word & tdes0::FS != 0 => {
                    return Err(Nothing::Malformed("FS is set in the middle of a frame"));
                }
                _ => {}
            }
            let first_word = *first_word.get_or_insert(word);
            for (address, len) in descriptor
                .transmit_buffers()
                .into_iter()
                .filter(|(_, len)| *len > 0)
            {
                let start = frame.len();
                frame.resize(start + len, 0);
                self.dma.transmit_buffer = address;
                let read = self.memory.read(address, &mut frame[start..]);
                read.map_err(|error| Nothing::Unreachable {
                    error,
                    descriptor: false,
                })?;
            }
            let next = descriptor.next_transmit(&layout);
            if word & tdes0::LS != 0 {
                return Ok(Gathered {
                    frame,
                    first_word,
                    last: descriptor,
                    next,
                    closed,
                });
            }
            closed.push(descriptor);
            at = next;
        }
        Err(Nothing::Malformed("64 segments without LS"))
    }

    fn depart(&mut self, gathered: Gathered, context: &mut Context<'_>) {
        let Gathered {
            mut frame,
            first_word,
            last,
            next,
            closed,
        } = gathered;
        for descriptor in closed {
            let word = descriptor.words[0] & !(tdes0::OWN | tdes0::STATUS);
            // It was read from there a moment ago.
            let _ = self.memory.set_word(descriptor.address, word);
        }
        self.dma.transmit_at = next;
        let status = self.complete(&mut frame, first_word, context);
        let hz = self.bit_hz(context.now);
        let bytes = (frame.len().max(MIN_FRAME_BYTES) + OVERHEAD_BYTES) as u64;
        let starts = self.transmit_free.max(context.now);
        let ends = starts + Time::of_cycles(bytes * 8, hz);
        self.transmit_free = ends + Time::of_cycles(INTER_FRAME_BYTES * 8, hz);
        self.check_mode(context);
        let reaches_wire = self.reaches_wire(context.now);
        self.departures.push_back(Departure {
            ends,
            frame,
            last: (last.address, last.words[0]),
            status,
            reaches_wire,
        });
    }

    /// Checksums, padding, and what software says about the check sequence. The status bits that come out of it.
    fn complete(&mut self, frame: &mut Vec<u8>, word: u32, context: &mut Context<'_>) -> u32 {
        let cic = word >> 22 & 3;
        if word & tdes0::TTSE != 0 {
            context.not_modelled("a time stamp for a frame (TDES0.TTSE)");
        }
        if cic != 0 && !self.dma.has(omr::TSF) {
            context.guest_error("TDES0.CIC asks for checksums without DMAOMR.TSF: none are inserted (RM0090 section 33.5.2)");
        }
        let mut status = 0;
        if self.dma.has(omr::TSF) && frame.len() <= FIFO_BYTES {
            let inserted = checksum::insert(frame, cic);
            let bit = |on: bool, bit| if on { bit | tdes0::ES } else { 0 };
            status |=
                bit(inserted.header_error, tdes0::IHE) | bit(inserted.payload_error, tdes0::IPE);
        }
        if word & tdes0::DC != 0 {
            let len = frame.len().saturating_sub(4);
            frame.truncate(len); // software brings its own check sequence
        } else if frame.len() < MIN_FRAME_BYTES && word & tdes0::DP != 0 {
            context.guest_error(format!(
                "a frame of {} bytes without padding (TDES0.DP): a runt",
                frame.len()
            ));
        } else if frame.len() < MIN_FRAME_BYTES {
            frame.resize(MIN_FRAME_BYTES, 0);
        }
        status
    }

    /// Frames whose last bit has left.
    pub(super) fn finish_departures(&mut self, context: &mut Context<'_>) {
        while self
            .departures
            .front()
            .is_some_and(|departure| departure.ends <= context.now)
        {
            let Some(departure) = self.departures.pop_front() else {
                return;
            };
            let (address, word) = departure.last;
            let written = word & !(tdes0::OWN | tdes0::STATUS) | departure.status;
            // It was read from there when the frame began.
            let _ = self.memory.set_word(address, written);
            self.usage.sent += 1;
            self.mmc.count_sent();
            if departure.reaches_wire {
                self.sent.push_back((departure.ends, departure.frame));
            }
            if word & tdes0::IC != 0 {
                self.dma.raise(sr::TS);
            }
            self.pump_transmit(context);
        }
    }

    /// DMATPDR: any value.
    pub(super) fn demand_transmit(&mut self, context: &mut Context<'_>) {
        if self.dma.transmit_state == TransmitState::Suspended {
            self.dma.transmit_state = TransmitState::Waiting;
        }
        self.pump_transmit(context);
    }

    /// DMAOMR.ST changed.
    pub(super) fn switch_transmit(&mut self, on: bool, context: &mut Context<'_>) {
        if on {
            self.dma.transmit_state = TransmitState::Waiting;
            self.pump_transmit(context);
        } else {
            self.dma.transmit_state = TransmitState::Stopped;
            self.dma.raise(sr::TPSS);
        }
    }
}
