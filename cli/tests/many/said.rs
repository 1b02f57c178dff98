//! What a run of `iapctl` said about many boards.

use std::process::Output;

use serde_json::Value;

pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn by(output: Output) -> Self {
        Self {
            code: output.status.code().expect("not killed by a signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(said, "expected {text:?} in:\n{self}");
        self
    }

    /// The row of the table about the board at a port: its state and its text.
    #[track_caller]
    pub(crate) fn row(&self, port: u16) -> (&str, &str) {
        let name = format!("127.0.0.1:{port} (");
        let rows: Vec<&str> = (self.stdout.lines())
            .filter(|line| line.starts_with(&name))
            .collect();
        let [row] = rows[..] else {
            panic!("{} rows about {port} in:\n{self}", rows.len());
        };
        let (_, rest) = row.split_once(")  ").unwrap();
        let (state, text) = rest.split_once("  ").unwrap();
        (state, text.trim_start())
    }

    /// The objects of all lines of stdout.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        (self.stdout.lines())
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stdout:\n{}stderr:\n{}", self.stdout, self.stderr)
    }
}
