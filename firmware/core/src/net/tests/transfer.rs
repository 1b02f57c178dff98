//! TFTP through the whole stack.

use super::*;
use crate::mode::ResetReason;
use crate::testing::application;
use iap_protocol::status::Phase;

const FAST: Options = Options {
    block_size: Some(1468),
    transfer_size: Some(0),
    timeout_s: None,
    window_size: Some(16),
};

/// What lies where the application goes.
fn flashed(bench: &Bench, len: usize) -> &[u8] {
    &bench.board.updater().flash().bytes[0x2_0000..0x2_0000 + len]
}

#[test]
fn an_image_that_fits_the_ring_is_written_and_shown_in_the_status() {
    let mut bench = Bench::new();
    let image = application(30_000);
    assert_eq!(bench.push(&image, Options::default()), Ok(()));
    assert_eq!(flashed(&bench, 30_000), image);
    let status = bench.status();
    assert_eq!(status.phase, Phase::Committed);
    let application = status.application.expect("it would start");
    assert_eq!(application.size, 30_000);
    assert_eq!(application.crc32, iap_protocol::crc::crc32(&image));
    assert_eq!(status.update.unwrap().peer, "192.168.0.1");
    assert_eq!(status.user_flash_size, 896 * 1024);
    assert!(status.default_password);
}

#[test]
fn an_image_larger_than_the_ring_is_written_without_losing_a_frame() {
    for options in [FAST, Options::default()] {
        let mut bench = Bench::new();
        let image = application(300_000);
        let begun = bench.clock.now();
        assert_eq!(bench.push(&image, options), Ok(()));
        assert_eq!(flashed(&bench, image.len()), image);
        assert_eq!(
            bench.client.lost_frames(),
            0,
            "the windows fit the DMA ring"
        );
        // Three erases and 75000 words of 16 us, and nothing else worth mentioning.
        let took = bench.clock.now() - begun;
        assert!(took < Duration::from_millis(5000), "{took}");
    }
}

#[test]
fn a_refused_image_is_told_and_costs_no_flash_operation() {
    let mut bench = Bench::new();
    let error = bench.push(&[0; 1000], Options::default()).unwrap_err();
    assert!(error.contains("vector table"), "{error}");
    assert_eq!(bench.board.updater().operations(), (0, 0));
    let last = bench.status().last_error.unwrap();
    assert_eq!(last.text.as_str(), error);
}

#[test]
fn the_status_can_be_read_between_the_blocks_of_an_update() {
    let mut bench = Bench::new();
    let (port, _) = bench.begin(Options::default()).unwrap();
    let image = application(2000);
    let payload = &image[..512];
    bench.send(port, &Packet::Data { block: 1, payload });
    assert_eq!(bench.answer(100), Ok((port, 1)));
    let status = bench.status();
    assert_eq!(status.phase, Phase::Receiving);
    assert_eq!(status.update.unwrap().received, 512);
}

#[test]
fn five_seconds_after_a_commit_the_board_resets_to_start_it() {
    let mut config = config();
    config.auto_start_s = 5;
    let mut bench = Bench::with(config, IapReason::NoApplication);
    bench.push(&application(5000), FAST).unwrap();
    let acked = bench.clock.now();
    let reset = bench.run(60_000, |bench| bench.turn.reset);
    assert_eq!(reset, Some(ResetReason::AutoStart));
    let waited = bench.clock.now() - acked;
    assert!((4990..5010).contains(&waited.total_millis()), "{waited}");
}

#[test]
fn without_a_client_iap_mode_gives_way_to_a_valid_application() {
    let mut config = config();
    config.iap_idle_s = 300;
    let mut bench = Bench::with(config, IapReason::Requested);
    bench.wait(1_000_000);
    assert_eq!(bench.turn.reset, None, "nothing to start");
    bench.push(&application(5000), FAST).unwrap();
    let reset = bench.run(299_000, |bench| bench.turn.reset);
    assert_eq!(reset, None);
    let reset = bench.run(2_000, |bench| bench.turn.reset);
    assert_eq!(reset, Some(ResetReason::Idle));
}

#[test]
fn iap_reset_resets_after_its_ack() {
    let mut bench = Bench::new();
    let request = Request {
        file_name: b"iap-reset",
        mode: Mode::Octet,
        options: Options::default(),
    };
    bench.send(PORT, &Packet::WriteRequest(request));
    let (port, _) = bench.answer(100).unwrap();
    let payload = b"reset";
    bench.send(port, &Packet::Data { block: 1, payload });
    assert_eq!(bench.answer(100), Ok((port, 1)));
    let reset = bench.run(1000, |bench| bench.turn.reset);
    assert_eq!(reset, Some(ResetReason::TftpRequest));
}

