//! The pages for a person with a browser: AN3968's flow of login, upload, result and reset, plain and small.
//!
//! Texts are ASCII without characters that HTML would escape: the profile and the error sentences guarantee it.

use iap_protocol::http::{DEFAULT_PASSWORD, DEFAULT_USER};
use iap_protocol::status::Policy;
use iap_protocol::text::Writer;

use super::Context;
use super::text::{Buffer, put};

/// What a page offers below its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Page {
    /// The login form.
    Login,
    /// The upload form, log-out, and what the user should know before.
    Upload,
    /// The reset button.
    Reset,
    /// An image was installed: the reset button.
    Done,
    /// The board resets: nothing more.
    Farewell,
    /// The way back.
    #[default]
    Back,
}

const START: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width\"><title>IAP</title><h1>";
const LOGIN: &str = "<h2>Login</h2><form action=/checklogin.cgi method=post>\
<p><label>User ID <input name=username autocomplete=username></label>\
<p><label>Password <input type=password name=password autocomplete=current-password></label>\
<p><button>Login</button></form>";
const UPLOAD: &str = "<form action=/upload.cgi enctype=multipart/form-data method=post>\
<p><label>Please specify a binary file to upload into flash: \
<input type=file name=datafile required></label>\
<p><button>Upload</button></form>\
<form action=/logout.cgi method=post><button>Log out</button></form>";
const RESET: &str =
    "<form action=/resetmcu.cgi method=post><button>RESET MCU</button></form><p><a href=/>Back</a>";
const DONE: &str = "<h2>File Upload Done!</h2>";
const FAREWELL: &str = "<h2>MCU Reset Done !</h2>";
const BACK: &str = "<p><a href=/>Back</a>";
const DEFAULT_LOGIN: &str = "<p>Warning: user and password are the well-known defaults.";
const OPEN: &str = "<p>Warning: policy open, anybody on this network can install an image over TFTP without login.";
const SIGNED: &str = "<p>This board takes signed images only.";

/// Appends a page with `text`.
pub(super) fn write(out: &mut Buffer, page: Page, text: &[u8], context: &Context<'_>) {
    let mut add = |text: &str| put(out, text.as_bytes());
    add(START);
    add(&context.config.board);
    add("</h1>");
    if !text.is_empty() {
        add("<p role=status>");
        put(out, text);
    }
    let mut add = |text: &str| put(out, text.as_bytes());
    match page {
        Page::Login => add(LOGIN),
        Page::Reset => add(RESET),
        Page::Done => {
            add(DONE);
            add(RESET);
        }
        Page::Farewell => add(FAREWELL),
        Page::Back => add(BACK),
        Page::Upload => {
            add("<p>Application: ");
            put_version(out, context);
            warnings(out, context);
            put(out, UPLOAD.as_bytes());
        }
    }
}

fn put_version(out: &mut Buffer, context: &Context<'_>) {
    let mut text = [0; 48];
    let mut writer = Writer::new(&mut text);
    (context.application)(&mut writer);
    match writer.into_written() {
        [] => put(out, b"none"),
        version => put(out, version),
    }
}

fn warnings(out: &mut Buffer, context: &Context<'_>) {
    let mut add = |text: &str| put(out, text.as_bytes());
    let config = context.config;
    if config.user == DEFAULT_USER && config.password == DEFAULT_PASSWORD {
        add(DEFAULT_LOGIN);
    }
    match config.policy {
        Policy::Open => add(OPEN),
        Policy::Signed => add(SIGNED),
        Policy::Login => {}
    }
}
