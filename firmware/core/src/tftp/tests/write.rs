//! Images.

use super::*;
use crate::tftp::{MAX_SILENCE, TAKE_OVER_SILENCE};

const PLAIN: Options = Options {
    block_size: None,
    transfer_size: None,
    timeout_s: None,
    window_size: None,
};

#[test]
fn a_plain_write_goes_in_lock_step_and_the_last_ack_means_committed() {
    let mut bench = Bench::new();
    assert_eq!(bench.wrq(CLIENT, PLAIN), Some(Said::Ack(0)));
    assert_eq!(bench.data(1, &[1; 512]), Some(Said::Ack(1)));
    assert_eq!(bench.data(2, &[2; 512]), Some(Said::Ack(2)));
    assert_eq!(bench.data(3, &[3; 5]), None, "not committed yet");
    assert_eq!(bench.data(3, &[3; 5]), None, "nor by asking again");
    assert_eq!(bench.wait_ms(30_000), [], "verification takes its time");
    bench.fake.commit();
    assert_eq!(bench.polled(), Some(Said::Ack(3)));
    assert_eq!(bench.fake.bytes.len(), 1029);
    assert_eq!(bench.fake.declared, None);
    assert!(bench.server.commit_acked_at().is_some());
}

#[test]
fn a_file_of_whole_blocks_ends_with_an_empty_one() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    assert_eq!(bench.data(1, &[1; 512]), Some(Said::Ack(1)));
    assert!(!bench.fake.finished);
    assert_eq!(bench.data(2, &[]), None);
    bench.fake.commit();
    assert_eq!(bench.polled(), Some(Said::Ack(2)));
    assert_eq!(bench.fake.bytes.len(), 512);
}

#[test]
fn each_transfer_has_a_new_port_and_answers_from_it() {
    let mut bench = Bench::new();
    let mut ports = Vec::new();
    for _ in 0..2 {
        let request = Request {
            file_name: b"a",
            mode: Mode::Octet,
            options: PLAIN,
        };
        let packet = Packet::WriteRequest(request);
        let (port, _, _) = bench.send(PORT, CLIENT, &packet).unwrap();
        assert_eq!(bench.server.write_port(), Some(port));
        assert!(port >= 49152);
        ports.push(port);
        bench.complete();
        bench.fake.finished = false;
    }
    assert_ne!(ports[0], ports[1]);
}

#[test]
fn options_are_answered_with_what_the_board_can_do() {
    let mut bench = Bench::new();
    let asked = Options {
        block_size: Some(65464),
        transfer_size: Some(102_309),
        timeout_s: Some(7),
        window_size: Some(64),
    };
    let granted = Options {
        block_size: Some(1468),
        window_size: Some(16),
        ..asked
    };
    assert_eq!(bench.wrq(CLIENT, asked), Some(Said::Options(granted)));
    assert_eq!(bench.fake.declared, Some(102_309));
    for block in 1..16 {
        assert_eq!(bench.data(block, &[0; 1468]), None, "inside the window");
    }
    assert_eq!(bench.data(16, &[0; 1468]), Some(Said::Ack(16)));
}

#[test]
fn small_options_are_kept_and_a_tsize_of_0_is_no_size() {
    let mut bench = Bench::new();
    let asked = Options {
        block_size: Some(8),
        transfer_size: Some(0),
        ..PLAIN
    };
    assert_eq!(bench.wrq(CLIENT, asked), Some(Said::Options(asked)));
    assert_eq!(bench.fake.declared, None);
    assert_eq!(bench.data(1, &[0; 8]), Some(Said::Ack(1)));
    assert_eq!(bench.data(2, &[0; 7]), None);
    assert!(bench.fake.finished);
}

#[test]
fn a_tsize_beyond_4_gib_is_handed_on_as_the_largest_size() {
    let mut bench = Bench::new();
    let asked = Options {
        transfer_size: Some(1 << 40),
        ..PLAIN
    };
    bench.wrq(CLIENT, asked);
    assert_eq!(bench.fake.declared, Some(u32::MAX));
}

#[test]
fn unknown_options_are_ignored_and_impossible_ones_refused() {
    let mut bench = Bench::new();
    let said = bench.raw(PORT, CLIENT, b"\0\x02a\0octet\0rollover\x000\0");
    assert_eq!(said.map(|sent| sent.2), Some(Said::Ack(0)));
    let said = bench.raw(PORT, OTHER_HOST, b"\0\x02a\0octet\0blksize\x007\0");
    let text = "TFTP option blksize with a value outside its range";
    assert_eq!(
        said.map(|sent| sent.2),
        error(ErrorCode::BadOption, text),
        "RFC 2347: error code 8"
    );
}

