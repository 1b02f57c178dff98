//! `multipart/form-data` (RFC 7578, RFC 2046 section 5.1) as a stream: finds the one file in it and hands its bytes to the intake.
//!
//! ```text
//!  Content ──CRLF--boundary──> Delimiter ──CRLF──> Headers ──empty line──> Content
//!     ^ (preamble, file, other field, epilogue)        |──"--"──> Closed ──CRLF──> Content (epilogue)
//! ```
//!
//! Nothing is buffered but a header line: bytes held back while they may belong to a boundary are always a prefix of it, so they are
//! given out from the boundary itself when they turn out to be content. No byte of a boundary reaches the intake, and nothing is
//! finished before the closing boundary has come.

use heapless::Vec;
use iap_protocol::ErrorCode;
use iap_protocol::error::{Refusal, Refused};
use iap_protocol::http::{FIELD_FILE, MAX_BOUNDARY_LEN};
use iap_protocol::packed;

use super::parser::{Lines, field};
use super::text::{Buffer, Parameters, unquoted};
use crate::intake::{Intake, Ticket};

/// CRLF, two dashes, the boundary, and one byte behind it that does not decide yet.
const DELIMITER_LEN: usize = 4 + MAX_BOUNDARY_LEN + 1;

/// What is expected next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Bytes up to a delimiter.
    Content,
    /// Just behind a delimiter: `--`, or the end of its line.
    Delimiter,
    /// White space behind a delimiter, up to the end of its line.
    Padding,
    /// Lines up to an empty one.
    Headers,
    /// Just behind the closing delimiter: the end, or the end of its line.
    Closed,
}

/// What content belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// What stands before the first delimiter, and fields that are no file.
    Ignored,
    /// A file without a name, which is what browsers send when none was chosen: it counts when it has content.
    Unnamed,
    File,
    /// What stands behind the closing delimiter.
    Epilogue,
}

/// The state of one body.
pub(super) struct Multipart {
    delimiter: Vec<u8, DELIMITER_LEN>,
    /// Length of the delimiter without its last, undecided byte.
    whole: usize,
    /// How much of the delimiter has been seen.
    matched: usize,
    /// How much of `matched` is not content even if no delimiter follows: the line end before a body's or a part's first byte.
    leading: usize,
    /// The part of the delimiter that turned out to be content and has to be given out.
    owed: core::ops::Range<usize>,
    state: State,
    part: Part,
    lines: Lines,
    has_file: bool,
}

impl Multipart {
    /// A body with this boundary.
    pub(super) fn new(boundary: &[u8]) -> Self {
        let mut delimiter = Vec::new();
        // Cannot fail: the boundary is at most MAX_BOUNDARY_LEN long.
        let _ = delimiter.extend_from_slice(b"\r\n--");
        let _ = delimiter.extend_from_slice(boundary);
        Self {
            whole: delimiter.len(),
            delimiter,
            matched: 2,
            leading: 2,
            owed: 0..0,
            state: State::Content,
            part: Part::Ignored,
            lines: Lines::default(),
            has_file: false,
        }
    }

