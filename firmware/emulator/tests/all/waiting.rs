//! Loops that only wait are counted, not executed: nothing but the run's own speed tells the difference.

use iap_emulator::{Board, BoardOptions, Image, Stop, Time};
use iap_profile::Profile;
use iap_sim::wire::{Conditions, segment};

use crate::common::built;
use crate::common::iap::{MII, RMII};

const FLASH: u32 = 0x0800_0000;
const RAM: std::ops::Range<u32> = 0x2000_0000..0x2002_0000;
const TIM2_CNT: u32 = 0x4000_0024;
/// The reset, the key's line, the PHY, the link, a DHCPDISCOVER.
const SPAN: Time = Time::from_millis(1200);

/// All that a run leaves.
#[derive(PartialEq, Debug)]
struct Outcome {
    stops: Vec<(Time, Stop)>,
    pc: u32,
    /// CPU time and cycles.
    spent: (Time, u64),
    counter: Option<u32>,
    frames: u64,
    reports: Vec<String>,
    /// FNV-1a of the words.
    ram: u32,
}

fn boots_with_the_key_held(profile: &str, percent: u32, skip_waiting: bool) -> (Outcome, u64) {
    let image = Image::load(&built::firmware(profile), FLASH).unwrap();
    let mut content = vec![0xFF; 1024 * 1024];
    image.place(FLASH, &mut content).unwrap();
    let options = BoardOptions {
        link_up: Time::from_millis(5),
        cycles_percent: percent,
        skip_waiting,
        ..BoardOptions::default()
    };
    let profile = Profile::load(profile).unwrap();
    let mut board = Board::new(&profile, &options, &content, image.symbols).unwrap();
    let (_near, far) = segment(1, Conditions::default(), Conditions::default());
    board.connect(far);
    board.press_key(true);
    board.press_reset();
    let mut stops = Vec::new();
    while board.now() < SPAN {
        let stop = board.run(SPAN);
        stops.push((board.now(), stop));
        assert!(stops.len() < 1000, "{stops:?}");
    }
    let words = RAM.step_by(4).map(|at| board.word(at).unwrap());
    let outcome = Outcome {
        stops,
        pc: board.pc().0,
        spent: (board.cpu_time(), board.cycles()),
        ram: words.fold(0x811C_9DC5, |hash: u32, word| {
            (hash ^ word).wrapping_mul(0x0100_0193)
        }),
        counter: board.register(TIM2_CNT),
        frames: board.ethernet_use().sent,
        reports: board.reports().iter().map(ToString::to_string).collect(),
    };
    (outcome, board.skipped_cycles())
}

#[test]
fn a_start_is_the_same_to_the_cycle_whether_its_waiting_loops_are_executed_or_not() {
    for (profile, percent) in [(MII, 100), (RMII, 100), (RMII, 137)] {
        let (executed, none) = boots_with_the_key_held(profile, percent, false);
        let (counted, skipped) = boots_with_the_key_held(profile, percent, true);
        println!(
            "{profile}: {skipped} of {} cycles not executed",
            counted.spent.1
        );
        assert_eq!(counted, executed);
        assert!(executed.frames > 0, "it asks for an address");
        assert_eq!(none, 0);
        assert!(
            skipped > executed.spent.1 / 2,
            "{skipped} of {}",
            executed.spent.1
        );
    }
}
