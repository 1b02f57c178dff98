//! `iapctl push`: checks an application, shows the plan, sends it to boards, and proves that they hold it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use iap_profile::Profile;
use iap_protocol::header::ImageHeader;
use iap_protocol::status::Status;
use serde::Serialize;

use super::boards::{self, BoardResult};
use super::profile_args::{Chosen, ProfileArgs};
use crate::board::args::{LoginArgs, TargetArgs};
use crate::board::interrupt::Interrupt;
use crate::board::plan::Plan;
use crate::board::progress::View;
use crate::board::reset::{self, AfterReset};
use crate::board::state::{self, Expected};
use crate::board::update::{self, Done, Update};
use crate::board::{Board, Login, Target};
use crate::failure::Failure;
use crate::image::report::{Summary, ready_to_send};
use crate::image::{self, HeaderOverrides, Image, LoadOptions};
use crate::output::{Human, Output, Paint};
use crate::signing::KeyArgs;

/// Arguments of `iapctl push`.
#[derive(clap::Args, Debug)]
pub struct PushArgs {
    /// The application: ELF, BIN, IAP, Intel HEX or S-records
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub boards: TargetArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub profile: ProfileArgs,
    /// Resets the board afterwards, so that it starts the application
    #[arg(long)]
    pub reset: bool,
    /// Shows the plan and does nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Waits until the board answers, S seconds at most [default: 60]
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
pub fn run(args: &PushArgs, output: &Output) -> Result<ExitCode, Failure> {
    let targets = args.boards.targets();
    args.check_file()?;
    let login = match args.dry_run {
        true => None,
        false => args.login.for_targets(&targets)?,
    };
    boards::run(&targets, output, async |target, interrupt| {
        let push = Push {
            args,
            output,
            login: login.as_ref(),
            interrupt,
        };
        push.to(target).await
    })
}

impl PushArgs {
    /// What can be said about the file before anybody is asked anything.
    fn check_file(&self) -> Result<(), Failure> {
        let chosen = self.profile.choose()?;
        if self.profile.profile.is_some() {
            return self.prepare(chosen.label(), chosen).map(|_| ());
        }
        image::load(&self.file, &LoadOptions::new(chosen.target().map)).map(|_| ())
    }

    /// The profile: as chosen, else the one of the board that answers, else the default.
    fn profile_for(&self, status: Option<&Status>) -> Result<(String, Chosen), Failure> {
        let named = match (&self.profile.profile, status) {
            (None, Some(status)) => profile_of(&status.board),
            _ => None,
        };
        match named {
            Some(profile) => Ok((
                format!("{} (as the board says)", profile.name),
                Chosen {
                    profile,
                    by_default: false,
                },
            )),
            None => {
                let chosen = self.profile.choose()?;
                Ok((chosen.label(), chosen))
            }
        }
    }

    fn prepare(&self, label: String, chosen: Chosen) -> Result<Prepared, Failure> {
        let target = chosen.target();
        let image = image::load(&self.file, &LoadOptions::new(target.map))?;
        let mut header = image.header_with(&self.header, target.map)?;
        self.key.sign(&mut header, &chosen.profile)?;
        let (header, file) = ready_to_send(&self.file, &image, header, &target)?;
        Ok(Prepared {
            summary: Summary::new(&image, &header, &target),
            update: self.update(&image, &header, file),
            header,
            label,
            profile: chosen.profile,
        })
    }

    fn update(&self, image: &Image, header: &ImageHeader, file: Vec<u8>) -> Update {
        let (content, extension) = match self.raw {
            true => (image.payload.clone(), "bin"),
            false => (file, "iap"),
        };
        Update {
            file_name: wire_name(&self.file, extension),
            content,
            expected: Expected::new(header, self.raw),
        }
    }
}

/// The shipped profile of a board id.
fn profile_of(board_id: &str) -> Option<Profile> {
    Profile::builtins()
        .filter_map(|name| Profile::builtin(name).ok())
        .find(|profile| profile.settings.board_id == board_id)
}

fn wire_name(file: &Path, extension: &str) -> String {
    let name = file.with_extension(extension);
    let name = name.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// An image that a board of a profile would start.
struct Prepared {
    label: String,
    profile: Profile,
    summary: Summary,
    header: ImageHeader,
    update: Update,
}

struct Push<'a> {
    args: &'a PushArgs,
    output: &'a Output,
    login: Option<&'a Login>,
    interrupt: &'a Interrupt,
}

impl Push<'_> {
    async fn to(&self, target: &Target) -> Result<Pushed, Failure> {
        let during = format!("waiting for {target}; nothing was sent");
        let (mut board, status) = self.interrupt.guard(&during, self.find(target)).await?;
        let (label, chosen) = self.args.profile_for(status.as_ref())?;
        let prepared = self.args.prepare(label, chosen)?;
        let warnings = warnings(&prepared.profile, status.as_ref());
        let plan = self.plan(target, &prepared, status.as_ref());
        self.show(target, &plan, &warnings);
        if self.args.dry_run {
            return Ok(Pushed {
                plan,
                warnings,
                outcome: None,
            });
        }
        let outcome = self.send(&mut board, &prepared.update).await;
        board.log_out().await;
        Ok(Pushed {
            plan,
            warnings,
            outcome: Some(outcome?),
        })
    }