    /// Takes bytes of the body, of which `left` are to come with these, as many as the intake has room for; how many were used.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        left: u32,
        line: &mut Buffer,
        intake: &mut dyn Intake,
        ticket: Ticket,
        why: &mut Refusal,
    ) -> Result<usize, Refused> {
        let mut rest = bytes;
        while self.settle(intake, ticket, why)? && !rest.is_empty() {
            let used = match self.state {
                State::Content => self.content(rest, intake, ticket, why)?,
                State::Headers => {
                    let used = self.header(rest, line).map_err(|code| why.refuse(code))?;
                    if self.state == State::Content && self.part != Part::Ignored {
                        // Behind the file there are at least the delimiter and two dashes.
                        let so_far = bytes.len().wrapping_sub(rest.len()).wrapping_add(used);
                        let around = so_far.wrapping_add(self.whole).wrapping_add(2);
                        intake.bound(ticket, left.saturating_sub(around as u32));
                    }
                    Some(used)
                }
                _ => Some(self.after_delimiter(rest, why)?),
            };
            let Some(used) = used else { break };
            rest = rest.get(used..).unwrap_or_default();
        }
        Ok(bytes.len().wrapping_sub(rest.len()))
    }

    /// Whether the body, now ended, was a complete form with one file.
    pub(super) fn finish(&self) -> Result<(), ErrorCode> {
        match (self.state, self.part) {
            (State::Closed, _) | (State::Content, Part::Epilogue) if self.has_file => Ok(()),
            (State::Closed, _) | (State::Content, Part::Epilogue) => Err(ErrorCode::NoFile),
            _ => Err(ErrorCode::Truncated),
        }
    }

    /// Gives out content that had been held back; whether all of it is gone.
    fn settle(
        &mut self,
        intake: &mut dyn Intake,
        ticket: Ticket,
        why: &mut Refusal,
    ) -> Result<bool, Refused> {
        let owed = self.delimiter.get(self.owed.clone()).unwrap_or_default();
        let given = give(
            &mut self.part,
            &mut self.has_file,
            owed,
            intake,
            ticket,
            why,
        )?;
        self.owed.start = self.owed.start.wrapping_add(given);
        Ok(self.owed.is_empty())
    }

    /// Takes content; `None` where the intake has no room.
    fn content(
        &mut self,
        rest: &[u8],
        intake: &mut dyn Intake,
        ticket: Ticket,
        why: &mut Refusal,
    ) -> Result<Option<usize>, Refused> {
        let next = rest.first();
        if self.delimiter.get(self.matched) == next {
            self.matched = self.matched.wrapping_add(1);
            if self.matched == self.whole {
                self.delimiter.truncate(self.whole);
                self.state = State::Delimiter;
            }
            return Ok(Some(1));
        }
        if self.matched > 0 {
            self.mismatch();
            return Ok(Some(0));
        }
        // The boundary holds no CR, so a delimiter can begin at a CR only.
        let run = rest.iter().position(|&byte| byte == b'\r');
        let run = rest.get(..run.unwrap_or(rest.len())).unwrap_or_default();
        let given = give(&mut self.part, &mut self.has_file, run, intake, ticket, why)?;
        Ok((given > 0).then_some(given))
    }

    /// What looked like a delimiter is content, from its first byte on.
    fn mismatch(&mut self) {
        self.owed = self.leading..self.matched;
        self.leading = 0;
        self.matched = 0;
        self.state = State::Content;
    }

    fn after_delimiter(&mut self, rest: &[u8], why: &mut Refusal) -> Result<usize, Refused> {
        let byte = rest.first().copied().unwrap_or_default();
        let undecided = self.delimiter.get(self.whole).copied();
        match (self.state, undecided, byte) {
            (State::Delimiter, None, b'-' | b'\r') => {
                // Cannot fail: the last byte of the delimiter is kept free for this.
                let _ = self.delimiter.push(byte);
                self.matched = self.matched.wrapping_add(1);
                return Ok(1);
            }
            (State::Delimiter, None, b' ' | b'\t') => self.state = State::Padding,
            (State::Delimiter, Some(b'-'), b'-') if self.part != Part::Epilogue => {
                self.state = State::Closed;
            }
            (State::Delimiter, Some(b'\r'), b'\n') | (State::Padding, _, b'\n') => {
                self.begin_headers(why)?
            }
            (State::Closed, _, b'\n') => self.begin_content(Part::Epilogue),
            (State::Padding | State::Closed, _, b' ' | b'\t' | b'\r') => {}
            (State::Delimiter, ..) if self.part != Part::Epilogue => {
                self.mismatch();
                return Ok(0);
            }
            _ => return Err(malformed(packed!("text behind a boundary"), why)),
        }
        self.delimiter.truncate(self.whole);
        Ok(1)
    }

    fn begin_headers(&mut self, why: &mut Refusal) -> Result<(), Refused> {
        if self.part == Part::Epilogue {
            return Err(malformed(
                packed!("a part behind the closing boundary"),
                why,
            ));
        }
        self.lines = Lines::default();
        self.part = Part::Ignored;
        self.state = State::Headers;
        Ok(())
    }

    fn begin_content(&mut self, part: Part) {
        self.part = part;
        self.state = State::Content;
        // The line end that has just been read may be the delimiter's own (a part without a body).
        (self.matched, self.leading) = (2, 2);
    }

    fn header(&mut self, rest: &[u8], line: &mut Buffer) -> Result<usize, ErrorCode> {
        let (used, complete) = self.lines.take(rest, line)?;
        if !complete {
            return Ok(used);
        }
        let cut = self.lines.next();
        if line.is_empty() {
            if self.part == Part::File {
                only_file(&mut self.has_file)?;
            }
            self.begin_content(self.part);
            return Ok(used);
        }
        let (name, value) = field(line)?;
        if name == b"content-disposition" {
            if cut {
                return Err(ErrorCode::HeadersTooLarge);
            }
            self.part = part(value);
        }
        line.clear();
        Ok(used)
    }
}

/// Hands content over; how much of it is done with.
fn give(
    part: &mut Part,
    has_file: &mut bool,
    content: &[u8],
    intake: &mut dyn Intake,
    ticket: Ticket,
    why: &mut Refusal,
) -> Result<usize, Refused> {
    if content.is_empty() || matches!(part, Part::Ignored | Part::Epilogue) {
        return Ok(content.len());
    }
    if *part == Part::Unnamed {
        only_file(has_file).map_err(|code| why.refuse(code))?;
        *part = Part::File;
    }
    let fitting = content.get(..intake.room()).unwrap_or(content);
    if !fitting.is_empty() {
        intake.accept(ticket, fitting, why)?;
    }
    Ok(fitting.len())
}

/// Notes that the form has a file, which it must not have had before.
fn only_file(has_file: &mut bool) -> Result<(), ErrorCode> {
    match core::mem::replace(has_file, true) {
        false => Ok(()),
        true => Err(ErrorCode::SeveralFiles),
    }
}

/// What a part's Content-Disposition says it is.
#[inline(never)]
fn part(disposition: &[u8]) -> Part {
    let mut part = Part::Ignored;
    for (name, value) in Parameters::of(disposition).1 {
        // RFC 7578 section 4.2 forbids filename*, and clients send it.
        if name.eq_ignore_ascii_case(b"filename") || name.eq_ignore_ascii_case(b"filename*") {
            let named = part == Part::File || unquoted(value).next().is_some();
            part = if named { Part::File } else { Part::Unnamed };
        } else if name.eq_ignore_ascii_case(b"name")
            && part == Part::Ignored
            && unquoted(value).eq(FIELD_FILE.bytes())
        {
            part = Part::Unnamed;
        }
    }
    part
}

fn malformed(what: &[u8], why: &mut Refusal) -> Refused {
    why.refuse_with(ErrorCode::BadRequest, what, &[])
}
