//! Against RM0090 section 33, by register writes and golden words.

mod bench;
mod receive;
mod transmit;

use super::bits::*;
use super::filter::Filter;
use crate::register::Refusal;
use crate::time::Time;
use bench::{Bench, MAC, frame};

/// RM0090 section 33.8.4, DMABMR.SR: the reset ends when all clocks are there.
#[test]
fn a_software_reset_clears_the_registers_and_needs_the_clocks_of_the_phy() {
    let mut bench = Bench::of("stm32f4-discovery");
    bench.write(MACFFR, 1);
    bench.wires.media_fault = Some("SYSCFG_PMC selects MII, the board has RMII".to_owned());
    let wires = bench.wires.clone();
    bench.eth.follow(&wires, bench.now);
    bench.write(DMABMR, bmr::SR);
    bench.wait(Time::from_millis(10));
    assert_eq!(bench.read(DMABMR), bmr::RESET);
    assert!(
        bench.errors()[0]
            .contains("DMABMR.SR does not clear: SYSCFG_PMC selects MII, the board has RMII")
    );
    bench.wires.media_fault = None;
    let wires = bench.wires.clone();
    bench.eth.follow(&wires, bench.now);
    bench.wait(Time::from_micros(1));
    assert_eq!(bench.read(DMABMR), bmr::RESET & !bmr::SR);
    assert_eq!(bench.read(MACFFR), 0);
    assert_eq!(bench.read(MACCR), maccr::RESET);
}

/// The PHY has a reset of its own; RM0090 section 33.8.4 speaks of the MAC's subsystem only.
#[test]
fn a_software_reset_does_not_touch_the_phy() {
    let mut bench = Bench::of("stm324xg-eval");
    mdio_read(&mut bench, 1, 1);
    bench.write(DMABMR, bmr::SR);
    bench.wait(Time::from_micros(1));
    assert_eq!(
        mdio_read(&mut bench, 1, 1) & 0x24,
        0x24,
        "the link is still up"
    );
}

#[test]
fn what_is_not_modelled_is_refused() {
    let mut bench = Bench::of("stm32f4-discovery");
    assert_eq!(
        bench.try_write(0x0700, 1),
        Err(Refusal::NotModelled),
        "time stamps"
    );
    assert_eq!(
        bench.try_write(MACFCR, 1),
        Err(Refusal::NotModelled),
        "a pause frame"
    );
    assert_eq!(
        bench.try_write(0x0028, 1),
        Err(Refusal::NotModelled),
        "wake-up filter"
    );
}

/// Reads a register of a PHY: PA, MR, CR = HCLK/102, MB.
fn mdio_read(bench: &mut Bench, address: u32, register: u32) -> u32 {
    bench.write(MACMIIAR, address << 11 | register << 6 | 4 << 2 | 1);
    assert_eq!(
        bench.read(MACMIIAR) & 1,
        1,
        "MB is set while the frame is on the wire"
    );
    // 64 bits at 168 MHz / 102 take 38.9 us.
    bench.wait(Time::from_micros(38));
    assert_eq!(bench.read(MACMIIAR) & 1, 1);
    bench.wait(Time::from_micros(1));
    assert_eq!(bench.read(MACMIIAR) & 1, 0);
    bench.read(MACMIIDR)
}

/// RM0090 section 33.4.1; IEEE 802.3 clause 22.
#[test]
fn only_the_fitted_phy_answers() {
    for (board, address, id) in [
        ("stm324xg-eval", 1, [0x2000, 0x5C90]),
        ("stm32f4-discovery", 0, [0x0007, 0xC0F1]),
    ] {
        let mut bench = Bench::of(board);
        for other in (0..32).filter(|other| *other != address) {
            assert_eq!(mdio_read(&mut bench, other, 2), 0xFFFF);
        }
        assert_eq!(
            [2, 3].map(|register| mdio_read(&mut bench, address, register)),
            id
        );
        assert_eq!(bench.errors(), [""; 0]);
    }
}

