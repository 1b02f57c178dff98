//! RM0090 section 33.6.8 and section 33.5.3.

use super::super::bits::*;
use super::super::checksum;
use super::bench::{BUFFER, Bench, MAC, RX_BUFFERS, RX_LIST, frame, udp};
use crate::time::Time;

const STATE: u32 = 7 << 17;
const WAITING: u32 = 3 << 17;
const SUSPENDED: u32 = 4 << 17;
const STORE_AND_FORWARD: u32 = 1 << 25;

fn listening(mode: u32, operation: u32, descriptors: u32) -> Bench {
    let mut bench = Bench::of("stm32f4-discovery");
    bench.configure(mode, STORE_AND_FORWARD | operation);
    bench.chain(descriptors, 1536);
    bench.write(DMAOMR, STORE_AND_FORWARD | operation | omr::SR);
    bench
}

#[test]
fn a_frame_lands_in_its_buffer_with_length_and_flags() {
    let mut bench = listening(bmr::EDFE, 0, 4);
    assert_eq!(bench.read(DMASR) & STATE, WAITING);
    let sent = udp(MAC, 100);
    bench.receive(&sent);
    let status = bench.word(RX_LIST);
    // FL = 142, FS, LS, FT, ESA; OWN is software's.
    assert_eq!(
        status,
        142 << 16 | rdes0::FS | rdes0::LS | rdes0::FT | rdes0::PCE_ESA
    );
    assert_eq!(bench.word(RX_LIST + 16), 1 << 6 | 1, "RDES4: IPv4, UDP");
    assert_eq!(bench.bytes(RX_BUFFERS, 142), sent);
    assert_eq!(bench.read(DMASR) & (sr::RS | STATE), sr::RS | WAITING);
    assert_eq!(bench.read(DMACHRDR), RX_LIST + 32);
}

/// MACCR.CSTF = 0: the check sequence is in the buffer and counts in FL.
#[test]
fn the_check_sequence_is_stripped_or_kept_as_cstf_says() {
    let mut bench = listening(bmr::EDFE, 0, 4);
    bench.write(MACCR, maccr::FES | maccr::DM | maccr::RE);
    let sent = frame(MAC, 0x0800, 46);
    bench.receive(&sent);
    assert_eq!(bench.word(RX_LIST) >> 16 & 0x3FFF, 64);
    assert_eq!(
        bench.bytes(RX_BUFFERS, 64),
        [sent.clone(), checksum::fcs(&sent).to_vec()].concat()
    );
}

#[test]
fn a_frame_longer_than_its_buffers_fills_several() {
    let mut bench = Bench::of("stm32f4-discovery");
    bench.configure(0, STORE_AND_FORWARD);
    // A ring of normal descriptors with two buffers of 64 bytes each.
    for index in 0..3 {
        let buffer = RX_BUFFERS + BUFFER * index;
        let end = if index == 2 { rdes1::RER } else { 0 };
        bench.set_words(
            RX_LIST + 16 * index,
            &[1 << 31, 64 << 16 | 64 | end, buffer, buffer + 64],
        );
    }
    bench.write(DMAOMR, STORE_AND_FORWARD | omr::SR);
    let sent = frame(MAC, 0x88B5, 186);
    bench.receive(&sent);
    assert_eq!(
        bench.word(RX_LIST),
        rdes0::FS,
        "the first is full, its length is that of its buffers"
    );
    // Neither IPv4 nor IPv6 with normal descriptors: bits 7 and 0, not FT.
    assert_eq!(
        bench.word(RX_LIST + 16),
        200 << 16 | rdes0::LS | rdes0::IPHCE | rdes0::PCE_ESA
    );
    let stored = [
        bench.bytes(RX_BUFFERS, 128),
        bench.bytes(RX_BUFFERS + BUFFER, 72),
    ]
    .concat();
    assert_eq!(stored, sent);
}

/// Section 33.6.8, steps 7 to 9, and DMAMFBOCR.
#[test]
fn without_a_descriptor_frames_are_dropped_and_counted_until_one_comes() {
    let mut bench = listening(bmr::EDFE, 0, 2);
    let sent = udp(MAC, 10);
    bench.receive(&sent);
    bench.receive(&sent);
    assert_eq!(bench.read(DMASR) & (sr::RBUS | STATE), sr::RBUS | SUSPENDED);
    bench.receive(&sent);
    bench.receive(&sent);
    assert_eq!(bench.usage().missed, 2);
    assert_eq!(bench.read(DMAMFBOCR), 2);
    assert_eq!(bench.read(DMAMFBOCR), 0, "reading clears it");
    bench.set_words(RX_LIST, &[1 << 31]);
    bench.receive(&sent);
    assert_eq!(
        bench.word(RX_LIST) >> 31,
        0,
        "a frame makes the DMA look again, without a demand"
    );
    assert_eq!(bench.usage().received, 3);
}

