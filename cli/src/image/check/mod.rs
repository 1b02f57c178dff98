//! The checks of `verify-image`: would this application start on this board, and would the board take it.
//!
//! Every check runs, whatever the others found, and each fault comes with its reason and its remedy. The board repeats what it can
//! check itself (vector table, addresses, CRCs); these checks explain it before anything is sent.

mod header;
mod placement;
mod signature;
mod vectors;
mod vtor;

use iap_profile::{BootCheck, IapSettings, PublicKey};
use iap_protocol::header::ImageHeader;
use iap_protocol::memory::MemoryMap;
use iap_protocol::status::Policy;

use super::Image;
use super::finding::{Finding, Severity};
use crate::failure::{Exit, Failure};

/// The board an image is judged for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its flash and RAM.
    pub map: &'a MemoryMap,
    /// Its board id.
    pub board: &'a str,
    /// Whose images it takes.
    pub trust: Trust<'a>,
}

/// Whose images a board takes.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// Who may install what.
    pub policy: Policy,
    /// Its public keys, by key id.
    pub keys: &'a [PublicKey],
    /// The lowest security counter it takes from new.
    pub security_counter: u32,
    /// Whether each start checks the signature again (`boot-check`).
    pub signature_at_start: bool,
    /// A key to check with instead of the board's.
    pub key: Option<PublicKey>,
}

impl<'a> Trust<'a> {
    /// A board that takes everything.
    pub const OPEN: Self = Self {
        policy: Policy::Open,
        keys: &[],
        security_counter: 0,
        signature_at_start: false,
        key: None,
    };

    /// What a profile says.
    pub fn of(iap: &'a IapSettings) -> Self {
        Self {
            policy: iap.policy,
            keys: &iap.public_keys,
            security_counter: iap.security_counter,
            signature_at_start: iap.boot_check == BootCheck::Signature,
            key: None,
        }
    }
}

/// Everything there is to say about `image` with `header` on `target`, the worst first.
pub fn judge(image: &Image, header: &ImageHeader, target: &Target) -> Vec<Finding> {
    let mut findings = image.findings.clone();
    findings.extend(placement::check(image, header, target));
    findings.extend(vectors::check(image, target.map));
    findings.extend(vtor::check(image, target.map));
    findings.extend(header::check(image, header, target));
    findings.extend(signature::check(image, header, target));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// The findings that are errors, as a failure that shows them all; for commands that go no further with a bad image.
pub fn require_good(file: &str, findings: &[Finding], target: &Target) -> Result<(), Failure> {
    let errors: Vec<Finding> = (findings.iter())
        .filter(|finding| finding.severity >= Severity::Error)
        .cloned()
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    let message = format!("{file} would not start on board {}", target.board);
    Err(Failure {
        findings: errors,
        ..Failure::new(Exit::BadImage, message)
    })
}

fn ok(check: &'static str, what: impl Into<String>) -> Finding {
    Finding::new(Severity::Ok, check, what)
}

fn note(check: &'static str, what: impl Into<String>) -> Finding {
    Finding::new(Severity::Note, check, what)
}

fn warning(check: &'static str, what: impl Into<String>) -> Finding {
    Finding::new(Severity::Warning, check, what)
}

fn error(check: &'static str, what: impl Into<String>) -> Finding {
    Finding::new(Severity::Error, check, what)
}
