//! What comes in between: a second tab, a reload, a closed browser, an ended session, a board that has gone to its application.

use std::path::PathBuf;

use fantoccini::wd::WindowHandle;
use iap_sim::board::{AfterStart, Reset};
use iap_sim::sim::SimOptions;

use crate::browser::{Browser, DESK, Kind};
use crate::desk::{Desk, LARGE, MIDDLE, RESET, UPLOAD, focused};

/// Opens the board's page in a second tab and goes there; the first one.
async fn second_tab(browser: &Browser, desk: &Desk) -> WindowHandle {
    let first = browser.client.window().await.unwrap();
    let second = browser.client.new_window(true).await.unwrap().handle;
    browser.client.switch_to_window(second).await.unwrap();
    browser.client.goto(&desk.url()).await.unwrap();
    first
}

/// Begins an upload that takes long, and waits until the board is at it; a file to upload after that, and its payload.
async fn in_the_middle(browser: &Browser, desk: &Desk) -> (PathBuf, Vec<u8>) {
    let file = desk.file("app.iap", &desk.wrapped("sim", &desk.payload(2, LARGE)));
    let payload = desk.payload(3, MIDDLE);
    let next = desk.file("again.iap", &desk.wrapped("sim", &payload));
    desk.upload(browser, &file).await;
    browser.reads("#note", "programming sector").await;
    (next, payload)
}

pub(crate) async fn a_second_tab_sees_who_is_updating_and_is_refused_with_a_sentence(kind: Kind) {
    let Some((browser, desk)) = Desk::logged_in(kind).await else {
        return;
    };
    let payload = desk.payload(2, LARGE);
    let file = desk.file("app.iap", &desk.wrapped("sim", &payload));
    let small = desk.file("small.bin", &desk.payload(3, 5000));
    desk.upload(&browser, &file).await;
    browser.reads("#note", "programming sector").await;

    let first = second_tab(&browser, &desk).await;
    let row = browser.reads("#state", "http from 192.168.0.").await;
    assert!(
        row.contains("900,512") || row.contains("of 900512 bytes"),
        "{row}"
    );
    browser.shown("#state progress").await;
    let mark = "document.title = 'mark'";
    browser.client.execute(mark, vec![]).await.unwrap();
    browser.reads("#state", "bytes, programming").await;
    browser.shoot("second-tab").await;
    desk.upload(&browser, &small).await;
    browser
        .reads("#note", "an update is in progress (http from 192.168.0.")
        .await;
    browser.shoot("second-tab-refused").await;
    let title = browser.client.title().await.unwrap();
    assert_eq!(title, "mark", "the page was not loaded again");

    browser.client.switch_to_window(first).await.unwrap();
    desk.expect_installed(&browser, "2.0.0", &payload).await;
}

pub(crate) async fn a_reload_in_the_middle_frees_the_board_and_the_upload_can_be_repeated(
    kind: Kind,
) {
    let Some((browser, desk)) = Desk::logged_in(kind).await else {
        return;
    };
    let (again, payload) = in_the_middle(&browser, &desk).await;
    browser.client.refresh().await.unwrap();
    browser.shown("#file").await;
    if desk.ended(kind) {
        browser.reads("#state", "the client gave up").await;
    }
    browser.shoot("reloaded").await;
    desk.upload(&browser, &again).await;
    desk.expect_installed(&browser, "3.0.0", &payload).await;
}

pub(crate) async fn a_browser_closed_in_the_middle_frees_the_board(kind: Kind) {
    let Some((browser, desk)) = Desk::logged_in(kind).await else {
        return;
    };
    let (again, payload) = in_the_middle(&browser, &desk).await;
    drop(browser);
    desk.ended(kind);

    let Some(browser) = Browser::start(kind, DESK).await else {
        return;
    };
    desk.log_in(&browser).await;
    desk.upload(&browser, &again).await;
    desk.expect_installed(&browser, "3.0.0", &payload).await;
}

pub(crate) async fn a_session_that_has_ended_is_told_and_the_login_comes_back(kind: Kind) {
    let Some((browser, desk)) = Desk::logged_in(kind).await else {
        return;
    };
    let file = desk.small_image();
    desk.choose(&browser, &file).await;
    browser.reads("#verdict", "Version 2.0.0").await;
    let first = second_tab(&browser, &desk).await;
    browser.click("form[action='/logout.cgi'] button").await;
    browser.shown("input[name=password]").await;

    browser.client.switch_to_window(first).await.unwrap();
    browser.click(UPLOAD).await;
    browser.reads("#note", "log in first").await;
    browser.shown("input[name=password]").await;
    browser.shoot("session-ended").await;
    assert_eq!(focused(&browser).await, "username");

    // The same when it is a reset.
    desk.log_in(&browser).await;
    browser.client.delete_all_cookies().await.unwrap();
    browser.click(RESET).await;
    browser.reads("#note", "log in first").await;
    browser.shown("input[name=password]").await;
}

pub(crate) async fn a_board_that_runs_its_application_is_said_to_and_found_when_it_is_back(
    kind: Kind,
) {
    let Some(browser) = Browser::start(kind, DESK).await else {
        return;
    };
    let desk = Desk::with(SimOptions {
        after_start: AfterStart::Run,
        ..SimOptions::new("sim").unwrap()
    });
    desk.log_in(&browser).await;
    let file = desk.small_image();
    desk.upload(&browser, &file).await;
    browser.reads("#note", "In flash and verified").await;
    browser.click(RESET).await;
    browser
        .reads("#note", "version 2.0.0 should be running")
        .await;
    browser.shoot("application-runs").await;
    let key = Reset::with_key("with the IAP key held");
    desk.sim.remote().reset(key);
    browser.reads("#note", "Installed: version 2.0.0").await;
    browser.shown("input[name=password]").await;
}
