//! Commands that do the same with one board after another: one document for scripts, an exit code for all, Ctrl-C for all.

use std::io;
use std::process::ExitCode;

use serde::Serialize;

use crate::board::Target;
use crate::board::interrupt::Interrupt;
use crate::failure::{Exit, Failure};
use crate::output::{Human, Output, Paint};

/// What a command found out about a board, or did to it.
pub(super) trait BoardResult: Serialize + Human {}

/// `{"boards":[{"target":"...", ...}, {"target":"...","error":{...}}]}`.
#[derive(Serialize)]
struct Document<T> {
    boards: Vec<Entry<T>>,
}

#[derive(Serialize)]
struct Entry<T> {
    target: Target,
    #[serde(flatten)]
    result: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// Fails where there are too few descriptors for an event loop with its signals, a socket, and a name server: tokio panics then.
#[cfg(unix)]
fn check_descriptors() -> Result<(), Failure> {
    let spare: Result<Vec<_>, _> = (0..DESCRIPTORS)
        .map(|_| std::fs::File::open("/dev/null"))
        .collect();
    spare.map(|_| ()).map_err(|error| {
        let message = format!("{DESCRIPTORS} file descriptors are needed, but: {error}");
        Failure::new(Exit::Local, message).help("raise the limit: ulimit -n 1024")
    })
}

#[cfg(not(unix))]
fn check_descriptors() -> Result<(), Failure> {
    Ok(())
}

/// More than one board at a time takes.
#[cfg(unix)]
const DESCRIPTORS: usize = 24;

/// Does `work` with each board. The failure of a single board is the command's failure; among several the first decides about the
/// exit code, and Ctrl-C ends all.
pub(super) fn run<T: BoardResult>(
    targets: &[Target],
    output: &Output,
    work: impl AsyncFn(&Target, &Interrupt) -> Result<T, Failure>,
) -> Result<ExitCode, Failure> {
    check_descriptors()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Local, format!("no event loop: {error}")))?;
    let boards = runtime.block_on(one_after_another(targets, work));
    runtime.shutdown_background();
    let boards = match <[Entry<T>; 1]>::try_from(boards) {
        Ok(
            [
                Entry {
                    error: Some(failure),
                    ..
                },
            ],
        ) => return Err(failure),
        Ok(one) => one.into(),
        Err(several) => several,
    };
    let exit = (boards.iter().find_map(|entry| entry.error.as_ref()))
        .map_or(ExitCode::SUCCESS, |failure| {
            ExitCode::from(failure.exit as u8)
        });
    output.result(&Document { boards })?;
    Ok(exit)
}

async fn one_after_another<T>(
    targets: &[Target],
    work: impl AsyncFn(&Target, &Interrupt) -> Result<T, Failure>,
) -> Vec<Entry<T>> {
    let interrupt = Interrupt::listen();
    let mut boards = Vec::new();
    for target in targets {
        let (result, error) = match work(target, &interrupt).await {
            Ok(result) => (Some(result), None),
            Err(failure) => (None, Some(failure)),
        };
        let interrupted = (error.as_ref()).is_some_and(|error| error.exit == Exit::Interrupted);
        boards.push(Entry {
            target: target.clone(),
            result,
            error,
        });
        if interrupted {
            break;
        }
    }
    boards
}

impl<T: BoardResult> Human for Document<T> {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        for entry in &self.boards {
            writeln!(f, "{}", paint.strong(&entry.target.to_string()))?;
            match (&entry.result, &entry.error) {
                (Some(result), _) => result.human(f, paint)?,
                (None, Some(failure)) => failure.human(f, paint)?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}
