//! iapctl's TFTP client with its run loop and nothing around it, for `cargo xtask bench host`: writes any file to any server on this
//! machine. `put FILE PORT [BLKSIZE WINDOWSIZE]`; without sizes no options are sent.
#![allow(clippy::unwrap_used, reason = "a bench tool: what is wrong ends it")]

use std::net::Ipv4Addr;
use std::time::Duration;

use iapctl::tftp::run::{Thread, run_on};
use iapctl::tftp::{Client, Config};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize| arguments.get(at).map(|text| text.parse::<u16>().unwrap());
    let mut config = Config {
        server_port: number(2).unwrap(),
        options: false,
        ..Config::default()
    };
    if let (Some(block_size), Some(window_size)) = (number(3), number(4)) {
        (config.block_size, config.window_size) = (block_size, window_size);
        config.options = true;
    }
    let content = std::fs::read(&arguments[1]).unwrap();
    let client = Client::new(config, "f", content, Duration::ZERO);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let never = std::future::pending();
    let transfer = run_on(Thread::Own, client, Ipv4Addr::LOCALHOST, never, |_| ());
    let done = runtime.block_on(transfer).unwrap();
    println!("{done:?}");
}
