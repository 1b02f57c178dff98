//! The shipped IAP firmware on the emulated chip, with real clients.
//!
//! By hand, as it builds the firmware, the application and `iapctl`: `cargo test --release -p iap-emulator --test iap -- --ignored`.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::process::Command;

use common::guest_errors;
use common::iap::{Bench, application};
use iap_emulator::{BoardOptions, ResetCause, SessionOptions, Stop, Time, Wear};
use iap_profile::Profile;
use iap_sim::clock::Pace;
use iap_sim::image;
use iap_sim::nor::{Cut, Moment};
use iap_sim::rng::Rng;

const MII: &str = "stm324xg-eval";
const RMII: &str = "stm32f4-discovery";

/// A board that has its lease.
fn bench(profile: &str) -> Bench {
    bench_with(profile, Wear::Typical, Pace::Charged)
}

fn bench_with(profile: &str, wear: Wear, pace: Pace) -> Bench {
    let options = SessionOptions {
        pace: Pace::Virtual,
        ..SessionOptions::default()
    };
    let mut bench = Bench::new(
        profile,
        &options,
        BoardOptions {
            wear,
            ..BoardOptions::default()
        },
    );
    settle(&mut bench);
    bench.session.set_pace(pace);
    bench
}

/// Link, lease, servers: nobody waits for those.
fn settle(bench: &mut Bench) {
    bench.session.set_pace(Pace::Virtual);
    bench.runs(Time::from_millis(5000));
    bench.session.set_pace(Pace::Charged);
}

fn push(bench: &mut Bench, scheme: &str, version: &str, profile: &str) -> String {
    let file = application(profile, version);
    let command = bench.command(&["push", file.to_str().unwrap()], scheme);
    bench.succeeds(command)
}

/// The sample application counts on the LEDs four times a second.
#[track_caller]
fn leds_count(bench: &mut Bench) {
    let from = bench.board().now();
    bench.runs(Time::from_millis(2000));
    let changes = bench.board().led_changes();
    let first: Vec<_> = changes
        .iter()
        .filter(|change| change.at > from && change.led == 0)
        .collect();
    assert!((7..=8).contains(&first.len()), "{first:?}");
}

