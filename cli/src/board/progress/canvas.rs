//! Lines at the end of a terminal that are drawn over each other. The terminal is stderr; what cannot be written there is not missed.

use std::cell::RefCell;
use std::io::{self, Write};

/// The lines that are there now; the cursor stands below them.
#[derive(Default)]
pub(super) struct Canvas {
    lines: RefCell<Vec<String>>,
}

impl Canvas {
    /// Draws `lines` in place of those that are there. Each fits into a line of the terminal.
    pub(super) fn draw(&self, lines: Vec<String>) {
        if *self.lines.borrow() != lines {
            self.show(None, lines);
        }
    }

    /// Puts a line above the others, where it stays.
    pub(super) fn line(&self, text: &str) {
        let lines = self.lines.borrow().clone();
        self.show(Some(text), lines);
    }

    /// Leaves nothing.
    pub(super) fn clear(&self) {
        self.draw(Vec::new());
    }

    fn show(&self, above: Option<&str>, lines: Vec<String>) {
        let text = in_place_of(self.lines.borrow().len(), above, &lines);
        let mut stderr = io::stderr().lock();
        let _ = (stderr.write_all(text.as_bytes())).and_then(|()| stderr.flush());
        self.lines.replace(lines);
    }
}

/// In one piece, so that no frame is seen half: up and to the left, clear to the end (ECMA-48 sections 8.3.22 and 8.3.39), then the lines.
fn in_place_of(lines_before: usize, above: Option<&str>, lines: &[String]) -> String {
    let mut text = match lines_before {
        0 => "\r\x1b[J".to_owned(),
        count => format!("\r\x1b[{count}A\x1b[J"),
    };
    for line in above.into_iter().chain(lines.iter().map(String::as_str)) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal shows after `text`, the cursor in the line after the last.
    fn seen(text: &str) -> Vec<String> {
        let mut lines = vec![String::new()];
        let mut at = 0;
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\r' => {}
                '\n' => {
                    at += 1;
                    lines.resize(lines.len().max(at + 1), String::new());
                }
                '\x1b' => {
                    let code: String = rest.by_ref().take_while(|c| !"AJ".contains(*c)).collect();
                    match code.as_str() {
                        "[" => {
                            lines.truncate(at + 1);
                            lines[at].clear();
                        }
                        up => at -= up[1..].parse::<usize>().unwrap(),
                    }
                }
                other => lines[at].push(other),
            }
        }
        lines
    }

    #[test]
    fn frames_take_the_place_of_frames_and_lines_stay_above_them() {
        let frame = |names: &[&str]| -> Vec<String> { names.iter().map(|&n| n.into()).collect() };
        let mut text = in_place_of(0, None, &frame(&["a 1", "b 1", "all"]));
        assert_eq!(seen(&text), ["a 1", "b 1", "all", ""]);
        text += &in_place_of(3, None, &frame(&["b 2", "all"]));
        assert_eq!(seen(&text), ["b 2", "all", ""]);
        text += &in_place_of(2, Some("a failed"), &frame(&["b 2", "all"]));
        assert_eq!(seen(&text), ["a failed", "b 2", "all", ""]);
        text += &in_place_of(2, None, &[]);
        assert_eq!(seen(&text), ["a failed", ""]);
    }
}
