//! Images, block by block.

use super::*;
use crate::tftp::TAKE_OVER_SILENCE;

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
    let mut bench = Bench::writing(PLAIN);
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
    let mut bench = Bench::writing(PLAIN);
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
fn a_window_interrupted_by_a_stall_is_not_acked_before_the_rest_was_looked_at() {
    let mut bench = Bench::writing(windows(512, 4));
    bench.data(1, &[1; 512]);
    bench.now += Duration::from_secs(2);
    bench.server.stalled(bench.now, Duration::from_secs(2));
    assert_eq!(bench.polled(), None);
    assert_eq!(bench.wait_ms(100), [Said::Ack(1)]);
}

#[test]
fn a_duplicate_block_is_acked_but_not_accepted_again() {
    let mut bench = Bench::writing(PLAIN);
    bench.data(1, &[1; 512]);
    assert_eq!(bench.data(1, &[1; 512]), None);
    assert_eq!(bench.wait_ms(10), [Said::Ack(1)]);
    assert_eq!(bench.wait_ms(1000), [], "once");
    assert_eq!(bench.fake.bytes.len(), 512);
}

#[test]
fn a_client_that_sends_every_block_twice_gets_one_ack_each() {
    let mut bench = Bench::writing(PLAIN);
    for block in 1..100 {
        assert_eq!(bench.data(block, &[0; 512]), Some(Said::Ack(block)));
        assert_eq!(bench.data(block, &[0; 512]), None);
        assert_eq!(bench.wait_ms(1), []);
    }
}

#[test]
fn a_gap_is_reported_once_with_the_last_block_in_order() {
    let mut bench = Bench::writing(windows(512, 8));
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
    let mut bench = Bench::writing(windows(512, 4));
    assert_eq!(bench.data(2, &[2; 512]), Some(Said::Ack(0)));
    bench.wait_ms(99);
    assert_eq!(bench.data(3, &[2; 512]), None);
    bench.wait_ms(1);
    assert_eq!(bench.data(2, &[2; 512]), Some(Said::Ack(0)));
}

#[test]
fn a_window_whose_end_was_lost_is_acked_as_far_as_it_came() {
    let mut bench = Bench::writing(windows(512, 4));
    for block in 1..4 {
        assert_eq!(bench.data(block, &[1; 512]), None);
    }
    assert_eq!(bench.wait_ms(100), [Said::Ack(3)]);
}

#[test]
fn a_window_that_comes_again_is_acked_once() {
    let mut bench = Bench::writing(windows(512, 4));
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
    let mut bench = Bench::waiting_for_room();
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

#[test]
fn blocks_without_room_are_not_accepted_and_not_acked() {
    let mut bench = Bench::writing(PLAIN);
    bench.fake.room = 511;
    assert_eq!(bench.data(1, &[1; 512]), None);
    assert_eq!(bench.fake.bytes.len(), 0);
    bench.fake.room = 512;
    assert_eq!(bench.data(1, &[1; 512]), Some(Said::Ack(1)));
}

#[test]
fn a_client_that_goes_on_while_its_ack_waits_loses_nothing() {
    let mut bench = Bench::writing(PLAIN);
    bench.fake.room = 511;
    bench.data(1, &[1; 512]);
    assert_eq!(bench.data(2, &[2; 512]), None, "atftp sends the next block");
    bench.fake.room = 1024;
    assert_eq!(bench.polled(), Some(Said::Ack(0)));
    assert_eq!(bench.data(1, &[1; 512]), Some(Said::Ack(1)));
    assert_eq!(bench.data(2, &[2; 512]), Some(Said::Ack(2)));
}

#[test]
fn a_stranger_s_block_gets_error_5_and_the_transfer_goes_on() {
    let mut bench = Bench::writing(PLAIN);
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
fn the_block_counter_wraps() {
    let mut bench = Bench::writing(windows(8, 1));
    for n in 1..=70_000u32 {
        let block = n as u16;
        assert_eq!(bench.data(block, &[0; 8]), Some(Said::Ack(block)));
    }
    assert_eq!(bench.fake.bytes.len(), 560_000);
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
    let mut bench = Bench::writing(PLAIN);
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
