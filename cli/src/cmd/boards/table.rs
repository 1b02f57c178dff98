//! What people read of several boards: a line per board, those that went well first, and a line about all.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use console::Term;

use super::entry::{Entry, State};
use super::{BoardResult, lines};
use crate::output::{Human, Output, Paint, wrap};

/// Narrower than this a sentence is better put below the name.
const MIN_TEXT: usize = 30;

/// All boards.
pub(super) struct Table<'a, T> {
    entries: &'a [Entry<T>],
    time: Duration,
    name_width: usize,
    word_width: usize,
}

impl<'a, T: BoardResult> Table<'a, T> {
    pub(super) fn new(entries: &'a [Entry<T>], time: Duration) -> Self {
        let names = entries.iter().map(|entry| entry.target.to_string());
        let words = entries.iter().map(|entry| entry.state.word().len());
        Self {
            name_width: names.map(|name| name.chars().count()).max().unwrap_or(0),
            word_width: words.max().unwrap_or(0),
            entries,
            time,
        }
    }

    fn row(&self, f: &mut dyn io::Write, paint: Paint, entry: &Entry<T>) -> io::Result<()> {
        let (name_width, word_width) = (self.name_width, self.word_width);
        let name = entry.target.to_string();
        let word = format!("{:word_width$}", entry.state.word());
        let word = match entry.is_good() {
            true => paint.good(&word),
            false => paint.error(&word),
        };
        let head = format!("{name:name_width$}  {word}");
        let indent = name_width + word_width + 4;
        write!(f, "{head}")?;
        match width(&Term::stdout()) {
            None => writeln!(f, "  {}", entry.text()),
            Some(width) if width < indent + MIN_TEXT => {
                writeln!(f)?;
                let lines = wrap(&entry.text(), width.saturating_sub(4));
                lines.iter().try_for_each(|line| writeln!(f, "    {line}"))
            }
            Some(width) => {
                let lines = wrap(&entry.text(), width - indent);
                writeln!(f, "  {}", lines.join(&format!("\n{:indent$}", "")))
            }
        }
    }

    fn summary(&self, paint: Paint) -> String {
        let boards = self.entries.len();
        let seconds = self.time.as_secs_f64();
        let states = lines::count(self.entries);
        let part = |(state, count): (&State, &usize)| {
            let text = format!("{count} {}", state.word());
            match *state <= State::Reset {
                true => paint.good(&text),
                false => paint.error(&text),
            }
        };
        let parts: Vec<String> = states.iter().map(part).collect();
        let s = if boards == 1 { "" } else { "s" };
        format!("{boards} board{s} in {seconds:.1} s: {}", parts.join(", "))
    }
}

/// Columns to write in; none where no terminal shows it, and lines may be as long as they are.
fn width(term: &Term) -> Option<usize> {
    term.is_term()
        .then(|| usize::from(term.size().1).saturating_sub(1))
}

impl<T: BoardResult> Human for Table<'_, T> {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        let mut entries: Vec<&Entry<T>> = self.entries.iter().collect();
        entries.sort_by_key(|entry| entry.state);
        (entries.iter()).try_for_each(|entry| self.row(f, paint, entry))?;
        writeln!(f, "{}", self.summary(paint))
    }
}

/// What is to be known and done, each thing once for all boards.
pub(super) fn afterwards<T: BoardResult>(entries: &[Entry<T>], at_once: usize, output: &Output) {
    warn(entries, output);
    let failures =
        || (entries.iter()).filter_map(|entry| Some((entry, entry.result.as_ref().err()?)));
    for finding in once(failures().flat_map(|(_, failure)| &failure.findings)) {
        let mut text = Vec::new();
        if finding.human(&mut text, Paint::of(&io::stderr())).is_ok() {
            output.message(String::from_utf8_lossy(&text).trim_end());
        }
    }
    if entries.iter().any(|entry| entry.state == State::Unknown) {
        say(output, UNKNOWN);
    }
    let helps = failures().flat_map(|(entry, failure)| {
        // What is known of a board is in its row.
        let told = |help: &str| entry.after().is_some_and(|after| help.contains(after));
        failure.help.iter().filter(move |help| !told(help))
    });
    for help in once(helps) {
        say(output, &format!("help: {help}"));
    }
    let broke = |entry: &Entry<T>| matches!(entry.state, State::BrokenOff | State::Unknown);
    if at_once > FEW && entries.iter().any(broke) {
        say(output, NARROW);
    }
}

fn warn<T: BoardResult>(entries: &[Entry<T>], output: &Output) {
    let mut warnings: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in entries {
        for warning in entry.result.iter().flat_map(BoardResult::warnings) {
            let boards = warnings.entry(warning).or_default();
            boards.push(entry.target.to_string());
        }
    }
    for (warning, boards) in warnings {
        let boards = list(&boards, entries.len());
        say(output, &format!("warning: {boards}: {warning}"));
    }
}

/// A message, broken at words where a terminal would break it anywhere.
fn say(output: &Output, text: &str) {
    match width(&Term::stderr()) {
        Some(width) => output.message(wrap(text, width).join("\n")),
        None => output.message(text),
    }
}

/// Each item the first time it comes.
fn once<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut seen, item| {
        if !seen.contains(&item) {
            seen.push(item);
        }
        seen
    })
}

/// So many boards get along on any link.
const FEW: usize = 16;

const NARROW: &str =
    "help: where boards share a narrow link, fewer at once get through: --max-concurrent 16";

const UNKNOWN: &str = "\
unknown: what was sent to such a board may be committed or not. It holds its old application, the new one, or none; in the last case it \
stays in IAP mode and takes a new push";

/// `all 5 boards`, `a (tftp)`, `a (tftp) and 3 others`.
fn list(boards: &[String], of: usize) -> String {
    match boards {
        [] => String::new(),
        [one] => one.clone(),
        all if all.len() == of => format!("all {of} boards"),
        [first, second] => format!("{first} and {second}"),
        [first, others @ ..] => format!("{first} and {} others", others.len()),
    }
}
