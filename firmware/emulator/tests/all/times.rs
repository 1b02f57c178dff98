//! How long an update takes on the chip and what of it, and the way from a reset to the application.
//!
//! `cargo test -p iap-emulator --test all times:: -- --nocapture` prints the table of `README.md`.

use crate::common::guest_errors;
use crate::common::host::Lan;
use crate::common::iap::{MII, Setup};
use iap_emulator::{Stop, Time};

/// ST's example application, 100 KB, and all there is.
const SIZES: [usize; 3] = [3464, 102_400, 917_504];

/// Where the time of an update went.
struct Times {
    whole: Time,
    erasing: Time,
    programming: Time,
    cpu: Time,
}

impl Times {
    /// So far.
    fn of(lan: &mut Lan) -> Self {
        let board = lan.board();
        let flash = board.flash_use();
        Self {
            whole: board.now(),
            erasing: flash.erasing,
            programming: flash.programming,
            cpu: board.cpu_time(),
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        Self {
            whole: self.whole - earlier.whole,
            erasing: self.erasing - earlier.erasing,
            programming: self.programming - earlier.programming,
            cpu: self.cpu - earlier.cpu,
        }
    }

    /// The core sleeps until a frame comes.
    fn network(&self) -> Time {
        self.whole - self.erasing - self.programming - self.cpu
    }
}

fn milliseconds(time: Time) -> String {
    format!("{:.1}", time.micros() as f64 / 1000.0)
}

/// Pushes an application of so many bytes to a new board.
fn push(len: usize) -> (Lan, Times) {
    let mut lan = Lan::new(MII, Setup::default());
    let (payload, file) = lan.image((1, 2, 3), len);
    let before = Times::of(&mut lan);
    lan.push(file);
    let times = Times::of(&mut lan).since(&before);
    assert!(lan.board().flash_content()[0x2_0000..].starts_with(&payload));
    (lan, times)
}

/// From NRST to the application's first instruction.
fn start(mut lan: Lan) -> (Time, u64) {
    lan.board().press_reset();
    let limit = lan.board().now() + Time::from_millis(1000);
    loop {
        match lan.session.run(limit).unwrap() {
            Stop::Application => break,
            other => assert_eq!(other, Stop::Sent, "{:?}", lan.session.board.pc()),
        }
    }
    assert_eq!(guest_errors(lan.board()), [""; 0]);
    let hz = lan.board().clocks().hclk_hz;
    assert_eq!(hz, 16_000_000, "the application gets the clock of a reset");
    let took = lan.board().now() - lan.board().last_reset();
    (took, lan.board().cycles())
}

/// Typical times of the flash; blocks of 1468 bytes, windows of 16, a host that answers at once.
#[test]
fn updates_take_as_long_as_their_flash_and_896_kib_start_within_15_ms_of_a_reset() {
    println!(
        "| bytes | whole ms | erasing | programming | processor | network | reset to application | its cycles |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for len in SIZES {
        let (lan, times) = push(len);
        let (words, sectors) = (len.div_ceil(4) as u64, len.div_ceil(128 * 1024) as u64);
        let (starting, cycles) = start(lan);
        let cells = [
            times.whole,
            times.erasing,
            times.programming,
            times.cpu,
            times.network(),
            starting,
        ];
        println!(
            "| {len} | {} | {cycles} |",
            cells.map(milliseconds).join(" | ")
        );
        // DS8626 section 5.3.12: 1 s and 16 us; the record is erased once and takes some words.
        let erasing = Time::from_millis(1000 * sectors);
        let programming = Time::from_micros(16 * words);
        assert!((erasing..=erasing + Time::from_millis(300)).contains(&times.erasing));
        assert!((programming..=programming + Time::from_millis(20)).contains(&times.programming));
        assert!(starting <= Time::from_millis(15), "{starting}");
    }
}