#[test]
fn the_same_client_pushes_twice_from_the_same_port_and_the_second_changes_nothing() {
    let mut bench = Bench::new();
    let image = application(40_000);
    bench.push(&image, FAST).unwrap();
    let erases = bench.board.updater().operations().0;
    bench.push(&image, FAST).unwrap();
    assert_eq!(bench.board.updater().operations().0, erases);
}

#[test]
fn what_the_board_does_is_shown() {
    let mut bench = Bench::new();
    bench.push(&application(5000), FAST).unwrap();
    let mut phases: Vec<_> = bench
        .platform
        .shown
        .iter()
        .map(|shown| shown.phase)
        .collect();
    phases.dedup();
    assert_eq!(phases.first(), Some(&Phase::Idle));
    assert_eq!(phases.last(), Some(&Phase::Committed));
    assert!(phases.contains(&Phase::Receiving) && phases.contains(&Phase::Programming));
}

#[test]
fn an_idle_board_sleeps() {
    let mut bench = Bench::new();
    bench.wait(10_000);
    assert_eq!(bench.turn.poll_at, None, "until a frame comes");
}

#[test]
fn an_update_that_has_come_completely_is_installed_even_if_the_link_goes_down() {
    let mut bench = Bench::new();
    let (port, _) = bench.begin(Options::default()).unwrap();
    let image = application(700);
    let payload = &image[..512];
    bench.send(port, &Packet::Data { block: 1, payload });
    assert_eq!(bench.answer(100), Ok((port, 1)));
    let payload = &image[512..];
    bench.send(port, &Packet::Data { block: 2, payload });
    // The status cannot be sent: something waits for the transmitter when the erase is due.
    bench.port.is_blocked = true;
    bench
        .client
        .send(BOARD, PORT, b"\0\x01status.json\0octet\0");
    bench.wait(3000);
    assert_eq!(bench.board.updater().phase(), Phase::Committed);
    bench.port.is_blocked = false;
    bench.wait(100);
    assert_eq!(flashed(&bench, 700), image);
}

/// The old application is whole: nothing was erased. The board goes back to it as if nobody had come.
#[test]
fn a_client_that_vanishes_while_the_supply_is_low_does_not_keep_the_board_from_its_application() {
    let mut config = config();
    config.iap_idle_s = 300;
    let mut bench = Bench::with(config, IapReason::Requested);
    bench.push(&application(5000), FAST).unwrap();
    bench.board.updater_mut().flash_mut().supply_low = true;
    // The ring takes some windows; then the ACK waits.
    bench.push_until_the_board_is_full(&application(300_000));
    assert_eq!(bench.board.updater().phase(), Phase::SupplyLow);
    assert_eq!(bench.receive(55_000), None, "it may be there still");
    let error = bench.answer(5_100).unwrap_err();
    assert!(error.starts_with("the client went silent"), "{error}");
    assert_eq!(bench.board.updater().phase(), Phase::Failed);
    let reset = bench.run(300_000, |bench| bench.turn.reset);
    assert_eq!(reset, Some(ResetReason::Idle));
    assert_eq!(flashed(&bench, 5000), application(5000));
}

#[test]
fn an_image_that_came_completely_while_the_supply_was_low_is_installed_when_it_is_good() {
    let mut bench = Bench::new();
    bench.board.updater_mut().flash_mut().supply_low = true;
    let (port, _) = bench.begin(Options::default()).unwrap();
    let image = application(700);
    for (block, payload) in (1..).zip(image.chunks(512)) {
        bench.send(port, &Packet::Data { block, payload });
        bench.wait(100);
    }
    bench.wait(3_600_000);
    assert_eq!(bench.board.updater().phase(), Phase::SupplyLow);
    bench.board.updater_mut().flash_mut().supply_low = false;
    bench.wait(3000);
    assert_eq!(bench.board.updater().phase(), Phase::Committed);
    assert_eq!(flashed(&bench, 700), image);
}

#[test]
fn a_client_that_went_silent_is_told() {
    let mut bench = Bench::new();
    bench.begin(FAST).unwrap();
    let error = bench.answer(10_100).unwrap_err();
    assert!(error.starts_with("the client went silent"), "{error}");
}
