//! What a person does, and what the browser shows.

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use iap_sim::event::Event;

use crate::browser::{Browser, DESK, Kind, Options, PATIENCE, SMALLEST_WINDOW};
use crate::desk::{Desk, LARGE, MIDDLE, RESET, UPLOAD, focused};

/// As WebDriver names it.
const TAB: char = '\u{E004}';

pub(crate) async fn a_person_logs_in_uploads_and_resets_and_sees_the_new_version(kind: Kind) {
    let Some(browser) = Browser::start(kind, DESK).await else {
        return;
    };
    let desk = Desk::new();
    let payload = desk.payload(2, MIDDLE);
    let file = desk.file("app.iap", &desk.wrapped("sim", &payload));

    browser.client.goto(&desk.url()).await.unwrap();
    browser.type_in("input[name=username]", "user").await;
    browser
        .type_in("input[name=password]", "wrong\u{E007}")
        .await;
    browser.reads("#note", "wrong user or password").await;
    browser.shoot("wrong-password").await;
    tab_through(&browser, &["username", "password", "Log in"]).await;
    desk.log_in(&browser).await;
    browser.reads("#state", "no-application").await;
    browser.shoot("logged-in").await;
    let order = ["datafile", "Upload", "Reset the board", "Log out"];
    tab_through(&browser, &order).await;

    desk.choose(&browser, &file).await;
    browser
        .reads("#verdict", "Version 2.0.0 for board sim, 300,000 bytes")
        .await;
    browser.click(UPLOAD).await;
    browser.shown("#bar").await;
    browser.reads("#note", "Erasing").await;
    browser.reads("#note", "programming sector").await;
    browser.reads("#stage", "300,512 bytes: ").await;
    browser.shoot("uploading").await;
    let script = "return document.getElementById('bar').position";
    let position = browser.client.execute(script, vec![]).await.unwrap();
    let position = position.as_f64().unwrap();
    assert!(position > 0.0 && position < 1.0, "{position}");
    browser
        .reads("#note", "In flash and verified: version 2.0.0")
        .await;
    browser.reads("#state", "2.0.0").await;
    browser.shoot("done").await;
    desk.expect_in_flash(&payload);
    assert_eq!(focused(&browser).await, "Reset the board");

    browser.click(RESET).await;
    browser.reads("#note", "has restarted").await;
    let note = browser.reads("#note", "Installed: version 2.0.0").await;
    assert!(note.contains("key-held"), "{note}");
    browser.shown("input[name=password]").await;
    assert_eq!(focused(&browser).await, "username");
    browser.shoot("restarted").await;
    let reset = |event: &Event| matches!(event, Event::Reset { .. });
    desk.sim.wait_for(1, PATIENCE, reset).unwrap();
}

/// The tab key leads through the page's fields and buttons in this order, each field with a label of its own, and what happens is read aloud.
async fn tab_through(browser: &Browser, order: &[&str]) {
    let script = "document.activeElement.blur(); document.querySelector('h1 a').focus();
        const fields = [...document.querySelectorAll('input')];
        return fields.every(field => field.labels.length == 1) && document.querySelector('#note[role=status]') != null";
    let labelled = browser.client.execute(script, vec![]).await.unwrap();
    assert_eq!(labelled, true);
    for name in order {
        let tab = KeyActions::new("keyboard".into())
            .then(KeyAction::Down { value: TAB })
            .then(KeyAction::Up { value: TAB });
        browser.client.perform_actions(tab).await.unwrap();
        assert_eq!(focused(browser).await, *name);
    }
}

pub(crate) async fn the_same_works_without_scripts(kind: Kind) {
    let plain = Options {
        script: false,
        ..DESK
    };
    let Some(browser) = Browser::start(kind, plain).await else {
        return;
    };
    let desk = Desk::new();
    let payload = desk.payload(2, MIDDLE);
    let file = desk.file("app.iap", &desk.wrapped("sim", &payload));
    let misfit = desk.file("misfit.iap", &desk.wrapped("other", &payload));

    browser.client.goto(&desk.url()).await.unwrap();
    browser.type_in("input[name=username]", "user").await;
    browser.type_in("input[name=password]", "wrong").await;
    browser.click("main form button").await;
    browser.reads("#note", "wrong user or password").await;
    desk.log_in(&browser).await;

    desk.upload(&browser, &misfit).await;
    browser
        .reads(
            "#note",
            "image is for another board (image says other, this is sim)",
        )
        .await;
    browser.shoot("plain-refused").await;
    // While somebody else is at it the page comes back by itself, and not to where the form was sent.
    let holder = desk.half_an_upload();
    desk.upload(&browser, &file).await;
    browser.reads("#note", "an update is in progress").await;
    browser.reads_nothing("#note").await;
    drop(holder);
    browser.reads("#state", "the client gave up").await;
    desk.upload(&browser, &file).await;
    browser
        .reads("#note", "the image is in flash, verified and recorded")
        .await;
    browser.reads("#state", "2.0.0").await;
    browser.shoot("plain-done").await;
    desk.expect_in_flash(&payload);
    browser.click(RESET).await;
    browser.reads("#note", "the board resets now").await;
    // The page comes back by itself.
    browser.shown("input[name=password]").await;
    browser.reads("#state", "2.0.0").await;
    browser.reads("#state", "key-held").await;
    browser.shoot("plain-restarted").await;
}

