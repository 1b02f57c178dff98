//! The shipped IAP firmware on the emulated chip: pushed, started, reset, and what it leaves behind.

use std::process::Command;

use crate::common::built;
use crate::common::guest_errors;
use crate::common::iap::{Bench, MII, RMII, Setup};
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

/// Every register that is modelled, of every peripheral and of the core's system control space (RM0090 section 2.3, ARMv7-M ARM B3.2).
const REGISTERS: [(&str, u32, u32); 25] = [
    ("TIM2", 0x4000_0000, 0x60),
    ("TIM3", 0x4000_0400, 0x60),
    ("TIM4", 0x4000_0800, 0x60),
    ("TIM5", 0x4000_0C00, 0x60),
    ("RTC", 0x4000_2800, 0xA0),
    ("WWDG", 0x4000_2C00, 0xC),
    ("IWDG", 0x4000_3000, 0x10),
    ("PWR", 0x4000_7000, 8),
    ("SYSCFG", 0x4001_3800, 0x24),
    ("GPIO", 0x4002_0000, 0x2400),
    ("CRC", 0x4002_3000, 0xC),
    ("RCC", 0x4002_3800, 0x90),
    ("FLASH", 0x4002_3C00, 0x18),
    ("ETH MAC", 0x4002_8000, 0x200),
    ("ETH DMA", 0x4002_9000, 0x58),
    ("RNG", 0x5006_0800, 0xC),
    ("SysTick", 0xE000_E010, 0xC),
    ("NVIC_ISER", 0xE000_E100, 0xC),
    ("NVIC_ISPR", 0xE000_E200, 0xC),
    ("NVIC_IABR", 0xE000_E300, 0xC),
    ("NVIC_IPR", 0xE000_E400, 0x54),
    ("SCB", 0xE000_ED00, 0x40),
    ("CPACR", 0xE000_ED88, 4),
    ("MPU", 0xE000_ED90, 0xC),
    ("FPU", 0xE000_EF34, 0xC),
];

/// What may differ from a reset, and why.
const DIFFERENT: [(u32, &str); 4] = [
    (
        0x4002_3874,
        "RCC_CSR: the flags of the reset are cleared, or they would add up",
    ),
    (0x4000_2898, "BKP18R: they are handed on here"),
    (
        0x4000_3004,
        "IWDG_PR: the longest period, should an option byte have started it",
    ),
    (0xE000_ED08, "VTOR: the application's vector table"),
];

/// Registers at the application's first instruction are those of a chip that has executed nothing, but for a list.
#[test]
fn the_application_finds_the_chip_as_a_reset_leaves_it() {
    let mut bench = Bench::ready(MII);
    bench.push_application("tftp");
    bench.wait_for_start();
    let content = bench.board().flash_content();
    let setup = Setup {
        content: Some(content),
        ..Setup::default()
    };
    let mut fresh = Bench::new(MII, setup);
    let (mut compared, mut listed, mut wrong) = (0, Vec::new(), Vec::new());
    for (name, start, len) in REGISTERS {
        for address in (start..start + len).step_by(4) {
            let expected = fresh.board().register(address);
            let found = bench.board().register(address);
            compared += usize::from(expected.is_some());
            if found == expected {
                continue;
            }
            match DIFFERENT.iter().find(|(other, _)| *other == address) {
                Some((_, why)) => listed.push(why),
                None => wrong.push(format!(
                    "{name} {address:#010x}: {found:x?}, after a reset {expected:x?}"
                )),
            }
        }
    }
    println!("{compared} registers compared; different: {listed:#?}");
    assert!(compared > 300, "{compared}");
    assert_eq!(wrong, [""; 0]);
    assert_eq!(listed.len(), DIFFERENT.len(), "{listed:?}");
    let masks = bench.board().core_masks();
    assert_eq!(
        masks,
        (false, false, 0, 0),
        "PRIMASK, FAULTMASK, BASEPRI, CONTROL"
    );
    let vtor = bench.board().register(0xE000_ED08);
    assert_eq!(vtor, Some(0x0802_0000));
}
