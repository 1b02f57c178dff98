//! How a command shows its result: for people or as JSON, from the same value. Results go to stdout, messages to stderr.
//!
//! Colour only on a terminal, and not with NO_COLOR set (no-color.org). Progress bars are not here.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;

use serde::{Serialize, Serializer};

use crate::failure::{Exit, Failure};

/// A result that people can read. JSON comes from the same value's `Serialize`.
pub trait Human {
    /// Writes the value as lines of text.
    fn human(&self, f: &mut dyn Write, paint: Paint) -> io::Result<()>;
}

/// Where and how results are shown.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// An output on stdout and stderr.
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether scripts are reading: one JSON document on stdout, no progress bars.
    pub const fn is_json(&self) -> bool {
        self.json
    }

    /// Shows the result of a command, on stdout.
    pub fn result<T: Serialize + Human>(&self, value: &T) -> Result<(), Failure> {
        match self.json {
            true => on_stdout(|stdout| write_json(stdout, value)),
            false => self.text(value),
        }
    }

    /// Shows people the result of a command that gives scripts lines, on stdout.
    pub fn text(&self, value: &impl Human) -> Result<(), Failure> {
        on_stdout(|stdout| value.human(stdout, Paint::of(&io::stdout())))
    }

    /// A line for scripts, one JSON document of its own. What cannot be written is told by [`Output::all_written`].
    pub fn line(&self, value: &impl Serialize) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = write_line(&mut stdout, value) {
            // The first one says why.
            let _ = UNWRITTEN.set(error);
        }
    }

    /// Fails if a line could not be written, unless because nobody reads any more.
    pub fn all_written(&self) -> Result<(), Failure> {
        match UNWRITTEN.get() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritten(error)),
            _ => Ok(()),
        }
    }

    /// Tells people something beside the result, on stderr.
    pub fn message(&self, text: impl std::fmt::Display) {
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Shows why a command failed: on stderr for people, as `{"error":{...}}` on stdout for scripts, unless stdout takes nothing.
    pub fn failure(&self, failure: &Failure) {
        #[derive(Serialize)]
        struct Document<'a> {
            error: &'a Failure,
        }
        // Nobody is left to tell when the stream is closed; the exit code still says it.
        let written = self.json && {
            let mut stdout = io::stdout().lock();
            // In one line: where several boards are worked on, scripts read lines.
            (write_line(&mut stdout, &Document { error: failure })).is_ok()
        };
        if !written {
            let mut stderr = io::stderr().lock();
            let _ = failure.human(&mut stderr, Paint::of(&io::stderr()));
        }
    }
}

/// Why the first line that was lost could not be written: a process has one stdout.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

fn on_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    // A result is written in one piece, not line by line.
    let mut stdout = BufWriter::new(io::stdout().lock());
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        // Whoever reads has read enough (`iapctl inspect app.iap | head -1`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| unwritten(&error)),
    }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::new(Exit::Local, format!("cannot write to stdout: {error}"))
}

/// Through to whoever reads.
fn write_line(f: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *f, value)?;
    writeln!(f)?;
    f.flush()
}

fn write_json(f: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *f, value)?;
    writeln!(f)
}

/// Colours, where they are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paint(bool);

impl Paint {
    /// Plain text.
    pub const PLAIN: Self = Self(false);

    /// Colour if `stream` is a terminal that can show it and nobody objects.
    pub fn of(stream: &impl IsTerminal) -> Self {
        let objected = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(stream.is_terminal() && !objected && !dumb)
    }

    /// Something is wrong.
    pub fn error(self, text: &str) -> String {
        self.sgr("1;31", text)
    }

    /// Something may be wrong.
    pub fn warning(self, text: &str) -> String {
        self.sgr("1;33", text)
    }

    /// Something is right.
    pub fn good(self, text: &str) -> String {
        self.sgr("32", text)
    }

    /// A heading.
    pub fn strong(self, text: &str) -> String {
        self.sgr("1", text)
    }

    /// Of less interest.
    pub fn faint(self, text: &str) -> String {
        self.sgr("2", text)
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A path in JSON, which has no place for bytes that are no UTF-8: as people see it.
pub fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// What a board says, for a line of its own: nothing in it moves the cursor, changes colours or begins a line.
pub fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// `text` broken at spaces into lines of at most `width` characters (a longer word stays whole).
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_at_spaces_and_long_words_stay_whole() {
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrap("aa bbbbbbbbb cc", 5), ["aa", "bbbbbbbbb", "cc"]);
        assert!(wrap("", 5).is_empty());
    }

    #[test]
    fn what_a_board_says_stays_in_its_line() {
        assert_eq!(one_line("no\r\n\x1b[32mok\u{9b}"), "no   [32mok ");
    }

    #[test]
    fn colour_is_left_out_where_it_is_not_wanted() {
        assert_eq!(Paint::PLAIN.error("no"), "no");
        assert_eq!(Paint(true).error("no"), "\x1b[1;31mno\x1b[0m");
    }
}
