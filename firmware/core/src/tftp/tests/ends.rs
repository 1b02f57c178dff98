//! How writes of images end: with the last ACK, by silence, by another write, by a failure.

use super::*;
use crate::tftp::MAX_SILENCE;

#[test]
fn ten_seconds_of_silence_free_the_board() {
    let mut bench = Bench::writing(PLAIN);
    bench.data(1, &[1; 512]);
    assert_eq!(bench.wait_ms(9999), []);
    assert!(bench.fake.busy);
    let silent = error(ErrorCode::ClientSilent, "no DATA for 10 s");
    assert_eq!(bench.wait_ms(1), [silent.unwrap()]);
    assert!(!bench.fake.busy);
    bench.wait(MAX_SILENCE);
    assert_eq!(bench.server.write_port(), None, "the port is closed");
    assert_eq!(bench.wrq(OTHER_HOST, PLAIN), Some(Said::Ack(0)));
}

#[test]
fn the_board_s_own_stalls_do_not_count_as_silence() {
    let mut bench = Bench::writing(PLAIN);
    bench.data(1, &[1; 512]);
    bench.now += Duration::from_secs(12);
    let stall = Duration::from_secs(8);
    bench.server.stalled(bench.now, stall);
    assert_eq!(bench.wait_ms(5999), []);
    assert_eq!(bench.wait_ms(1).len(), 1);
}

/// A low supply: there will be no room before it is good again.
#[test]
fn sixty_seconds_of_silence_free_the_board_where_its_client_waits_for_an_ack() {
    let mut bench = Bench::waiting_for_room();
    // Those who are still there repeat the window.
    for _ in 0..20 {
        assert_eq!(bench.wait_ms(59_000), []);
        assert_eq!(bench.data(4, &[1; 512]), None);
    }
    assert_eq!(bench.wait_ms(59_999), []);
    assert!(bench.fake.busy);
    let silent = error(ErrorCode::ClientSilent, "no DATA for 60 s");
    assert_eq!(bench.wait_ms(1), [silent.unwrap()]);
    assert!(!bench.fake.busy);
    assert_eq!(bench.wrq(OTHER_HOST, PLAIN), Some(Said::Ack(0)));
}

/// Seven sectors in a row, each as long as the slowest flash takes, and then its words: no client could be heard in that time.
#[test]
fn erases_and_programming_do_not_count_as_silence_where_the_client_waits_for_an_ack() {
    let mut bench = Bench::waiting_for_room();
    for step in 0..400 {
        let stall = Duration::from_millis(if step % 50 == 0 { 4000 } else { 200 });
        bench.now += stall;
        bench.server.stalled(bench.now, stall);
        assert_eq!(bench.polled(), None);
    }
    assert_eq!(bench.wait_ms(59_999), []);
    assert!(bench.fake.busy);
}

#[test]
fn an_image_that_is_here_completely_is_kept_without_its_client() {
    let mut bench = Bench::writing(PLAIN);
    bench.data(1, &[1; 100]);
    assert_eq!(bench.wait_ms(3_600_000), []);
    assert!(bench.fake.busy && bench.fake.aborted.is_none());
    bench.fake.commit();
    assert_eq!(bench.polled(), Some(Said::Ack(1)));
}

#[test]
fn the_same_host_takes_over_from_a_new_port_after_two_seconds_of_silence() {
    let mut bench = Bench::writing(PLAIN);
    bench.data(1, &[1; 512]);
    bench.wait_ms(1999);
    let busy = error(ErrorCode::Busy, "tftp from 192.168.0.1");
    assert_eq!(bench.wrq(SAME_HOST, PLAIN), busy);
    bench.wait_ms(1);
    assert_eq!(bench.wrq(SAME_HOST, PLAIN), Some(Said::Ack(0)));
    assert_eq!(bench.fake.aborted, Some(ErrorCode::TakenOver.into()));
    assert_eq!(bench.fake.tickets, 2);
}

#[test]
fn a_client_that_starts_again_from_its_old_port_takes_over_from_itself() {
    let mut bench = Bench::writing(PLAIN);
    bench.data(1, &[1; 512]);
    bench.wait_ms(2000);
    assert_eq!(bench.wrq(CLIENT, PLAIN), Some(Said::Ack(0)));
    assert_eq!(bench.fake.tickets, 2);
}

#[test]
fn who_starts_again_while_the_board_has_no_room_takes_over_after_twelve_seconds() {
    for who in [CLIENT, SAME_HOST] {
        let mut bench = Bench::waiting_for_room();
        bench.wait_ms(11_999);
        assert_ne!(bench.wrq(who, PLAIN), Some(Said::Ack(0)), "{who}");
        bench.wait_ms(1);
        assert_eq!(bench.wrq(who, PLAIN), Some(Said::Ack(0)), "{who}");
    }
}

#[test]
fn the_last_ack_is_repeated_while_the_client_repeats_the_last_block() {
    let mut bench = Bench::writing(PLAIN);
    bench.complete();
    for _ in 0..4 {
        assert_eq!(bench.wait_ms(5000), []);
        assert_eq!(bench.data(1, b"image"), None);
        assert_eq!(bench.wait_ms(10), [Said::Ack(1)]);
    }
    assert_eq!(bench.fake.bytes, b"image");
    bench.wait(MAX_SILENCE);
    assert_eq!(bench.server.write_port(), None);
}

