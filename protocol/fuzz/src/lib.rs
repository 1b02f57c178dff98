//! What the fuzz targets of this crate do with their bytes. The corpora are replayed through the same functions by
//! `tests/fuzz_corpus.rs`, which includes this file, so that target and test cannot drift apart.
#![allow(unreachable_pub)] // public in the fuzz crate, private in the test

use iap_protocol::crc::crc32;
use iap_protocol::header::{
    CURRENT_FORMAT_VERSION, HEADER_LEN, ImageHeader, MAGIC, PREFIX_LEN, PREFIX_MAGIC, Prefix,
};
use iap_protocol::info::ImageInfo;
use iap_protocol::record::{ENTRY_BODY_LEN, ENTRY_LEN, Entry, SectorHeader, Slot};
use iap_protocol::tftp::{MAX_BLOCK_SIZE, Packet};

/// A header as it came, and the same bytes with magic, format, size and CRC put right, so that its fields are reached. What is
/// accepted reads back as it was written.
pub fn image_header(bytes: &[u8]) {
    check_header(bytes);
    if let Some(mended) = mended::<HEADER_LEN>(bytes, MAGIC, CURRENT_FORMAT_VERSION) {
        check_header(&mended);
    }
    if let Some(mended) = mended::<PREFIX_LEN>(bytes, PREFIX_MAGIC, 1) {
        check_prefix(&mended);
    }
    let _ = ImageInfo::find(bytes);
    check_record(bytes);
}

fn check_header(bytes: &[u8]) {
    let _ = Prefix::decode(bytes);
    let recorded = ImageHeader::decode_recorded(bytes);
    if let Ok(header) = ImageHeader::decode(bytes) {
        assert_eq!(
            recorded,
            Ok(header),
            "what the wire may say, the record may"
        );
    }
    if let Ok(header) = recorded {
        assert_eq!(header.encode()[..], bytes[..HEADER_LEN]);
    }
}

fn check_prefix(bytes: &[u8; PREFIX_LEN]) {
    if let Ok(prefix) = Prefix::decode(bytes) {
        assert_eq!(prefix.encode(), *bytes);
    }
}

/// Record sector headers and log slots, the latter with their CRC put right, too.
fn check_record(bytes: &[u8]) {
    let _ = SectorHeader::decode(bytes);
    let Some(slot) = bytes.first_chunk::<ENTRY_LEN>() else {
        return;
    };
    let _ = Entry::decode(slot);
    let mut mended = *slot;
    let crc = crc32(&mended[..24]).to_le_bytes();
    mended[24..ENTRY_BODY_LEN].copy_from_slice(&crc);
    if let Slot::Valid(entry, seal) = Entry::decode(&mended) {
        let mut again = mended;
        again[..ENTRY_BODY_LEN].copy_from_slice(&entry.encode());
        assert_eq!(Entry::decode(&again), Slot::Valid(entry, seal));
    }
}

/// The first `N` bytes with what every format checks before its fields put right.
fn mended<const N: usize>(bytes: &[u8], magic: [u8; 4], version: u16) -> Option<[u8; N]> {
    let mut bytes: [u8; N] = *bytes.first_chunk()?;
    bytes[..4].copy_from_slice(&magic);
    bytes[4..6].copy_from_slice(&version.to_le_bytes());
    bytes[6..8].copy_from_slice(&(N as u16).to_le_bytes());
    let crc = crc32(&bytes[..N - 4]).to_le_bytes();
    bytes[N - 4..].copy_from_slice(&crc);
    Some(bytes)
}

/// A datagram: what is understood and written again is understood as the same.
pub fn tftp_packet(bytes: &[u8]) {
    let Ok(packet) = Packet::decode(bytes) else {
        return;
    };
    let mut again = [0; 4 + MAX_BLOCK_SIZE as usize];
    // An ERROR text is cut to the buffer, and a payload may be longer than we would send.
    if bytes.len() < again.len()
        && let Some(len) = packet.encode(&mut again)
    {
        assert_eq!(Packet::decode(&again[..len]), Ok(packet));
    }
}
