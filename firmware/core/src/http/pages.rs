//! The pages for a person with a browser: AN3968's flow of login, upload, result and reset, plain HTML that needs no script.
//!
//! The markup stands in `pages/`; `build.rs` makes it one line and compresses style and script, which browsers keep. Texts are ASCII
//! without characters that HTML would escape: the profile, the error sentences and [`Writer::plain`] guarantee it.
//!
//! A page ends in one of a few texts that never change, the forms: they are sent from flash and take no room in a connection's buffer.

use iap_protocol::packed;
use iap_protocol::status::{ApplicationView, Phase, Policy, UpdateView, View};
use iap_protocol::text::Writer;

use super::Context;
use super::answer::Answer;

macro_rules! page {
    ($name:literal) => {
        include_str!(concat!(env!("OUT_DIR"), "/", $name, ".html"))
    };
}

const START: &[u8] = packed!(page!("start"));
const STATE: &[u8] = packed!(page!("state"));
const ROWS: &[u8] = packed!(page!("rows"));
const LOGIN: &str = page!("login");
const ACTIONS: &str = page!("actions");
/// The board resets; a browser without scripts comes back by itself.
const FAREWELL: &str = "<meta http-equiv=refresh content=\"5;url=/\">";

/// Style and script, compressed with gzip, which every browser understands.
pub(super) const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/iap.css.gz"));
pub(super) const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/iap.js.gz"));

const NO_APPLICATION: &[u8] = packed!("<dt>Application<dd>none");
const BARE: &[u8] = packed!("<dt>Application<dd>unknown, not installed by this firmware");
const APPLICATION: &[u8] = packed!("<dt>Application<dd>{t}<dt>CRC-32<dd>{x}, {d} bytes");
const LAST_ERROR: &[u8] = packed!("<dt>Last error<dd class=bad>");
const UPDATE: &[u8] = packed!(
    "<dt id=update>Update<dd>{t} from {a}: {d} of {d} bytes, {t}\
<progress aria-label=Update value={d} max={d}></progress><noscript><meta http-equiv=refresh content=\"2;url=/\"></noscript>"
);
const DEFAULT_LOGIN: &[u8] =
    packed!("<p class=warn>User and password are the well-known defaults.");
const OPEN: &[u8] =
    packed!("<p class=warn>Policy open: anybody in this network can install any image over TFTP.");
const SIGNED: &[u8] = packed!("<p>It takes signed images only.");

/// All that is stored for a browser.
#[cfg(test)]
pub(super) const STORED: [&[u8]; 16] = [
    START,
    STATE,
    ROWS,
    LOGIN.as_bytes(),
    ACTIONS.as_bytes(),
    FAREWELL.as_bytes(),
    STYLE,
    SCRIPT,
    NO_APPLICATION,
    BARE,
    APPLICATION,
    LAST_ERROR,
    UPDATE,
    DEFAULT_LOGIN,
    OPEN,
    SIGNED,
];

/// What the page tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Tone {
    /// As it is.
    #[default]
    Plain,
    Good,
    Bad,
}

/// What a page offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Page {
    /// The login form.
    #[default]
    Login,
    /// What somebody who has logged in may do: upload, reset, log out.
    Actions,
    /// The board resets: nothing more.
    Farewell,
}

impl Page {
    /// The end of the page.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Login => LOGIN,
            Self::Actions => ACTIONS,
            Self::Farewell => FAREWELL,
        }
    }
}

/// Writes a page with the sentence of `answer`, up to its [`Page::end`].
pub(super) fn write(out: &mut Writer<'_>, tone: Tone, answer: &Answer<'_>, context: &Context<'_>) {
    context.intake.show(&context.report, &mut |view| {
        let board = view.board.as_bytes();
        out.fill(START, &[], &[board, board, view.iap_version.as_bytes()]);
        out.text(match tone {
            Tone::Plain => b"plain>",
            Tone::Good => b"good>",
            Tone::Bad => b"bad>",
        });
        answer.say(out);
        out.text(STATE);
        application(out, view.application.as_ref());
        rows(out, view, context);
        if let Some(refusal) = view.last_error {
            out.text(LAST_ERROR);
            refusal.write(out);
        }
        if let Some(update) = view.update.as_ref().filter(|_| is_running(view.phase)) {
            running(out, update, view.phase);
        }
        out.text(b"</dl>");
        warnings(out, view);
    });
}

fn application(out: &mut Writer<'_>, found: Option<&ApplicationView<'_>>) {
    match found {
        None => out.text(NO_APPLICATION),
        Some(application) if application.region.len == 0 => out.text(BARE),
        Some(application) => {
            let mut text = [0; 48];
            let mut version = Writer::new(&mut text);
            application.version.write(&mut version);
            let numbers = [application.crc32, application.region.len];
            out.fill(APPLICATION, &numbers, &[version.into_written()]);
        }
    }
}

fn rows(out: &mut Writer<'_>, view: &View<'_>, context: &Context<'_>) {
    let uptime_s = view.uptime_ms / 1000;
    let numbers = [
        context.address.to_bits(),
        uptime_s / 3600,
        uptime_s / 60 % 60,
        uptime_s % 60,
    ];
    let texts = [view.iap_reason.name(), view.policy.name()];
    out.fill(ROWS, &numbers, &texts.map(str::as_bytes));
}

fn is_running(phase: Phase) -> bool {
    !matches!(phase, Phase::Idle | Phase::Committed | Phase::Failed)
}

fn running(out: &mut Writer<'_>, update: &UpdateView, phase: Phase) {
    let (received, total) = (update.received, update.total.max(update.received));
    let numbers = [update.peer, received, total, received, total];
    let texts = [update.transport, phase.name()];
    out.fill(UPDATE, &numbers, &texts.map(str::as_bytes));
}

fn warnings(out: &mut Writer<'_>, view: &View<'_>) {
    if view.default_password {
        out.text(DEFAULT_LOGIN);
    }
    match view.policy {
        Policy::Open => out.text(OPEN),
        Policy::Signed => out.text(SIGNED),
        Policy::Login => {}
    }
}
