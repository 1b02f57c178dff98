//! The TFTP write client in virtual time: thousands of seconds of erasing, losing and doubling in one.
#![allow(clippy::unwrap_used, reason = "test code")]

mod loss;
mod mtu;
mod world;

use std::time::Duration;

use iap_protocol::tftp::{Options, Packet};
use iapctl::tftp::{Client, Config, Machine, NetworkError, Phase, Reason};
use world::{Habits, SERVER_PORT, Server, TID, Wire, World, ms, packet};

const HOUR: Duration = Duration::from_secs(3600);

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

fn plain() -> Config {
    Config {
        options: false,
        ..Config::default()
    }
}

fn windowed(window_size: u16) -> Config {
    Config {
        window_size,
        ..Config::default()
    }
}

fn world(config: Config, len: usize, wire: Wire, habits: Habits) -> World {
    let client = Client::new(config, "app.iap", content(len), Duration::ZERO);
    World::new(client, wire, Server::new(habits))
}

/// Runs to a success and checks that the server has exactly the file.
fn delivered(world: &mut World, len: usize) -> iapctl::tftp::Upload {
    let upload = world.run(HOUR).unwrap();
    assert!(world.server.complete);
    assert!(
        world.server.content == content(len),
        "the server has other bytes"
    );
    upload
}

#[test]
fn files_of_every_length_around_a_block_arrive_in_the_blocks_rfc_1350_asks_for() {
    for (len, blocks) in [(0, 1), (1, 1), (511, 1), (512, 2), (513, 2), (1024, 3)] {
        let mut world = world(plain(), len, Wire::new(ms(1)), Habits::default());
        let upload = delivered(&mut world, len);
        assert_eq!(
            (upload.blocks, world.data_sent()),
            (blocks, blocks),
            "{len} bytes"
        );
    }
}

#[test]
fn options_are_used_as_the_server_grants_them() {
    let grants = Options {
        block_size: Some(1024),
        window_size: Some(4),
        ..Options::default()
    };
    let habits = Habits {
        grants,
        ..Habits::default()
    };
    let mut world = world(windowed(16), 100_000, Wire::new(ms(1)), habits);
    let upload = delivered(&mut world, 100_000);
    assert_eq!(
        (upload.block_size, upload.window_size, upload.blocks),
        (1024, 4, 98)
    );
    assert_eq!(world.data_sent(), 98);
}

#[test]
fn the_block_counter_wraps() {
    let len = 512 * 70_000 + 5;
    let mut world = world(plain(), len, Wire::new(ms(0)), Habits::default());
    assert_eq!(delivered(&mut world, len).blocks, 70_001);
    assert_eq!(world.data_sent(), 70_001);
}

#[test]
fn a_window_makes_a_long_way_short() {
    let time = |config| {
        let mut world = world(config, 1 << 20, Wire::new(ms(25)), Habits::default());
        delivered(&mut world, 1 << 20);
        world.now
    };
    let (lock_step, window) = (time(windowed(1)), time(windowed(16)));
    assert!(lock_step > Duration::from_secs(35), "{lock_step:?}");
    assert!(window < Duration::from_secs(4), "{window:?}");
}

#[test]
fn refused_options_are_left_out_in_a_second_request() {
    let habits = Habits {
        refuses_options: true,
        ..Habits::default()
    };
    let mut world = world(Config::default(), 5000, Wire::new(ms(5)), habits);
    let upload = delivered(&mut world, 5000);
    assert_eq!((upload.block_size, upload.window_size), (512, 1));
    assert_eq!(world.server.requests, 2);
    assert!(
        world.now < ms(300),
        "the second request does not wait: {:?}",
        world.now
    );
}

#[test]
fn a_second_refusal_of_options_that_was_on_its_way_is_not_taken_for_an_end() {
    let mut world = world(
        Config::default(),
        5000,
        Wire::new(ms(5)),
        Habits {
            silent: true,
            ..Habits::default()
        },
    );
    // Two requests with options leave (0 s, 2.5 s); both are refused, after the third, without options, has left.
    for at in [ms(2600), ms(2605)] {
        world.inject(
            at,
            TID,
            packet(&Packet::Error {
                code: 8,
                message: b"no",
            }),
        );
    }
    world.inject(ms(2700), TID, packet(&Packet::Ack { block: 0 }));
    let error = world.run(HOUR).unwrap_err();
    assert_eq!(
        error.phase,
        Phase::Data {
            block: 1,
            blocks: 10
        },
        "{error}"
    );
}

