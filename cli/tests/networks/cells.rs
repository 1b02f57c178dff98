//! The matrix: what is done to the network, and what must come of it.

use iap_core::update::RING_RESERVE;
use iap_sim::wire::{Conditions, LinkDown};
use smoltcp::time::{Duration, Instant};

/// By which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    /// With options: blocks of 1468 bytes, windows.
    Tftp,
    /// RFC 1350 alone: 512 bytes in lock-step.
    PlainTftp,
    Http,
}

/// Who is on the network beside the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Company {
    Nobody,
    /// A second client, from another host.
    SecondHost,
    /// A second client, from the same host.
    SameHost,
    /// A second client over HTTP, from another host.
    SecondOverHttp,
    /// A third address at the transfer's port.
    Stranger,
    /// A flood of write requests.
    Flood,
}

/// How a push may end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Byte-exact and committed.
    Committed,
    /// That, or a clear error on both sides and the board free in its time.
    Either,
    /// The error.
    Failed,
}

/// What must have happened for a cell to mean anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Lost,
    Duplicated,
    Reordered,
    Corrupted,
    Delayed(Duration),
    TooLong,
    LinkDown,
    Vanished,
    SecondRefused,
    StrangerToldOff,
    FloodRefused,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) name: String,
    pub(crate) transport: Transport,
    /// Bytes of the application.
    pub(crate) size: usize,
    pub(crate) conditions: Conditions,
    pub(crate) company: Company,
    /// The client is gone after so many datagrams (TFTP) or bytes (HTTP).
    pub(crate) vanishes_after: Option<u64>,
    /// What the board has by then is no reason to touch its flash.
    pub(crate) costs_nothing: bool,
    /// A router says so when a datagram is too long for it.
    pub(crate) router_tells: bool,
    pub(crate) end: End,
    pub(crate) fault: Fault,
}

/// Fits the board's RAM ring, so that it is judged whole before the first erase.
pub(crate) const SMALL: usize = 16 * 1024;
/// Does not fit, and takes two sectors.
pub(crate) const LARGE: usize = 150_000;

/// A LAN: 100 Mbit/s, and a receive ring as long as the firmware's.
fn lan() -> Conditions {
    Conditions {
        delay: Duration::from_micros(100),
        bits_per_s: 100_000_000,
        ..Conditions::default()
    }
}

const fn percent(percent: u32) -> u32 {
    percent * 10_000
}

/// All cells.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = Vec::new();
    for transport in [Transport::Tftp, Transport::PlainTftp, Transport::Http] {
        for size in [SMALL, LARGE] {
            let base = Cell {
                name: String::new(),
                transport,
                size,
                conditions: lan(),
                company: Company::Nobody,
                vanishes_after: None,
                costs_nothing: false,
                router_tells: true,
                end: End::Committed,
                fault: Fault::Lost,
            };
            cells.extend(bad_wires(&base));
            cells.extend(delays(&base));
            cells.extend(narrow(&base));
            cells.extend(down(&base));
            cells.extend(company(&base));
            cells.extend(vanishing(&base));
        }
    }
    cells
}

fn named(base: &Cell, what: &str, change: impl FnOnce(&mut Cell)) -> Cell {
    let mut cell = base.clone();
    let (transport, size) = (base.transport, base.size);
    cell.name = format!("{transport:?} {size}: {what}");
    change(&mut cell);
    cell
}

fn wire(
    base: &Cell,
    what: &str,
    fault: Fault,
    end: End,
    change: impl FnOnce(&mut Conditions),
) -> Cell {
    named(base, what, |cell| {
        change(&mut cell.conditions);
        (cell.fault, cell.end) = (fault, end);
    })
}

fn bad_wires(base: &Cell) -> Vec<Cell> {
    let mut cells = Vec::new();
    for loss in [1, 5, 20] {
        let end = if loss > 5 {
            End::Either
        } else {
            End::Committed
        };
        cells.push(wire(
            base,
            &format!("loss {loss} %"),
            Fault::Lost,
            end,
            |it| {
                it.loss_ppm = percent(loss);
            },
        ));
    }
    for (what, rate) in [("duplication 10 %", 10), ("every packet twice", 100)] {
        cells.push(wire(base, what, Fault::Duplicated, End::Committed, |it| {
            it.duplicate_ppm = percent(rate);
        }));
    }
    for (rate, ms) in [(5, 5), (30, 20)] {
        let what = format!("reordering {rate} % by {ms} ms");
        cells.push(wire(base, &what, Fault::Reordered, End::Committed, |it| {
            it.reorder_ppm = percent(rate);
            it.reorder_by = Duration::from_millis(ms);
        }));
    }
    for (rate, end) in [(1, End::Committed), (5, End::Either)] {
        let what = format!("corruption {rate} %");
        cells.push(wire(base, &what, Fault::Corrupted, end, |it| {
            it.corrupt_ppm = percent(rate);
        }));
    }
    let what = "corruption 2 % with a right checksum";
    cells.push(wire(base, what, Fault::Corrupted, End::Either, |it| {
        it.corrupt_unseen_ppm = percent(2);
    }));
    cells.push(wire(base, "all of it", Fault::Lost, End::Either, |it| {
        (it.loss_ppm, it.duplicate_ppm) = (percent(3), percent(3));
        (it.reorder_ppm, it.corrupt_ppm) = (percent(3), percent(1));
        it.reorder_by = Duration::from_millis(10);
        it.jitter = Duration::from_millis(2);
    }));
    cells
}

