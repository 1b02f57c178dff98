//! The command line as clap sees it, and the way from it to a command and to an exit code. Decides nothing about images or boards.

use std::ffi::OsString;
use std::mem::ManuallyDrop;
use std::process::ExitCode;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::board::args::BoardArgs;
use crate::cmd;
use crate::failure::{Exit, Failure};
use crate::output::Output;

const JSON: &str = "json";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something on this machine: a file cannot be read or written
  2  the command line or a profile is wrong
  3  the image cannot run on the board, or is no image
  4  no board answered, or it stopped answering
  5  the board answered and refused
  6  interrupted
  7  the board does not hold what was sent, or it cannot be told; or it was not seen to reset
  8  several boards: some are done, some are not; the table says which";

/// Updates STM32F407 boards over Ethernet: checks, converts and pushes applications to boards with the IAP firmware.
#[derive(Parser, Debug)]
#[command(name = "iapctl", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Taken before the command and among its arguments: [`command`] and [`Lazy`] add it. clap's own way to that is a global argument, which it
/// copies into each command there is, at each start.
fn json_argument() -> Arg {
    Arg::new(JSON)
        .long(JSON)
        .action(ArgAction::SetTrue)
        .help("Prints results, and errors, as one JSON document on stdout; for several boards as one object per line")
}

/// Whether it was given, before the command or behind it.
fn wants_json(matches: &ArgMatches) -> bool {
    let behind = || matches.subcommand().is_some_and(|(_, its)| wants_json(its));
    matches.try_get_one(JSON).ok().flatten() == Some(&true) || behind()
}

/// The commands; their arguments are in the file of the command.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Checks whether an application would start on a board, and says how to mend what is wrong
    VerifyImage(Lazy<cmd::verify_image::VerifyImageArgs>),
    /// Converts an application to a .bin or .iap file
    Convert(Lazy<cmd::convert::ConvertArgs>),
    /// Makes a key for signing images, or shows the public key of one
    Keygen(Lazy<cmd::keygen::KeygenArgs>),
    /// Converts an application to a signed .iap file
    Sign(Lazy<cmd::sign::SignArgs>),
    /// Checks an application, sends it to boards over TFTP or HTTP, and proves that they hold it
    Push(Lazy<cmd::push::PushArgs>),
    /// Shows what boards say about themselves
    Status(Lazy<cmd::status::StatusArgs>),
    /// Resets boards in IAP mode, so that they start their application
    Reset(Lazy<BoardArgs>),
    /// Writes IAP firmware, boot record and application into one file for a production line
    Factory(Lazy<cmd::factory::FactoryArgs>),
    /// Shows what is in an image file
    Inspect(Lazy<cmd::inspect::InspectArgs>),
    /// Lists, shows and checks board profiles
    Profiles(Lazy<cmd::profiles::ProfilesArgs>),
    /// Prints a completion script for a shell
    Completions(Lazy<cmd::completions::CompletionsArgs>),
    /// Writes the manual pages into a folder
    Man(Lazy<cmd::completions::ManArgs>),
}

/// Arguments of a command, and `--json`, that clap gets to know only when the command is there: all of them together take longer than most
/// commands.
#[derive(Debug)]
pub struct Lazy<T>(pub T);

impl<T: Args> Args for Lazy<T> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.defer(described_as_before::<T>)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        T::augment_args_for_update(command)
    }
}

/// The arguments, without what their struct says about itself.
fn described_as_before<T: Args>(command: clap::Command) -> clap::Command {
    let about = Resettable::from(command.get_about().cloned());
    let long_about = Resettable::from(command.get_long_about().cloned());
    let command = T::augment_args(command.arg(json_argument()));
    command.about(about).long_about(long_about)
}

impl<T: FromArgMatches> FromArgMatches for Lazy<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        T::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs a command line; its first item is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let (command, json) = match parse(&args) {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error, args.iter().any(|arg| arg == "--json")),
    };
    let output = Output::new(json);
    dispatch(command, &output).unwrap_or_else(|failure| {
        output.failure(&failure);
        ExitCode::from(failure.exit as u8)
    })
}

/// The command, and whether its results are to be JSON. What [`Parser::try_parse_from`] does, but leaves clap's definitions to the end of the
/// process, which frees them all at once.
fn parse(args: &[OsString]) -> Result<(Command, bool), clap::Error> {
    let mut command = ManuallyDrop::new(command());
    let mut matches = ManuallyDrop::new(command.try_get_matches_from_mut(args)?);
    let json = wants_json(&matches);
    let cli = Cli::from_arg_matches_mut(&mut matches);
    let cli = cli.map_err(|error| error.format(&mut command))?;
    Ok((cli.command, json))
}

fn dispatch(command: Command, output: &Output) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    match command {
        Command::VerifyImage(args) => cmd::verify_image::run(&args.0, output),
        Command::Convert(args) => cmd::convert::run(&args.0, output).map(done),
        Command::Keygen(args) => cmd::keygen::run(&args.0, output).map(done),
        Command::Sign(args) => cmd::sign::run(&args.0, output).map(done),
        Command::Push(args) => cmd::push::run(args.0, output),
        Command::Status(args) => cmd::status::run(&args.0, output),
        Command::Reset(args) => cmd::reset::run(args.0, output),
        Command::Factory(args) => cmd::factory::run(&args.0, output).map(done),
        Command::Inspect(args) => cmd::inspect::run(&args.0, output),
        Command::Profiles(args) => cmd::profiles::run(&args.0, output).map(done),
        Command::Completions(args) => cmd::completions::run(&args.0, output).map(done),
        Command::Man(args) => cmd::completions::man(&args.0, output).map(done),
    }
}

/// The command definition, for completions and manual pages.
pub fn command() -> clap::Command {
    Cli::command().arg(json_argument())
}

/// Shows what clap has to say: help and version on stdout, everything else as a usage error.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    let asked_for = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if json && !asked_for {
        Output::new(true).failure(&usage_failure(&error.render().to_string()));
        return ExitCode::from(Exit::Usage as u8);
    }
    // Nothing is left to tell anybody when the terminal is gone.
    let _ = error.print();
    ExitCode::from(if asked_for { 0 } else { Exit::Usage as u8 })
}

/// clap's text as a failure: its first paragraph says what is wrong, the others what would be right.
fn usage_failure(text: &str) -> Failure {
    let mut paragraphs = text.trim().split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let failure = Failure::new(Exit::Usage, first.trim_start_matches("error: "));
    paragraphs.fold(failure, Failure::help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_definition_is_consistent() {
        command().debug_assert();
    }
}
