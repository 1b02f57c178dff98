//! `iapctl reset`: resets boards in IAP mode; they start their application if it is valid.

use std::cell::Cell;
use std::io;
use std::process::ExitCode;

use serde::Serialize;

use super::boards::{self, BoardResult, State, Turn};
use crate::board::args::BoardArgs;
use crate::board::reset::{self, AfterReset};
use crate::board::{Login, STATUS_PATIENCE};
use crate::failure::{BoardAfter, Exit, Failure};
use crate::output::{Human, Output, Paint};

const MAY_BE_RESET: &str = "it was asked to reset, and may have done it or not";

/// Resets each board.
pub fn run(args: BoardArgs, output: &Output) -> Result<ExitCode, Failure> {
    let boards = args.targets.boards()?;
    let login = args.login.for_targets(&boards.targets)?;
    boards::run(&boards, &args.many, output, async move |turn: &Turn| {
        reset_one(turn, login.as_ref()).await
    })
}

async fn reset_one(turn: &Turn, login: Option<&Login>) -> Result<BoardReset, Failure> {
    let asked = Cell::new(false);
    let work = async {
        let mut board = turn.find().await?;
        let status = board.status(STATUS_PATIENCE).await?;
        board.log_in(login).await?;
        asked.set(true);
        let reset = reset::reset(&mut board, &status).await?;
        Ok(BoardReset { reset })
    };
    let during = format!("resetting {}", turn.target);
    let reset = turn.interrupt.guard(&during, work).await;
    reset.map_err(|failure| match (asked.get(), failure.exit) {
        (false, _) => failure.board(BoardAfter::Untouched),
        (true, Exit::Unreachable | Exit::Interrupted) => {
            failure.board(BoardAfter::NotReset(MAY_BE_RESET.to_owned()))
        }
        // It refused, and goes on.
        (true, _) => failure,
    })
}

/// A reset that was done.
#[derive(Debug, Serialize)]
struct BoardReset {
    reset: AfterReset,
}

impl BoardResult for BoardReset {
    fn state(&self) -> State {
        State::Reset
    }

    fn line(&self) -> String {
        let told = self.reset.to_string();
        told.trim_start_matches("reset: ").to_owned()
    }

    fn warnings(&self) -> &[String] {
        &[]
    }
}

impl Human for BoardReset {
    fn human(&self, f: &mut dyn io::Write, _paint: Paint) -> io::Result<()> {
        writeln!(f, "  {}", self.reset)
    }
}
