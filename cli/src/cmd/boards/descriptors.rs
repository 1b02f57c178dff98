//! How many boards can be worked on at once: each takes file descriptors, and a process has only so many.

use super::AT_ONCE;
use crate::failure::{Exit, Failure};

/// An event loop with its signals, and a name server: tokio panics where it gets none.
const OF_THE_PROCESS: usize = 21;
/// A transfer, a question beside it, and a connection that is being closed.
const PER_BOARD: usize = 3;

/// At most `asked`, or as many as can be; fails where it cannot be done.
pub(super) fn at_once(boards: usize, asked: Option<u16>) -> Result<usize, Failure> {
    let wanted = boards.min(asked.map_or(AT_ONCE, usize::from));
    let needed = OF_THE_PROCESS + PER_BOARD * wanted;
    let (available, error) = available(needed);
    let possible = available.saturating_sub(OF_THE_PROCESS) / PER_BOARD;
    match (possible, error) {
        (_, None) => Ok(wanted),
        (1.., Some(_)) if asked.is_none() => Ok(possible),
        (_, Some(error)) => Err(too_few(wanted, needed, possible, &error)),
    }
}

fn too_few(boards: usize, needed: usize, possible: usize, error: &std::io::Error) -> Failure {
    let what = match boards {
        1 => String::new(),
        _ => format!(" for {boards} boards at once"),
    };
    let message = format!("{needed} file descriptors are needed{what}, but: {error}");
    let failure = Failure::new(Exit::Local, message)
        .help(format!("raise the limit: ulimit -n {}", needed.max(1024)));
    match possible {
        0 => failure,
        _ => failure.help(format!("or fewer at once: --max-concurrent {possible}")),
    }
}

/// How many descriptors there are, up to `needed`, and why not more.
#[cfg(unix)]
fn available(needed: usize) -> (usize, Option<std::io::Error>) {
    let mut files = Vec::with_capacity(needed);
    while files.len() < needed {
        match std::fs::File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => return (files.len(), Some(error)),
        }
    }
    (needed, None)
}

/// Windows knows no such limit.
#[cfg(not(unix))]
fn available(needed: usize) -> (usize, Option<std::io::Error>) {
    (needed, None)
}