#[test]
fn a_server_that_ignores_options_gets_plain_lock_step() {
    let habits = Habits {
        ignores_options: true,
        ..Habits::default()
    };
    let mut world = world(Config::default(), 5000, Wire::new(ms(1)), habits);
    assert_eq!(delivered(&mut world, 5000).block_size, 512);
    assert_eq!(world.server.requests, 1);
}

#[test]
fn an_oack_that_grants_more_than_was_asked_for_ends_the_transfer() {
    let mut world = world(
        windowed(4),
        5000,
        Wire::new(ms(1)),
        Habits {
            silent: true,
            ..Habits::default()
        },
    );
    let granted = Options {
        window_size: Some(64),
        ..Options::default()
    };
    world.inject(ms(3), TID, packet(&Packet::OptionAck(granted)));
    let error = world.run(HOUR).unwrap_err();
    assert_eq!(
        error.reason,
        Reason::BadOptions("windowsize 64 granted, 4 was asked for".into())
    );
    assert_eq!(world.errors_sent(), [(TID, 8)]);
}

#[test]
fn slow_first_answers_are_waited_for_with_few_requests_and_one_session() {
    for (seconds, requests) in [(2, 1), (8, 3), (15, 4), (30, 7), (55, 12)] {
        for config in [Config::default(), plain()] {
            let stalls = [(0, Duration::from_secs(seconds))].into();
            let habits = Habits {
                stalls,
                ..Habits::default()
            };
            let mut world = world(config, 20_000, Wire::new(ms(1)), habits);
            delivered(&mut world, 20_000);
            assert!(
                world.server.requests <= requests,
                "{seconds} s: {}",
                world.server.requests
            );
            assert!(
                world.now < Duration::from_secs(seconds + 1),
                "{:?}",
                world.now
            );
        }
    }
}

#[test]
fn slow_acknowledgements_are_waited_for_with_little_repetition() {
    let last = 20_000 / 1468 + 1;
    for block in [1, 7, last] {
        for seconds in [2, 8, 15, 30, 55] {
            for window in [1, 8] {
                let stalls = [(block, Duration::from_secs(seconds))].into();
                let habits = Habits {
                    stalls,
                    ..Habits::default()
                };
                let mut world = world(windowed(window), 20_000, Wire::new(ms(1)), habits);
                let upload = delivered(&mut world, 20_000);
                assert!(
                    upload.repeated <= 60,
                    "block {block}, {seconds} s, window {window}: {upload:?}"
                );
                assert!(
                    world.now < Duration::from_secs(seconds + 6),
                    "{:?}",
                    world.now
                );
            }
        }
    }
}

#[test]
fn a_stall_does_not_slow_down_what_follows() {
    let stalls = [(100, Duration::from_secs(2)), (300, Duration::from_secs(2))].into();
    let habits = Habits {
        stalls,
        buffer: 16,
        ..Habits::default()
    };
    let mut world = world(windowed(8), 1_000_000, Wire::new(ms(1)), habits);
    delivered(&mut world, 1_000_000);
    assert!(world.now < ms(2 * 2000 + 2 * 2600), "{:?}", world.now);
}

#[test]
fn a_board_that_programs_slower_than_it_receives_does_not_get_everything_twice() {
    // 8 blocks of 1468 bytes are programmed in 47 ms (16 us per word); each acknowledgement waits for that.
    let stalls = (1..90).map(|window| (8 * window, ms(47))).collect();
    let habits = Habits {
        stalls,
        buffer: 64,
        ..Habits::default()
    };
    let mut world = world(windowed(8), 1_000_000, Wire::new(ms(0)), habits);
    let upload = delivered(&mut world, 1_000_000);
    assert!(upload.repeated < 60, "{upload:?}");
}

#[test]
fn doubled_acknowledgements_do_not_multiply_data() {
    for (config, blocks) in [(plain(), 201), (windowed(1), 71), (windowed(8), 71)] {
        for habits in [
            Habits {
                doubles_ack_of: Some(3),
                ..Habits::default()
            },
            Habits {
                doubles_ack_of: Some(8),
                ..Habits::default()
            },
            Habits {
                doubles_acks: true,
                ..Habits::default()
            },
        ] {
            let len = 512 * 200 + 10;
            let mut world = world(config.clone(), len, Wire::new(ms(1)), habits);
            delivered(&mut world, len);
            let expected = if config.options {
                len as u64 / 1468 + 1
            } else {
                blocks
            };
            assert_eq!(world.data_sent(), expected);
        }
    }
}

