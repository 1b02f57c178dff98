//! Reception: the wire, filter, checksums, the FIFO of 2 KiB, descriptors (RM0090 sections 33.5.3 and 33.6.8).

use std::collections::VecDeque;

use super::bits::{maccr, omr, rdes0, rdes1, sr};
use super::checksum::{self, Verdict};
use super::descriptor::Descriptor;
use super::dma::ReceiveState;
use super::memory::Unreachable;
use super::{Ethernet, INTER_FRAME_BYTES, MIN_FRAME_BYTES, OVERHEAD_BYTES, filter};
use crate::register::Context;
use crate::time::Time;

/// RM0090 section 33.2.2.
const FIFO_BYTES: usize = 2048;
/// What the FIFO keeps beside a frame's bytes.
const FIFO_STATUS_BYTES: usize = 8;

/// The receiver's side of the wire, and its FIFO.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// Frames on the wire, with the time of their last bit.
    arriving: VecDeque<(Time, Vec<u8>)>,
    wire_free: Time,
    fifo: VecDeque<Received>,
    /// The next so many frames come with a wrong check sequence.
    pub(super) broken: u32,
}

/// A frame as the MAC hands it to the DMA.
#[derive(Clone, Debug)]
struct Received {
    bytes: Vec<u8>,
    verdict: Option<Verdict>,
    filtered: bool,
    crc_error: bool,
    is_type: bool,
    is_vlan: bool,
}

/// What became of an attempt to store a frame.
enum Stored {
    Whole,
    /// The current descriptor is software's.
    NoDescriptor,
    Unreachable {
        error: Unreachable,
        descriptor: bool,
    },
}

impl Receiver {
    pub(super) fn clear(&mut self) {
        self.fifo.clear();
    }

    pub(super) fn next_event(&self) -> Time {
        self.arriving.front().map_or(Time::NEVER, |(at, _)| *at)
    }
}

impl Ethernet {
    /// The first bit of a frame is here.
    pub(crate) fn arrive(&mut self, mut frame: Vec<u8>, now: Time) {
        // The sender's MAC has padded it.
        frame.resize(frame.len().max(MIN_FRAME_BYTES), 0);
        let hz = self.bit_hz(now);
        let starts = self.receiver.wire_free.max(now);
        let ends = starts + Time::of_cycles((frame.len() + OVERHEAD_BYTES) as u64 * 8, hz);
        self.receiver.wire_free = ends + Time::of_cycles(INTER_FRAME_BYTES * 8, hz);
        self.receiver.arriving.push_back((ends, frame));
    }

    /// Frames whose last bit is here.
    pub(super) fn finish_arrivals(&mut self, context: &mut Context<'_>) {
        while self.receiver.next_event() <= context.now {
            let Some((_, frame)) = self.receiver.arriving.pop_front() else {
                return;
            };
            if let Some(received) = self.judge(frame, context) {
                self.buffer(received);
                self.pump_receive(context);
            }
        }
    }

    /// The MAC's work on a frame; none if it goes no further.
    fn judge(&mut self, mut bytes: Vec<u8>, context: &mut Context<'_>) -> Option<Received> {
        if self.mac.cr & maccr::RE == 0 || !self.is_operational() || !self.reaches_wire(context.now)
        {
            self.usage.not_listening += 1;
            return None;
        }
        let crc_error = self.receiver.broken > 0;
        self.receiver.broken = self.receiver.broken.saturating_sub(1);
        if crc_error {
            self.mmc.count_crc_error();
            if !self.dma.has(omr::FEF) {
                return None;
            }
        }
        let filtered = !self.mac.filter.accepts(&bytes);
        if filtered && self.mac.filter.ffr & filter::RA == 0 {
            self.usage.filtered += 1;
            return None;
        }
        let verdict = (self.mac.cr & maccr::IPCO != 0).then(|| checksum::verify(&bytes));
        let wrong = matches!(verdict, Some(Verdict::Ip { header_error, payload_error, .. }) if header_error || payload_error);
        if wrong {
            self.usage.bad_checksum += 1;
            if !self.dma.has(omr::DTCEFD) && !self.dma.has(omr::FEF) {
                return None;
            }
        }
        if bytes[0] & 1 == 0 {
            self.mmc.count_unicast();
        }
        let kind = u16::from_be_bytes([bytes[12], bytes[13]]);
        let is_type = kind >= 0x600;
        let stripped = self.mac.cr & if is_type { maccr::CSTF } else { maccr::APCS } != 0;
        if !stripped {
            let fcs = checksum::fcs(&bytes);
            bytes.extend(fcs);
        }
        Some(Received {
            bytes,
            verdict,
            filtered,
            crc_error,
            is_type,
            is_vlan: kind == 0x8100,
        })
    }

