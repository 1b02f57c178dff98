//! An Ethernet block on a bench: SRAM, a wire, and a driver made of register writes.

use std::sync::Arc;

use iap_profile::Profile;
use rsemu::core::space::RamStore;

use super::super::bits::*;
use super::super::{Ethernet, EthernetUse};
use crate::memory::{SRAM, SRAM_LEN};
use crate::register::{Context, Registers, Result, Write};
use crate::report::Reports;
use crate::time::Time;
use crate::wires::{Clocks, Wires};

/// Where the tests keep descriptors and buffers.
pub(super) const RX_LIST: u32 = SRAM;
pub(super) const TX_LIST: u32 = SRAM + 0x1000;
pub(super) const RX_BUFFERS: u32 = SRAM + 0x2000;
pub(super) const TX_BUFFERS: u32 = SRAM + 0x8000;
pub(super) const BUFFER: u32 = 0x800;

pub(super) const MAC: [u8; 6] = [0x02, 1, 2, 3, 4, 5];

pub(super) struct Bench {
    pub(super) eth: Ethernet,
    pub(super) wires: Wires,
    pub(super) now: Time,
    pub(super) reports: Reports,
    sram: Arc<RamStore>,
}

impl Bench {
    /// Clocked at 168 MHz, wired to `board`'s PHY, the link up.
    pub(super) fn of(board: &str) -> Self {
        let sram = Arc::new(RamStore::new(SRAM_LEN.into()));
        let profile = Profile::load(board).unwrap();
        let mut wires = Wires::new(3300);
        wires.clocks = Clocks {
            hclk_hz: 168_000_000,
            ..Clocks::RESET
        };
        wires.mac_clocked = true;
        let mut eth = Ethernet::new(&profile, Arc::clone(&sram), Time::from_millis(1500));
        eth.follow(&wires, Time::ZERO);
        Self {
            eth,
            wires,
            now: Time::from_millis(5000),
            reports: Reports::default(),
            sram,
        }
    }

