//! TFTP writes: next to the server, and through a long way that loses datagrams.
//!
//! iapctl's own `push` only sends what a board can hold, and asks the board before and after. What is measured is its client with its
//! run loop, as `cli/examples/put.rs` starts it.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::link::Way;
use super::measure::{Measured, Program};
use super::peers::{Mode, Put};
use super::table::{Quantity, Row, Series};
use super::tftp_server::Server;
use super::{Bench, noise};

const WINDOW: Mode = Mode {
    block_size: 1428,
    window_size: 32,
};
const LOCK_STEP: Mode = Mode {
    block_size: 512,
    window_size: 1,
};
const MODES: [(&str, Mode); 2] = [
    ("blksize 1428 windowsize 32", WINDOW),
    ("blksize 512", LOCK_STEP),
];
const MB: usize = 1 << 20;
const SIZES: [(&str, usize); 2] = [("1 MB", MB), ("16 MB", 16 * MB)];
/// The largest that iapctl asks for (`iapctl::tftp::MAX_WINDOW_SIZE`).
const WIDEST: Mode = Mode {
    block_size: 1428,
    window_size: 512,
};
const WIDEST_RUNS: u32 = 100;
const DELAY: Duration = Duration::from_millis(25);
const LOST_PER_MILLE: u32 = 10;
/// Every other transfer of 1 MB with windows loses an acknowledgement or a window's last block, which costs most clients a second. It is
/// chance which kind is the median of nine, so there are so many times as many.
const SHORT_RUNS: u32 = 20;
/// Next to the server a transfer takes milliseconds, in which other work of this machine counts: so many times as many.
const NEAR_RUNS: u32 = 5;
/// Transfers that wait at the same time, of each client.
const AT_ONCE: usize = 3;
const LONG: Duration = Duration::from_secs(900);

/// One transfer: what took it, and over which way.
struct Transfer<'a> {
    mode: Mode,
    content: &'a [u8],
    file: &'a Path,
    way: Option<Way>,
    limit: Duration,
}

/// The same server for all, on loopback.
pub(super) fn loopback_rows(bench: &mut Bench<'_>) -> Result<()> {
    for (mode_name, mode) in MODES {
        for (size_name, size) in SIZES {
            let case = format!("TFTP put {size_name}, {mode_name}, loopback");
            if bench.wants(&case) {
                let content = noise(size);
                let file = bench.file("put", &content)?;
                let transfer = Transfer {
                    mode,
                    content: &content,
                    file: &file,
                    way: None,
                    limit: Duration::from_secs(60),
                };
                let series = bench.rounds(&transfer)?;
                for quantity in [Quantity::Cpu, Quantity::Wall] {
                    bench.rows.push(Row::compare(&case, quantity, 1.0, &series));
                }
            }
        }
    }
    Ok(())
}

/// 25 ms one way and 1 % loss: transfers at the same time, because all they do is wait.
pub(super) fn bad_network_rows(bench: &mut Bench<'_>) -> Result<()> {
    for (mode_name, mode) in MODES {
        for (size_name, size) in SIZES {
            let case = format!("TFTP put {size_name}, {mode_name}, 25 ms and 1 % loss");
            let is_long = mode == LOCK_STEP && size > MB;
            if (is_long && !bench.options.long) || !bench.wants(&case) {
                continue;
            }
            let content = noise(size);
            let file = bench.file("put-far", &content)?;
            let transfer = Transfer {
                mode,
                content: &content,
                file: &file,
                way: Some(Way {
                    delay: DELAY,
                    lost_per_mille: LOST_PER_MILLE,
                    seed: 0,
                }),
                limit: limit(mode, size),
            };
            let series = bench.at_once(&transfer)?;
            for quantity in [Quantity::Wall, Quantity::MeanWall] {
                bench.rows.push(Row::compare(&case, quantity, 1.0, &series));
            }
        }
    }
    Ok(())
}

/// Some times what it takes without loss; half as long again where that is half an hour.
fn limit(mode: Mode, size: usize) -> Duration {
    let blocks = size / usize::from(mode.block_size);
    let round_trips = blocks / usize::from(mode.window_size) + 1;
    let without_loss = 2 * DELAY * round_trips as u32;
    (without_loss * 3 / 2).max(LONG.min(without_loss * 5 + Duration::from_secs(30)))
}

/// Loss costs time and no byte.
pub(super) fn widest_window_row(bench: &mut Bench<'_>) -> Result<()> {
    let case = "TFTP put 1 MB, windowsize 512, 25 ms and 1 % loss";
    if !bench.wants(case) {
        return Ok(());
    }
    let content = noise(MB);
    let file = bench.file("put-wide", &content)?;
    let ways = (0..WIDEST_RUNS).map(|seed| Way {
        delay: DELAY,
        lost_per_mille: LOST_PER_MILLE,
        seed: 1000 + u64::from(seed),
    });
    let jobs: Vec<Job<'_>> = ways
        .map(|way| Job {
            client: Client::Ours,
            transfer: Transfer {
                mode: WIDEST,
                content: &content,
                file: &file,
                way: Some(way),
                limit: limit(WINDOW, MB),
            },
        })
        .collect();
    let done = bench.pool(&jobs, 4)?;
    let exact = done.iter().filter(|(run, _)| run.success).count() as u32;
    let lost: u64 = done.iter().map(|(_, lost)| lost).sum();
    let row = Row::count(case, exact, WIDEST_RUNS, "times byte-exact");
    bench
        .rows
        .push(row.note(format!("{lost} datagrams were lost")));
    Ok(())
}

