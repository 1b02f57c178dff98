//! A pcap file of the frames on the wire, for Wireshark and tcpdump (format: pcap-savefile(5), microseconds, LINKTYPE_ETHERNET).

use std::io::{self, Write};

use smoltcp::time::Instant;

use super::MAX_FRAME_LEN;

const MAGIC: u32 = 0xA1B2_C3D4;
const VERSION: (u16, u16) = (2, 4);
const LINKTYPE_ETHERNET: u32 = 1;

pub(super) struct Writer(Option<Box<dyn Write + Send>>);

impl Writer {
    pub(super) fn new(mut output: Box<dyn Write + Send>) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC.to_le_bytes());
        header.extend(VERSION.0.to_le_bytes());
        header.extend(VERSION.1.to_le_bytes());
        header.extend([0; 8]); // time zone and accuracy: always 0
        header.extend((MAX_FRAME_LEN as u32).to_le_bytes());
        header.extend(LINKTYPE_ETHERNET.to_le_bytes());
        output.write_all(&header)?;
        Ok(Self(Some(output)))
    }

    /// Writes a frame. A failing output ends the capture: it must not end the run that is watched.
    pub(super) fn frame(&mut self, at: Instant, frame: &[u8]) {
        let Some(output) = &mut self.0 else { return };
        let mut record = Vec::with_capacity(16 + frame.len());
        let micros = at.total_micros().max(0) as u64;
        let len = frame.len() as u32;
        for word in [
            (micros / 1_000_000) as u32,
            (micros % 1_000_000) as u32,
            len,
            len,
        ] {
            record.extend(word.to_le_bytes());
        }
        record.extend(frame);
        if output
            .write_all(&record)
            .and_then(|()| output.flush())
            .is_err()
        {
            self.0 = None;
        }
    }
}