#[test]
fn a_bad_wire_delivers_the_file_with_bounded_repetition() {
    for seed in 0..200 {
        for window in [1, 2, 8, 32] {
            let len = 60_000 + seed as usize * 17;
            let wire = Wire::bad(seed * 4 + u64::from(window));
            let mut world = world(windowed(window), len, wire, Habits::default());
            let upload = delivered(&mut world, len);
            let sent = world.data_sent();
            let bound = upload.blocks * (3 + u64::from(window) / 2);
            assert!(
                sent < bound,
                "seed {seed}, window {window}: {sent} DATA for {upload:?}"
            );
        }
    }
}

#[test]
fn an_error_of_the_peer_is_shown_verbatim_with_the_block() {
    let habits = Habits {
        error_at: Some((5, 3, "image does not fit")),
        ..Habits::default()
    };
    let mut world = world(plain(), 5000, Wire::new(ms(1)), habits);
    let error = world.run(HOUR).unwrap_err();
    assert_eq!(
        error.to_string(),
        "TFTP error 3: image does not fit (at block 5 of 10)"
    );
    assert!(world.errors_sent().is_empty(), "no ERROR answers an ERROR");
}

#[test]
fn an_error_at_the_request_ends_at_once() {
    let mut world = world(
        Config::default(),
        5000,
        Wire::new(ms(1)),
        Habits {
            silent: true,
            ..Habits::default()
        },
    );
    world.inject(
        ms(2),
        TID,
        packet(&Packet::Error {
            code: 2,
            message: b"busy",
        }),
    );
    let error = world.run(ms(100)).unwrap_err();
    assert_eq!(
        error.reason,
        Reason::Refused {
            code: 2,
            message: "busy".into()
        }
    );
    assert_eq!(error.phase, Phase::Request);
}

#[test]
fn silence_is_reported_with_its_length() {
    let habits = Habits {
        silent: true,
        ..Habits::default()
    };
    let mut world = world(Config::default(), 5000, Wire::new(ms(1)), habits);
    let error = world.run(HOUR).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no answer to the request for 60.0 s (13 requests sent)"
    );
}

#[test]
fn silence_in_the_middle_and_at_the_end_is_told_apart() {
    for (block, phase) in [
        (
            3,
            Phase::Data {
                block: 3,
                blocks: 10,
            },
        ),
        (10, Phase::LastAck { block: 10 }),
    ] {
        let habits = Habits {
            stalls: [(block, HOUR)].into(),
            ..Habits::default()
        };
        let mut world = world(plain(), 5000, Wire::new(ms(1)), habits);
        let error = world.run(HOUR).unwrap_err();
        assert_eq!((error.reason, error.phase), (Reason::Silent, phase));
        assert!(error.waited >= Duration::from_secs(60));
        assert_eq!(world.errors_sent(), [(TID, 0)], "the peer is freed");
        assert!(world.data_sent() < 40, "{} DATA", world.data_sent());
    }
}

#[test]
fn strangers_get_error_5_and_do_not_disturb() {
    let mut world = world(plain(), 50_000, Wire::new(ms(1)), Habits::default());
    for block in 0..20 {
        world.inject(
            ms(20 + block),
            5555,
            packet(&Packet::Ack {
                block: block as u16,
            }),
        );
        world.inject(
            ms(20 + block),
            5556,
            packet(&Packet::Error {
                code: 1,
                message: b"x",
            }),
        );
    }
    delivered(&mut world, 50_000);
    assert_eq!(world.data_sent(), 98);
    let errors = world.errors_sent();
    assert_eq!(errors.len(), 20);
    assert!(errors.iter().all(|error| *error == (5555, 5)), "{errors:?}");
}

#[test]
fn garbage_is_counted_and_ignored() {
    let mut world = world(
        plain(),
        5000,
        Wire::new(ms(1)),
        Habits {
            silent: true,
            ..Habits::default()
        },
    );
    for (i, garbage) in [&b""[..], b"\x00", b"\x00\x09zz", b"\x00\x04\x00"]
        .into_iter()
        .enumerate()
    {
        world.inject(ms(i as u64), SERVER_PORT, garbage.to_vec());
    }
    let error = world.run(HOUR).unwrap_err();
    assert_eq!(error.malformed, 4);
}