/// Clause 22.2.4.2.13: the link bit latches low until it is read.
#[test]
fn a_link_that_was_lost_shows_once_after_it_is_back() {
    let mut bench = Bench::of("stm324xg-eval");
    let link = |bench: &mut Bench| mdio_read(bench, 1, 1) & 0x24;
    link(&mut bench);
    assert_eq!(link(&mut bench), 0x24, "up, negotiation complete");
    assert_eq!(
        mdio_read(&mut bench, 1, 0x10),
        0x15,
        "PHYSTS of the DP83848: link, full duplex, done"
    );
    let now = bench.now;
    bench.eth.set_cable(false, now);
    bench.wait(Time::from_millis(10));
    bench.eth.set_cable(true, bench.now);
    assert_eq!(link(&mut bench), 0);
    bench.wait(Time::from_millis(1500));
    assert_eq!(link(&mut bench) & 4, 0, "latched low");
    assert_eq!(link(&mut bench), 0x24);
}

#[test]
fn an_mdc_above_2_5_mhz_and_an_impatient_driver_are_guest_errors() {
    let mut bench = Bench::of("stm324xg-eval");
    bench.write(MACMIIAR, 1 << 11 | 2 << 2 | 1); // HCLK/16
    bench.write(MACMIIAR, 1 << 11 | 2 << 2 | 1);
    let errors = bench.errors();
    assert!(errors[0].contains("MDC 10500000 Hz"), "{errors:?}");
    assert!(
        errors[1].contains("MACMIIAR is written while MB is set"),
        "{errors:?}"
    );
}

fn filter(ffr: u32) -> Filter {
    let mut filter = Filter::RESET;
    *filter.slot(MACFFR) = ffr;
    *filter.slot(MACA0HR) = 0x8000_0504;
    *filter.slot(MACA0HR + 4) = 0x0302_0102;
    filter
}

/// RM0090 section 33.5.5, table "Destination address filtering".
#[test]
fn the_address_filter_lets_through_what_the_table_says() {
    const GROUP: [u8; 6] = [0x01, 0, 0x5E, 0, 0, 1];
    const OTHER: [u8; 6] = [0x02, 9, 9, 9, 9, 9];
    let cases = [
        (0, [true, true, false, false]),
        (1, [true, true, true, true]),
        (1 << 5, [true, false, false, false]),
        (1 << 4, [true, true, true, false]),
        (1 << 3, [false, true, true, true]),
    ];
    for (ffr, expected) in cases {
        let passes =
            [MAC, [0xFF; 6], GROUP, OTHER].map(|to| filter(ffr).accepts(&frame(to, 0x0800, 46)));
        assert_eq!(passes, expected, "MACFFR {ffr:#x}");
    }
}

/// RM0090 section 33.5.5: the six upper bits of the reversed CRC; 01:00:5e:00:00:01 is bit 0x20 or so only by computation, so this
/// computes it a second way, bit by bit from the wire's order.
#[test]
fn the_hash_filter_takes_the_upper_bits_of_the_reversed_crc() {
    let group = [0x01, 0, 0x5E, 0, 0, 1];
    let mut crc = u32::MAX;
    for bit in (0..48).map(|bit| u32::from(group[bit / 8] >> (bit % 8) & 1)) {
        let feedback = (crc >> 31) ^ bit;
        crc = crc << 1 ^ if feedback != 0 { 0x04C1_1DB7 } else { 0 };
    }
    let index = !crc >> 26;
    let mut filter = filter(1 << 2);
    assert!(!filter.accepts(&frame(group, 0x0800, 46)));
    *filter.slot(if index < 32 { MACHTLR } else { MACHTHR }) = 1 << (index & 31);
    assert!(filter.accepts(&frame(group, 0x0800, 46)));
    assert!(!filter.accepts(&frame([0x01, 0, 0x5E, 0, 0, 2], 0x0800, 46)));
}

/// RM0090 section 33.8.4, DMASR: NIS and AIS stick until they are written themselves.
#[test]
fn the_interrupt_stays_until_the_summary_is_cleared_too() {
    let mut bench = Bench::of("stm32f4-discovery");
    bench.configure(bmr::EDFE, omr::ST | omr::TSF);
    bench.write(DMAIER, sr::NIS | sr::TS);
    bench.send(0, tdes0::IC, &frame([0xFF; 6], 0x0800, 46));
    bench.wait(Time::from_micros(10));
    assert!(bench.eth.interrupt());
    assert_eq!(bench.read(DMASR) & 0x1_FFFF, sr::TS | sr::TBUS | sr::NIS);
    bench.write(DMASR, sr::TS);
    assert!(bench.eth.interrupt(), "NIS sticks");
    bench.write(DMASR, sr::NIS);
    assert!(!bench.eth.interrupt(), "TBUS is not enabled");
}