    fn buffer(&mut self, received: Received) {
        let size = |received: &Received| received.bytes.len() + FIFO_STATUS_BYTES;
        let used: usize = self.receiver.fifo.iter().map(size).sum();
        if used + size(&received) > FIFO_BYTES {
            self.usage.overflowed += 1;
            self.dma.count_overflow();
        } else {
            self.receiver.fifo.push_back(received);
        }
    }

    /// Empties the FIFO into the descriptors. A frame that arrives in suspension makes the DMA look at its descriptor again.
    pub(super) fn pump_receive(&mut self, context: &mut Context<'_>) {
        while self.dma.receive_state != ReceiveState::Stopped {
            let Some(received) = self.receiver.fifo.front().cloned() else {
                return;
            };
            match self.store(&received) {
                Stored::Whole => {
                    self.receiver.fifo.pop_front();
                    self.usage.received += 1;
                    self.look_ahead(context);
                }
                Stored::NoDescriptor => {
                    self.dma.receive_state = ReceiveState::Suspended;
                    self.dma.raise(sr::RBUS);
                    if self.dma.has(omr::DFRF) {
                        return; // it stays in the FIFO
                    }
                    self.receiver.fifo.pop_front();
                    self.dma.count_missed();
                    self.usage.missed += 1;
                }
                Stored::Unreachable { error, descriptor } => {
                    return self.fail_receive(error, descriptor, context);
                }
            }
        }
    }

    fn fail_receive(&mut self, error: Unreachable, descriptor: bool, context: &mut Context<'_>) {
        let what = if descriptor {
            "a receive descriptor"
        } else {
            "a receive buffer"
        };
        context.guest_error(error.explain(what));
        self.usage.bus_errors += 1;
        self.dma.fail(false, descriptor, descriptor);
    }

    /// After a frame the DMA looks at the next descriptor, and suspends if that is not its own (section 33.6.8, step 7).
    fn look_ahead(&mut self, context: &mut Context<'_>) {
        match Descriptor::fetch(&self.memory, self.dma.receive_at) {
            Ok(descriptor) if descriptor.is_owned() => {
                self.dma.receive_state = ReceiveState::Waiting
            }
            Ok(_) => {
                self.dma.receive_state = ReceiveState::Suspended;
                self.dma.raise(sr::RBUS);
            }
            Err(error) => self.fail_receive(error, true, context),
        }
    }

    /// Writes a frame into as many descriptors as it needs; each goes back to software as soon as it is full.
    fn store(&mut self, received: &Received) -> Stored {
        let layout = self.dma.receive_layout();
        let mut rest = received.bytes.as_slice();
        let mut first = true;
        loop {
            let descriptor = match Descriptor::fetch(&self.memory, self.dma.receive_at) {
                Ok(descriptor) => descriptor,
                Err(error) => {
                    return Stored::Unreachable {
                        error,
                        descriptor: true,
                    };
                }
            };
            if !descriptor.is_owned() {
                return if first {
                    Stored::NoDescriptor
                } else {
                    self.truncate()
                };
            }
            for (address, capacity) in descriptor.receive_buffers() {
                let (part, others) = rest.split_at(capacity.min(rest.len()));
                if !part.is_empty() {
                    self.dma.receive_buffer = address;
                    if let Err(error) = self.memory.write(address, part) {
                        return Stored::Unreachable {
                            error,
                            descriptor: false,
                        };
                    }
                }
                rest = others;
            }
            let last = rest.is_empty();
            self.close(&descriptor, received, first, last);
            self.dma.receive_at = descriptor.next_receive(&layout);
            if last {
                if descriptor.words[1] & rdes1::DIC == 0 {
                    self.dma.raise(sr::RS);
                }
                return Stored::Whole;
            }
            first = false;
        }
    }