fn pushed_and_started(profile: &str, scheme: &str) {
    let mut bench = bench(profile);
    let text = push(&mut bench, scheme, "1.2.3", profile);
    assert!(
        text.contains("committed: version 1.2.3, 1 sector written"),
        "{text}"
    );
    if scheme == "http" {
        let command = bench.command(&["reset"], scheme);
        bench.succeeds(command);
    }
    if bench.starts.is_empty() {
        bench.starts_within(Time::from_millis(8000));
    }
    assert_eq!(bench.resets.last().unwrap().1, ResetCause::Software);
    leds_count(&mut bench);
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

#[test]
#[ignore = "builds firmware and clients"]
fn over_rmii_an_image_pushed_by_tftp_starts() {
    pushed_and_started(RMII, "tftp");
}

#[test]
#[ignore = "builds firmware and clients"]
fn over_mii_an_image_pushed_by_tftp_starts() {
    pushed_and_started(MII, "tftp");
}

#[test]
#[ignore = "builds firmware and clients"]
fn over_mii_an_image_pushed_by_http_starts() {
    pushed_and_started(MII, "http");
}

#[test]
#[ignore = "builds firmware and clients"]
fn the_same_image_again_touches_no_flash() {
    let mut bench = bench(MII);
    push(&mut bench, "tftp", "1.2.3", MII);
    let before = bench.board().with_flash(|nor| nor.counters().erased());
    let text = push(&mut bench, "tftp", "1.2.3", MII);
    assert!(text.contains("0 sectors written, 1 unchanged"), "{text}");
    assert_eq!(
        bench.board().with_flash(|nor| nor.counters().erased()),
        before
    );
}

#[test]
#[ignore = "builds firmware and clients"]
fn without_a_dhcp_server_it_answers_at_its_static_address() {
    let options = SessionOptions {
        dhcp: false,
        pace: Pace::Virtual,
        ..SessionOptions::default()
    };
    let mut bench = Bench::new(MII, &options, BoardOptions::default());
    bench.runs(Time::from_millis(31_000));
    bench.session.set_pace(Pace::Charged);
    let command = bench.command(&["status"], "tftp");
    let text = bench.succeeds(command);
    assert!(text.contains(MII), "{text}");
}

#[test]
#[ignore = "builds firmware and clients"]
fn the_key_keeps_iap_mode_and_without_it_the_application_starts_in_15_ms() {
    let mut bench = bench(MII);
    push(&mut bench, "tftp", "1.2.3", MII);
    bench.board().press_key(true);
    bench.board().press_reset();
    settle(&mut bench);
    assert_eq!(bench.starts, []);
    let command = bench.command(&["status"], "http");
    bench.succeeds(command);
    bench.board().press_key(false);
    bench.board().press_reset();
    bench.starts_within(Time::from_millis(50));
    let (_, took) = bench.starts[0];
    println!(
        "reset to application: {} us, then at {:?}",
        took.micros(),
        bench.board().clocks()
    );
    assert!(took <= Time::from_millis(15), "{took}");
}

/// DS8626's longest times: the client has to wait for an erase of 2 s.
#[test]
#[ignore = "builds firmware and clients"]
fn with_the_longest_erase_times_exactly_the_sectors_of_the_image_are_erased() {
    let mut bench = bench_with(MII, Wear::Maximum, Pace::Paced);
    push(&mut bench, "tftp", "1.2.3", MII);
    let erases = bench
        .board()
        .with_flash(|nor| nor.counters().erases.clone());
    assert_eq!(erases[5..], [1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        [erases[0], erases[3], erases[4]],
        [0; 3],
        "the firmware's own"
    );
}

/// The longest application there is: how long it takes to install, and from a reset to its first instruction.
#[test]
#[ignore = "builds firmware and clients"]
fn an_application_of_896_kib_starts_within_15_ms_of_a_reset() {
    let mut bench = bench(MII);
    let map = Profile::load(MII).unwrap().memory_map().clone();
    let payload = image::application(&map, (8, 9, 6), map.application.len as usize);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.iap");
    std::fs::write(&file, image::iap_file(&map, MII, &payload)).unwrap();
    let (began, before) = (bench.board().now(), bench.board().flash_use());
    let command = bench.command(&["push", file.to_str().unwrap()], "tftp");
    let text = bench.succeeds(command);
    let (took, after) = (bench.board().now().since(began), bench.board().flash_use());
    println!(
        "{text}\n896 KiB by TFTP: {took}, erasing {}, programming {}",
        after.erasing - before.erasing,
        after.programming - before.programming
    );
    assert_eq!(bench.board().flash_content()[0x2_0000..], payload);
    bench.starts_within(Time::from_millis(8000));
    let (_, took) = bench.starts[0];
    println!(
        "reset to application: {} us at up to 168 MHz, handed over at {} Hz",
        took.micros(),
        bench.board().clocks().hclk_hz
    );
    assert!(took <= Time::from_millis(15), "{took}");
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

/// At an operation of an update chosen by a seed the power goes; afterwards an application starts or IAP mode answers, and a push succeeds.
#[test]
#[ignore = "builds firmware and clients"]
fn after_power_cuts_the_board_answers_and_takes_an_image() {
    let mut bench = bench(RMII);
    push(&mut bench, "tftp", "1.0.0", RMII);
    let whole = bench.board().with_flash(|nor| nor.counters().operations());
    let mut rng = Rng::new(20);
    for round in 0..20 {
        let operations = if round < 6 { round } else { rng.below(whole) };
        // One that the board does not have yet, so that there is something to cut.
        let version = format!("2.0.{round}");
        bench.board().press_key(true);
        bench.board().press_reset();
        settle(&mut bench);
        let moment = Moment::ALL[(rng.below(3)) as usize];
        bench
            .board()
            .with_flash(|nor| nor.plan_cut(Cut::new(operations, moment)));
        let file = application(RMII, &version);
        let command = bench.command(&["push", file.to_str().unwrap()], "tftp");
        let (_, _, stop) = bench.serve(command);
        println!("round {round}: cut {moment:?} operation {operations}: {stop:?}");
        bench.board().press_key(false);
        bench.board().power_on();
        let starts = bench.starts.len();
        settle(&mut bench);
        if bench.starts.len() == starts {
            let command = bench.command(&["status"], "tftp");
            bench.succeeds(command);
        }
        assert_eq!(stop, Some(Stop::PowerLost), "the cut fired");
    }
    bench.board().press_key(true);
    bench.board().press_reset();
    settle(&mut bench);
    bench.board().press_key(false);
    push(&mut bench, "tftp", "3.0.0", RMII);
    bench.starts_within(Time::from_millis(8000));
    leds_count(&mut bench);
}

/// `curl -F`, as a browser does it, after a login.
#[test]
#[ignore = "builds firmware and clients"]
fn curl_uploads_a_form() {
    let mut bench = bench(MII);
    let file = application(MII, "1.2.3");
    let folder = file.parent().unwrap().to_owned();
    let (iap, cookies) = (folder.join("curl.iap"), folder.join("cookies"));
    let mut convert = Command::new(common::iap::iapctl());
    convert.args([
        "convert",
        file.to_str().unwrap(),
        "-o",
        iap.to_str().unwrap(),
        "--profile",
        MII,
    ]);
    assert!(convert.status().unwrap().success());
    let base = format!("http://{}", bench.session.gateway.http_address());
    let curl = |arguments: &[&str], path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "-b"])
            .arg(&cookies)
            .arg("-c")
            .arg(&cookies);
        curl.args(arguments).arg(format!("{base}{path}"));
        curl
    };
    bench.succeeds(curl(
        &["-d", "username=user&password=stm32"],
        "/checklogin.cgi",
    ));
    let form = format!("file=@{}", iap.display());
    bench.succeeds(curl(&["-F", &form], "/upload.cgi"));
    let command = bench.command(&["status"], "http");
    let status = bench.succeeds(command);
    assert!(status.contains("1.2.3"), "{status}");
}

