//! `iapctl push`: checks an application, shows the plan, sends it to boards, and proves that they hold it.

mod images;
mod outcome;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use iap_profile::Profile;
use iap_protocol::status::Status;
use serde::Serialize;

use self::images::{Images, Prepared};
use self::outcome::Outcome;
use super::boards::{self, BoardResult, State, Turn};
use super::profile_args::ProfileArgs;
use crate::board::args::BoardArgs;
use crate::board::plan::Plan;
use crate::board::progress::View;
use crate::board::update::Update;
use crate::board::{Board, Login, Target, reset, rules, state, wait};
use crate::failure::{BoardAfter, Exit, Failure};
use crate::image::HeaderOverrides;
use crate::output::{Human, Output, Paint};
use crate::signing::KeyArgs;

/// Arguments of `iapctl push`.
#[derive(clap::Args, Debug)]
pub struct PushArgs {
    /// The application: ELF, BIN, IAP, Intel HEX or S-records
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub boards: BoardArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub profile: ProfileArgs,
    /// Resets the board afterwards, so that it starts the application
    #[arg(long)]
    pub reset: bool,
    /// Asks the board, shows the plan and sends nothing; fails where the push would fail by what the board says
    #[arg(long)]
    pub dry_run: bool,
    /// Waits until the board answers, S seconds at most, 0 asks it once [default: 60]
    #[arg(
        long,
        value_name = "S",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60"
    )]
    pub wait: Option<u64>,
    /// Sends the bare binary without the image header; the board can then check less
    #[arg(
        long,
        conflicts_with_all = ["version", "board", "confirm", "data", "security_counter", "min_iap", "key"]
    )]
    pub raw: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub key: KeyArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub header: HeaderOverrides,
}

/// Pushes to each board.
pub fn run(args: PushArgs, output: &Output) -> Result<ExitCode, Failure> {
    let boards = args.boards.targets.boards()?;
    let images = Images::new(&args)?;
    let login = match args.dry_run {
        true => None,
        false => args.boards.login.for_targets(&boards.targets)?,
    };
    let many = args.boards.many.clone();
    let push = Push {
        args,
        images,
        output: *output,
        login,
        several: boards.several,
    };
    boards::run(&boards, &many, output, async move |turn: &Turn| {
        push.to(turn).await
    })
}

struct Push {
    args: PushArgs,
    images: Images,
    output: Output,
    login: Option<Login>,
    /// Nothing is said about a board alone.
    several: bool,
}

impl Push {
    async fn to(&self, turn: &Turn) -> Result<Pushed, Failure> {
        let target = &turn.target;
        let during = format!("waiting for {target}; nothing was sent");
        let untouched = |failure: Failure| failure.board(BoardAfter::Untouched);
        let found = turn.interrupt.guard(&during, self.find(turn)).await;
        let (mut board, status) = found.map_err(untouched)?;
        let prepared = self.images.for_board(&self.args, Some(&status));
        let prepared = prepared.map_err(untouched)?;
        let header = (!self.args.raw).then_some(&prepared.header);
        rules::check(target, header, &status)?;
        let warnings = warnings(&prepared.profile, &status);
        let partial = prepared.partial(&self.args, &status);
        let content = partial.as_ref().unwrap_or(&prepared.update.content);
        let plan = self.plan(target, &prepared, content.len(), &status);
        self.show(target, &plan, &warnings);
        if self.args.dry_run {
            return Ok(Pushed {
                plan,
                warnings,
                outcome: None,
            });
        }
        let outcome = self.send(turn, &mut board, &status, &prepared.update, partial);
        let outcome = outcome.await;
        // A board that does not answer any more would only be waited for.
        if !matches!(&outcome, Err(failure) if failure.board == Some(BoardAfter::Unknown)) {
            board.log_out().await;
        }
        Ok(Pushed {
            plan,
            warnings,
            outcome: Some(outcome?),
        })
    }

