//! What a push did to a board, as it says itself.

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::board::reset::AfterReset;
use crate::board::update::Done;
use crate::output::{Human, Paint};

#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    /// Version the board says it holds.
    version: String,
    /// None if the board was reset since and does not know any more.
    sectors_written: Option<u8>,
    sectors_unchanged: Option<u8>,
    bytes: u64,
    time_ms: u64,
    /// TFTP blocks that were sent more than once.
    repeated_blocks: u64,
    /// The transfer was cut off; the board's status alone proves the update.
    cut_off: bool,
    /// What became of a reset that was asked for.
    pub(super) reset: Option<AfterReset>,
}

impl Outcome {
    pub(super) fn new(done: &Done) -> Self {
        let (application, update) = (&done.status.application, &done.status.update);
        let sent = done.sent.unwrap_or_default();
        Self {
            version: (application.as_ref())
                .map(|application| application.version.to_string())
                .unwrap_or_default(),
            sectors_written: update.as_ref().map(|update| update.sectors_written),
            sectors_unchanged: update.as_ref().map(|update| update.sectors_skipped),
            bytes: sent.bytes,
            time_ms: u64::try_from(done.time.as_millis()).unwrap_or(u64::MAX),
            repeated_blocks: sent.repeated_blocks,
            cut_off: done.sent.is_none(),
            reset: None,
        }
    }
}

impl Outcome {
    /// `version 1.0.0, 1 sector written, 0 unchanged (1.3 s)`
    fn committed(&self) -> String {
        let seconds = Duration::from_millis(self.time_ms).as_secs_f64();
        let mut text = format!("version {}", self.version);
        if let (Some(written), Some(unchanged)) = (self.sectors_written, self.sectors_unchanged) {
            let sectors = if written == 1 { "sector" } else { "sectors" };
            text += &format!(", {written} {sectors} written, {unchanged} unchanged");
        }
        format!("{text} ({seconds:.1} s)")
    }

    pub(super) fn line(&self) -> String {
        let cut_off = self.cut_off.then(|| CUT_OFF.to_owned());
        let reset = self.reset.as_ref().map(ToString::to_string);
        let parts = [Some(self.committed()), cut_off, reset];
        parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

const CUT_OFF: &str = "the transfer was cut off, but the board's status proves the update";

impl Human for Outcome {
    fn human(&self, f: &mut dyn io::Write, paint: Paint) -> io::Result<()> {
        writeln!(f, "  {}: {}", paint.good("committed"), self.committed())?;
        if self.cut_off {
            writeln!(f, "  {CUT_OFF}")?;
        }
        match &self.reset {
            Some(reset) => writeln!(f, "  {reset}"),
            None => Ok(()),
        }
    }
}
