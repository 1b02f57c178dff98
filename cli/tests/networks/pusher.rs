//! The clients that push in a trial, and what they push.

use iap_core::config::Config;
use iap_sim::image;
use iap_sim::wire::Port;
use iapctl::tftp::{Client, Config as ClientConfig};
use smoltcp::time::Instant;

use super::cells::{Cell, Transport};
use super::hosts::{Actor, Host, Hosts};
use super::http::Push;
use super::tftp::{Driven, since_start};

/// When the push begins.
pub(crate) const BEGIN: Instant = Instant::from_millis_const(10);
/// A client that pushes.
pub(crate) enum Pusher {
    Tftp(Box<Driven<Client<Vec<u8>>>>),
    Http(Box<Push>),
}

impl Pusher {
    pub(crate) fn actor(&mut self) -> &mut dyn Actor {
        match self {
            Self::Tftp(client) => client.as_mut(),
            Self::Http(push) => push.as_mut(),
        }
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        match self {
            Self::Tftp(client) => client.next_at(),
            Self::Http(push) => push.next_at(),
        }
    }

    pub(crate) fn told(&self) -> Option<Result<(), String>> {
        match self {
            Self::Tftp(client) => client
                .result()
                .map(|result| result.map(|_| ()).map_err(|error| error.to_string())),
            Self::Http(push) => push.result(),
        }
    }

    pub(crate) fn has_vanished(&self) -> bool {
        match self {
            Self::Tftp(client) => client.has_vanished(),
            Self::Http(push) => push.has_vanished(),
        }
    }
}

/// The payloads: what was there, what is pushed, and what is pushed after a failure.
pub(crate) fn payloads(cell: &Cell, config: &Config) -> [Vec<u8>; 3] {
    [(1, 0, 0), (2, 0, 0), (3, 0, 0)]
        .map(|version| image::application(&config.map, version, cell.size))
}

/// As it is sent.
pub(crate) fn file(config: &Config, payload: &[u8]) -> Vec<u8> {
    image::iap_file(&config.map, "sim", payload)
}

/// The push that a cell is about.
pub(crate) fn pusher(
    cell: &Cell,
    hosts: &mut Hosts,
    board: &Port,
    file: &[u8],
    seed: u64,
) -> Pusher {
    let port = 30_000 + (seed % 1000) as u16;
    if cell.transport == Transport::Http {
        let push = Push::new(Host::First, port, file, BEGIN);
        return Pusher::Http(Box::new(push.vanishing_after(cell.vanishes_after)));
    }
    let config = ClientConfig {
        options: cell.transport == Transport::Tftp,
        ..ClientConfig::default()
    };
    let client = Client::new(config, "app.iap", file.to_vec(), since_start(BEGIN));
    let handle = hosts.udp_socket(Host::First, port);
    let router = cell.router_tells.then(|| board.clone());
    let driven = Driven::new(client, handle, BEGIN)
        .vanishing_after(cell.vanishes_after)
        .behind_router(router);
    Pusher::Tftp(Box::new(driven))
}

/// A push by somebody else.
pub(crate) fn other(
    transport: Transport,
    host: Host,
    hosts: &mut Hosts,
    file: &[u8],
    at: Instant,
) -> Pusher {
    if transport == Transport::Http {
        return Pusher::Http(Box::new(Push::new(host, 40_000, file, at)));
    }
    let config = ClientConfig::default();
    let client = Client::new(config, "other.iap", file.to_vec(), since_start(at));
    let handle = hosts.udp_socket(host, 40_000);
    Pusher::Tftp(Box::new(Driven::new(client, handle, at)))
}
