//! Stub boards for measuring and for looking at pushes to many: they answer TFTP and HTTP on ports of this machine, on one thread.
//!
//!     cargo run --release --package iapctl --example stub_boards -- --boards 200 --tftp-port 20000 --silent 5 --refusing 5
//!     iapctl push --hosts boards.txt app.bin      # with --write-hosts boards.txt above
//!
//! Board n listens at the first port + n. The silent ones come first, then those that refuse, then those that stop within a transfer,
//! then the good ones. It prints `ready` when all listen, runs until stdin is closed, and prints then what happened to them as one line
//! of JSON: `{"boards":200,"uploads":195,"committed":190,"aborted":0,"uploads_at_once":195,"bytes":...}`.
#![allow(clippy::unwrap_used, reason = "a tool for tests")]
#![allow(dead_code)] // tests use more of the boards

#[path = "../tests/many/stub/mod.rs"]
mod stub;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use stub::{Boards, Kind, Options};
use tokio::task::LocalSet;

/// Boards that take what they are sent, on ports of this machine, until stdin is closed
#[derive(Parser)]
struct Arguments {
    /// How many
    #[arg(long, default_value_t = 200)]
    boards: usize,
    /// The address they listen at
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    address: Ipv4Addr,
    /// TFTP port of the first; 0 for any ports
    #[arg(long, default_value_t = 20_000)]
    tftp_port: u16,
    /// HTTP port of the first; no HTTP without it
    #[arg(long)]
    http_port: Option<u16>,
    /// So many never answer
    #[arg(long, default_value_t = 0)]
    silent: usize,
    /// So many refuse every image
    #[arg(long, default_value_t = 0)]
    refusing: usize,
    /// So many stop within a transfer
    #[arg(long, default_value_t = 0)]
    stopping: usize,
    /// Milliseconds a board erases
    #[arg(long, default_value_t = 0)]
    erase_ms: u64,
    /// Writes the boards into this file, for `iapctl push --hosts`; those of HTTP where they have it
    #[arg(long, value_name = "FILE")]
    write_hosts: Option<PathBuf>,
}

impl Arguments {
    fn kinds(&self) -> Vec<Kind> {
        std::iter::repeat_n(Kind::Silent, self.silent)
            .chain(std::iter::repeat_n(Kind::Refusing, self.refusing))
            .chain(std::iter::repeat_n(Kind::Stopping, self.stopping))
            .chain(std::iter::repeat(Kind::Good))
            .take(self.boards)
            .collect()
    }

    fn hosts(&self, boards: &Boards) -> String {
        let mut text = String::new();
        let address = self.address;
        let (scheme, ports) = match self.http_port {
            Some(_) => ("http://", &boards.http_ports),
            None => ("", &boards.tftp_ports),
        };
        for port in ports {
            writeln!(text, "{scheme}{address}:{port}").unwrap();
        }
        text
    }
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let boards = Boards::start(&Options {
            kinds: arguments.kinds(),
            address: arguments.address,
            tftp_port: arguments.tftp_port,
            http_port: arguments.http_port,
            erase: Duration::from_millis(arguments.erase_ms),
        })
        .await?;
        if let Some(file) = &arguments.write_hosts {
            std::fs::write(file, arguments.hosts(&boards))?;
        }
        println!("ready");
        stdin_closed().await;
        report(&boards);
        Ok(())
    })
}

/// Waits on a thread of its own: a terminal or a pipe cannot be waited for by the event loop.
async fn stdin_closed() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let _ = wait.await;
}

fn report(boards: &Boards) {
    let log = boards.log();
    let sum = |count: fn(&stub::Told) -> u64| log.boards.iter().map(count).sum::<u64>();
    println!(
        "{}",
        serde_json::json!({
            "boards": log.boards.len(),
            "uploads": sum(|board| board.uploads.into()),
            "committed": sum(|board| board.committed.into()),
            "aborted": sum(|board| board.aborted.into()),
            "uploads_at_once": log.uploads_at_once,
            "bytes": sum(|board| board.bytes as u64),
        })
    );
}
