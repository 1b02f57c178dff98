//! Flash that lies, through the board's own servers: the update fails with the address in what the client hears and in the status, the board
//! stays in IAP mode, and a push after the fault has gone succeeds. A low supply only makes the client wait. Every kind of fault is
//! tried without the servers in `firmware/core/tests/faults.rs`.
#![allow(clippy::unwrap_used)] // tests

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::clients::{TRANSPORTS, operations, starts};
use common::{PATIENCE, application};
use iap_protocol::ErrorCode;
use iap_protocol::status::Status;
use iap_sim::nor::Fault;
use iap_sim::sim::{Sim, SimOptions};

/// Sectors 5 and 6; larger than the 96 KiB ring.
const SIZE: usize = 200_003;
/// In sector 6, so that one sector is done when it fails.
const WORD: u32 = 0x0804_1234;

/// A board with version 1.0.0 on it.
fn board() -> Sim {
    let sim = Sim::start(SimOptions::fast("sim").unwrap()).unwrap();
    let (_, push) = TRANSPORTS[0];
    push(&sim, &application((1, 0, 0), SIZE).1).unwrap();
    sim
}

fn status(sim: &Sim) -> Status {
    let mut stream = TcpStream::connect(sim.http()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = b"GET /status.json HTTP/1.1\r\nhost: board\r\nconnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, json) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_fault_is_told_with_its_address_and_the_next_push_after_it_succeeds() {
    let faults = [
        (
            Fault::ProgramFails(WORD),
            ErrorCode::FlashProgram,
            "0x08041234",
        ),
        (Fault::EraseFails(6), ErrorCode::FlashErase, "0x08040000"),
        (
            Fault::EraseDoesNothing(6),
            ErrorCode::FlashProgram,
            "0x0804",
        ),
        (
            Fault::ReadsWrong {
                address: WORD,
                bits: 0x10,
            },
            ErrorCode::FlashVerify,
            "0x08040000",
        ),
        (
            Fault::WriteProtected(6),
            ErrorCode::WriteProtected,
            "0x08040000",
        ),
    ];
    for (transport, push) in TRANSPORTS {
        for (fault, code, address) in faults {
            let what = format!("{fault:?} over {transport}");
            let sim = board();
            let (_, file) = application((2, 0, 0), SIZE);
            sim.nor().inject(fault);
            let told = push(&sim, &file).expect_err(&what);
            assert!(told.contains(code.sentence()), "{what}: {told}");
            assert!(told.contains(address), "{what}: {told}");
            let error = status(&sim).last_error.expect(&what);
            assert_eq!(error.code, code as u16, "{what}");
            assert!(error.text.contains(address), "{what}: {}", error.text);
            assert_eq!(starts(&sim), None, "{what}: IAP mode");
            sim.nor().clear_faults();
            let before = operations(&sim);
            push(&sim, &file).unwrap();
            let erased = operations(&sim).0 - before.0;
            assert_eq!(erased, 1, "{what}: sector 5 was done, sector 6 was not");
            assert_eq!(starts(&sim).as_deref(), Some("2.0.0"), "{what}");
        }
    }
}

#[test]
fn a_low_supply_makes_the_client_wait_and_then_the_update_ends_well() {
    for (transport, push) in TRANSPORTS {
        let sim = board();
        let (_, file) = application((2, 0, 0), SIZE);
        sim.nor().inject(Fault::SupplyLow { operations: 12 });
        push(&sim, &file).unwrap();
        // All of them were refused, and tried again.
        let over = [Fault::SupplyLow { operations: 0 }];
        assert_eq!(sim.nor().faults(), over, "{transport}");
        assert_eq!(starts(&sim).as_deref(), Some("2.0.0"), "{transport}");
    }
}
