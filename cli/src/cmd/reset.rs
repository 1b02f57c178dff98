//! `iapctl reset`: resets boards in IAP mode; they start their application if it is valid.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::boards::{self, BoardResult, State, Turn};
use crate::board::Login;
use crate::board::args::BoardArgs;
use crate::board::reset::{self, AfterReset};
use crate::failure::Failure;
use crate::output::{Human, Output, Paint};

const PATIENCE: Duration = Duration::from_secs(10);

/// Resets each board.
pub fn run(args: BoardArgs, output: &Output) -> Result<ExitCode, Failure> {
    let boards = args.targets.boards()?;
    let login = args.login.for_targets(&boards.targets)?;
    boards::run(&boards, &args.many, output, async move |turn: &Turn| {
        reset_one(turn, login.as_ref()).await
    })
}

async fn reset_one(turn: &Turn, login: Option<&Login>) -> Result<BoardReset, Failure> {
    let work = async {
        let mut board = turn.find().await?;
        let status = board.status(PATIENCE).await?;
        board.log_in(login).await?;
        let reset = reset::reset(&mut board, &status).await?;
        Ok(BoardReset { reset })
    };
    let during = format!("resetting {}", turn.target);
    turn.interrupt.guard(&during, work).await
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
