//! One thing that was found out about an image: what, why it matters on the board, and how to mend it in C and in Rust.

use std::io;

use serde::Serialize;

use crate::output::{Human, Paint, wrap};

/// Column at which explanations break.
const WIDTH: usize = 88;
/// Columns before an explanation: two of indent and the longest label.
const LABEL: usize = 7;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A check that was passed.
    Ok,
    /// Worth knowing, nothing to mend.
    Note,
    /// The image starts, but something in it looks like a mistake.
    Warning,
    /// The image would not start, or the board would refuse it. `convert --force` writes it all the same.
    Error,
    /// No image can be made of the file, whatever is forced.
    Fatal,
}

/// A finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which check: a stable name for scripts.
    pub check: &'static str,
    /// What was found, with the values. Lower case, no full stop.
    pub what: String,
    /// Why such an application would not start.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// How to mend it in the linker script or start-up code of a C project.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mend_c: Vec<String>,
    /// How to mend it in a Rust project.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mend_rust: Vec<String>,
}

impl Finding {
    /// A finding without explanation.
    pub fn new(severity: Severity, check: &'static str, what: impl Into<String>) -> Self {
        Self {
            severity,
            check,
            what: what.into(),
            why: String::new(),
            mend_c: Vec::new(),
            mend_rust: Vec::new(),
        }
    }

    /// Adds why it matters.
    #[must_use]
    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    /// Adds a line of advice for projects in C.
    #[must_use]
    pub fn mend_c(mut self, line: impl Into<String>) -> Self {
        self.mend_c.push(line.into());
        self
    }

    /// Adds a line of advice for projects in Rust.
    #[must_use]
    pub fn mend_rust(mut self, line: impl Into<String>) -> Self {
        self.mend_rust.push(line.into());
        self
    }

    /// Adds a line of advice that is the same in every language.
    #[must_use]
    pub fn mend(self, line: impl Into<String>) -> Self {
        let line = line.into();
        self.mend_c(line.clone()).mend_rust(line)
    }
}

impl Human for Finding {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        let label = match self.severity {
            Severity::Ok => paint.good("ok"),
            Severity::Note => paint.faint("note"),
            Severity::Warning => paint.warning("warning"),
            Severity::Error | Severity::Fatal => paint.error("error"),
        };
        writeln!(f, "{label}: {}", self.what)?;
        explain(f, "why", &wrap(&self.why, WIDTH - LABEL), paint)?;
        if self.mend_c == self.mend_rust {
            return explain(f, "mend", &self.mend_c, paint);
        }
        explain(f, "C", &self.mend_c, paint)?;
        explain(f, "Rust", &self.mend_rust, paint)
    }
}

/// Lines with a label before the first; advice is not wrapped, so that it can be copied.
fn explain(f: &mut dyn io::Write, label: &str, lines: &[String], paint: Paint) -> io::Result<()> {
    for (i, line) in lines.iter().enumerate() {
        let label = if i == 0 { label } else { "" };
        writeln!(f, "  {} {line}", paint.strong(&format!("{label:<4}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(finding: &Finding) -> String {
        let mut out = Vec::new();
        finding.human(&mut out, Paint::PLAIN).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_finding_shows_what_why_and_how_to_mend_it() {
        let finding = Finding::new(
            Severity::Error,
            "stack",
            "initial stack pointer 0x08020000 is outside RAM",
        )
        .why("the first push faults")
        .mend_c("_estack = ORIGIN(RAM) + LENGTH(RAM);")
        .mend_rust("RAM : ORIGIN = 0x20000000, LENGTH = 128K");
        assert_eq!(
            text(&finding),
            "error: initial stack pointer 0x08020000 is outside RAM\n  \
             why  the first push faults\n  \
             C    _estack = ORIGIN(RAM) + LENGTH(RAM);\n  \
             Rust RAM : ORIGIN = 0x20000000, LENGTH = 128K\n"
        );
    }

    #[test]
    fn advice_for_both_languages_is_shown_once() {
        let finding = Finding::new(Severity::Warning, "x", "y").mend("do that");
        assert_eq!(text(&finding), "warning: y\n  mend do that\n");
    }
}