#[test]
fn acknowledgements_of_what_was_never_sent_or_long_ago_are_ignored() {
    let habits = Habits {
        stalls: [(4, ms(500))].into(),
        ..Habits::default()
    };
    let mut world = world(plain(), 5000, Wire::new(ms(1)), habits);
    for block in [0, 1, 2, 3, 6, 9, 10, 65_535] {
        world.inject(ms(100), TID, packet(&Packet::Ack { block }));
    }
    delivered(&mut world, 5000);
}

#[test]
fn a_closed_port_is_believed_at_once_at_the_request_and_the_third_time_later() {
    let mut requesting = Client::new(plain(), "a", content(5000), Duration::ZERO);
    let mut out = Vec::new();
    assert_eq!(requesting.poll(ms(0), &mut out), Some(SERVER_PORT));
    requesting.network_error(ms(1), NetworkError::PortClosed);
    let error = requesting.result().unwrap().unwrap_err();
    assert_eq!(error.reason, Reason::Network(NetworkError::PortClosed));

    let mut sending = Client::new(plain(), "a", content(5000), Duration::ZERO);
    sending.poll(ms(0), &mut out);
    sending.receive(ms(1), TID, &packet(&Packet::Ack { block: 0 }));
    sending.network_error(ms(2), NetworkError::HostUnreachable);
    sending.network_error(ms(2), NetworkError::PortClosed);
    assert_eq!(sending.result(), None);
    sending.network_error(ms(3), NetworkError::PortClosed);
    assert!(sending.result().unwrap().is_err());
}

#[test]
fn cancelling_frees_the_peer() {
    let mut world = world(
        plain(),
        5000,
        Wire::new(ms(1)),
        Habits {
            stalls: [(4, HOUR)].into(),
            ..Habits::default()
        },
    );
    let mut out = Vec::new();
    for step in 0..50 {
        world.now = ms(step);
        while let Some(port) = world.client.poll(world.now, &mut out) {
            if let Ok(Packet::Data { block, .. }) = Packet::decode(&out) {
                world.client.receive(
                    world.now,
                    TID,
                    &packet(&Packet::Ack {
                        block: block.min(3),
                    }),
                );
            } else {
                assert_eq!(port, SERVER_PORT);
                world
                    .client
                    .receive(world.now, TID, &packet(&Packet::Ack { block: 0 }));
            }
        }
    }
    world.client.cancel(ms(60));
    assert_eq!(world.client.poll(ms(60), &mut out), Some(TID));
    assert!(out.starts_with(b"\x00\x05\x00\x00"), "{out:?}");
    assert_eq!(world.client.poll(ms(60), &mut out), None);
    let error = world.client.result().unwrap().unwrap_err();
    assert_eq!(error.reason, Reason::Cancelled);
    assert_eq!(
        error.phase,
        Phase::Data {
            block: 4,
            blocks: 10
        }
    );
}

#[test]
fn an_overrun_receiver_is_sent_shorter_bursts() {
    // Its buffer holds four datagrams, read every 2 ms, in a window of 16.
    let grants = Options {
        window_size: Some(16),
        ..Options::default()
    };
    let mut world = world(
        windowed(16),
        300_000,
        Wire::new(ms(1)),
        Habits {
            grants,
            ..Habits::default()
        },
    );
    world.wire.overrun = Some((4, ms(2)));
    let upload = delivered(&mut world, 300_000);
    assert!(upload.repeated < upload.blocks * 2, "{upload:?}");
    assert!(world.now < Duration::from_secs(10), "{:?}", world.now);
}

/// When DATA with this block number left.
fn departures(world: &World, number: u16) -> Vec<Duration> {
    let is_it = |datagram: &[u8]| matches!(Packet::decode(datagram), Ok(Packet::Data { block, .. }) if block == number);
    (world.sent.iter())
        .filter(|(_, _, datagram)| is_it(datagram))
        .map(|(at, ..)| *at)
        .collect()
}

#[test]
fn the_last_block_is_repeated_every_second_at_first_and_less_often_later() {
    for (config, last) in [(plain(), 40), (windowed(1), 14), (windowed(16), 14)] {
        let habits = Habits {
            stalls: [(last, HOUR)].into(),
            ..Habits::default()
        };
        let mut world = world(config, 20_000, Wire::new(ms(250)), habits);
        let error = world.run(HOUR).unwrap_err();
        assert_eq!(error.phase, Phase::LastAck { block: last });
        let at = departures(&world, last as u16);
        let gaps: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[..9].iter().all(|gap| *gap <= ms(1000)), "{gaps:?}");
        assert!(
            gaps.iter().rev().take(10).all(|gap| *gap >= ms(3900)),
            "{gaps:?}"
        );
    }
}
