//! The shipped IAP firmware on the emulated chip: pushed, started, reset, and what it leaves behind.

#![allow(clippy::unwrap_used)] // a test

mod common;

use std::process::Command;

use common::built;
use common::guest_errors;
use common::iap::{Bench, MII, RMII, Setup};
use iap_emulator::{ResetCause, SessionOptions, Time};

fn pushed_and_started(profile: &str, scheme: &str) {
    let mut bench = Bench::ready(profile);
    let text = bench.push_application(scheme);
    assert!(
        text.contains("committed: version 1.0.0, 1 sector written"),
        "{text}"
    );
    if scheme == "http" {
        let command = bench.command(&["reset"], scheme);
        bench.succeeds(command);
    }
    bench.wait_for_start();
    assert_eq!(bench.resets.last().unwrap().1, ResetCause::Software);
    bench.leds_count();
    let vtor = bench.board().register(0xE000_ED08);
    assert_eq!(vtor, Some(0x0802_0000), "the application's vector table");
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

#[test]
fn over_rmii_an_image_pushed_by_tftp_starts() {
    pushed_and_started(RMII, "tftp");
}

#[test]
fn over_rmii_an_image_pushed_by_http_starts() {
    pushed_and_started(RMII, "http");
}

#[test]
fn over_mii_an_image_pushed_by_tftp_starts() {
    pushed_and_started(MII, "tftp");
}

#[test]
fn over_mii_an_image_pushed_by_http_starts() {
    pushed_and_started(MII, "http");
}

#[test]
fn the_same_image_again_touches_no_flash() {
    let mut bench = Bench::ready(MII);
    let (file, _) = bench.image((1, 2, 3), 5000);
    bench.push("tftp", &file);
    let before = bench.erases();
    let text = bench.push("tftp", &file);
    assert!(text.contains("0 sectors written, 1 unchanged"), "{text}");
    assert_eq!(bench.erases(), before);
}

#[test]
fn without_a_dhcp_server_it_answers_at_its_static_address() {
    let session = SessionOptions {
        dhcp: false,
        ..SessionOptions::default()
    };
    let mut bench = Bench::new(
        MII,
        Setup {
            session,
            ..Setup::default()
        },
    );
    bench.runs(Time::from_millis(31_000));
    let text = bench.status("tftp");
    assert!(text.contains(MII), "{text}");
}

/// The PHY takes its time, then comes the lease: a client that called before finds the board.
#[test]
fn a_client_that_connects_before_there_is_a_link_is_answered_soon_after() {
    let mut setup = Setup::default();
    setup.board.link_up = Time::from_millis(1700);
    let mut bench = Bench::new(MII, setup);
    bench.runs(Time::from_millis(1000));
    let text = bench.status("http");
    assert!(text.contains(MII), "{text}");
    let took = bench.board().now();
    assert!(took < Time::from_millis(3500), "{took}");
}

#[test]
fn the_key_keeps_iap_mode_and_without_it_the_application_starts_in_15_ms() {
    let mut bench = Bench::ready(MII);
    bench.push_application("tftp");
    bench.enter_iap_mode();
    assert_eq!(bench.starts, []);
    let text = bench.status("http");
    assert!(text.contains("the IAP key was held at reset"), "{text}");
    bench.board().press_reset();
    bench.starts_within(Time::from_millis(50));
    let (_, took) = bench.starts[0];
    println!("reset to application: {} us", took.micros());
    assert!(took <= Time::from_millis(15), "{took}");
}

/// An image for another address: nothing is erased, and the application that is there starts.
#[test]
fn a_refused_image_leaves_the_application_startable() {
    let mut bench = Bench::ready(MII);
    bench.push_application("tftp");
    bench.enter_iap_mode();
    let (file, payload) = bench.image((2, 0, 0), 5000);
    let mut misplaced = payload;
    misplaced[4..8].copy_from_slice(&0x0800_0101_u32.to_le_bytes());
    std::fs::write(&file, &misplaced).unwrap();
    let before = bench.board().flash_content();
    for scheme in ["tftp", "http"] {
        let url = match scheme {
            "tftp" => format!("tftp://{}/app.bin", bench.address(scheme)),
            _ => format!("http://{}/upload.cgi", bench.address(scheme)),
        };
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--user", "user:stm32", "-T"]).arg(&file);
        curl.args(["--write-out", "HTTP %{http_code}"]).arg(url);
        let (success, text, _) = bench.serve(curl);
        let refused = if scheme == "tftp" {
            !success
        } else {
            text.contains("HTTP 422")
        };
        assert!(refused, "{text}");
    }
    assert!(bench.board().flash_content() == before, "flash was touched");
    let command = bench.command(&["reset"], "tftp");
    bench.succeeds(command);
    bench.wait_for_start();
    bench.leds_count();
}

/// The sample application calls `request_update()` when its key is pressed.
#[test]
fn an_application_that_asks_for_an_update_gets_iap_mode_once() {
    let mut bench = Bench::ready(MII);
    bench.push_application("tftp");
    bench.wait_for_start();
    bench.runs(Time::from_millis(200));
    bench.board().press_key(true);
    bench.runs(Time::from_millis(100));
    bench.board().press_key(false);
    assert_eq!(bench.resets.last().unwrap().1, ResetCause::Software);
    bench.settle();
    assert_eq!(bench.starts.len(), 1, "it has not started again");
    let text = bench.status("tftp");
    assert!(text.contains("the application asked for it"), "{text}");
    bench.board().press_reset();
    bench.starts_within(Time::from_millis(50));
}

/// An image with the flag CONFIRM whose application never does, as it is the one without.
#[test]
fn three_unconfirmed_starts_lead_into_iap_mode() {
    let mut bench = Bench::ready(MII);
    let file = bench.folder.path().join("never-confirms.iap");
    let elf = built::application(MII);
    let mut convert = bench.iapctl(&["convert", "--confirm"]);
    convert.arg(&elf).arg("-o").arg(&file);
    bench.succeeds(convert);
    bench.push("tftp", &file);
    bench.wait_for_start();
    bench.runs(Time::from_millis(120_000));
    let watchdog = |(_, cause): &&(Time, ResetCause)| *cause == ResetCause::IndependentWatchdog;
    assert_eq!(bench.resets.iter().filter(watchdog).count(), 3);
    assert_eq!(bench.starts.len(), 3);
    let text = bench.status("tftp");
    assert!(text.contains("confirm"), "{text}");
}

#[test]
fn an_application_that_confirms_goes_on() {
    let mut bench = Bench::ready(MII);
    let file = built::confirming_application(MII);
    bench.push("tftp", &file);
    bench.wait_for_start();
    bench.runs(Time::from_millis(60_000));
    assert_eq!(bench.starts.len(), 1);
    bench.leds_count();
    for _ in 0..4 {
        bench.board().press_reset();
        bench.starts_within(Time::from_millis(50));
        bench.runs(Time::from_millis(1500));
    }
    assert_eq!(guest_errors(bench.board()), [""; 0]);
}

/// `curl -F`, as a browser does it, after a login.
#[test]
fn curl_uploads_a_form() {
    let mut bench = Bench::ready(MII);
    let (file, _) = bench.image((1, 2, 3), 20_000);
    let cookies = bench.folder.path().join("cookies");
    let base = format!("http://{}", bench.address("http"));
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
    let form = format!("file=@{}", file.display());
    bench.succeeds(curl(&["-F", &form], "/upload.cgi"));
    let status = bench.status("http");
    assert!(status.contains("1.2.3"), "{status}");
}

/// Registers at the application's first instruction are those of a reset, but for this list.
#[test]
fn the_application_finds_the_chip_as_a_reset_leaves_it() {
    let mut bench = Bench::ready(MII);
    bench.push_application("tftp");
    bench.wait_for_start();
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