#[test]
fn netascii_is_refused_with_the_words_to_type() {
    let mut bench = Bench::new();
    let said = bench.request(CLIENT, "app.bin", Mode::Netascii, PLAIN);
    assert_eq!(said, error(ErrorCode::Netascii, ""));
    let Some(Said::Error(4, text)) = said else {
        panic!("{said:?}");
    };
    assert!(text.contains("type 'binary'"), "{text}");
    assert!(!bench.fake.busy);
}

#[test]
fn the_policy_login_takes_nothing_over_tftp() {
    let mut bench = Bench::with(false);
    let refused = error(ErrorCode::TftpNotAllowed, "");
    assert_eq!(bench.wrq(CLIENT, PLAIN), refused);
    let reset = bench.request(CLIENT, "iap-reset", Mode::Octet, PLAIN);
    assert_eq!(reset, refused);
}

#[test]
fn a_second_client_learns_who_is_updating_and_disturbs_nothing() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, &[1; 512]);
    let busy = error(ErrorCode::Busy, "tftp from 192.168.0.1");
    assert_eq!(bench.wrq(OTHER_HOST, PLAIN), busy);
    bench.now += TAKE_OVER_SILENCE;
    assert_eq!(bench.wrq(OTHER_HOST, PLAIN), busy, "another host waits");
    assert_eq!(bench.data(2, &[2; 512]), Some(Said::Ack(2)));
}

#[test]
fn a_repeated_wrq_repeats_the_answer_and_never_restarts() {
    let mut bench = Bench::new();
    assert_eq!(bench.wrq(CLIENT, PLAIN), Some(Said::Ack(0)));
    let port = bench.server.write_port();
    bench.wait_ms(3000);
    assert_eq!(bench.wrq(CLIENT, PLAIN), Some(Said::Ack(0)));
    bench.data(1, &[1; 512]);
    assert_eq!(
        bench.wrq(CLIENT, PLAIN),
        None,
        "late: the client is past it"
    );
    assert_eq!(bench.server.write_port(), port);
    assert_eq!(bench.fake.tickets, 1);
    assert_eq!(bench.data(2, &[2; 1]), None);
    assert_eq!(bench.fake.bytes.len(), 513);
}

#[test]
fn the_same_host_takes_over_from_a_new_port_after_two_seconds_of_silence() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
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
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, &[1; 512]);
    bench.wait_ms(2000);
    assert_eq!(bench.wrq(CLIENT, PLAIN), Some(Said::Ack(0)));
    assert_eq!(bench.fake.tickets, 2);
}

#[test]
fn ten_seconds_of_silence_free_the_board() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
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
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, &[1; 512]);
    bench.now += Duration::from_secs(12);
    let stall = Duration::from_secs(8);
    bench.server.stalled(bench.now, stall);
    assert_eq!(bench.wait_ms(5999), []);
    assert_eq!(bench.wait_ms(1).len(), 1);
}

#[test]
fn a_window_interrupted_by_a_stall_is_not_acked_before_the_rest_was_looked_at() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(512, 4));
    bench.data(1, &[1; 512]);
    bench.now += Duration::from_secs(2);
    bench.server.stalled(bench.now, Duration::from_secs(2));
    assert_eq!(bench.polled(), None);
    assert_eq!(bench.wait_ms(100), [Said::Ack(1)]);
}

#[test]
fn a_duplicate_block_is_acked_but_not_accepted_again() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, &[1; 512]);
    assert_eq!(bench.data(1, &[1; 512]), None);
    assert_eq!(bench.wait_ms(10), [Said::Ack(1)]);
    assert_eq!(bench.wait_ms(1000), [], "once");
    assert_eq!(bench.fake.bytes.len(), 512);
}

#[test]
fn a_client_that_sends_every_block_twice_gets_one_ack_each() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    for block in 1..100 {
        assert_eq!(bench.data(block, &[0; 512]), Some(Said::Ack(block)));
        assert_eq!(bench.data(block, &[0; 512]), None);
        assert_eq!(bench.wait_ms(1), []);
    }
}

#[test]
fn a_gap_is_reported_once_with_the_last_block_in_order() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(512, 8));
    bench.data(1, &[1; 512]);
    bench.data(2, &[2; 512]);
    assert_eq!(bench.data(4, &[4; 512]), Some(Said::Ack(2)));
    for block in 5..9 {
        assert_eq!(bench.data(block, &[9; 512]), None);
    }
    assert_eq!(bench.fake.bytes.len(), 1024, "nothing after the gap");
    for block in 3..10 {
        assert_eq!(bench.data(block, &[3; 512]), None, "a full window from 3");
    }
    assert_eq!(bench.data(10, &[3; 512]), Some(Said::Ack(10)));
}

