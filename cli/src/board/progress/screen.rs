//! A terminal with a row for each board at work, as many as fit, and a line about all of them.
//!
//! One bar of indicatif with several lines: they are drawn together, and no row needs a thread to move.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use console::{Term, measure_text_width, truncate_str};
use indicatif::{ProgressBar, ProgressStyle};

use super::among::Row;
use crate::board::Target;
use crate::output::Output;

/// Columns for the name of a board: the longest address with a port and its transport fits.
const MAX_NAME: usize = 28;
/// Lines of the terminal that stay free: the one about all, and the one of the cursor.
const OTHER_LINES: usize = 2;

/// How many boards there are, are done, and of those have failed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub(super) boards: usize,
    pub(super) done: usize,
    pub(super) failed: usize,
}

pub(super) struct Screen {
    bar: ProgressBar,
    term: Term,
    name_width: usize,
    begun_at: Instant,
}

impl Screen {
    /// None where nobody looks at a terminal.
    pub(super) fn new(output: &Output, targets: &[Target]) -> Option<Self> {
        if output.is_json() || !std::io::stderr().is_terminal() {
            return None;
        }
        let names = targets
            .iter()
            .map(|target| target.to_string().chars().count());
        let style = ProgressStyle::with_template("{msg}");
        Some(Self {
            bar: ProgressBar::new(0)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            term: Term::stderr(),
            name_width: names.max().unwrap_or(0).min(MAX_NAME),
            begun_at: Instant::now(),
        })
    }

    pub(super) fn draw<'a>(
        &self,
        rows: impl ExactSizeIterator<Item = &'a Row>,
        counts: Counts,
        is_ending: bool,
    ) {
        let (height, width) = self.term.size();
        let frame = Frame {
            width: usize::from(width),
            height: usize::from(height),
            name_width: self.name_width,
        };
        let lines = frame.lines(rows, counts, self.begun_at.elapsed(), is_ending);
        self.bar.set_message(lines.join("\n"));
    }

    /// A line that stays, as far as it fits: the table has all of it.
    pub(super) fn line(&self, text: &str) {
        let width = usize::from(self.term.size().1).saturating_sub(1);
        self.bar.println(truncate_str(text, width, "…"));
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// What fits.
struct Frame {
    width: usize,
    height: usize,
    name_width: usize,
}

impl Frame {
    fn lines<'a>(
        &self,
        rows: impl ExactSizeIterator<Item = &'a Row>,
        counts: Counts,
        elapsed: Duration,
        is_ending: bool,
    ) -> Vec<String> {
        let active = rows.len();
        let room = self.height.saturating_sub(OTHER_LINES).max(1);
        let mut lines: Vec<String> = rows.take(room).map(|row| self.row(row)).collect();
        let hidden = active.saturating_sub(lines.len());
        lines.push(summary(counts, active, hidden, elapsed, is_ending));
        // One column is left free: a full line would make some terminals wrap.
        let width = self.width.saturating_sub(1).max(1);
        (lines.iter())
            .map(|line| truncate_str(line, width, "…").into_owned())
            .collect()
    }

    fn row(&self, row: &Row) -> String {
        let name = truncate_str(&row.name, self.name_width, "…");
        let pad = " ".repeat(self.name_width.saturating_sub(measure_text_width(&name)));
        let (bytes, total) = (row.bytes.get(), row.total.get());
        let seconds = row.begun_at.elapsed().as_secs();
        let doing = row.doing.borrow();
        if total == 0 {
            return format!("{name}{pad} {seconds:>3} s  {doing}");
        }
        let percent = bytes.saturating_mul(100) / total;
        let bar = match self.width.saturating_sub(self.name_width) {
            0..42 => String::new(),
            42..72 => bar(percent, 10),
            _ => bar(percent, 20),
        };
        format!("{name}{pad} {seconds:>3} s {bar}{percent:>3} %  {doing}")
    }
}

fn bar(percent: u64, width: usize) -> String {
    let full = usize::try_from(percent).unwrap_or(100).min(100) * width / 100;
    let head = usize::from(full < width);
    let rest = width - full - head;
    format!(
        "[{}{}{}] ",
        "=".repeat(full),
        ">".repeat(head),
        " ".repeat(rest)
    )
}

/// The line about all; what matters least is at its end, where it may be cut off.
fn summary(counts: Counts, active: usize, hidden: usize, elapsed: Duration, ends: bool) -> String {
    let Counts {
        boards,
        done,
        failed,
    } = counts;
    let waiting = boards.saturating_sub(done + active);
    let mut text = format!("{} s: {done} of {boards} done", elapsed.as_secs());
    let mut add = |count: usize, what: &str| {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    };
    add(failed, "of them not well");
    add(active, if ends { "being ended" } else { "at work" });
    add(if ends { 0 } else { waiting }, "waiting");
    add(hidden, "not shown");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Transport;
    use crate::board::progress::Show;

    fn lines(width: usize, height: usize, count: usize) -> Vec<String> {
        let output = Output::new(false);
        let rows: Vec<Row> = (0..count)
            .map(|n| {
                let target = Target::parse(Transport::Tftp, &format!("192.168.0.{}", 100 + n));
                let row = Row::new(&output, &target.unwrap());
                row.total(102_400);
                row.bytes(51_200 + n as u64);
                row.doing("the board erases or programs");
                row
            })
            .collect();
        let frame = Frame {
            width,
            height,
            name_width: 20,
        };
        let counts = Counts {
            boards: count + 7,
            done: 3,
            failed: 1,
        };
        frame.lines(rows.iter(), counts, Duration::from_secs(5), false)
    }

    #[test]
    fn a_frame_fits_whatever_the_size_of_the_terminal() {
        for width in [1, 2, 10, 20, 40, 60, 80, 200] {
            for height in [1, 2, 3, 24, 50] {
                for count in [0, 1, 5, 60] {
                    let lines = lines(width, height, count);
                    assert!(lines.len() < height.max(3), "{height}: {lines:#?}");
                    let widest = lines.iter().map(|line| measure_text_width(line)).max();
                    assert!(widest <= Some(width.max(2) - 1), "{width}: {lines:#?}");
                }
            }
        }
    }

    #[test]
    fn a_row_tells_how_far_a_board_is() {
        let wide = lines(100, 4, 60);
        assert_eq!(
            wide,
            [
                "192.168.0.100 (tftp)   0 s [==========>         ]  50 %  the board erases or programs",
                "192.168.0.101 (tftp)   0 s [==========>         ]  50 %  the board erases or programs",
                "5 s: 3 of 67 done, 1 of them not well, 60 at work, 4 waiting, 58 not shown",
            ]
        );
        let narrow = lines(50, 3, 1);
        assert_eq!(
            narrow[0],
            "192.168.0.100 (tftp)   0 s  50 %  the board eras…"
        );
    }
}
