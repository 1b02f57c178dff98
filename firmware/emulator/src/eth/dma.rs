//! The DMA's registers: start and stop, status, interrupts, missed frames (RM0090 section 33.8.4).

use super::bits::{bmr, omr, sr};
use super::descriptor::Layout;

/// TPS: what the transmitter is at, as DMASR shows it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum TransmitState {
    #[default]
    Stopped = 0,
    Waiting = 2,
    Suspended = 6,
}

/// RPS.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum ReceiveState {
    #[default]
    Stopped = 0,
    Waiting = 3,
    Suspended = 4,
}

#[derive(Debug)]
pub(super) struct Dma {
    pub(super) bmr: u32,
    pub(super) omr: u32,
    pub(super) ier: u32,
    status: u32,
    bus_error: u32,
    pub(super) receive_list: u32,
    pub(super) transmit_list: u32,
    pub(super) receive_at: u32,
    pub(super) transmit_at: u32,
    pub(super) receive_state: ReceiveState,
    pub(super) transmit_state: TransmitState,
    /// No frame leaves any more until MAC and DMA are reset.
    pub(super) transmit_stalled: bool,
    missed: u32,
    overflowed: u32,
    /// Buffers in use last: DMACHTBAR, DMACHRBAR.
    pub(super) transmit_buffer: u32,
    pub(super) receive_buffer: u32,
}

impl Dma {
    pub(super) const fn new() -> Self {
        Self {
            bmr: bmr::RESET & !bmr::SR,
            omr: 0,
            ier: 0,
            status: 0,
            bus_error: 0,
            receive_list: 0,
            transmit_list: 0,
            receive_at: 0,
            transmit_at: 0,
            receive_state: ReceiveState::Stopped,
            transmit_state: TransmitState::Stopped,
            transmit_stalled: false,
            missed: 0,
            overflowed: 0,
            transmit_buffer: 0,
            receive_buffer: 0,
        }
    }

    pub(super) fn receive_layout(&self) -> Layout {
        Layout::new(self.receive_list, self.bmr)
    }

    pub(super) fn transmit_layout(&self) -> Layout {
        Layout::new(self.transmit_list, self.bmr)
    }

    pub(super) fn has(&self, omr_bit: u32) -> bool {
        self.omr & omr_bit != 0
    }

    pub(super) fn is_enhanced(&self) -> bool {
        self.bmr & bmr::EDFE != 0
    }

    /// Raises flags, and the summaries of those whose interrupt is on: the summaries stick until they are cleared themselves.
    pub(super) fn raise(&mut self, flags: u32) {
        self.status |= flags;
        self.summarise();
    }

    fn summarise(&mut self) {
        let enabled = self.status & self.ier;
        if enabled & sr::NORMAL != 0 {
            self.status |= sr::NIS;
        }
        if enabled & sr::ABNORMAL != 0 {
            self.status |= sr::AIS;
        }
    }

    pub(super) fn clear(&mut self, ones: u32) {
        self.status &= !(ones & sr::CLEARABLE);
        self.summarise();
    }

    pub(super) fn set_interrupts(&mut self, enables: u32) {
        self.ier = enables & 0x0001_E7FF;
        self.summarise();
    }

    pub(super) fn interrupt(&self) -> bool {
        self.status & self.ier & (sr::NIS | sr::AIS) != 0
    }

    pub(super) fn status(&self) -> u32 {
        self.status
            | (self.receive_state as u32) << 17
            | (self.transmit_state as u32) << 20
            | self.bus_error << 23
    }

    /// A fatal bus error: the DMA stops until it is reset (section 33.6.6). EBS says what it was doing.
    pub(super) fn fail(&mut self, transmitting: bool, descriptor: bool, reading: bool) {
        self.bus_error =
            u32::from(transmitting) | u32::from(reading) << 1 | u32::from(descriptor) << 2;
        if transmitting {
            self.omr &= !omr::ST;
            self.transmit_state = TransmitState::Stopped;
        } else {
            self.omr &= !omr::SR;
            self.receive_state = ReceiveState::Stopped;
        }
        self.raise(sr::FBES);
    }

    /// A frame that found no descriptor.
    pub(super) fn count_missed(&mut self) {
        self.missed += 1;
    }

    /// A frame that found no room in the FIFO.
    pub(super) fn count_overflow(&mut self) {
        self.overflowed += 1;
        self.raise(sr::ROS);
    }

    /// DMAMFBOCR: reading clears it.
    pub(super) fn take_missed(&mut self) -> u32 {
        let (missed, overflowed) = (self.missed, self.overflowed);
        (self.missed, self.overflowed) = (0, 0);
        let field =
            |count: u32, limit: u32| count & limit | if count > limit { limit + 1 } else { 0 };
        field(missed, 0xFFFF) | field(overflowed, 0x7FF) << 17
    }
}
