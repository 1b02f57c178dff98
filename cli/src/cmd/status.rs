//! `iapctl status`: what boards say about themselves.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use iap_protocol::memory::Region;
use iap_protocol::status::Status;
use serde::Serialize;

use super::boards::{self, BoardResult, State, Turn};
use crate::board::STATUS_PATIENCE;
use crate::board::args::{ManyArgs, TargetArgs};
use crate::board::state;
use crate::failure::Failure;
use crate::output::{Human, Output, Paint};

/// Arguments of `iapctl status`.
#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub boards: TargetArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub many: ManyArgs,
}

/// Prints the status of each board.
pub fn run(args: &StatusArgs, output: &Output) -> Result<ExitCode, Failure> {
    let boards = args.boards.boards()?;
    let (output, several) = (*output, boards.several);
    boards::run(&boards, &args.many, &output, async move |turn: &Turn| {
        let status = ask(turn).await?;
        let warnings = state::warnings(&status);
        if !several {
            for warning in &warnings {
                output.message(format_args!("warning: {}: {warning}", turn.target));
            }
        }
        Ok(BoardStatus { status, warnings })
    })
}

async fn ask(turn: &Turn) -> Result<Status, Failure> {
    let during = format!("asking {} for its status", turn.target);
    turn.interrupt
        .guard(&during, async {
            turn.find().await?.status(STATUS_PATIENCE).await
        })
        .await
}

/// A status, shown.
#[derive(Debug, Serialize)]
struct BoardStatus {
    status: Status,
    #[serde(skip)]
    warnings: Vec<String>,
}

impl BoardResult for BoardStatus {
    fn state(&self) -> State {
        State::Answered
    }

    fn line(&self) -> String {
        let status = &self.status;
        let application = (status.application.as_ref()).map_or_else(
            || "no application that would start".to_owned(),
            |application| format!("application {}", state::name(application)),
        );
        let (board, phase) = (&status.board, state::phase(status.phase));
        format!("board {board}, {application}; {phase}")
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Human for BoardStatus {
    fn human(&self, f: &mut dyn io::Write, _paint: Paint) -> io::Result<()> {
        let status = &self.status;
        let up = Duration::from_millis(status.uptime_ms.into()).as_secs_f64();
        writeln!(f, "  board        {}", status.board)?;
        writeln!(f, "  IAP firmware {}, up {up:.1} s", status.iap_version)?;
        writeln!(
            f,
            "  IAP mode     {} ({})",
            state::phase(status.phase),
            state::reason(status.iap_reason)
        )?;
        match &status.application {
            Some(application) => writeln!(
                f,
                "  application  {} for board {}, {}",
                state::name(application),
                application.board,
                state::region(application)
            )?,
            None => writeln!(f, "  application  none that would start")?,
        }
        let user_flash = Region::new(status.user_flash_first_page_address, status.user_flash_size);
        writeln!(f, "  user flash   {user_flash}")?;
        writeln!(f, "  policy       {}", state::policy(status.policy))?;
        if let Some(update) = &status.update {
            writeln!(
                f,
                "  update       {} from {}: {}, sectors: {} written, {} unchanged",
                update.transport,
                update.peer,
                state::received(update),
                update.sectors_written,
                update.sectors_skipped
            )?;
        }
        if let Some(error) = &status.last_error {
            writeln!(f, "  last error   {}", error.text)?;
        }
        writeln!(
            f,
            "  since reset  {} sectors erased, {} words programmed",
            status.flash_erases, status.flash_words
        )
    }
}
