//! RM0090 section 33.6.7 and section 33.5.2.

use super::super::bits::*;
use super::bench::{Bench, TX_BUFFERS, TX_LIST, frame, udp};
use crate::time::Time;

const OTHER: [u8; 6] = [0x02, 9, 9, 9, 9, 9];
const STATE: u32 = 7 << 20;

fn started(mode: u32, operation: u32) -> Bench {
    let mut bench = Bench::of("stm32f4-discovery");
    bench.configure(mode, operation);
    bench
}

/// 8 bytes of preamble, 60 of frame, 4 of check sequence at 100 Mbit/s: 5.76 us.
#[test]
fn own_is_given_back_when_the_last_bit_has_left() {
    let mut bench = started(bmr::EDFE, omr::ST | omr::TSF);
    bench.send(0, tdes0::IC, &frame(OTHER, 0x0800, 20));
    bench.wait(Time::from_nanos(5_700));
    assert_eq!(bench.word(TX_LIST) & tdes0::OWN, tdes0::OWN);
    assert_eq!(bench.read(DMASR) & sr::TS, 0);
    bench.wait(Time::from_nanos(100));
    assert_eq!(
        bench.word(TX_LIST),
        tdes0::IC | tdes0::LS | tdes0::FS | tdes0::TCH,
        "software's bits survive"
    );
    assert_eq!(
        bench.read(DMASR) & (sr::TS | sr::TBUS | STATE),
        sr::TS | sr::TBUS | 6 << 20
    );
    let sent = bench.sent();
    assert_eq!(sent[0].len(), 60, "padded");
    assert_eq!(sent[0][..34], frame(OTHER, 0x0800, 20)[..]);
    assert_eq!(bench.errors(), [""; 0]);
}

#[test]
fn at_10_mbit_a_frame_takes_ten_times_as_long() {
    let mut bench = Bench::of("stm324xg-eval");
    // PHY to 10 Mbit/s full duplex, without negotiation.
    bench.write(MACMIIDR, 0x0100);
    bench.write(MACMIIAR, 1 << 11 | 4 << 2 | 3);
    bench.wait(Time::from_millis(100));
    bench.configure(bmr::EDFE, omr::ST | omr::TSF);
    bench.write(MACCR, maccr::DM | maccr::TE);
    bench.send(0, tdes0::IC, &frame(OTHER, 0x0800, 46));
    bench.wait(Time::from_nanos(57_500));
    assert_eq!(bench.read(DMASR) & sr::TS, 0);
    bench.wait(Time::from_nanos(200));
    assert_eq!(bench.read(DMASR) & sr::TS, sr::TS);
    assert_eq!((bench.sent().len(), bench.errors()), (1, vec![]));
}

#[test]
fn a_speed_that_differs_from_the_phys_sends_nothing_and_is_a_guest_error() {
    let mut bench = started(bmr::EDFE, omr::ST | omr::TSF);
    bench.write(MACCR, maccr::DM | maccr::TE);
    bench.send(0, 0, &frame(OTHER, 0x0800, 46));
    bench.wait(Time::from_micros(100));
    assert_eq!(bench.sent().len(), 0);
    assert!(
        bench.errors()[0].starts_with("MACCR.FES differs"),
        "{:?}",
        bench.errors()
    );
}

#[test]
fn with_osf_two_frames_are_taken_and_without_it_one() {
    for (operation, taken) in [(omr::OSF, 2), (0, 1)] {
        let mut bench = started(bmr::EDFE, omr::TSF | operation);
        for index in 0..3 {
            bench.send(index, 0, &frame(OTHER, 0x0800, 46));
        }
        bench.write(DMAOMR, omr::TSF | omr::ST | operation);
        assert_eq!(bench.read(DMACHTDR), TX_LIST + 32 * taken);
        bench.wait(Time::from_micros(30));
        assert_eq!(bench.sent().len(), 3);
    }
}

/// The inter-frame gap of 96 bits is kept: three minimal frames take 3 * 5.76 + 2 * 0.96 us.
#[test]
fn frames_keep_their_distance() {
    let mut bench = started(bmr::EDFE, omr::TSF | omr::OSF);
    for index in 0..3 {
        bench.send(index, 0, &frame(OTHER, 0x0800, 46));
    }
    let start = bench.now;
    bench.write(DMAOMR, omr::TSF | omr::ST | omr::OSF);
    bench.wait(Time::from_millis(1));
    let times: Vec<_> = bench
        .eth
        .take_sent()
        .into_iter()
        .map(|(at, _)| at.since(start).picos() / 1000)
        .collect();
    assert_eq!(times, [5_760, 12_480, 19_200]);
}

