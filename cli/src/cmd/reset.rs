//! `iapctl reset`: resets boards in IAP mode; they start their application if it is valid.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::boards::{self, BoardResult};
use crate::board::args::{LoginArgs, TargetArgs};
use crate::board::interrupt::Interrupt;
use crate::board::reset::{self, AfterReset};
use crate::board::{Board, Login, Target};
use crate::failure::Failure;
use crate::output::{Human, Output, Paint};

const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `iapctl reset`.
#[derive(clap::Args, Debug)]
pub struct ResetArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub boards: TargetArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginArgs,
}

/// Resets each board.
pub fn run(args: &ResetArgs, output: &Output) -> Result<ExitCode, Failure> {
    let targets = args.boards.targets();
    let login = args.login.for_targets(&targets)?;
    boards::run(&targets, output, async |target, interrupt| {
        reset_one(target, login.as_ref(), interrupt).await
    })
}

async fn reset_one(
    target: &Target,
    login: Option<&Login>,
    interrupt: &Interrupt,
) -> Result<BoardReset, Failure> {
    let work = async {
        let mut board = Board::find(target).await?;
        let status = board.status(PATIENCE).await?;
        board.log_in(login).await?;
        let reset = reset::reset(&mut board, &status).await?;
        Ok(BoardReset { reset })
    };
    interrupt.guard(&format!("resetting {target}"), work).await
}

/// A reset that was done.
#[derive(Debug, Serialize)]
struct BoardReset {
    reset: AfterReset,
}

impl BoardResult for BoardReset {}

impl Human for BoardReset {
    fn human(&self, f: &mut dyn io::Write, _paint: Paint) -> io::Result<()> {
        writeln!(f, "  {}", self.reset)
    }
}
