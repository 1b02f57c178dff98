//! Networks on the way that do not carry long datagrams.

use std::time::Duration;

use iap_protocol::tftp::{Options, Packet};
use iapctl::tftp::{Client, Config, Machine, NetworkError};

use super::world::{SERVER_PORT, TID, ms, packet};
use super::{content, windowed};

/// A client in a transfer whose server has said nothing but an OACK of what was asked for.
fn begun(config: Config, now: Duration) -> Client<Vec<u8>> {
    let granted = Options {
        block_size: Some(config.block_size),
        window_size: Some(config.window_size),
        ..Options::default()
    };
    let mut client = Client::new(config, "a", content(20_000), now);
    let mut out = Vec::new();
    assert_eq!(client.poll(now, &mut out), Some(SERVER_PORT));
    client.receive(now, TID, &packet(&Packet::OptionAck(granted)));
    client
}

fn drain(client: &mut Client<Vec<u8>>, now: Duration) -> Vec<(u16, Vec<u8>)> {
    let mut out = Vec::new();
    let next = || client.poll(now, &mut out).map(|port| (port, out.clone()));
    std::iter::from_fn(next).take(100).collect()
}

#[test]
fn blocks_too_long_for_the_way_are_replaced_by_short_ones_while_none_was_acknowledged() {
    let mut client = begun(windowed(16), ms(0));
    assert_eq!(drain(&mut client, ms(1)).len(), 14);
    client.network_error(ms(2), NetworkError::TooLong);
    client.network_error(ms(2), NetworkError::TooLong);
    let mut sent = drain(&mut client, ms(2));
    assert_eq!(sent.len(), 1, "first the end: {sent:?}");
    sent.extend(drain(&mut client, ms(52)));
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(sent[0].0, TID);
    assert!(
        sent[0].1.starts_with(b"\0\x05\0\0"),
        "the session is ended first"
    );
    assert_eq!(sent[1].0, SERVER_PORT);
    let Ok(Packet::WriteRequest(request)) = Packet::decode(&sent[1].1) else {
        panic!("{:?}", sent[1]);
    };
    assert_eq!(request.options.block_size, Some(512));
    assert_eq!(request.options.window_size, Some(16));
    // The first session's OACK, repeated, and the second's.
    let old = Options {
        block_size: Some(1468),
        ..Options::default()
    };
    client.receive(ms(53), TID, &packet(&Packet::OptionAck(old)));
    let sent = drain(&mut client, ms(53));
    assert!(
        sent.len() == 1 && sent[0].1.starts_with(b"\0\x05\0\0"),
        "{sent:?}"
    );
    let new = Options {
        block_size: Some(512),
        window_size: Some(16),
        ..Options::default()
    };
    client.receive(ms(54), TID + 1, &packet(&Packet::OptionAck(new)));
    let sent = drain(&mut client, ms(60));
    assert!(
        sent.iter()
            .all(|(port, data)| *port == TID + 1 && data.len() == 516)
    );
    assert!(!sent.is_empty());
}

#[test]
fn a_way_that_becomes_too_narrow_later_or_for_the_smallest_blocks_is_told() {
    for block_size in [1468, 512] {
        let mut client = begun(
            Config {
                block_size,
                ..windowed(1)
            },
            ms(0),
        );
        drain(&mut client, ms(1));
        if block_size > 512 {
            client.receive(ms(2), TID, &packet(&Packet::Ack { block: 1 }));
        }
        for _ in 0..3 {
            assert!(client.result().is_none());
            client.network_error(ms(3), NetworkError::TooLong);
        }
        let error = client.result().unwrap().unwrap_err().to_string();
        assert!(
            error.starts_with("a block is too long for a network on the way"),
            "{error}"
        );
    }
}

#[test]
fn a_server_that_gives_up_without_having_got_a_block_is_tried_again_with_short_ones() {
    // A router that loses long datagrams without a word: the board hears nothing and frees itself after 10 s.
    let mut client = begun(windowed(16), ms(0));
    for _ in 0..20 {
        let at = client.poll_at().unwrap();
        drain(&mut client, at);
    }
    let silent = packet(&Packet::Error {
        code: 0,
        message: b"the client went silent",
    });
    client.receive(ms(10_000), TID, &silent);
    let mut sent = drain(&mut client, ms(10_000));
    sent.extend(drain(&mut client, ms(10_050)));
    let request = sent
        .iter()
        .find(|(port, _)| *port == SERVER_PORT)
        .expect("a request");
    let Ok(Packet::WriteRequest(request)) = Packet::decode(&request.1) else {
        panic!("{request:?}");
    };
    assert_eq!(request.options.block_size, Some(512));
    // Once is enough: the same again is an error.
    let new = Options {
        block_size: Some(512),
        ..Options::default()
    };
    client.receive(ms(10_051), TID + 1, &packet(&Packet::OptionAck(new)));
    for _ in 0..20 {
        let at = client.poll_at().unwrap();
        drain(&mut client, at);
    }
    client.receive(ms(20_000), TID + 1, &silent);
    assert!(client.result().unwrap().is_err());
}
