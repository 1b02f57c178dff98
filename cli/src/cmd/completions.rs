//! `iapctl completions` and `iapctl man`: what clap can generate from the command definition.

use std::io;
use std::path::PathBuf;

use clap_complete::Shell;
use serde::Serialize;

use crate::app;
use crate::failure::{Exit, Failure};
use crate::output::{Human, Output, Paint};

/// Arguments of `iapctl completions`.
#[derive(clap::Args, Debug)]
pub struct CompletionsArgs {
    /// The shell to complete for
    pub shell: Shell,
}

/// Arguments of `iapctl man`.
#[derive(clap::Args, Debug)]
pub struct ManArgs {
    /// An existing folder for the pages
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

#[derive(Serialize)]
struct Script {
    shell: String,
    script: String,
}

impl Human for Script {
    fn human(&self, f: &mut dyn io::Write, _paint: Paint) -> io::Result<()> {
        f.write_all(self.script.as_bytes())
    }
}

#[derive(Serialize)]
struct Pages {
    pages: Vec<String>,
}

impl Human for Pages {
    fn human(&self, f: &mut dyn io::Write, _paint: Paint) -> io::Result<()> {
        self.pages.iter().try_for_each(|page| writeln!(f, "{page}"))
    }
}

/// Prints the script.
pub fn run(args: &CompletionsArgs, output: &Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut app::command(), "iapctl", &mut script);
    output.result(&Script {
        shell: args.shell.to_string(),
        script: String::from_utf8_lossy(&script).into_owned(),
    })
}

/// Writes one page for iapctl and one for each command, and prints their paths.
pub fn man(args: &ManArgs, output: &Output) -> Result<(), Failure> {
    let folder = &args.folder;
    clap_mangen::generate_to(app::command(), folder).map_err(|error| {
        let text = format!("{}: cannot write manual pages: {error}", folder.display());
        Failure::new(Exit::Local, text).help("name an existing folder that can be written to")
    })?;
    output.result(&Pages {
        pages: pages_in(folder)?,
    })
}

fn pages_in(folder: &PathBuf) -> Result<Vec<String>, Failure> {
    let unreadable =
        |error: io::Error| Failure::new(Exit::Local, format!("{}: {error}", folder.display()));
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("iapctl") && name.ends_with(".1") {
            pages.push(path.display().to_string());
        }
    }
    pages.sort();
    Ok(pages)
}