    pub(super) fn with<T>(&mut self, f: impl FnOnce(&mut Ethernet, &mut Context<'_>) -> T) -> T {
        let mut context = Context::new(self.now, 0, &self.wires, &mut self.reports);
        f(&mut self.eth, &mut context)
    }

    pub(super) fn write(&mut self, offset: u32, value: u32) {
        self.with(|eth, context| eth.write(offset, Write::word(value), context))
            .unwrap();
    }

    pub(super) fn try_write(&mut self, offset: u32, value: u32) -> Result<()> {
        self.with(|eth, context| eth.write(offset, Write::word(value), context))
    }

    pub(super) fn read(&mut self, offset: u32) -> u32 {
        self.with(|eth, context| eth.read(offset, context)).unwrap()
    }

    /// Lets time pass, from event to event as the board does.
    pub(super) fn wait(&mut self, span: Time) {
        let end = self.now + span;
        while self.now < end {
            self.now = self.eth.next_event().clamp(self.now, end);
            self.with(|eth, context| eth.advance(context));
        }
    }

    pub(super) fn word(&self, address: u32) -> u32 {
        let mut bytes = [0; 4];
        self.sram
            .read_at((address - SRAM).into(), &mut bytes)
            .unwrap();
        u32::from_le_bytes(bytes)
    }

    pub(super) fn set_words(&self, address: u32, words: &[u32]) {
        for (index, word) in words.iter().enumerate() {
            let offset = u64::from(address - SRAM) + 4 * index as u64;
            self.sram.write_at(offset, &word.to_le_bytes()).unwrap();
        }
    }

    pub(super) fn bytes(&self, address: u32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.sram
            .read_at((address - SRAM).into(), &mut bytes)
            .unwrap();
        bytes
    }

    pub(super) fn set_bytes(&self, address: u32, bytes: &[u8]) {
        self.sram.write_at((address - SRAM).into(), bytes).unwrap();
    }

    pub(super) fn usage(&self) -> EthernetUse {
        self.eth.usage()
    }

    pub(super) fn errors(&self) -> Vec<String> {
        self.reports
            .list()
            .iter()
            .map(|report| report.text.clone())
            .collect()
    }

    /// Software reset, MAC address, 100 Mbit/s full duplex; `mode` goes to DMABMR, `operation` to DMAOMR.
    pub(super) fn configure(&mut self, mode: u32, operation: u32) {
        self.write(DMABMR, bmr::SR);
        self.wait(Time::from_micros(1));
        assert_eq!(self.read(DMABMR) & bmr::SR, 0);
        self.write(DMABMR, mode);
        self.write(MACA0HR, u32::from_le_bytes([MAC[4], MAC[5], 0, 0]));
        self.write(
            MACA0HR + 4,
            u32::from_le_bytes([MAC[0], MAC[1], MAC[2], MAC[3]]),
        );
        self.write(
            MACCR,
            maccr::FES | maccr::DM | maccr::TE | maccr::RE | maccr::CSTF | maccr::IPCO,
        );
        self.write(DMARDLAR, RX_LIST);
        self.write(DMATDLAR, TX_LIST);
        self.write(DMAOMR, operation);
    }

    /// `count` receive descriptors, chained; the last one closes the circle by its pointer.
    pub(super) fn chain(&self, count: u32, size: u32) {
        for index in 0..count {
            let next = RX_LIST + 32 * ((index + 1) % count);
            let words = [
                1 << 31,
                rdes1::RCH | size,
                RX_BUFFERS + BUFFER * index,
                next,
            ];
            self.set_words(RX_LIST + 32 * index, &words);
        }
    }

    /// Hands one transmit descriptor with a frame to the DMA.
    pub(super) fn send(&mut self, index: u32, flags: u32, frame: &[u8]) {
        let (descriptor, buffer) = (TX_LIST + 32 * index, TX_BUFFERS + BUFFER * index);
        self.set_bytes(buffer, frame);
        self.set_words(
            descriptor + 4,
            &[frame.len() as u32, buffer, descriptor + 32],
        );
        self.set_words(
            descriptor,
            &[tdes0::OWN | tdes0::LS | tdes0::FS | tdes0::TCH | flags],
        );
        self.write(DMATPDR, 0xFFFF);
    }

    /// A frame arrives, and its last bit with it.
    pub(super) fn receive(&mut self, frame: &[u8]) {
        let now = self.now;
        self.eth.arrive(frame.to_vec(), now);
        self.wait(Time::from_micros(200));
    }

    pub(super) fn sent(&mut self) -> Vec<Vec<u8>> {
        self.eth
            .take_sent()
            .into_iter()
            .map(|(_, frame)| frame)
            .collect()
    }
}

/// A frame to `destination` with a payload of `len` bytes and this type.
pub(super) fn frame(destination: [u8; 6], kind: u16, len: usize) -> Vec<u8> {
    let mut frame = [
        &destination[..],
        &[0x06, 9, 9, 9, 9, 9],
        &kind.to_be_bytes(),
    ]
    .concat();
    frame.extend((0..len).map(|index| index as u8));
    frame
}

/// A UDP datagram in a frame, checksums as smoltcp computes them.
pub(super) fn udp(destination: [u8; 6], len: usize) -> Vec<u8> {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{
        EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, UdpPacket,
        UdpRepr,
    };
    let (from, to) = (
        Ipv4Address::new(192, 168, 0, 1),
        Ipv4Address::new(192, 168, 0, 10),
    );
    let udp = UdpRepr {
        src_port: 1000,
        dst_port: 69,
    };
    let ip = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: IpProtocol::Udp,
        payload_len: 8 + len,
        hop_limit: 64,
    };
    let mut bytes = frame(destination, 0x0800, 28 + len);
    let mut ethernet = EthernetFrame::new_unchecked(&mut bytes[..]);
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let checksums = ChecksumCapabilities::default();
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    ip.emit(&mut packet, &checksums);
    let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
    udp.emit(
        &mut datagram,
        &from.into(),
        &to.into(),
        len,
        |payload| payload.fill(0x55),
        &checksums,
    );
    bytes
}
