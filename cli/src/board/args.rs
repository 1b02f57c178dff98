//! Options of every command that talks to boards: which boards, and the login of their HTTP servers.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use iap_protocol::http::DEFAULT_USER;

use super::{Login, Target, Transport};
use crate::failure::{Exit, Failure};

/// The variable a password is taken from. There is no option: command lines are readable by everybody on the machine.
const PASSWORD_VARIABLE: &str = "IAPCTL_PASSWORD";

/// Which boards.
#[derive(clap::Args, Clone, Debug)]
#[group(required = true, multiple = true)]
pub struct TargetArgs {
    /// A board's TFTP server (port 69); can be given several times
    #[arg(long, value_name = "HOST[:PORT]", value_parser = tftp)]
    pub tftp: Vec<Target>,
    /// A board's HTTP server (port 80); can be given several times
    #[arg(long, value_name = "HOST[:PORT]", value_parser = http)]
    pub http: Vec<Target>,
}

impl TargetArgs {
    /// All of them: those by TFTP first, each kind in the order of the command line.
    pub fn targets(&self) -> Vec<Target> {
        self.tftp.iter().chain(&self.http).cloned().collect()
    }
}

fn tftp(text: &str) -> Result<Target, String> {
    Target::parse(Transport::Tftp, text)
}

fn http(text: &str) -> Result<Target, String> {
    Target::parse(Transport::Http, text)
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
        rpassword::prompt_password(format!("password of {}: ", self.user)).map_err(|error| {
            Failure::new(Exit::Local, format!("no password could be read: {error}"))
        })
    }
}

/// The first line of a file.
fn password_in(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Local, format!("{}: {error}", file.display())))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
