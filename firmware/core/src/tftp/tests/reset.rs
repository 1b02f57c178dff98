//! `iap-reset`.

use super::*;
use crate::tftp::RESET_DELAY;

fn begin(bench: &mut Bench) -> Option<Said> {
    bench.request(CLIENT, "iap-reset", Mode::Octet, PLAIN)
}

#[test]
fn the_word_reset_is_acknowledged_and_then_the_board_resets() {
    for body in [&b"reset"[..], b"reset\n", b"reset\r\n"] {
        let mut bench = Bench::new();
        assert_eq!(begin(&mut bench), Some(Said::Ack(0)));
        assert_eq!(bench.data(1, body), Some(Said::Ack(1)));
        assert!(!bench.server.is_reset_due(bench.now), "the ACK goes first");
        assert_eq!(
            bench.server.poll_at(bench.now),
            Some(bench.now + RESET_DELAY)
        );
        bench.now += RESET_DELAY;
        assert!(bench.server.is_reset_due(bench.now));
        assert_eq!(bench.fake.tickets, 0, "no upload");
        assert_eq!(bench.server.commit_acked_at(), None);
    }
}

#[test]
fn a_lost_ack_is_repeated_and_does_not_put_the_reset_off() {
    let mut bench = Bench::new();
    begin(&mut bench);
    bench.data(1, b"reset");
    let due = bench.now + RESET_DELAY;
    bench.now += Duration::from_millis(400);
    assert_eq!(bench.data(1, b"reset"), None);
    bench.now += Duration::from_millis(10);
    assert_eq!(bench.polled(), Some(Said::Ack(1)));
    assert!(bench.server.is_reset_due(due));
}

#[test]
fn any_other_body_is_refused() {
    for body in [&b""[..], b"rese", b"resets", b"reset and more than fits"] {
        let mut bench = Bench::new();
        begin(&mut bench);
        assert_eq!(bench.data(1, body), error(ErrorCode::ResetBody, ""));
        bench.now += Duration::from_secs(60);
        assert!(!bench.server.is_reset_due(bench.now));
    }
}

#[test]
fn a_busy_board_does_not_reset() {
    let mut bench = Bench::new();
    bench.fake.busy = true;
    assert_eq!(begin(&mut bench), error(ErrorCode::Busy, ""));
    bench.fake.busy = false;
    begin(&mut bench);
    bench.fake.busy = true;
    assert_eq!(bench.data(1, b"reset"), error(ErrorCode::Busy, ""));
}

#[test]
fn a_reset_request_at_work_keeps_other_writers_away() {
    let mut bench = Bench::new();
    begin(&mut bench);
    let busy = error(ErrorCode::Busy, "tftp from 192.168.0.1");
    assert_eq!(bench.wrq(OTHER_HOST, PLAIN), busy);
}

#[test]
fn a_reset_that_was_acknowledged_happens_whoever_comes_before_it() {
    let mut bench = Bench::new();
    begin(&mut bench);
    bench.data(1, b"reset");
    assert_eq!(bench.wrq(OTHER_HOST, PLAIN), None);
    assert_eq!(bench.wrq(CLIENT, PLAIN), None);
    bench.now += RESET_DELAY;
    assert!(bench.server.is_reset_due(bench.now));
}