#[derive(Clone, Copy)]
enum Client {
    Ours,
    /// Its place in the list.
    Peer(usize),
}

struct Job<'a> {
    client: Client,
    transfer: Transfer<'a>,
}

impl Bench<'_> {
    /// How often a row is measured, and by whom: iapctl first, then the peers that can do it.
    fn clients(&self, transfer: &Transfer<'_>) -> Vec<(String, Client)> {
        let peers = self.peers.puts(&transfer.put(0));
        let peers = peers.into_iter().enumerate();
        std::iter::once(("iapctl".to_owned(), Client::Ours))
            .chain(peers.map(|(place, peer)| (peer.name, Client::Peer(place))))
            .collect()
    }

    fn rounds(&self, transfer: &Transfer<'_>) -> Result<Vec<Series>> {
        let clients = self.clients(transfer);
        let mut series: Vec<Series> = (clients.iter())
            .map(|(name, _)| Series::new(name))
            .collect();
        for _ in 0..self.options.runs * NEAR_RUNS {
            for ((_, client), series) in clients.iter().zip(&mut series) {
                series.runs.push(self.transfer(*client, transfer, "run")?.0);
            }
        }
        Ok(series)
    }

    fn at_once(&self, transfer: &Transfer<'_>) -> Result<Vec<Series>> {
        let clients = self.clients(transfer);
        let is_short = transfer.mode == WINDOW && transfer.content.len() <= MB;
        let runs = self.options.runs * if is_short { SHORT_RUNS } else { 1 };
        let jobs: Vec<Job<'_>> = (1..=runs)
            .flat_map(|seed| {
                clients
                    .iter()
                    .map(move |(_, client)| (*client, u64::from(seed)))
            })
            .map(|(client, seed)| Job {
                client,
                transfer: transfer.with_seed(seed),
            })
            .collect();
        // Lock-step transfers are 20 datagrams a second.
        let threads = match transfer.mode.window_size {
            1 => jobs.len(),
            _ => AT_ONCE * clients.len(),
        };
        let done = self.pool(&jobs, threads)?;
        let mut series: Vec<Series> = (clients.iter())
            .map(|(name, _)| Series::new(name))
            .collect();
        for (place, (run, _)) in done.into_iter().enumerate() {
            if let Some(series) = series.get_mut(place % clients.len()) {
                series.runs.push(run);
            }
        }
        Ok(series)
    }

    /// Does the jobs, some at a time; what each took, and how many datagrams it lost, in their order.
    fn pool(&self, jobs: &[Job<'_>], threads: usize) -> Result<Vec<(Measured, u64)>> {
        let (results, done) = mpsc::channel();
        thread::scope(|scope| {
            for thread in 0..threads {
                let results = results.clone();
                scope.spawn(move || {
                    for (place, job) in jobs.iter().enumerate().skip(thread).step_by(threads) {
                        let scratch = format!("run-{place}");
                        let result = self.transfer(job.client, &job.transfer, &scratch);
                        // Nobody takes it where another one failed.
                        let _ = results.send((place, result));
                    }
                });
            }
        });
        drop(results);
        let mut done: Vec<_> = done.into_iter().collect();
        done.sort_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// One transfer to a server of its own. It succeeded if the client says so and the server has every byte.
    fn transfer(
        &self,
        client: Client,
        transfer: &Transfer<'_>,
        scratch: &str,
    ) -> Result<(Measured, u64)> {
        let server = Server::start(transfer.way)?;
        let put = transfer.put(server.port);
        let program = match client {
            Client::Ours => self.our_put(&put),
            Client::Peer(place) => (self.peers.puts(&put).into_iter().nth(place))
                .ok_or_else(|| anyhow!("a peer went away during the bench"))?,
        };
        let run = program.run(&self.folder.join(scratch));
        let received = server.stop()?;
        let is_whole = received.complete && received.content == transfer.content;
        let run = run?;
        let success = run.success && is_whole;
        Ok((Measured { success, ..run }, received.lost.iter().sum()))
    }

    fn our_put(&self, put: &Put<'_>) -> Program {
        let program = Program::new("iapctl", &self.put).limit(put.limit);
        let program = program.arg(put.file).arg(put.port.to_string());
        let Mode {
            block_size,
            window_size,
        } = put.mode;
        match put.mode {
            LOCK_STEP => program,
            _ => program.args([block_size.to_string(), window_size.to_string()]),
        }
    }
}

impl Transfer<'_> {
    fn put(&self, port: u16) -> Put<'_> {
        Put {
            file: self.file,
            port,
            mode: self.mode,
            limit: self.limit,
        }
    }

    fn with_seed(&self, seed: u64) -> Self {
        Self {
            way: self.way.map(|way| Way { seed, ..way }),
            ..*self
        }
    }
}
