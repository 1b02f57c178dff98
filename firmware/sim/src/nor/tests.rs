use super::*;

const BASE: u32 = 0x0800_0000;
/// The STM32F407's runs of sectors, sizes divided by 64.
const SIZES: [u32; 12] = [
    256, 256, 256, 256, 1024, 2048, 2048, 2048, 2048, 2048, 2048, 2048,
];

fn map() -> FlashMap {
    FlashMap::new(BASE, &SIZES).unwrap()
}

fn nor() -> Nor {
    let times = FlashTimes {
        word_us: 16,
        erase_us: vec![250_000; 12],
    };
    Nor::new(map(), times, 7)
}

fn sector(index: u8) -> Sector {
    map().sector(index).unwrap()
}

fn word(nor: &Nor, address: u32) -> u32 {
    let mut bytes = [0; 4];
    nor.read(address, &mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}

fn program(nor: &mut Nor, address: u32, value: u32) -> Result<(), FlashError> {
    nor.program(address, &value.to_le_bytes())
}

/// How a word reads at each of the next `boots` boots.
fn readings(nor: &mut Nor, address: u32, boots: u32) -> Vec<u32> {
    let boot = |_| {
        nor.power_on();
        word(nor, address)
    };
    (0..boots).map(boot).collect()
}

#[test]
fn programming_clears_bits_and_erasing_sets_them() {
    let mut nor = nor();
    program(&mut nor, BASE, 0x1234_5678).unwrap();
    program(&mut nor, BASE, 0x1234_0078).unwrap();
    assert_eq!(word(&nor, BASE), 0x1234_0078);
    nor.erase(sector(0)).unwrap();
    assert_eq!(word(&nor, BASE), u32::MAX);
    assert_eq!(nor.counters().words, 2);
    assert_eq!(nor.counters().words_not_erased, 1);
    assert_eq!(nor.counters().erases[0], 1);
    assert_eq!(nor.counters().operations(), 3);
}

#[test]
fn setting_a_bit_by_programming_is_refused_and_recorded() {
    let mut nor = nor();
    program(&mut nor, BASE + 8, 0xFFFF_0000).unwrap();
    let refused = program(&mut nor, BASE + 8, 0x0000_0001);
    assert_eq!(refused, Err(FlashError::new(FlashFault::Program, BASE + 8)));
    let violation = nor.violation().unwrap();
    assert_eq!((violation.old, violation.new), (0xFFFF_0000, 1));
    assert_eq!(word(&nor, BASE + 8), 0xFFFF_0000);
}

#[test]
#[should_panic(expected = "Violation")]
fn setting_a_bit_panics_where_a_test_asked_for_it() {
    let mut nor = nor().panic_on_violation();
    program(&mut nor, BASE, 0).unwrap();
    let _ = program(&mut nor, BASE, 1);
}

#[test]
fn what_lies_outside_or_crooked_is_refused() {
    let mut nor = nor();
    let end = map().region().end() as u32;
    assert!(nor.read(end - 3, &mut [0; 4]).is_err());
    assert!(nor.read(BASE - 1, &mut [0; 4]).is_err());
    assert!(program(&mut nor, end, 0).is_err());
    assert!(program(&mut nor, BASE + 2, 0).is_err());
    assert!(nor.program(BASE, &[0; 6]).is_err());
    let mut crooked = sector(1);
    crooked.region.start += 4;
    assert!(nor.erase(crooked).is_err());
    assert_eq!(nor.counters().operations(), 0);
}

#[test]
fn reads_and_writes_cross_sector_boundaries() {
    let mut nor = nor();
    let address = sector(4).region.start - 4;
    nor.program(address, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let mut bytes = [0; 8];
    nor.read(address, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8]);
    let crc = nor.crc32(0, Region::new(address, 8)).unwrap();
    assert_eq!(crc, iap_protocol::crc::crc32(&bytes));
    let head = nor.crc32(0, Region::new(address, 3)).unwrap();
    assert_eq!(nor.crc32(head, Region::new(address + 3, 5)), Ok(crc));
}

#[test]
fn operations_take_their_time_and_clones_share_nothing() {
    let mut nor = nor();
    let snapshot = nor.clone();
    nor.program(BASE, &[0; 40]).unwrap();
    nor.erase(sector(5)).unwrap();
    assert_eq!(nor.take_busy_us(), 10 * 16 + 250_000);
    assert_eq!(nor.take_busy_us(), 0);
    assert_eq!(word(&snapshot, BASE), u32::MAX);
    assert_eq!(snapshot.counters().operations(), 0);
}

#[test]
fn changes_are_reported_as_one_range() {
    let mut nor = nor();
    program(&mut nor, BASE + 16, 0).unwrap();
    program(&mut nor, BASE + 4, 0).unwrap();
    assert_eq!(nor.take_changed(), Some(BASE + 4..BASE + 20));
    assert_eq!(nor.take_changed(), None);
    nor.erase(sector(1)).unwrap();
    assert_eq!(nor.take_changed(), Some(BASE + 256..BASE + 512));
}

#[test]
fn a_cut_takes_the_power_at_the_planned_operation_and_proves_that_it_fired() {
    for moment in Moment::ALL {
        let mut nor = nor();
        nor.plan_cut(Cut::new(2, moment));
        assert!(nor.program(BASE, &[0; 16]).is_err());
        assert!(nor.is_off());
        assert_eq!(nor.cuts_fired(), 1);
        assert!(nor.read(BASE, &mut [0; 4]).is_err());
        assert!(nor.erase(sector(0)).is_err());
        assert!(program(&mut nor, BASE + 12, 0).is_err());
        nor.power_on();
        assert_eq!(word(&nor, BASE + 4), 0, "what came before is done");
        assert_eq!(word(&nor, BASE + 12), u32::MAX, "what came after is not");
        let third = readings(&mut nor, BASE + 8, 50);
        match moment {
            Moment::Before => assert!(third.iter().all(|&word| word == u32::MAX)),
            Moment::After => assert!(third.iter().all(|&word| word == 0)),
            Moment::Inside => assert!(third.iter().any(|&word| word != third[0])),
        }
        assert_eq!(nor.is_touched_by_cut(0), moment == Moment::Inside);
    }
}

#[test]
fn a_plan_that_did_not_fire_is_seen() {
    let mut nor = nor();
    nor.plan_cut(Cut::new(5, Moment::Inside));
    nor.program(BASE, &[0; 16]).unwrap();
    assert_eq!(nor.cuts_fired(), 0);
    nor.power_on();
    nor.program(BASE + 16, &[0; 16]).unwrap();
    assert!(!nor.is_off(), "a plan does not outlive a boot");
}

#[test]
fn a_torn_word_reads_stable_within_a_boot_and_differently_at_others_until_erased() {
    let mut nor = nor();
    nor.plan_cut(Cut::new(0, Moment::Inside));
    assert!(program(&mut nor, BASE, 0xFFFF_0F00).is_err());
    let readings = readings(&mut nor, BASE, 400);
    assert!(
        readings.iter().all(|word| word | 0x0000_F0FF == u32::MAX),
        "bits that were not to be cleared stay"
    );
    for special in [0xFFFF_0F00, u32::MAX] {
        let count = readings.iter().filter(|&&word| word == special).count();
        assert!((60..200).contains(&count), "{special:#x}: {count} of 400");
    }
    let distinct: std::collections::BTreeSet<_> = readings.iter().collect();
    assert!(distinct.len() > 50, "{} readings", distinct.len());
    assert_eq!(word(&nor, BASE), word(&nor, BASE));
    nor.erase(sector(0)).unwrap();
    assert!((0..50).all(|_| {
        nor.power_on();
        word(&nor, BASE) == u32::MAX
    }));
}

#[test]
fn a_half_erased_sector_may_read_as_before_as_erased_or_as_anything_between() {
    let mut nor = nor();
    let start = sector(4).region.start;
    let old = [0x55; 1024];
    nor.program(start, &old).unwrap();
    nor.plan_cut(Cut::new(0, Moment::Inside));
    assert!(nor.erase(sector(4)).is_err());
    let (mut as_before, mut as_erased, mut between) = (0, 0, 0);
    for _ in 0..400 {
        nor.power_on();
        let mut bytes = [0; 1024];
        nor.read(start, &mut bytes).unwrap();
        match bytes {
            _ if bytes == old => as_before += 1,
            _ if bytes == [0xFF; 1024] => as_erased += 1,
            _ => between += 1,
        }
    }
    assert!(as_before > 50 && as_erased > 50 && between > 100);
    assert_eq!(word(&nor, start - 4), u32::MAX, "neighbours are untouched");
    nor.erase(sector(4)).unwrap();
    assert!(!nor.is_touched_by_cut(4));
}

#[test]
fn programming_onto_a_half_erased_sector_reads_right_now_and_wrong_later() {
    let mut nor = nor();
    program(&mut nor, BASE, 0).unwrap();
    nor.plan_cut(Cut::new(0, Moment::Inside));
    assert!(nor.erase(sector(0)).is_err());
    nor.power_on();
    while nor.content()[..256] != [0xFF; 256] {
        nor.power_on();
    }
    program(&mut nor, BASE, 0x0000_FFFF).unwrap();
    assert_eq!(word(&nor, BASE), 0x0000_FFFF);
    let later = readings(&mut nor, BASE, 100);
    assert!(later.contains(&0), "the old zeros shine through");
}

#[test]
fn a_brown_out_reports_success_for_operations_that_are_torn() {
    let mut nor = nor();
    nor.plan_cut(Cut {
        operations: 4,
        moment: Moment::Before,
        unreliable: 2,
    });
    for i in 0..4 {
        program(&mut nor, BASE + 4 * i, 0).unwrap();
    }
    assert!(program(&mut nor, BASE + 16, 0).is_err());
    let mut wrong = |i: u32| {
        readings(&mut nor, BASE + 4 * i, 100)
            .iter()
            .any(|&w| w != 0)
    };
    assert!(!wrong(0) && !wrong(1));
    assert!(wrong(2) && wrong(3));
}

#[test]
fn the_same_seed_gives_the_same_readings() {
    let run = |seed| {
        let mut nor = Nor::new(map(), FlashTimes::ZERO, seed);
        nor.plan_cut(Cut::new(0, Moment::Inside));
        assert!(program(&mut nor, BASE, 0).is_err());
        readings(&mut nor, BASE, 20)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn faults_happen_on_demand_and_end_when_cleared() {
    let mut nor = nor();
    program(&mut nor, BASE, 0).unwrap();
    let fault = |result: Result<(), FlashError>| result.unwrap_err().fault;

    nor.inject(Fault::EraseFails(0));
    assert_eq!(fault(nor.erase(sector(0))), FlashFault::Erase);
    nor.inject(Fault::ProgramFails(BASE + 4));
    assert_eq!(
        nor.program(BASE + 4, &[0; 4]),
        Err(FlashError::new(FlashFault::Program, BASE + 4))
    );
    nor.inject(Fault::WriteProtected(1));
    let first = sector(1).region.start;
    assert_eq!(fault(nor.erase(sector(1))), FlashFault::WriteProtected);
    assert_eq!(
        fault(program(&mut nor, first, 0)),
        FlashFault::WriteProtected
    );
    assert!(nor.program(first - 4, &[0; 8]).is_err());
    nor.clear_faults();

    nor.inject(Fault::EraseDoesNothing(0));
    nor.erase(sector(0)).unwrap();
    assert_eq!(word(&nor, BASE), 0);
    nor.inject(Fault::ReadsWrong {
        address: BASE,
        bits: 0x0100_0001,
    });
    assert_eq!(word(&nor, BASE), 0x0100_0001);
    assert_eq!(nor.content()[..4], [1, 0, 0, 1]);

    nor.clear_faults();
    nor.inject(Fault::SupplyLow { operations: 2 });
    assert_eq!(fault(nor.erase(sector(0))), FlashFault::SupplyLow);
    assert_eq!(fault(program(&mut nor, BASE, 0)), FlashFault::SupplyLow);
    nor.erase(sector(0)).unwrap();
    assert_eq!(word(&nor, BASE), u32::MAX);
}