    /// A dry run goes on without the board.
    async fn find(&self, target: &Target) -> Result<(Board, Option<Status>), Failure> {
        let board = Board::find(target).await?;
        let wait = self.args.wait.map(Duration::from_secs);
        match update::status(&board, wait).await {
            Ok(status) => Ok((board, Some(status))),
            Err(failure) if self.args.dry_run => {
                self.output.message(format_args!(
                    "warning: {}: the plan does not know what the board holds",
                    failure.message
                ));
                Ok((board, None))
            }
            Err(failure) => Err(failure),
        }
    }

    fn plan(&self, target: &Target, prepared: &Prepared, status: Option<&Status>) -> Plan {
        Plan::new(
            target,
            (&prepared.profile, prepared.label.clone()),
            prepared.summary.clone(),
            &prepared.header,
            prepared.update.content.len() as u64,
            status,
        )
    }

    fn show(&self, target: &Target, plan: &Plan, warnings: &[String]) {
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

    async fn send(&self, board: &mut Board, update: &Update) -> Result<Outcome, Failure> {
        let done = {
            let view = View::new(self.output, board.target(), update.content.len() as u64);
            update
                .run(board, self.login, self.interrupt, |event| {
                    view.event(&event);
                })
                .await?
        };
        let mut outcome = Outcome::new(&done);
        if self.args.reset {
            let during = format!("resetting {}; the update is committed", board.target());
            let reset = reset::reset(board, &done.status);
            let reset = self.interrupt.guard(&during, reset).await;
            outcome.reset = Some(reset.map_err(|failure| {
                failure.help("the update itself is committed: iapctl reset, or reset it by hand")
            })?);
        }
        Ok(outcome)
    }
}

/// What a person should know who pushes an image checked for `profile` to a board that says `status`.
fn warnings(profile: &Profile, status: Option<&Status>) -> Vec<String> {
    let Some(status) = status else {
        return Vec::new();
    };
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

#[derive(Debug, Serialize)]
struct Outcome {
    /// Version the board says it holds.
    version: String,
    /// None if the board was reset since and does not know any more.
    sectors_written: Option<u8>,
    sectors_unchanged: Option<u8>,
    bytes: u64,
    time_ms: u64,
    /// TFTP blocks that were sent more than once.
    repeated_blocks: u64,
    /// The transfer was cut off; the board's status alone proves the update.
    cut_off: bool,
    /// What became of a reset that was asked for.
    reset: Option<AfterReset>,
}

impl Outcome {
    fn new(done: &Done) -> Self {
        let (application, update) = (&done.status.application, &done.status.update);
        let sent = done.sent.unwrap_or_default();
        Self {
            version: (application.as_ref())
                .map(|application| application.version.to_string())
                .unwrap_or_default(),
            sectors_written: update.as_ref().map(|update| update.sectors_written),
            sectors_unchanged: update.as_ref().map(|update| update.sectors_skipped),
            bytes: sent.bytes,
            time_ms: u64::try_from(done.time.as_millis()).unwrap_or(u64::MAX),
            repeated_blocks: sent.repeated_blocks,
            cut_off: done.sent.is_none(),
            reset: None,
        }
    }
}

impl BoardResult for Pushed {}

impl Human for Pushed {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        match &self.outcome {
            Some(outcome) => outcome.human(f, paint),
            None => self.plan.human(f, paint),
        }
    }
}

impl Human for Outcome {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        let seconds = Duration::from_millis(self.time_ms).as_secs_f64();
        let committed = paint.good("committed");
        write!(f, "  {committed}: version {}", self.version)?;
        if let (Some(written), Some(unchanged)) = (self.sectors_written, self.sectors_unchanged) {
            let sectors = if written == 1 { "sector" } else { "sectors" };
            write!(f, ", {written} {sectors} written, {unchanged} unchanged")?;
        }
        writeln!(f, " ({seconds:.1} s)")?;
        if self.cut_off {
            writeln!(
                f,
                "  the transfer was cut off, but the board's status proves the update"
            )?;
        }
        match &self.reset {
            Some(reset) => writeln!(f, "  {reset}"),
            None => Ok(()),
        }
    }
}
