//! Lists of boards: the file of `--hosts`, and that no board is in a list twice.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Target, Transport};
use crate::failure::{Exit, Failure};

/// No list of boards is longer; a wrong file often is.
const MAX_LEN: u64 = 1 << 20;

pub(super) const NO_LOGIN: &str =
    "a board has no user and password in its name: HOST or HOST:PORT expected";
const LOGIN: &str = "the login of HTTP servers: --user, and IAPCTL_PASSWORD or --password-file";

/// A board and who named it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Named {
    pub(super) target: Target,
    /// `--tftp`, or `boards.txt:3`.
    origin: String,
}

impl Named {
    /// A board that `option` names.
    pub(super) fn by(option: &str, target: &Target) -> Self {
        Self {
            target: target.clone(),
            origin: option.to_owned(),
        }
    }
}

/// The boards of a file.
pub(super) fn read(file: &Path) -> Result<Vec<Named>, Failure> {
    let shown = file.display();
    let cannot = |what: &dyn std::fmt::Display| {
        Failure::new(Exit::Local, format!("{shown}: cannot read: {what}"))
    };
    let mut text = String::new();
    (File::open(file))
        .and_then(|file| file.take(MAX_LEN + 1).read_to_string(&mut text))
        .map_err(|error| cannot(&error))?;
    if text.len() as u64 > MAX_LEN {
        return Err(cannot(&"more than 1 MiB is no list of boards"));
    }
    let boards = parse(&text, &shown.to_string())?;
    if boards.is_empty() {
        let failure = Failure::new(Exit::Usage, format!("{shown}: names no board"));
        return Err(failure.help("write one HOST[:PORT] per line"));
    }
    Ok(boards)
}

fn parse(text: &str, file: &str) -> Result<Vec<Named>, Failure> {
    // Editors of Windows put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut boards = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let origin = format!("{file}:{number}");
        if may_hold_password(line) {
            let failure = Failure::new(Exit::Usage, format!("{origin}: {NO_LOGIN}"));
            return Err(failure.help(LOGIN));
        }
        let target = target(line)
            .map_err(|what| Failure::new(Exit::Usage, format!("{origin}: {line:?}: {what}")))?;
        boards.push(Named { target, origin });
    }
    Ok(boards)
}

/// Whether a URL's user and password may be in a text: then it is not shown, for logs keep what is.
pub(super) fn may_hold_password(text: &str) -> bool {
    text.contains('@')
}

/// `HOST[:PORT]` is TFTP, as is `tftp://HOST[:PORT]`; `http://HOST[:PORT]` is HTTP.
fn target(text: &str) -> Result<Target, String> {
    let (transport, host) = match text.split_once("://") {
        None => (Transport::Tftp, text),
        Some(("tftp", host)) => (Transport::Tftp, host),
        Some(("http", host)) => (Transport::Http, host),
        Some((other, _)) => return Err(format!("{other}:// is not known, only tftp and http")),
    };
    Target::parse(transport, host)
}

/// Two transfers to one board would get in each other's way.
pub(super) fn refuse_duplicates(boards: &[Named]) -> Result<(), Failure> {
    let mut seen = HashMap::new();
    for board in boards {
        let key = board.target.key(board.target.host.to_ascii_lowercase());
        if let Some(first) = seen.insert(key, board) {
            return Err(twice(first, board));
        }
    }
    Ok(())
}

fn twice(first: &Named, second: &Named) -> Failure {
    let what = match first.target == second.target {
        true => format!("{} is named twice", first.target),
        false => format!("{} and {} are one board", first.target, second.target),
    };
    let origins = match first.origin == second.origin {
        true => format!("by {}", first.origin),
        false => format!("by {} and by {}", first.origin, second.origin),
    };
    Failure::new(Exit::Usage, format!("{what}, {origins}"))
        .help("name each board once: a board takes one transfer at a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<String>, String> {
        parse(text, "boards.txt")
            .map(|boards| boards.iter().map(|b| b.target.to_string()).collect())
            .map_err(|failure| failure.message)
    }

    #[test]
    fn a_file_names_a_board_per_line_with_comments() {
        let text = "\u{feff}# rack 1\r\n192.168.0.10\r\n\n  board-7:6969  # by the door\nhttp://192.168.0.12\ntftp://c";
        assert_eq!(
            shown(text).unwrap(),
            [
                "192.168.0.10 (tftp)",
                "board-7:6969 (tftp)",
                "192.168.0.12 (http)",
                "c (tftp)"
            ]
        );
        assert_eq!(shown("# nobody\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_line() {
        for (text, expected) in [
            ("a\n\nb:0\n", "boards.txt:3: \"b:0\": \"0\" is no port"),
            (
                "192.168.0.1 192.168.0.2",
                "boards.txt:1: \"192.168.0.1 192.168.0.2\": HOST",
            ),
            ("ftp://a", "boards.txt:1: \"ftp://a\": ftp:// is not known"),
            ("http://a/", "boards.txt:1: \"http://a/\": HOST"),
        ] {
            let message = shown(text).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_password_in_a_file_is_not_shown() {
        for text in ["http://admin:geheim@a", "admin:geheim@a:80", "geheim@a"] {
            let message = shown(text).unwrap_err();
            assert!(message.starts_with("boards.txt:1: "), "{message}");
            assert!(!message.contains("geheim"), "{message}");
        }
    }

    #[test]
    fn a_board_is_named_once() {
        let message = |text: &str| {
            let boards = parse(text, "f").unwrap();
            refuse_duplicates(&boards).map_err(|failure| failure.message)
        };
        assert_eq!(
            message("a\nb\nA:69\n"),
            Err("a (tftp) and A (tftp) are one board, by f:1 and by f:3".into())
        );
        assert_eq!(
            message("a:7\na:7\n"),
            Err("a:7 (tftp) is named twice, by f:1 and by f:2".into())
        );
        assert_eq!(
            message("a\nhttp://a\n"),
            Err("a (tftp) and a (http) are one board, by f:1 and by f:2".into())
        );
        assert_eq!(
            message("a:7\na:8\nhttp://a:9\na\n"),
            Ok(()),
            "ports may be forwarded"
        );
    }
}
