//! The core around rsemu's: sleep, resets, exception frames, faults, clocks.

use std::time::Instant;

use crate::common::{board, finish, guest_errors, result};
use iap_emulator::{ResetCause, Stop, Time};

#[test]
fn sleep_costs_nothing_and_systick_keeps_time() {
    let start = Instant::now();
    let mut board = board("sleep", 0);
    finish(&mut board, Time::from_millis(1100));
    let counted = result(&board, 1); // TIM2 at 16 MHz
    assert!((15_990_000..16_001_000).contains(&counted), "{counted}");
    assert_eq!(
        result(&board, 2),
        1000,
        "each sleep ended with its interrupt"
    );
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
    assert_eq!(guest_errors(&board), [""; 0]);
}

/// ARMv7-M ARM B1.5.6: the stacked xPSR holds ITSTATE.
#[test]
fn an_interrupt_inside_an_it_block_does_not_make_the_rest_unconditional() {
    let mut board = board("it_block", 0);
    finish(&mut board, Time::from_millis(50));
    assert!(
        result(&board, 2) > 60,
        "only {} interrupts came",
        result(&board, 2)
    );
    assert_eq!(result(&board, 1), 0, "blocks that ran wrongly");
}

/// RM0090 section 7.1.1: a system reset sets all registers to their reset values, except RCC_CSR's flags and the backup domain.
fn assert_clean_second_boot(board: &iap_emulator::Board, flag: u32) {
    assert_eq!(result(board, 1), 2, "BKP0R survived");
    assert_eq!(
        result(board, 2) & 0xFF00_0000,
        0x0E00_0000 | flag,
        "RCC_CSR"
    );
    assert_eq!(result(board, 3), 0x8000_0000, "FLASH_CR is locked");
    assert_eq!(result(board, 4), 0, "SYST_CSR");
    assert_eq!(result(board, 5), 0, "NVIC_ISER1");
    assert_eq!(result(board, 6), 0, "VTOR");
}

#[test]
fn sysresetreq_resets_the_whole_chip_but_not_the_backup_domain() {
    let mut board = board("reset", 0);
    assert_eq!(
        board.run(Time::from_millis(5)),
        Stop::Reset(ResetCause::Software)
    );
    finish(&mut board, Time::from_millis(5));
    assert_clean_second_boot(&board, 1 << 28);
}

#[test]
fn the_independent_watchdog_resets_the_whole_chip_when_its_time_is_over() {
    let mut board = board("reset", 1);
    assert_eq!(
        board.run(Time::from_millis(50)),
        Stop::Reset(ResetCause::IndependentWatchdog)
    );
    // 100 * 4 / 32 kHz = 12.5 ms.
    assert!(
        (12_500..12_700).contains(&board.now().micros()),
        "{}",
        board.now()
    );
    finish(&mut board, Time::from_millis(5));
    assert_clean_second_boot(&board, 1 << 29);
}

#[test]
fn power_on_differs_from_a_reset() {
    let mut board = board("reset", 0);
    board.run(Time::from_millis(5));
    finish(&mut board, Time::from_millis(5));
    assert_eq!(board.backup_register(0), Some(2));
    let before = board.word(0x2000_8000);
    board.press_reset();
    assert_eq!(board.backup_register(0), Some(2));
    assert_eq!(board.word(0x2000_8000), before, "SRAM survives a reset");
    board.power_on();
    assert_eq!(board.backup_register(0), Some(0));
    assert_ne!(
        board.word(0x2000_8000),
        before,
        "SRAM does not survive power-off"
    );
}

#[test]
fn a_hard_fault_ends_the_run_with_registers_and_the_way_there() {
    let mut board = board("fault", 0);
    let Stop::Failed(text) = board.run(Time::from_millis(5)) else {
        panic!("no fault")
    };
    assert!(
        text.starts_with("HardFault, bus error on a data access at 0x30000000"),
        "{text}"
    );
    assert!(text.contains("r0 0x30000000"), "{text}");
    for function in ["the_culprit", "its_caller", "main"] {
        assert!(text.contains(function), "{function} is not in {text}");
    }
}

#[test]
fn what_is_not_modelled_is_named_with_address_and_pc_and_not_guessed() {
    let mut board = board("fault", 1);
    let Stop::Failed(text) = board.run(Time::from_millis(5)) else {
        panic!("it went on")
    };
    assert!(
        text.contains("read of 0x40012000, no peripheral that is modelled"),
        "{text}"
    );
    assert!(text.contains("the_culprit"), "{text}");
}

/// RM0090 section 7.3: the clock of a peripheral has to be on before its registers are used.
#[test]
fn a_peripheral_without_a_clock_reads_0_and_is_a_guest_error() {
    let mut board = board("fault", 2);
    finish(&mut board, Time::from_millis(5));
    assert_eq!(result(&board, 1), 1);
    assert_eq!(
        guest_errors(&board),
        ["GPIOA is accessed while its clock is off in RCC (RM0090 section 7.3)"]
    );
}

/// RM0090 section 7.2.3; DS8626 section 5.3.8: the crystal takes 2 ms.
#[test]
fn the_core_follows_rcc_from_hsi_to_the_pll() {
    let mut board = board("clocks", 0);
    assert_eq!(board.clocks().hclk_hz, 16_000_000);
    finish(&mut board, Time::from_millis(5));
    let clocks = board.clocks();
    let all = [
        clocks.hclk_hz,
        clocks.pclk1_hz,
        clocks.pclk2_hz,
        clocks.timers1_hz,
        clocks.pll48_hz,
    ];
    assert_eq!(all, [168, 42, 84, 84, 48].map(|mhz| mhz * 1_000_000));
    assert!(
        (2_100..2_700).contains(&board.now().micros()),
        "{}",
        board.now()
    );
    assert_eq!(guest_errors(&board), [""; 0]);
}

/// RM0090 section 3.5.1, table 10.
#[test]
fn too_few_wait_states_are_a_guest_error() {
    let mut board = board("clocks", 1);
    finish(&mut board, Time::from_millis(5));
    let errors = guest_errors(&board);
    assert!(
        errors[0]
            .contains("HCLK is 168000000 Hz with 0 flash wait states, 5 are needed at 3300 mV"),
        "{errors:?}"
    );
}

/// RM0090 section 2.1: on the AHB a byte or a half word reaches its lanes alone. Drivers of other people write these registers so.
#[test]
fn registers_take_bytes_and_half_words() {
    let mut board = board("lanes", 0);
    finish(&mut board, Time::from_millis(5));
    let results = [1, 2, 3, 4].map(|index| result(&board, index));
    assert_eq!(results, [0x600, 0x1_0003, 1, 0x5000]);
    assert_eq!(guest_errors(&board), [""; 0]);
}