#[test]
fn a_gap_that_stays_open_is_reported_again_later() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(512, 4));
    assert_eq!(bench.data(2, &[2; 512]), Some(Said::Ack(0)));
    bench.wait_ms(99);
    assert_eq!(bench.data(3, &[2; 512]), None);
    bench.wait_ms(1);
    assert_eq!(bench.data(2, &[2; 512]), Some(Said::Ack(0)));
}

#[test]
fn a_window_whose_end_was_lost_is_acked_as_far_as_it_came() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(512, 4));
    for block in 1..4 {
        assert_eq!(bench.data(block, &[1; 512]), None);
    }
    assert_eq!(bench.wait_ms(100), [Said::Ack(3)]);
}

#[test]
fn a_window_that_comes_again_is_acked_once() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(512, 4));
    for block in 1..4 {
        bench.data(block, &[1; 512]);
    }
    assert_eq!(bench.data(4, &[1; 512]), Some(Said::Ack(4)));
    for block in 1..5 {
        assert_eq!(bench.data(block, &[1; 512]), None);
    }
    assert_eq!(bench.wait_ms(1000), [Said::Ack(4)]);
}

#[test]
fn without_room_for_another_window_the_ack_waits() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(512, 4));
    bench.fake.room = 4 * 512 - 1;
    for block in 1..5 {
        assert_eq!(bench.data(block, &[1; 512]), None);
    }
    assert_eq!(
        bench.wait_ms(59_999),
        [],
        "the client is not silent: it waits"
    );
    for block in 1..5 {
        assert_eq!(
            bench.data(block, &[1; 512]),
            None,
            "nor is it answered twice"
        );
    }
    bench.fake.room = 4 * 512;
    assert_eq!(bench.polled(), Some(Said::Ack(4)));
    assert_eq!(bench.wait_ms(9000), []);
}

/// A low supply: there will be no room before it is good again.
#[test]
fn sixty_seconds_of_silence_free_the_board_where_its_client_waits_for_an_ack() {
    let mut bench = waiting_for_room();
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

#[test]
fn who_starts_again_while_the_board_has_no_room_takes_over_after_twelve_seconds() {
    for who in [CLIENT, SAME_HOST] {
        let mut bench = waiting_for_room();
        bench.wait_ms(11_999);
        assert_ne!(bench.wrq(who, PLAIN), Some(Said::Ack(0)), "{who}");
        bench.wait_ms(1);
        assert_eq!(bench.wrq(who, PLAIN), Some(Said::Ack(0)), "{who}");
    }
}

/// Seven sectors in a row, each as long as the slowest flash takes, and then its words: no client could be heard in that time.
#[test]
fn erases_and_programming_do_not_count_as_silence_where_the_client_waits_for_an_ack() {
    let mut bench = waiting_for_room();
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
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, &[1; 100]);
    assert_eq!(bench.wait_ms(3_600_000), []);
    assert!(bench.fake.busy && bench.fake.aborted.is_none());
    bench.fake.commit();
    assert_eq!(bench.polled(), Some(Said::Ack(1)));
}

/// A transfer whose client waits for an ACK, and the board for room.
fn waiting_for_room() -> Bench {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(512, 4));
    bench.fake.room = 4 * 512 - 1;
    for block in 1..5 {
        assert_eq!(bench.data(block, &[1; 512]), None);
    }
    bench
}

#[test]
fn blocks_without_room_are_not_accepted_and_not_acked() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.fake.room = 511;
    assert_eq!(bench.data(1, &[1; 512]), None);
    assert_eq!(bench.fake.bytes.len(), 0);
    bench.fake.room = 512;
    assert_eq!(bench.data(1, &[1; 512]), Some(Said::Ack(1)));
}

#[test]
fn a_client_that_goes_on_while_its_ack_waits_loses_nothing() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.fake.room = 511;
    bench.data(1, &[1; 512]);
    assert_eq!(bench.data(2, &[2; 512]), None, "atftp sends the next block");
    bench.fake.room = 1024;
    assert_eq!(bench.polled(), Some(Said::Ack(0)));
    assert_eq!(bench.data(1, &[1; 512]), Some(Said::Ack(1)));
    assert_eq!(bench.data(2, &[2; 512]), Some(Said::Ack(2)));
}

#[test]
fn the_last_ack_is_repeated_while_the_client_repeats_the_last_block() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
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
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.complete();
    assert_eq!(bench.wrq(CLIENT, PLAIN), Some(Said::Ack(0)));
    assert_eq!(bench.fake.tickets, 2);
}

