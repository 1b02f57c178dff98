//! Commands that do the same with each of some boards: at the same time, with one exit code, one Ctrl-C and one result for all.
//!
//! One board alone is the same with a result of its own: a document for scripts, and its failure is the command's failure.

mod descriptors;
mod entry;
mod lines;
mod pool;
mod table;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::LocalSet;

pub(super) use entry::State;
use entry::{Entry, exit_of};

use crate::board::args::{Boards, ManyArgs};
use crate::board::interrupt::Interrupt;
use crate::board::progress::{Bar, Lines, Quiet, Show};
use crate::board::{Board, Target, Transport};
use crate::failure::{BoardAfter, Exit, Failure};
use crate::output::{Human, Output, Paint};

/// Boards at the same time, unless the user says otherwise: a network of 1 Gbit/s carries more than they take.
const AT_ONCE: usize = 256;

/// What a command found out about a board, or did to it.
pub(super) trait BoardResult: Serialize + Human + 'static {
    /// In a word.
    fn state(&self) -> State;
    /// In a line.
    fn line(&self) -> String;
    /// What a person should know who uses this board.
    fn warnings(&self) -> &[String];
}

/// A board whose turn it is.
pub(super) struct Turn {
    /// Which.
    pub(super) target: Target,
    /// Ctrl-C, and the end of its time.
    pub(super) interrupt: Interrupt,
    /// Where its progress is shown.
    pub(super) show: Rc<dyn Show>,
    taken: Rc<Taken>,
    /// There is no other board.
    alone: bool,
}

/// The addresses that are worked on, or were, and for whom.
type Taken = RefCell<HashMap<(Ipv4Addr, Option<(Transport, u16)>), Target>>;

impl Turn {
    /// Finds the board, unless that is one that another name led to before.
    pub(super) async fn find(&self) -> Result<Board, Failure> {
        let target = &self.target;
        let board = Board::find(target).await?;
        let address = *board.address().ip();
        let mut taken = self.taken.borrow_mut();
        if let Some(first) = taken.insert(target.key(address), target.clone()) {
            let message = format!("{target}: this is the board {first}: both are {address}");
            return Err(Failure::new(Exit::Usage, message)
                .help("name each board once: a board takes one transfer at a time")
                .board(BoardAfter::Untouched));
        }
        Ok(match self.alone {
            true => board.alone(),
            false => board,
        })
    }
}

/// Does `work` with each board.
pub(super) fn run<T: BoardResult>(
    boards: &Boards,
    many: &ManyArgs,
    output: &Output,
    work: impl AsyncFn(&Turn) -> Result<T, Failure> + 'static,
) -> Result<ExitCode, Failure> {
    let at_once = descriptors::at_once(boards.targets.len(), many.max_concurrent)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // For name servers: what waits for one needs a thread.
        .max_blocking_threads(32)
        .build()
        .map_err(|error| Failure::new(Exit::Local, format!("no event loop: {error}")))?;
    let pool = pool::Pool {
        at_once,
        limit: many.timeout,
        output: *output,
    };
    let done = LocalSet::new().block_on(&runtime, async {
        match boards.several {
            true => several(&pool, boards, work).await,
            false => alone(&pool, boards, work).await,
        }
    });
    runtime.shutdown_background();
    done
}

/// `{"boards":[{"target":"...", ...}]}`.
#[derive(Serialize)]
struct Document<T> {
    boards: [Alone<T>; 1],
}

#[derive(Serialize)]
struct Alone<T> {
    target: Target,
    #[serde(flatten)]
    result: T,
}

async fn alone<T: BoardResult>(
    pool: &pool::Pool,
    boards: &Boards,
    work: impl AsyncFn(&Turn) -> Result<T, Failure> + 'static,
) -> Result<ExitCode, Failure> {
    let output = pool.output;
    let show = |_: usize, target: &Target| -> Rc<dyn Show> {
        match (output.is_json(), io::stderr().is_terminal()) {
            (true, _) => Rc::new(Quiet),
            (false, true) => Rc::new(Bar::new(target)),
            (false, false) => Rc::new(Lines::new(&output, target)),
        }
    };
    let interrupt = Interrupt::listen();
    let entries = pool
        .run(&boards.targets, &interrupt, work, show, |_, _| ())
        .await;
    for Entry { target, result, .. } in entries {
        let boards = [Alone {
            target,
            result: result?,
        }];
        output.result(&Document { boards })?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn several<T: BoardResult>(
    pool: &pool::Pool,
    boards: &Boards,
    work: impl AsyncFn(&Turn) -> Result<T, Failure> + 'static,
) -> Result<ExitCode, Failure> {
    let begun = tokio::time::Instant::now();
    let entries = pool.run_seen(&boards.targets, work).await;
    let time = begun.elapsed();
    let exit = exit_of(&entries);
    if pool.output.is_json() {
        pool.output.line(&lines::Summary::new(&entries, exit, time));
        pool.output.all_written()?;
    } else {
        pool.output.text(&table::Table::new(&entries, time))?;
        table::afterwards(&entries, pool.at_once, &pool.output);
    }
    Ok(ExitCode::from(exit))
}

impl<T: BoardResult> Human for Document<T> {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        self.boards.iter().try_for_each(|board| {
            writeln!(f, "{}", paint.strong(&board.target.to_string()))?;
            board.result.human(f, paint)
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
