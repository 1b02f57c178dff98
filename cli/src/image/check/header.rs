//! What the image says about itself: version, board, flags, and whether its numbers are right.

use iap_protocol::header::{ANY_BOARD, Flags, ImageHeader, PayloadDigest};

use super::super::finding::Finding;
use super::super::{Format, Image};
use super::{Target, error, note, ok};

/// All checks of this file.
pub(super) fn check(image: &Image, header: &ImageHeader, target: &Target) -> Vec<Finding> {
    let mut findings = vec![board(header, target), version(image, header)];
    if header.flags.contains(Flags::CONFIRM) {
        let what = "flag CONFIRM: the application must call confirm() after each start, or the board stays in IAP mode after the third start without it";
        findings.push(note("confirm", what));
    }
    if image.format == Format::Iap {
        findings.extend(integrity(image, header));
    }
    findings
}

fn board(header: &ImageHeader, target: &Target) -> Finding {
    let (image, board) = (header.board.as_str(), target.board);
    if image == board {
        return ok("board", format!("made for board {board}"));
    }
    if image == ANY_BOARD {
        return ok("board", format!("made for any board, {board} included"));
    }
    error("board", format!("made for board {image}, this is board {board}"))
        .why("pins, clocks and the Ethernet interface differ between boards; the board compares the id with its own and refuses the image")
        .mend_c("set the board in the application's .iap_info, or convert with --board, or name the right profile with --profile")
        .mend_rust("set the board in ImageInfo::encode(), or convert with --board, or name the right profile with --profile")
}

fn version(image: &Image, header: &ImageHeader) -> Finding {
    let version = &header.version;
    if !version.is_unknown() {
        return ok("version", format!("application version {version}"));
    }
    let why = if image.info.is_some() {
        "its .iap_info says so"
    } else {
        "no .iap_info in it, and no --version given"
    };
    note("version", format!("application version {version}: {why}"))
}

fn integrity(image: &Image, header: &ImageHeader) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A payload that does not match is a finding of the reader already.
    if image.findings.is_empty() {
        let digest = match header.digest {
            PayloadDigest::Sha256(_) => ", SHA-256",
            PayloadDigest::None => "",
        };
        let what = format!("header CRC-32, payload size, CRC-32{digest} and sector CRCs are right");
        findings.push(ok("integrity", what));
    }
    findings
}
