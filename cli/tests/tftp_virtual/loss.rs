//! What lost datagrams cost: round trips, timeouts, and blocks sent again.

use std::time::Duration;

use iapctl::tftp::Config;

use super::world::{Habits, Wire, World, ms};
use super::{delivered, departures, windowed, world};

/// Mean time and mean number of blocks sent again of 1 MB with windows of 32 blocks through 25 ms each way.
fn through_loss(loss_percent: u64, seeds: u32) -> (Duration, u64) {
    let len = 1 << 20;
    let config = Config {
        block_size: 1428,
        ..windowed(32)
    };
    let (mut time, mut repeated) = (Duration::ZERO, 0);
    for seed in 1..=seeds {
        let mut wire = Wire::seeded(ms(25), seed.into());
        wire.loss_percent = loss_percent;
        let mut world = world(config.clone(), len, wire, Habits::default());
        repeated += delivered(&mut world, len).repeated;
        time += world.now;
    }
    (time / seeds, repeated / u64::from(seeds))
}

#[test]
fn lost_blocks_cost_time_in_proportion() {
    // Without loss it is 24 round trips, 1.2 s. A lost block costs what its window had left, half of one on average, and at 1 % there are
    // 7 of them: 1.4 s. For a lost acknowledgement, or the last block of a window, a timeout is added.
    for (loss_percent, seeds, time, repeated) in [(1, 200, ms(1500), 140), (5, 40, ms(4700), 850)] {
        let (mean, again) = through_loss(loss_percent, seeds);
        let what = format!("{loss_percent} %: {mean:?}, {again} blocks again");
        assert!(mean <= time && again <= repeated, "{what}");
    }
}

/// 24 blocks in windows of 8, 25 ms each way.
fn losing(lost: &[usize]) -> World {
    let mut wire = Wire::new(ms(25));
    wire.lost.extend(lost);
    world(windowed(8), 24 * 1468 - 1, wire, Habits::default())
}

#[test]
fn a_lost_block_is_sent_again_as_soon_as_the_peer_can_say_so() {
    // 1 to 8, 3 to 10, 6 to 13, 14 to 21, 22 to 24; the round trips of the request and of these.
    let mut world = losing(&[3, 12]);
    let upload = delivered(&mut world, 24 * 1468 - 1);
    assert_eq!((world.now, upload.repeated), (ms(6 * 50), 6 + 5));
}

#[test]
fn what_the_first_timeout_repeats_is_the_last_block_on_the_wire() {
    let mut world = losing(&[8]);
    let upload = delivered(&mut world, 24 * 1468 - 1);
    assert_eq!(upload.repeated, 1);
    assert_eq!(departures(&world, 8), [ms(50), ms(50 + 150)]);
}

#[test]
fn a_timer_that_was_doubled_is_short_again_after_an_answer_that_can_be_measured() {
    // Block 8, then 12 of the window after it, then 19, the last one of the window from 12.
    let mut world = losing(&[8, 13, 25]);
    delivered(&mut world, 24 * 1468 - 1);
    let at = departures(&world, 19);
    assert_eq!(at.len(), 2, "{at:?}");
    assert!(at[1] - at[0] < ms(2 * 50 + 50), "{at:?}");
}
