//! Child processes: shown before they run, their failure an error that repeats the command line.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use anyhow::{Context, Result, bail};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo puts what it builds: `CARGO_TARGET_DIR`, or `target` in the root.
pub(crate) fn target_folder() -> PathBuf {
    root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()))
}

/// The cargo that runs this task, in the repository's root.
pub(crate) fn cargo() -> Command {
    in_root(env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// `program`, in the repository's root.
pub(crate) fn in_root(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(root());
    command
}

/// The command as one would type it in the repository's root.
pub(crate) fn line(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)))
        .map(|(name, value)| format!("{name}={}", quoted(value)));
    let arguments = command.get_args().map(|argument| quoted(&short(argument)));
    let words: Vec<_> = variables
        .chain([short_program(command.get_program())])
        .chain(arguments)
        .collect();
    words.join(" ")
}

/// A file of the repository, relative to its root.
pub(crate) fn relative(path: &Path) -> &Path {
    path.strip_prefix(root()).unwrap_or(path)
}

fn short(argument: &OsStr) -> String {
    relative(Path::new(argument)).display().to_string()
}

/// Programs of the repository relative to its root, cargo and others by their name.
fn short_program(program: &OsStr) -> String {
    let path = Path::new(program);
    match path.file_name() {
        Some(name) if path.is_absolute() && !path.starts_with(root()) => name.display().to_string(),
        _ => short(program),
    }
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@+%[]*".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs `command` with this terminal; its failure is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    println!("$ {line}");
    let status = command
        .status()
        .with_context(|| format!("cannot start {line}"))?;
    succeeded(&line, status)
}

/// What ended otherwise is an error.
pub(crate) fn succeeded(line: &str, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("{line} failed: {status}");
    }
    Ok(())
}

/// Starts `command`; what it prints comes through the pipe, results and messages in the order in which it printed them.
pub(crate) fn start_heard(command: &mut Command) -> Result<(Child, PipeReader)> {
    let typed = line(command);
    let cannot = || format!("cannot start {typed}");
    let (reader, writer) = io::pipe().with_context(cannot)?;
    let copy = writer.try_clone().with_context(cannot)?;
    command.stdin(Stdio::null()).stdout(writer).stderr(copy);
    let child = command.spawn().with_context(cannot)?;
    // The command holds the writing ends too: without them the pipe ends when the child does.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((child, reader))
}

/// Runs `command` and keeps what it prints, as [`start_heard`] orders it.
pub(crate) fn printed(command: &mut Command) -> Result<(ExitStatus, String)> {
    let (mut child, mut output) = start_heard(command)?;
    let mut bytes = Vec::new();
    output.read_to_end(&mut bytes)?;
    Ok((child.wait()?, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Runs `command` and keeps what it prints.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("cannot start {}", line(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let mut tool = in_root("/usr/bin/tool");
        tool.arg(root().join("target/a.elf"))
            .args(["--text", "it's two words", ""])
            .env("NAME", "a b");
        let typed = r"NAME='a b' tool target/a.elf --text 'it'\''s two words' ''";
        assert_eq!(line(&tool), typed);
        let built = in_root(root().join("target/debug/iapctl"));
        assert_eq!(line(&built), "target/debug/iapctl");
    }

    #[test]
    fn a_command_that_fails_is_an_error_with_its_command_line() {
        let error = run(cargo().arg("--no-such-flag")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("cargo --no-such-flag failed"), "{text}");
    }
}