#[test]
fn a_frame_in_two_segments_and_two_buffers_is_one_frame() {
    // A ring of normal descriptors, four words apart, the second one ends it (TER).
    let mut bench = started(0, omr::TSF);
    let whole = frame(OTHER, 0x0800, 200);
    bench.set_bytes(TX_BUFFERS, &whole);
    let first = [
        tdes0::OWN | tdes0::FS,
        50 << 16 | 100,
        TX_BUFFERS,
        TX_BUFFERS + 100,
    ];
    let second = [
        tdes0::OWN | tdes0::LS | tdes0::IC | tdes0::TER,
        64,
        TX_BUFFERS + 150,
        0xDEAD_BEEF,
    ];
    bench.set_words(TX_LIST, &first);
    bench.set_words(TX_LIST + 16, &second);
    bench.write(DMAOMR, omr::TSF | omr::ST);
    bench.wait(Time::from_micros(50));
    assert_eq!(bench.sent(), [whole]);
    assert_eq!(bench.word(TX_LIST) & tdes0::OWN, 0);
    assert_eq!(bench.word(TX_LIST + 16) & tdes0::OWN, 0);
    assert_eq!(
        bench.read(DMACHTDR),
        TX_LIST,
        "TER leads back to the list's begin"
    );
}

#[test]
fn checksums_are_inserted_as_cic_asks() {
    let right = udp(OTHER, 100);
    let mut blank = right.clone();
    blank[24..26].fill(0xAA);
    blank[40..42].fill(0);
    for (cic, header, payload) in [(0, false, false), (1, true, false), (3, true, true)] {
        let mut bench = started(bmr::EDFE, omr::ST | omr::TSF);
        bench.send(0, cic << 22, &blank);
        bench.wait(Time::from_micros(50));
        let sent = bench.sent().remove(0);
        assert_eq!(sent[24..26] == right[24..26], header, "CIC {cic}");
        assert_eq!(sent[40..42] == right[40..42], payload, "CIC {cic}");
    }
}

/// RM0090 section 33.5.2: only in store-and-forward mode.
#[test]
fn without_store_and_forward_no_checksum_is_inserted_and_that_is_a_guest_error() {
    let mut bench = started(bmr::EDFE, omr::ST);
    let mut blank = udp(OTHER, 100);
    blank[24..26].fill(0);
    bench.send(0, 3 << 22, &blank);
    bench.wait(Time::from_micros(50));
    assert_eq!(bench.sent(), [blank]);
    assert!(bench.errors()[0].starts_with("TDES0.CIC asks for checksums without DMAOMR.TSF"));
}

#[test]
fn a_buffer_in_ccm_or_flash_is_a_fatal_bus_error() {
    for (address, place) in [
        (0x1000_0000, "in the CCM"),
        (0x0800_0000, "in flash"),
        (0x2002_0000, "not in SRAM"),
    ] {
        let mut bench = started(bmr::EDFE, omr::TSF);
        let word = tdes0::OWN | tdes0::FS | tdes0::LS | tdes0::TER;
        bench.set_words(TX_LIST, &[word, 60, address, 0]);
        bench.write(DMAOMR, omr::TSF | omr::ST);
        assert_eq!(bench.read(DMASR) & (sr::FBES | STATE), sr::FBES);
        assert_eq!(bench.read(DMAOMR) & omr::ST, 0, "stopped");
        assert!(bench.errors()[0].contains(place), "{:?}", bench.errors());
        assert_eq!(bench.usage().bus_errors, 1);
    }
}

#[test]
fn a_list_without_an_end_of_ring_runs_into_what_is_no_descriptor() {
    let mut bench = started(bmr::EDFE, omr::ST | omr::TSF);
    let word = tdes0::OWN | tdes0::FS | tdes0::LS | tdes0::TCH;
    bench.set_words(TX_LIST, &[word, 60, TX_BUFFERS, 0]); // chained to address 0
    bench.write(DMATPDR, 0);
    bench.wait(Time::from_micros(10));
    assert_eq!(bench.sent().len(), 1);
    assert!(
        bench.errors()[0].starts_with("a transmit descriptor at 0x00000000 is not in SRAM"),
        "{:?}",
        bench.errors()
    );
}

#[test]
fn stopping_lets_the_frame_on_the_wire_end() {
    let mut bench = started(bmr::EDFE, omr::ST | omr::TSF);
    bench.send(0, 0, &frame(OTHER, 0x0800, 46));
    bench.write(DMAOMR, omr::TSF);
    bench.wait(Time::from_micros(10));
    assert_eq!(bench.sent().len(), 1);
    assert_eq!(bench.read(DMASR) & (sr::TPSS | STATE), sr::TPSS);
}
