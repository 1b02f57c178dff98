//! iapctl's I/O-free clients and the board through bad networks, in virtual time: every cell of the matrix once. `cargo xtask networks`
//! runs each with many seeds, and more of the pushes with other people's clients.
#![allow(clippy::unwrap_used, reason = "test code")]

mod cells;
mod disturbers;
mod hosts;
mod http;
mod pusher;
#[allow(dead_code, reason = "cargo xtask networks uses all of it")]
mod stock;
mod tally;
mod tftp;
mod trial;

/// A fault of one percent may not happen in the few packets of one small push, so what fired is judged by all cells of a kind.
#[test]
fn every_cell_ends_as_it_must_and_every_fault_happens() {
    let tally = tally::run(&cells::all(), 1..=1, 2);
    assert!(tally.violations.is_empty(), "{:#?}", tally.violations);
    assert_eq!(tally.kinds_that_never_fired(), Vec::<String>::new());
    assert!(tally.committed > 100 && tally.failed > 20, "{tally:?}");
}

/// A seed with which the wire loses something is found in a few tries: 5 % of some fifty frames.
#[test]
fn stock_clients_push_through_a_wire_that_loses_frames() {
    let iapctl = assert_cmd::cargo::cargo_bin!("iapctl");
    for client in [stock::Stock::Busybox, stock::Stock::CurlHttp] {
        if !iap_peers::is_here(client.program()) {
            continue;
        }
        let fired = (1..=8).any(|seed| {
            let outcome = stock::push(client, 5, seed, iapctl).unwrap();
            println!("{client:?}: {outcome:?}");
            outcome.lost > 0
        });
        assert!(fired, "{client:?}: nothing was lost");
    }
}