fn delays(base: &Cell) -> Vec<Cell> {
    let mut cells = Vec::new();
    for ms in [5, 25, 250] {
        for loss in [0, 1] {
            let delay = Duration::from_millis(ms);
            let what = format!("{ms} ms with jitter, loss {loss} %");
            let end = if loss > 0 && ms > 25 {
                End::Either
            } else {
                End::Committed
            };
            cells.push(wire(base, &what, Fault::Delayed(delay), end, |it| {
                it.delay = delay;
                it.jitter = delay / 4;
                it.loss_ppm = percent(loss);
            }));
        }
    }
    cells
}

/// MTU 576. For TCP a router there lowers the MSS (RFC 4459 section 3.2), which smoltcp's hosts cannot be told: TFTP only.
fn narrow(base: &Cell) -> Vec<Cell> {
    let mut cells = Vec::new();
    if base.transport == Transport::Tftp {
        for (what, router_tells) in [("MTU 576", true), ("MTU 576, nobody tells", false)] {
            cells.push(named(base, what, |cell| {
                cell.conditions.mtu = 576;
                cell.router_tells = router_tells;
                cell.fault = Fault::TooLong;
            }));
        }
    }
    cells
}

fn down(base: &Cell) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (seconds, end) in [(5, End::Committed), (10, End::Either)] {
        // Within the request, the first window, the first erase, and the programming.
        for from_ms in [9, 11, 40, 1200] {
            let what = format!("link down {seconds} s from {from_ms} ms");
            let from = Instant::from_millis(from_ms);
            let until = from + Duration::from_secs(seconds);
            if from_ms > 1000 && base.size == SMALL {
                continue; // nothing is sent while an image that fits the ring is programmed
            }
            cells.push(wire(base, &what, Fault::LinkDown, end, |it| {
                it.down = Some(LinkDown { from, until });
            }));
        }
    }
    cells
}

fn company(base: &Cell) -> Vec<Cell> {
    let second = [
        ("a second host", Company::SecondHost),
        ("a second client on the same host", Company::SameHost),
        ("a second host over HTTP", Company::SecondOverHttp),
    ];
    let mut cells: Vec<_> = second
        .into_iter()
        .map(|(what, company)| {
            named(base, what, |cell| {
                cell.company = company;
                cell.fault = Fault::SecondRefused;
            })
        })
        .collect();
    if base.transport != Transport::Http {
        for (what, company, fault) in [
            ("a third address", Company::Stranger, Fault::StrangerToldOff),
            ("a flood of WRQs", Company::Flood, Fault::FloodRefused),
        ] {
            cells.push(named(base, what, |cell| {
                (cell.company, cell.fault) = (company, fault);
            }));
        }
    }
    cells
}

/// At every block of the small image, and at some of the large one.
fn vanishing(base: &Cell) -> Vec<Cell> {
    let datagrams = match (base.transport, base.size) {
        (Transport::Tftp, SMALL) => (1..=13).collect(),
        (Transport::PlainTftp, SMALL) => (1..=35).collect(),
        (Transport::Http, SMALL) => (0..=11).map(|i| 1460 * i + 300).collect(),
        (Transport::Http, _) => vec![40_000, 97_000, 110_000, 149_000],
        (Transport::Tftp, _) => vec![2, 30, 66, 68, 80, 100, 103, 104],
        (Transport::PlainTftp, _) => vec![2, 100, 190, 193, 250, 293, 294, 295],
    };
    // The first datagram is the request. Nothing is erased before the ring is full, or an image that fits it complete.
    let (block, last) = match base.transport {
        Transport::Tftp => (1468, 13),
        Transport::PlainTftp => (512, 35),
        Transport::Http => (1, u64::MAX),
    };
    datagrams
        .into_iter()
        .map(|after| {
            named(base, &format!("gone after {after}"), |cell| {
                cell.vanishes_after = Some(after);
                cell.costs_nothing = match base.size {
                    SMALL => after < last,
                    _ => after * block < (96 * 1024 - RING_RESERVE) as u64,
                };
                (cell.fault, cell.end) = (Fault::Vanished, End::Failed);
            })
        })
        .collect()
}
