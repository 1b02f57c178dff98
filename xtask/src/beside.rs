//! Commands that run beside others, one after the other: work that leaves cores idle, as links and downloads do.
//!
//! What they print is kept and shown in one piece when the work is finished. They are ended, each by the id of its process group, when the
//! [`Beside`] goes out of scope, and on Ctrl-C, SIGTERM or SIGHUP by a handler. Nothing here decides what can run at the same time.

use std::io::Read;
use std::mem;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, exit};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::command;

/// All that was started, for the Ctrl-C handler.
static STARTED: Mutex<Vec<Arc<Mutex<Running>>>> = Mutex::new(Vec::new());
static HANDLER: Once = Once::new();

/// Exit code of a process that Ctrl-C ended, by the shells' convention (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// Commands that run.
pub(crate) struct Beside {
    name: &'static str,
    running: Arc<Mutex<Running>>,
    thread: Option<JoinHandle<Heard>>,
}

/// Which of them runs.
#[derive(Default)]
struct Running {
    group: Option<Pid>,
    /// No other may start.
    over: bool,
}

/// What they printed, and how it went.
struct Heard {
    text: String,
    done: Result<()>,
}

impl Beside {
    /// Starts the first; the others follow, unless one fails.
    pub(crate) fn start(name: &'static str, commands: Vec<Command>) -> Self {
        HANDLER.call_once(|| {
            let set = ctrlc::set_handler(|| {
                lock(&STARTED).iter().for_each(|running| end(running));
                exit(INTERRUPTED);
            });
            if let Err(error) = set {
                eprintln!("warning: Ctrl-C will leave commands running: {error}");
            }
        });
        println!("{name}: beside what follows, shown when it is finished");
        let running = Arc::<Mutex<Running>>::default();
        lock(&STARTED).push(Arc::clone(&running));
        let in_thread = Arc::clone(&running);
        Self {
            name,
            running,
            thread: Some(thread::spawn(move || run(commands, &in_thread))),
        }
    }

    /// Shows those that are finished; a failure among them is an error.
    pub(crate) fn show_finished(all: &mut Vec<Self>) -> Result<()> {
        let finished = |it: &mut Self| it.thread.as_ref().is_none_or(JoinHandle::is_finished);
        all.extract_if(.., finished).try_for_each(Self::finish)
    }

    /// Waits for all of it and shows it; the first failure is an error.
    pub(crate) fn finish(mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let Ok(heard) = thread.join() else {
            bail!("{}: the thread panicked", self.name);
        };
        println!("{}, beside the above:", self.name);
        print!("{}", heard.text);
        heard.done
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            end(&self.running);
            // What it heard is of no interest: something else has failed.
            drop(thread.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the command that runs with all its children, and lets no other start.
fn end(running: &Mutex<Running>) {
    let mut running = lock(running);
    running.over = true;
    if let Some(group) = running.group {
        // It fails for a group that has just ended.
        let _gone = killpg(group, Signal::SIGTERM);
    }
}

fn run(commands: Vec<Command>, running: &Mutex<Running>) -> Heard {
    let mut text = String::new();
    for mut command in commands {
        let line = command::line(&command);
        text += &format!("$ {line}\n");
        let done = run_one(&mut command, running).and_then(|(status, printed)| {
            text += &printed;
            command::succeeded(&line, status)
        });
        if done.is_err() {
            return Heard { text, done };
        }
    }
    Heard { text, done: Ok(()) }
}

fn run_one(command: &mut Command, running: &Mutex<Running>) -> Result<(ExitStatus, String)> {
    let mut now = lock(running);
    if now.over {
        bail!("{} was not started", command::line(command));
    }
    let (mut child, mut output) = command::start_heard(command.process_group(0))?;
    now.group = i32::try_from(child.id()).ok().map(Pid::from_raw);
    drop(now);
    let mut bytes = Vec::new();
    let read = output.read_to_end(&mut bytes);
    // Nobody writes any more. First forgotten, then waited for: once it is, its id may be another's.
    mem::take(&mut lock(running).group);
    let status = child.wait()?;
    read?;
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::command::in_root;

    fn shell(script: &str) -> Command {
        let mut shell = in_root("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn commands_run_in_their_order_and_are_heard_with_their_messages() {
        let running = Mutex::default();
        let heard = run(vec![shell("echo a; echo b >&2"), shell("echo c")], &running);
        heard.done.unwrap();
        assert_eq!(
            heard.text,
            "$ sh -c 'echo a; echo b >&2'\na\nb\n$ sh -c 'echo c'\nc\n"
        );
    }

    #[test]
    fn the_first_failure_is_the_last_command() {
        let running = Mutex::default();
        let heard = run(vec![shell("echo a; exit 7"), shell("echo b")], &running);
        let error = heard.done.unwrap_err().to_string();
        assert_eq!(error, "sh -c 'echo a; exit 7' failed: exit status: 7");
        assert!(heard.text.ends_with("\na\n"), "{}", heard.text);
    }

    #[test]
    fn a_failure_is_an_error_of_those_that_are_finished() {
        let mut all = vec![
            Beside::start("a test", vec![shell("exit 7")]),
            Beside::start("another", vec![shell("sleep 60")]),
        ];
        let deadline = Instant::now() + Duration::from_secs(30);
        while Beside::show_finished(&mut all).is_ok() {
            assert!(Instant::now() < deadline, "no failure was seen");
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(all.len(), 1);
    }

    #[test]
    fn after_the_end_no_other_starts() {
        let running = Mutex::default();
        end(&running);
        let heard = run(vec![shell("echo a")], &running);
        let error = heard.done.unwrap_err().to_string();
        assert_eq!(error, "sh -c 'echo a' was not started");
    }

    #[test]
    fn out_of_scope_a_command_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let mut parent = shell("(sleep 1; touch \"$MARK\") & touch \"$MARK.started\"; wait");
        parent.env("MARK", &mark);
        let beside = Beside::start("a test", vec![parent]);
        let (started, begin) = (mark.with_extension("started"), Instant::now());
        while !started.exists() {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "it did not start"
            );
            thread::sleep(Duration::from_millis(10));
        }
        drop(beside);
        thread::sleep(Duration::from_secs(2));
        assert!(!mark.exists(), "its child was not ended");
    }
}
