//! The flash as a driver sees it (RM0090 section 3): times, stalls, errors, stale cache lines, cuts.

use crate::common::{ARGUMENT, board, finish, guest_errors, result};
use iap_emulator::{ResetCause, Stop, Time};
use iap_sim::nor::{Cut, Moment};

/// Ticks of TIM2 at 16 MHz.
fn micros(ticks: u32) -> u32 {
    ticks / 16
}

/// DS8626 section 5.3.12: 1 s for 128 KiB at x32, 16 us a word; RM0090 section 3.6: the core stands still meanwhile.
#[test]
fn operations_take_the_datasheets_time_and_stall_the_core() {
    let mut board = board("flash", 0);
    finish(&mut board, Time::from_millis(1100));
    assert!(
        (1_000_000..1_000_020).contains(&micros(result(&board, 1))),
        "erase"
    );
    assert!(
        (1_600..1_700).contains(&micros(result(&board, 2))),
        "100 words: {}",
        result(&board, 2)
    );
    assert!(
        (16..22).contains(&micros(result(&board, 3))),
        "a byte takes as long as a word"
    );
    assert_eq!(result(&board, 10), 0xFFFF_FF5A);
}

/// RM0090 section 3.9.5: PGPERR for the wrong width, PGSERR without PG or while locked.
#[test]
fn refused_operations_set_their_flag_and_program_nothing() {
    let mut board = board("flash", 0);
    finish(&mut board, Time::from_millis(1100));
    assert_eq!(result(&board, 4), 1 << 6);
    assert_eq!(result(&board, 5), 1 << 7);
    assert_eq!(result(&board, 6), u32::MAX);
    let errors = guest_errors(&board);
    assert_eq!(errors.len(), 2, "{errors:?}");
}

/// RM0090 section 3.6.4: the caches are to be flushed after an erase.
#[test]
fn the_data_cache_answers_with_old_content_until_it_is_flushed() {
    let mut board = board("flash", 0);
    finish(&mut board, Time::from_millis(1100));
    assert_eq!(
        [7, 8, 9].map(|index| result(&board, index)),
        [0x1234_5678, 0x1234_5678, u32::MAX]
    );
}

#[test]
fn code_in_ram_runs_on_during_an_erase_until_it_reads_the_flash() {
    let mut board = board("ram_erase", 0);
    finish(&mut board, Time::from_millis(1100));
    assert!(
        result(&board, 1) > 100,
        "it polled the timer for 1 ms: {}",
        result(&board, 1)
    );
    assert_eq!(result(&board, 2), 1 << 16, "BSY");
    assert!(
        (999_900..1_000_100).contains(&micros(result(&board, 4))),
        "{}",
        micros(result(&board, 4))
    );
}

#[test]
fn a_planned_cut_takes_the_power_at_its_operation_and_leaves_undecided_bits() {
    let mut board = board("flash", 0);
    board.with_flash(|nor| nor.plan_cut(Cut::new(5, Moment::Inside)));
    assert_eq!(board.run(Time::from_millis(1100)), Stop::PowerLost);
    assert_eq!(board.with_flash(|nor| nor.counters().words), 5);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        board.power_on();
        seen.insert(board.word(0x0802_0010).unwrap());
    }
    assert!(seen.len() > 1, "the torn word reads the same at every boot");
    assert_eq!(
        board.word(0x0802_000C),
        Some(3),
        "the one before it is whole"
    );
}

#[test]
fn what_was_programmed_right_before_a_cut_is_there_at_the_next_boot() {
    let mut board = board("flash", 0);
    board.with_flash(|nor| nor.plan_cut(Cut::new(4, Moment::After)));
    assert_eq!(board.run(Time::from_millis(1100)), Stop::PowerLost);
    board.power_on();
    assert_eq!(board.word(0x0802_000C), Some(3));
    assert_eq!(board.word(0x0802_0010), Some(u32::MAX));
}

/// The board is switched on while the erase would still be under way: the cut alone says what is left of the sector.
#[test]
fn a_planned_cut_at_an_erase_is_all_that_happens_to_the_sector() {
    for moment in Moment::ALL {
        let mut board = board("flash", 0);
        board.with_flash(|nor| nor.plan_cut(Cut::new(0, moment)));
        assert_eq!(board.run(Time::from_millis(1100)), Stop::PowerLost);
        let mut cells = board.with_flash(|nor| nor.clone());
        assert_eq!(cells.is_touched_by_cut(5), moment == Moment::Inside);
        cells.power_on();
        board.power_on();
        assert!(board.flash_content() == cells.content(), "{moment:?}");
    }
}

/// RM0090 section 3.6: contents are not guaranteed if a reset comes during an operation.
#[test]
fn a_watchdog_in_the_middle_of_an_erase_leaves_the_sector_undecided() {
    let mut board = board("reset", 2);
    assert_eq!(
        board.run(Time::from_millis(50)),
        Stop::Reset(ResetCause::IndependentWatchdog)
    );
    assert!(board.with_flash(|nor| nor.is_touched_by_cut(5)));
    board.set_word(ARGUMENT, 0);
    finish(&mut board, Time::from_millis(5));
}