    /// A plan is of a board that was asked: what it holds, and what it takes, decides.
    async fn find(&self, turn: &Turn) -> Result<(Board, Status), Failure> {
        self.say_that_it_waits(&turn.target);
        let limit = self.args.wait.map(Duration::from_secs);
        let begun = Instant::now();
        let board = wait::found(async || turn.find().await, limit, begun).await?;
        match wait::status(&board, limit, begun).await {
            Ok(status) => Ok((board, status)),
            Err(failure) if self.args.dry_run => {
                Err(failure.help("without a board: iapctl verify-image judges the image"))
            }
            Err(failure) => Err(failure),
        }
    }

    /// The board may be off, and minutes without a word look like a program that hangs.
    fn say_that_it_waits(&self, target: &Target) {
        let silent = self.several || self.output.is_json();
        if let Some(wait) = self.args.wait.filter(|&wait| wait > 0 && !silent) {
            self.output.message(format_args!(
                "{target}: waiting for the board to answer, {wait} s at most"
            ));
        }
    }

    fn plan(
        &self,
        target: &Target,
        prepared: &Prepared,
        transfer_len: usize,
        status: &Status,
    ) -> Plan {
        Plan::new(
            target,
            (&prepared.profile, prepared.label.clone()),
            prepared.summary.clone(),
            &prepared.header,
            transfer_len as u64,
            status,
        )
    }

    fn show(&self, target: &Target, plan: &Plan, warnings: &[String]) {
        if self.several {
            return;
        }
        for warning in warnings {
            self.output
                .message(format_args!("warning: {target}: {warning}"));
        }
        // A dry run's plan is its result.
        if !self.args.dry_run && !self.output.is_json() {
            let mut text = Vec::new();
            if plan.human(&mut text, Paint::of(&io::stderr())).is_ok() {
                let text = String::from_utf8_lossy(&text).trim_end().to_owned();
                self.output.message(text);
            }
        }
    }

    async fn send(
        &self,
        turn: &Turn,
        board: &mut Board,
        before: &Status,
        update: &Update,
        partial: Option<Bytes>,
    ) -> Result<Outcome, Failure> {
        let (login, interrupt) = (self.login.as_ref(), &turn.interrupt);
        let done = {
            let len = partial.as_ref().unwrap_or(&update.content).len();
            let view = View::new(turn.show.as_ref(), len as u64);
            let events = |event| view.event(&event);
            update
                .run(board, before, partial, login, interrupt, events)
                .await?
        };
        let mut outcome = Outcome::new(&done);
        if self.args.reset {
            let during = format!("resetting {}; the update is committed", board.target());
            let reset = reset::reset(board, &done.status);
            let reset = interrupt.guard(&during, reset).await;
            outcome.reset = Some(reset.map_err(committed_but)?);
        }
        Ok(outcome)
    }
}

/// The reset of a board failed whose update is proven.
fn committed_but(failure: Failure) -> Failure {
    let committed = "the update itself is committed".to_owned();
    let board = match (failure.exit, &failure.board) {
        (_, Some(BoardAfter::NotReset(_))) | (Exit::Unreachable | Exit::Interrupted, _) => {
            BoardAfter::NotReset(committed)
        }
        _ => BoardAfter::Told(committed),
    };
    let mut failure =
        failure.help("the update itself is committed: iapctl reset, or reset it by hand");
    failure.board = Some(board);
    failure
}

/// What a person should know who pushes an image checked for `profile` to a board that says `status`.
fn warnings(profile: &Profile, status: &Status) -> Vec<String> {
    let wanted = profile.settings.board_id.as_str();
    let other_board = (status.board != wanted).then(|| {
        format!(
            "it is a {}, the image was checked for {wanted} (profile {})",
            status.board, profile.name
        )
    });
    other_board
        .into_iter()
        .chain(state::warnings(status))
        .collect()
}

/// What was done to a board, or would be.
#[derive(Debug, Serialize)]
struct Pushed {
    plan: Plan,
    warnings: Vec<String>,
    /// None in a dry run.
    outcome: Option<Outcome>,
}

impl BoardResult for Pushed {
    fn state(&self) -> State {
        match self.outcome {
            Some(_) => State::Updated,
            None => State::Planned,
        }
    }

    fn line(&self) -> String {
        match &self.outcome {
            Some(outcome) => outcome.line(),
            None => self.plan.line(),
        }
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Human for Pushed {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        match &self.outcome {
            Some(outcome) => outcome.human(f, paint),
            None => self.plan.human(f, paint),
        }
    }
}
