//! Options of every command that talks to boards: which boards, how many at once and how long, and the login of their HTTP servers.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use iap_protocol::http::DEFAULT_USER;

use super::hosts::{self, NO_LOGIN, Named};
use super::prompt;
use super::{Login, Target, Transport};
use crate::failure::{Exit, Failure};

/// The variable a password is taken from. There is no option: command lines are readable by everybody on the machine.
const PASSWORD_VARIABLE: &str = "IAPCTL_PASSWORD";

/// Which boards.
#[derive(clap::Args, Clone, Debug)]
#[group(required = true, multiple = true)]
pub struct TargetArgs {
    /// A board's TFTP server (port 69); can be given several times
    #[arg(long, value_name = "HOST[:PORT]", value_parser = BoardName(Transport::Tftp))]
    pub tftp: Vec<Target>,
    /// A board's HTTP server (port 80); can be given several times
    #[arg(long, value_name = "HOST[:PORT]", value_parser = BoardName(Transport::Http))]
    pub http: Vec<Target>,
    /// File of boards, one per line: HOST or HOST:PORT, with http:// in front where HTTP is meant; # begins a comment
    #[arg(long, value_name = "FILE")]
    pub hosts: Option<PathBuf>,
}

/// The boards of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Boards {
    /// Each of them once.
    pub targets: Vec<Target>,
    /// Whether the user spoke of several, even if it is one in a file: results are then shown as a table, or as lines for scripts.
    pub several: bool,
}

impl TargetArgs {
    /// All of them: those by TFTP first, each kind in the order of the command line, then those of the file. No board may be there
    /// twice.
    pub fn boards(&self) -> Result<Boards, Failure> {
        let named = |option: &'static str| move |target: &Target| Named::by(option, target);
        let mut all: Vec<Named> = (self.tftp.iter().map(named("--tftp")))
            .chain(self.http.iter().map(named("--http")))
            .collect();
        if let Some(file) = &self.hosts {
            all.extend(hosts::read(file)?);
        }
        hosts::refuse_duplicates(&all)?;
        Ok(Boards {
            several: all.len() > 1 || self.hosts.is_some(),
            targets: all.into_iter().map(|named| named.target).collect(),
        })
    }
}

/// How several boards are worked on.
#[derive(clap::Args, Clone, Debug)]
pub struct ManyArgs {
    /// Boards worked on at the same time, 1 to 10000 [default: 256, or fewer where file descriptors are scarce]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub max_concurrent: Option<u16>,
    /// Time limit for each board, from its turn on; when it is over the board is freed, and asked for at most 3 s what it holds [default: none, but 10 s without an answer or 60 s without progress are the end]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = (text.parse()).map_err(|_| "a number of seconds expected".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(limit) if (MIN_TIMEOUT..=MAX_TIMEOUT).contains(&limit) => Ok(limit),
        _ => Err("from 0.1 to 86400 seconds".into()),
    }
}

/// Less than any board needs.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);
/// A day.
const MAX_TIMEOUT: Duration = Duration::from_secs(86_400);

/// A board by one of its servers. clap shows a value that is wrong, but not one with a password in it.
#[derive(Clone)]
struct BoardName(Transport);

impl TypedValueParser for BoardName {
    type Value = Target;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Target, clap::Error> {
        let transport = self.0;
        if hosts::may_hold_password(&value.to_string_lossy()) {
            let message = format!("--{transport}: {NO_LOGIN}");
            return Err(command.clone().error(ErrorKind::ValueValidation, message));
        }
        (move |text: &str| Target::parse(transport, text)).parse_ref(command, arg, value)
    }
}

/// The login of HTTP servers.
#[derive(clap::Args, Clone, Debug)]
pub struct LoginArgs {
    /// User of the HTTP login
    #[arg(long, default_value = DEFAULT_USER)]
    pub user: String,
    /// File with the password of the HTTP login; otherwise IAPCTL_PASSWORD, otherwise it is asked for
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

impl LoginArgs {
    /// The login, if one of `targets` needs one. Asks the user, if there is one to ask.
    pub fn for_targets(&self, targets: &[Target]) -> Result<Option<Login>, Failure> {
        let needed = (targets.iter()).any(|target| target.transport == Transport::Http);
        needed.then(|| self.login()).transpose()
    }

    fn login(&self) -> Result<Login, Failure> {
        let password = match (&self.password_file, std::env::var(PASSWORD_VARIABLE)) {
            (Some(file), _) => password_in(file)?,
            (None, Ok(password)) => password,
            (None, Err(_)) => self.ask()?,
        };
        Ok(Login {
            user: self.user.clone(),
            password,
        })
    }

    fn ask(&self) -> Result<String, Failure> {
        if !std::io::stdin().is_terminal() {
            let message = "the HTTP login needs a password, and there is no terminal to ask on";
            return Err(Failure::new(Exit::Usage, message)
                .help(format!("set {PASSWORD_VARIABLE} or give --password-file")));
        }
        prompt::password(&self.user)
    }
}

/// Which boards, their login, how many at once: of the commands that change something.
#[derive(clap::Args, Debug)]
pub struct BoardArgs {
    #[command(flatten)]
    #[allow(missing_docs)] // would replace clap's own text
    pub targets: TargetArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub login: LoginArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub many: ManyArgs,
}

/// The first line of a file.
fn password_in(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Local, format!("{}: {error}", file.display())))?;
    // Editors of Windows put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