/// DFRF = 1: the frame waits in the FIFO of 2 KiB; then the FIFO overflows.
#[test]
fn with_dfrf_frames_wait_in_the_fifo_until_it_overflows() {
    let mut bench = listening(bmr::EDFE, omr::DFRF, 1);
    let sent = frame(MAC, 0x88B5, 900);
    bench.receive(&sent);
    for _ in 0..4 {
        bench.receive(&sent);
    }
    // Two of 914 + 8 bytes fit.
    assert_eq!((bench.usage().overflowed, bench.usage().missed), (2, 0));
    assert_eq!(bench.read(DMASR) & sr::ROS, sr::ROS);
    assert_eq!(bench.read(DMAMFBOCR), 2 << 17);
    bench.set_words(RX_LIST, &[1 << 31]);
    bench.write(DMARPDR, 1);
    assert_eq!(bench.usage().received, 2);
}

#[test]
fn wrong_checksums_are_dropped_unless_dtcefd_says_otherwise() {
    let mut wrong = udp(MAC, 50);
    wrong[60] ^= 1;
    let mut bench = listening(bmr::EDFE, 0, 4);
    bench.receive(&wrong);
    assert_eq!((bench.usage().bad_checksum, bench.usage().received), (1, 0));
    let mut bench = listening(bmr::EDFE, omr::DTCEFD, 4);
    bench.receive(&wrong);
    assert_eq!(bench.word(RX_LIST + 16), 1 << 6 | 1 << 4 | 1, "RDES4.IPPE");
    assert_eq!(bench.word(RX_LIST) & rdes0::ES, rdes0::ES);
    let mut bench = listening(0, omr::DTCEFD, 4);
    bench.receive(&wrong);
    let bits = bench.word(RX_LIST) & (rdes0::FT | rdes0::IPHCE | rdes0::PCE_ESA);
    assert_eq!(
        bits,
        rdes0::FT | rdes0::PCE_ESA,
        "normal descriptor: payload error"
    );
}

#[test]
fn a_wrong_check_sequence_is_counted_and_forwarded_only_with_fef() {
    let mut bench = listening(bmr::EDFE, 0, 4);
    bench.eth.break_frames(1);
    bench.receive(&udp(MAC, 10));
    assert_eq!(
        (bench.usage().received, bench.read(0x194)),
        (0, 1),
        "MMCRFCECR"
    );
    let mut bench = listening(bmr::EDFE, omr::FEF, 4);
    bench.eth.break_frames(1);
    bench.receive(&udp(MAC, 10));
    assert_eq!(
        bench.word(RX_LIST) & (rdes0::ES | rdes0::CE),
        rdes0::ES | rdes0::CE
    );
}

#[test]
fn frames_for_others_are_filtered_and_dic_suppresses_the_interrupt() {
    let mut bench = listening(bmr::EDFE, 0, 4);
    bench.receive(&udp([0x02, 8, 8, 8, 8, 8], 10));
    assert_eq!((bench.usage().filtered, bench.usage().received), (1, 0));
    bench.set_words(RX_LIST + 4, &[rdes1::DIC | rdes1::RCH | 1536]);
    bench.receive(&udp(MAC, 10));
    assert_eq!(bench.usage().received, 1);
    assert_eq!(bench.read(DMASR) & sr::RS, 0);
}

/// 8 + 60 + 4 bytes at 100 Mbit/s.
#[test]
fn a_frame_is_there_when_its_last_bit_is() {
    let mut bench = listening(bmr::EDFE, 0, 4);
    let now = bench.now;
    bench.eth.arrive(udp(MAC, 1), now);
    assert_eq!(bench.eth.next_event(), now + Time::from_nanos(5_760));
    bench.wait(Time::from_nanos(5_700));
    assert_eq!(bench.word(RX_LIST) >> 31, 1);
    bench.wait(Time::from_nanos(60));
    assert_eq!(bench.word(RX_LIST) >> 31, 0);
}

#[test]
fn with_the_link_down_nothing_arrives() {
    let mut bench = listening(bmr::EDFE, 0, 4);
    bench.eth.set_cable(false, bench.now);
    bench.receive(&udp(MAC, 1));
    assert_eq!(
        (bench.usage().not_listening, bench.usage().received),
        (1, 0)
    );
}

#[test]
fn a_receive_buffer_in_the_ccm_stops_the_dma() {
    let mut bench = listening(bmr::EDFE, 0, 4);
    bench.set_words(RX_LIST + 8, &[0x1000_0400]);
    bench.receive(&udp(MAC, 1));
    assert_eq!(bench.read(DMASR) & (sr::FBES | STATE), sr::FBES);
    assert!(
        bench.errors()[0].starts_with("a receive buffer at 0x10000400 is in the CCM"),
        "{:?}",
        bench.errors()
    );
}
