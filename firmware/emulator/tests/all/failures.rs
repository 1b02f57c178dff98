//! What can be wrong with a board, and what the shipped firmware makes of it: no crystal, a low supply, write protection, a watchdog that
//! runs from the first instruction, no cable, no random numbers.

use std::process::Stdio;

use crate::common::guest_errors;
use crate::common::iap::{Bench, MII, RMII, Setup};
use iap_emulator::{ResetCause, Time, Wear};

/// The LEDs' patterns repeat after so long (`leds.rs` of the firmware).
const PATTERN: Time = Time::from_millis(2000);

/// How often the first LED goes on within a pattern.
fn flashes(bench: &mut Bench) -> usize {
    let from = bench.board().now();
    bench.runs(PATTERN);
    let changes = bench.board().led_changes();
    let went_on = |it: &&iap_emulator::LedChange| it.at >= from && it.led == 0 && it.on;
    changes.iter().filter(went_on).count()
}

/// The PHY has a clock of its own: the network is there, at the same speed, from HSI.
#[test]
fn without_a_crystal_the_network_runs_from_hsi() {
    let mut bench = Bench::new(RMII, Setup::default());
    bench.board().break_crystal().unwrap();
    bench.settle();
    let pllcfgr = bench.board().register(0x4002_3804).unwrap();
    assert_eq!(pllcfgr >> 22 & 1, 0, "RCC_PLLCFGR.PLLSRC is HSI");
    assert_eq!(bench.board().clocks().sysclk_hz, 152_000_000); // HSI may be 4.5 % fast
    bench.push_application("tftp");
    bench.wait_for_start();
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

/// The PHY's clock would come from HSE over MCO1: there is no network, and the LED says so.
#[test]
fn without_a_crystal_and_with_a_phy_that_is_clocked_by_it_the_led_shows_the_clock_failure() {
    let mut bench = Bench::new(MII, Setup::default());
    bench.board().break_crystal().unwrap();
    bench.settle();
    assert_eq!(flashes(&mut bench), 5);
    assert_eq!(bench.resets, []);
    assert_eq!(bench.board().ethernet_use().sent, 0);
}

/// The clock security system (RM0090 section 7.2.7) raises NMI, which resets; the next boot does without HSE.
#[test]
fn a_crystal_that_stops_costs_a_reset_and_no_more() {
    let mut bench = Bench::ready(RMII);
    bench.board().break_crystal().unwrap();
    bench.settle();
    let causes: Vec<_> = bench.resets.iter().map(|(_, cause)| *cause).collect();
    assert_eq!(causes, [ResetCause::Software]);
    bench.status("tftp");
}

#[test]
fn a_low_supply_pauses_the_update_until_it_is_back() {
    let mut bench = Bench::ready(RMII);
    let (file, payload) = bench.image((1, 2, 3), 5000);
    bench.board().set_supply(2800); // below the threshold of 2.9 V
    let mut command = bench.command(&["push", file.to_str().unwrap()], "tftp");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = command.spawn().unwrap();
    bench.serve_until(|bench| bench.board().ethernet_use().received > 12);
    bench.runs(Time::from_millis(1500));
    assert_eq!(flashes(&mut bench), 4);
    assert_eq!(bench.erases(), [0; 12]);
    assert!(client.try_wait().unwrap().is_none(), "it waits");
    bench.board().set_supply(3300);
    bench.serve_until(|_| client.try_wait().unwrap().is_some());
    assert!(client.wait().unwrap().success());
    assert!(bench.board().flash_content()[0x2_0000..].starts_with(&payload));
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

/// RM0090 section 3.5.1, table 10. Nothing asks the supply before the core is at full speed: the wait states must be enough for any.
#[test]
fn a_low_supply_at_the_reset_does_not_make_the_flash_too_slow_for_the_core() {
    let mut bench = Bench::ready(RMII);
    bench.push_application("tftp");
    bench.wait_for_start();
    let started = bench.starts.len();
    bench.board().set_supply(1900);
    bench.board().press_reset();
    bench.starts_within(Time::from_millis(1000));
    assert_eq!(bench.starts.len(), started + 1);
    assert_eq!(guest_errors(bench.board()), [""; 0]);
    // IAP mode runs at 168 MHz, which needs 2.1 V; the supply may sink while it does.
    for millivolts in [2200, 2500, 3300, 2100] {
        bench.board().set_supply(millivolts);
        bench.enter_iap_mode();
        bench.status("tftp");
    }
    assert_eq!(bench.board().clocks().hclk_hz, 168_000_000);
    assert_eq!(guest_errors(bench.board()), [""; 0]);
    bench.board().set_supply(2099);
    let errors = guest_errors(bench.board());
    assert!(errors[0].contains("at most 160000000 Hz"), "{errors:?}");
}

/// A board that hears everything and says nothing, with a watchdog that is fed: without this only a hand on its reset would help.
#[test]
fn a_transmitter_that_stands_still_is_started_again() {
    let mut bench = Bench::ready(RMII);
    bench.status("tftp");
    bench.board().stall_transmitter();
    let before = bench.board().ethernet_use();
    let mut command = bench.command(&["status", "--timeout", "30"], "tftp");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = command.spawn().unwrap();
    bench.serve_until(|bench| bench.board().ethernet_use().received > before.received);
    bench.runs(Time::from_millis(500));
    assert_eq!(bench.board().ethernet_use().sent, before.sent, "it is dumb");
    bench.runs(Time::from_millis(5500));
    client.kill().unwrap();
    client.wait().unwrap();
    bench.status("tftp");
    assert_eq!(bench.resets, []);
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

/// FLASH_SR.WRPERR (RM0090 section 3.9.5), named to the one who pushes.
#[test]
fn a_write_protected_sector_refuses_the_update_with_its_name() {
    let mut bench = Bench::ready(MII);
    bench.board().protect(5);
    let (file, _) = bench.image((1, 2, 3), 5000);
    let command = bench.command(&["push", file.to_str().unwrap()], "tftp");
    let (success, text, stop) = bench.serve(command);
    assert!(!success && stop.is_none());
    assert!(
        text.contains("write-protected") || text.contains("WRPERR"),
        "{text}"
    );
    assert!(text.contains("0x08020000"), "{text}");
    assert_eq!(bench.erases()[5..], [0; 7]);
    assert_eq!(flashes(&mut bench), 3, "the update has failed");
    bench.status("http");
}

/// 512 ms after a reset it would bite, and an erase takes 2 s: the firmware lengthens it first, and feeds it.
#[test]
fn a_hardware_watchdog_does_not_bite_while_the_slowest_flash_erases() {
    let mut setup = Setup::default();
    setup.board.wear = Wear::Maximum;
    let mut bench = Bench::new(MII, setup);
    bench.board().use_hardware_watchdog();
    bench.board().press_reset();
    bench.settle();
    let (file, _) = bench.image((1, 2, 3), 134 * 1024);
    bench.push("tftp", &file);
    bench.board().press_key(true);
    bench.board().press_reset();
    bench.runs(Time::from_millis(60_000));
    assert_eq!(bench.resets, []);
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

/// It does run: an application that does not feed it is reset, as long after its start as the firmware has made it.
#[test]
fn a_hardware_watchdog_bites_an_application_that_does_not_know_of_it() {
    let mut bench = Bench::new(MII, Setup::default());
    bench.board().use_hardware_watchdog();
    bench.board().press_reset();
    bench.settle();
    bench.push_application("tftp");
    bench.wait_for_start();
    bench.runs(Time::from_millis(35_000));
    let (_, cause) = bench.resets.last().unwrap();
    assert_eq!(*cause, ResetCause::IndependentWatchdog);
}

#[test]
fn without_a_cable_the_led_says_so_and_the_network_comes_with_it() {
    let mut setup = Setup::default();
    setup.board.link_up = Time::from_millis(1500);
    let mut bench = Bench::new(RMII, setup);
    bench.board().set_link(false);
    bench.settle();
    assert_eq!(flashes(&mut bench), 1);
    bench.board().set_link(true);
    bench.runs(Time::from_millis(2000)); // 1.5 s of negotiation, 250 ms to notice, the lease
    bench.status("tftp");
}

#[test]
fn without_random_numbers_there_is_a_lease_and_an_update() {
    let mut bench = Bench::new(MII, Setup::default());
    bench.board().break_random_numbers();
    bench.settle();
    bench.push_application("http");
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}