#[test]
fn a_client_may_write_again_at_once_from_the_same_port() {
    let mut bench = Bench::writing(PLAIN);
    bench.complete();
    assert_eq!(bench.wrq(CLIENT, PLAIN), Some(Said::Ack(0)));
    assert_eq!(bench.fake.tickets, 2);
}

/// A write that was committed, and a second one from another port, which has begun; when the first one's commit was acknowledged.
fn in_a_second_write() -> (Bench, Option<Instant>) {
    let mut bench = Bench::writing(PLAIN);
    bench.complete();
    let first = bench.server.commit_acked_at();
    assert!(first.is_some());
    bench.wait_ms(1000);
    bench.fake.finished = false;
    bench.wrq(SAME_HOST, PLAIN);
    assert_eq!(bench.server.commit_acked_at(), None, "begun");
    (bench, first)
}

/// Or the start of the first application would be due at the moment in which the second one is committed, before its client hears of it.
#[test]
fn a_second_write_has_its_own_end_whatever_the_first_one_s_was() {
    let (mut bench, first) = in_a_second_write();
    let port = bench.server.write_port().unwrap();
    let block = Packet::Data {
        block: 1,
        payload: b"second",
    };
    bench.send(port, SAME_HOST, &block);
    bench.wait_ms(6000);
    bench.fake.commit();
    assert_eq!(bench.server.commit_acked_at(), None, "not acknowledged yet");
    assert_eq!(bench.polled(), Some(Said::Ack(1)));
    assert!(bench.server.commit_acked_at() > first, "its own");
}

#[test]
fn a_second_write_that_fails_leaves_the_first_one_s_end_as_soon_as_it_is_forgotten() {
    let (mut bench, first) = in_a_second_write();
    bench.fake.fail(ErrorCode::FlashErase.into());
    assert_eq!(bench.polled(), error(ErrorCode::FlashErase, ""));
    assert_eq!(
        bench.server.commit_acked_at(),
        None,
        "its client may ask again"
    );
    bench.wait(MAX_SILENCE + Duration::from_millis(1));
    assert_eq!(bench.server.write_port(), None);
    assert_eq!(bench.server.commit_acked_at(), first);
}

#[test]
fn a_refusal_is_sent_with_its_sentence_and_again_while_the_client_sends() {
    let mut bench = Bench::writing(windows(512, 4));
    let refusal = Refusal::with(ErrorCode::TooLarge, b"1 MiB into 896 KiB", &[]);
    bench.fake.refuse_accept = Some(refusal);
    let sent = error(ErrorCode::TooLarge, "1 MiB into 896 KiB");
    assert_eq!(bench.data(1, &[1; 512]), sent);
    for block in 2..5 {
        assert_eq!(bench.data(block, &[1; 512]), None);
    }
    assert_eq!(bench.wait_ms(5000), [sent.unwrap()], "one for the burst");
    assert!(!bench.fake.busy);
}

#[test]
fn what_the_update_refuses_to_begin_is_answered_from_the_well_known_port() {
    let mut bench = Bench::new();
    bench.fake.refuse_begin = Some(ErrorCode::TooLarge.into());
    assert_eq!(bench.wrq(CLIENT, PLAIN), error(ErrorCode::TooLarge, ""));
    assert_eq!(bench.server.write_port(), None);
}

#[test]
fn a_failure_of_the_flash_is_told_without_being_asked() {
    let mut bench = Bench::writing(PLAIN);
    bench.data(1, &[1; 512]);
    bench.fake.fail(ErrorCode::FlashErase.into());
    assert_eq!(bench.polled(), error(ErrorCode::FlashErase, ""));
    assert_eq!(bench.polled(), None);
}

#[test]
fn a_bad_verdict_after_the_last_block_is_an_error_and_not_an_ack() {
    let mut bench = Bench::writing(PLAIN);
    bench.data(1, b"image");
    bench.fake.fail(ErrorCode::PayloadCrc.into());
    assert_eq!(bench.polled(), error(ErrorCode::PayloadCrc, ""));
    assert_eq!(bench.server.commit_acked_at(), None);
}

#[test]
fn a_client_s_error_ends_the_transfer_and_frees_the_board() {
    let mut bench = Bench::writing(PLAIN);
    let port = bench.server.write_port().unwrap();
    let gone = Packet::Error {
        code: 0,
        message: b"interrupted",
    };
    assert_eq!(bench.send(port, CLIENT, &gone), None);
    let reason = bench.fake.aborted.clone().unwrap();
    assert_eq!(
        reason.to_string(),
        "the client gave up (it says: interrupted)"
    );
    assert_eq!(bench.server.write_port(), None);
    assert_eq!(bench.wrq(OTHER_HOST, PLAIN), Some(Said::Ack(0)));
}

#[test]
fn a_block_longer_than_agreed_ends_the_transfer() {
    let mut bench = Bench::writing(PLAIN);
    let said = bench.data(1, &[1; 513]);
    let text = "DATA of 513 bytes, 512 were agreed";
    assert_eq!(said, error(ErrorCode::IllegalOperation, text));
    assert!(!bench.fake.busy);
}