/// Registers at the application's first instruction are those of a reset, but for this list.
#[test]
#[ignore = "builds firmware and clients"]
fn the_application_finds_the_chip_as_a_reset_leaves_it() {
    let mut bench = bench(MII);
    push(&mut bench, "tftp", "1.2.3", MII);
    bench.starts_within(Time::from_millis(8000));
    let board = bench.board();
    assert_eq!(
        board.core_masks(),
        (false, false, 0, 0),
        "PRIMASK, FAULTMASK, BASEPRI, CONTROL"
    );
    // Value after a reset, and who may differ and why.
    let reset_values = [
        ("RCC_CR", 0x4002_3800, 0x83),
        ("RCC_PLLCFGR", 0x4002_3804, 0x2400_3010),
        ("RCC_CFGR", 0x4002_3808, 0),
        ("RCC_AHB1RSTR", 0x4002_3810, 0),
        ("RCC_APB1RSTR", 0x4002_3820, 0),
        ("RCC_APB2RSTR", 0x4002_3824, 0),
        ("RCC_AHB1ENR", 0x4002_3830, 0x0010_0000),
        ("RCC_AHB2ENR", 0x4002_3834, 0),
        ("RCC_APB1ENR", 0x4002_3840, 0),
        ("RCC_APB2ENR", 0x4002_3844, 0),
        ("PWR_CR", 0x4000_7000, 0x4000),
        ("SYSCFG_PMC", 0x4001_3804, 0),
        ("FLASH_ACR", 0x4002_3C00, 0),
        ("FLASH_CR", 0x4002_3C10, 0x8000_0000),
        ("ETH_MACCR", 0x4002_8000, 0x8000),
        ("ETH_DMAOMR", 0x4002_9018, 0),
        ("ETH_DMAIER", 0x4002_901C, 0),
        ("GPIOA_MODER", 0x4002_0000, 0xA800_0000),
        ("GPIOC_MODER", 0x4002_0800, 0),
        ("GPIOG_MODER", 0x4002_1800, 0),
        ("GPIOI_MODER", 0x4002_2000, 0),
        ("SYST_CSR", 0xE000_E010, 0),
        ("NVIC_ISER0", 0xE000_E100, 0),
        ("NVIC_ISER1", 0xE000_E104, 0),
        ("NVIC_ISPR1", 0xE000_E204, 0),
        ("SCB_SCR", 0xE000_ED10, 0),
        ("SCB_SHCSR", 0xE000_ED24, 0),
        ("CPACR", 0xE000_ED88, 0),
        ("FPCCR", 0xE000_EF34, 0xC000_0000),
        ("TIM2_CR1", 0x4000_0000, 0),
    ];
    let wrong: Vec<_> = reset_values
        .into_iter()
        .filter_map(|(name, address, expected)| {
            let found = board.register(address);
            (found != Some(expected))
                .then(|| format!("{name} is {found:x?}, after a reset {expected:#x}"))
        })
        .collect();
    assert_eq!(wrong, [""; 0]);
    let vtor = board.register(0xE000_ED08);
    assert_eq!(vtor, Some(0x0802_0000), "the application's vector table");
}