#[test]
fn a_refusal_is_sent_with_its_sentence_and_again_while_the_client_sends() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(512, 4));
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
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, &[1; 512]);
    bench.fake.fail(ErrorCode::FlashErase.into());
    assert_eq!(bench.polled(), error(ErrorCode::FlashErase, ""));
    assert_eq!(bench.polled(), None);
}

#[test]
fn a_bad_verdict_after_the_last_block_is_an_error_and_not_an_ack() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, b"image");
    bench.fake.fail(ErrorCode::PayloadCrc.into());
    assert_eq!(bench.polled(), error(ErrorCode::PayloadCrc, ""));
    assert_eq!(bench.server.commit_acked_at(), None);
}

/// Or the start of the first application would be due at the moment in which the second one is committed, before its client hears of it.
#[test]
fn a_second_write_has_its_own_end_whatever_the_first_one_s_was() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, b"first");
    bench.fake.commit();
    assert_eq!(bench.polled(), Some(Said::Ack(1)));
    let first = bench.server.commit_acked_at();
    assert!(first.is_some());
    bench.wait_ms(1000);
    bench.fake.finished = false;
    bench.wrq(SAME_HOST, PLAIN);
    assert_eq!(bench.server.commit_acked_at(), None, "begun");
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
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    bench.data(1, b"first");
    bench.fake.commit();
    assert_eq!(bench.polled(), Some(Said::Ack(1)));
    let first = bench.server.commit_acked_at();
    bench.fake.finished = false;
    bench.wrq(SAME_HOST, PLAIN);
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
fn a_stranger_s_block_gets_error_5_and_the_transfer_goes_on() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    let port = bench.server.write_port().unwrap();
    let block = Packet::Data {
        block: 1,
        payload: b"x",
    };
    for stranger in [SAME_HOST, OTHER_HOST] {
        let (from, to, said) = bench.send(port, stranger, &block).unwrap();
        assert_eq!((from, to), (port, stranger));
        assert!(matches!(said, Said::Error(5, _)), "{said:?}");
        let gone = Packet::Error {
            code: 0,
            message: b"",
        };
        assert_eq!(
            bench.send(port, stranger, &gone),
            None,
            "never ERROR for ERROR"
        );
    }
    assert_eq!(bench.data(1, &[1; 512]), Some(Said::Ack(1)));
}

#[test]
fn a_client_s_error_ends_the_transfer_and_frees_the_board() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
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
fn the_block_counter_wraps() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, windows(8, 1));
    for n in 1..=70_000u32 {
        let block = n as u16;
        assert_eq!(bench.data(block, &[0; 8]), Some(Said::Ack(block)));
    }
    assert_eq!(bench.fake.bytes.len(), 560_000);
}

#[test]
fn a_block_longer_than_agreed_ends_the_transfer() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    let said = bench.data(1, &[1; 513]);
    let text = "DATA of 513 bytes, 512 were agreed";
    assert_eq!(said, error(ErrorCode::IllegalOperation, text));
    assert!(!bench.fake.busy);
}

#[test]
fn what_is_no_request_gets_an_error_on_the_well_known_port_unless_it_is_one() {
    let mut bench = Bench::new();
    let cases: [(&[u8], Option<u16>); 6] = [
        (b"\0\x03\0\x01x", Some(5)),
        (b"\0\x04\0\0", Some(5)),
        (b"\0\x09", Some(4)),
        (b"\0\x02app.bin", Some(4)),
        (b"", Some(4)),
        (b"\0\x05\0\0\0", None),
    ];
    for (bytes, code) in cases {
        let said = bench.raw(PORT, CLIENT, bytes).map(|sent| sent.2);
        let got = said.map(|said| match said {
            Said::Error(code, _) => code,
            other => panic!("{other:?}"),
        });
        assert_eq!(got, code, "{bytes:?}");
    }
}

#[test]
fn no_bytes_make_the_server_panic() {
    let mut bench = Bench::new();
    bench.wrq(CLIENT, PLAIN);
    let port = bench.server.write_port().unwrap();
    let mut seed = 1u32;
    for _ in 0..20_000 {
        let mut bytes = [0u8; 24];
        for byte in &mut bytes {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (seed >> 24) as u8;
        }
        // Half of the packets get a defined opcode.
        if seed & 1 == 0 {
            (bytes[0], bytes[1]) = (0, 1 + (seed >> 8) as u8 % 6);
        }
        let len = (seed >> 16) as usize % 25;
        for port in [PORT, port] {
            bench.raw(port, SAME_HOST, &bytes[..len]);
            bench.raw(port, CLIENT, &bytes[..len]);
        }
        bench.fake.finished = false;
    }
}