/// Files that the page itself finds fault with, and what it says.
fn misfits(desk: &Desk, payload: &[u8]) -> [(&'static str, Vec<u8>, &'static str); 13] {
    let image = desk.wrapped("sim", payload);
    let mut header = image.clone();
    header[100] ^= 1;
    let mut damaged = image.clone();
    damaged[600] ^= 1;
    let mut misplaced = payload.to_vec();
    misplaced[4..8].copy_from_slice(&0x0800_0101_u32.to_le_bytes());
    let mut stackless = payload.to_vec();
    stackless[..4].fill(0xFF);
    [
        ("empty.bin", vec![], "The file is empty"),
        ("app.elf", b"\x7FELF\x01\x01\x01".to_vec(), "ELF"),
        ("app.hex", b":020000040802F0\n".to_vec(), "HEX"),
        ("app.srec", b"S0030000FC\n".to_vec(), "S-record"),
        (
            "short.bin",
            payload[..60].to_vec(),
            "too short for a vector table",
        ),
        (
            "big.bin",
            vec![1; 917_504 + 513],
            "The file has 918,017 bytes, the board has room for 917,504 bytes",
        ),
        (
            "other.iap",
            desk.wrapped("other", payload),
            "The image is for board other, this is sim",
        ),
        ("header.iap", header, "The image header is damaged"),
        (
            "head.iap",
            image[..300].to_vec(),
            "ends inside the image header",
        ),
        (
            "cut.iap",
            image[..4000].to_vec(),
            "The image should have 5,000 bytes, here are 3,488 bytes",
        ),
        ("damaged.iap", damaged, "the CRC of its payload is wrong"),
        (
            "misplaced.bin",
            misplaced,
            "The reset vector 0x08000101 is outside the image: link the application for 0x08020000",
        ),
        (
            "stackless.bin",
            stackless,
            "initial stack pointer 0xffffffff",
        ),
    ]
}

pub(crate) async fn a_file_that_would_be_refused_is_not_sent_and_the_reason_is_shown(kind: Kind) {
    let Some((browser, desk)) = Desk::logged_in(kind).await else {
        return;
    };
    let payload = desk.payload(2, 5000);
    for (name, bytes, reason) in misfits(&desk, &payload) {
        let file = desk.file(name, &bytes);
        desk.choose(&browser, &file).await;
        browser.reads("#note", reason).await;
        browser.click(UPLOAD).await;
        browser.reads("#note", reason).await;
    }
    browser.shoot("refused-by-the-page").await;
    let begun =
        |stamped: &iap_sim::event::Stamped| matches!(stamped.event, Event::UpdateBegun { .. });
    assert!(!desk.sim.events().iter().any(begun), "nothing was sent");
    // A good one after them all.
    desk.choose(&browser, &desk.file("app.bin", &payload)).await;
    browser
        .reads("#verdict", "A plain image without header")
        .await;
    browser.click(UPLOAD).await;
    browser.reads("#note", "In flash and verified").await;
    desk.expect_in_flash(&payload);
    built_anew_before_it_is_sent(&browser, &desk, kind).await;
}

/// A compiler writes the file anew after it was chosen: Chromium does not let the page read it then, Firefox gives it the new one.
async fn built_anew_before_it_is_sent(browser: &Browser, desk: &Desk, kind: Kind) {
    let file = desk.small_image();
    desk.choose(browser, &file).await;
    browser.reads("#verdict", "Version 2.0.0").await;
    let payload = desk.payload(3, 6000);
    desk.file("app.iap", &desk.wrapped("sim", &payload));
    browser.click(UPLOAD).await;
    if kind == Kind::Chromium {
        browser.reads("#note", "The file has changed").await;
        desk.upload(browser, &file).await;
    }
    desk.expect_installed(browser, "3.0.0", &payload).await;
}

pub(crate) async fn the_board_s_sentence_is_shown_when_it_refuses(kind: Kind) {
    let Some((browser, desk)) = Desk::logged_in(kind).await else {
        return;
    };
    // A handler outside the image: the board alone looks at it. Larger than all buffers between the two.
    let mut payload = desk.payload(2, LARGE);
    payload[12..16].copy_from_slice(&0x0801_0001_u32.to_le_bytes());
    desk.choose(&browser, &desk.file("handler.bin", &payload))
        .await;
    browser.reads("#verdict", "plain image").await;
    browser.click(UPLOAD).await;
    let note = browser.reads("#note", "image would not start").await;
    assert!(
        note.contains("vector 3 (0x08010001) is outside the image"),
        "{note}"
    );
    browser.reads("#state", "Last error").await;
    browser.shoot("refused-by-the-board").await;
    assert_eq!(focused(&browser).await, "Upload", "to try another file");
    assert_eq!(desk.sim.erases(), 0);
}

pub(crate) async fn the_pages_fit_a_phone_and_the_dark(kind: Kind) {
    for (name, dark) in [("phone", false), ("phone-dark", true)] {
        let phone = Options {
            dark,
            size: (360, 740),
            ..DESK
        };
        let Some(browser) = Browser::start(kind, phone).await else {
            return;
        };
        let desk = Desk::new();
        browser.client.goto(&desk.url()).await.unwrap();
        browser.shown("main").await;
        browser.shoot(&format!("{name}-login")).await;
        desk.log_in(&browser).await;
        let file = desk.small_image();
        desk.choose(&browser, &file).await;
        browser.reads("#verdict", "Version 2.0.0").await;
        browser.shoot(&format!("{name}-chosen")).await;
        let script = "return [document.documentElement.scrollWidth, innerWidth, getComputedStyle(document.body).backgroundColor]";
        let found = browser.client.execute(script, vec![]).await.unwrap();
        let width = match kind {
            Kind::Chromium => phone.size.0,
            Kind::Firefox => SMALLEST_WINDOW,
        };
        assert_eq!(found[1], width);
        assert!(
            found[0].as_f64() <= found[1].as_f64(),
            "nothing is cut off: {found}"
        );
        let is_dark = found[2].as_str().unwrap().starts_with("rgb(1");
        assert_eq!(is_dark, dark, "{found}");
    }
}