    /// The descriptors ended in the middle of a frame: the rest of it is lost (RDES0.DE; section 33.6.8).
    fn truncate(&mut self) -> Stored {
        self.dma.raise(sr::RBUS);
        self.usage.missed += 1;
        Stored::Whole
    }

    /// Writes the status back. RDES0 is new in every bit.
    fn close(&mut self, descriptor: &Descriptor, received: &Received, first: bool, last: bool) {
        let mut word = if first { rdes0::FS } else { 0 };
        let layout = self.dma.receive_layout();
        let next = descriptor.next_receive(&layout);
        let next_owned = Descriptor::fetch(&self.memory, next).is_ok_and(|next| next.is_owned());
        if last {
            word |=
                rdes0::LS | (received.bytes.len() as u32) << 16 | self.status(descriptor, received);
        } else if !next_owned {
            word |= rdes0::LS | rdes0::DE | rdes0::ES;
        }
        // It was read from there a moment ago.
        let _ = self.memory.set_word(descriptor.address, word);
    }

    fn status(&mut self, descriptor: &Descriptor, received: &Received) -> u32 {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        let mut word = bit(received.filtered, rdes0::AFM)
            | bit(received.crc_error, rdes0::CE | rdes0::ES)
            | bit(received.is_vlan, rdes0::VLAN);
        let Some(verdict) = received.verdict else {
            return word | bit(received.is_type, rdes0::FT);
        };
        if !self.dma.is_enhanced() {
            return word | normal_status(verdict);
        }
        word |= bit(received.is_type, rdes0::FT);
        if let Some(extended) = extended_status(verdict) {
            let _ = self
                .memory
                .set_word(descriptor.address.wrapping_add(16), extended);
            word |= rdes0::PCE_ESA | bit(extended & 0x18 != 0, rdes0::ES);
        }
        word
    }

    /// DMARPDR: any value.
    pub(super) fn demand_receive(&mut self, context: &mut Context<'_>) {
        if self.dma.receive_state == ReceiveState::Suspended {
            self.look_ahead(context);
        }
        self.pump_receive(context);
    }

    /// DMAOMR.SR changed.
    pub(super) fn switch_receive(&mut self, on: bool, context: &mut Context<'_>) {
        if on {
            self.dma.receive_state = ReceiveState::Waiting;
            self.look_ahead(context);
            self.pump_receive(context);
        } else {
            self.dma.receive_state = ReceiveState::Stopped;
            self.dma.raise(sr::RPSS);
        }
    }
}

/// Bits 7, 5 and 0 of RDES0 with normal descriptors (section 33.6.8, table "Receive descriptor 0").
fn normal_status(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Length => 0,
        Verdict::OtherType => rdes0::IPHCE | rdes0::PCE_ESA,
        Verdict::Ip {
            header_error: false,
            bypassed: true,
            ..
        } => rdes0::PCE_ESA,
        Verdict::Ip {
            header_error,
            payload_error,
            ..
        } => {
            let header = if header_error { rdes0::IPHCE } else { 0 };
            let payload = if payload_error { rdes0::PCE_ESA } else { 0 };
            rdes0::FT | header | payload
        }
    }
}

/// RDES4 with enhanced descriptors; nothing for frames that are not IP.
fn extended_status(verdict: Verdict) -> Option<u32> {
    let Verdict::Ip {
        header_error,
        payload_error,
        payload_type,
        bypassed,
        is_v6,
    } = verdict
    else {
        return None;
    };
    let version = if is_v6 { 1 << 7 } else { 1 << 6 };
    Some(
        version
            | u32::from(bypassed) << 5
            | u32::from(payload_error) << 4
            | u32::from(header_error) << 3
            | payload_type,
    )
}
