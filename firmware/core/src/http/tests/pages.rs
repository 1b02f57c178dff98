//! The pages: what stands on them, what they are sent with, how long they get.

use iap_protocol::error::SENTENCE_LEN;
use iap_protocol::header::BOARD_LEN;
use iap_protocol::status::UpdateView;

use super::super::pages::{SCRIPT, STORED, STYLE};
use super::super::text::BUFFER_LEN;
use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";

/// The answer to `request`, or to what came before, of a board that is as `view` says.
fn answered(board: &mut Board, view: &View<'_>, request: &str) -> Response {
    let mut context = Context {
        now: board.now,
        config: &board.config,
        intake: &mut Fixed {
            intake: &mut board.intake,
            view,
        },
        report: report(&board.config),
        address: Ipv4Address::new(192, 168, 100, 100),
        random: &mut || 1,
    };
    let (connection, server) = (&mut board.connection, &mut board.server);
    connection.receive(request.as_bytes(), server, &mut context);
    let mut out = std::vec![0; 20_000];
    let len = connection.transmit(board.now, &mut out);
    Response::parse(&out[..len]).unwrap()
}

fn update() -> UpdateView {
    UpdateView {
        transport: "tftp",
        peer: 0xC0A8_0009,
        received: 100,
        total: 400,
        sectors_written: 0,
        sectors_skipped: 0,
        sector: Some(5),
    }
}

#[test]
fn the_page_set_takes_at_most_6_kib_of_flash() {
    let stored: usize = STORED.iter().map(|part| part.len()).sum();
    let (style, script) = (STYLE.len(), SCRIPT.len());
    std::println!("{stored} bytes, of which style {style} and script {script}");
    assert!(stored <= 6 * 1024, "{stored}");
}

#[test]
fn a_page_shows_the_state_of_the_board() {
    let mut board = Board::new();
    let page = board.request(GET).text();
    for part in [
        "<title>sim: IAP</title>",
        "IAP firmware 0.1.0",
        "<dt>Application<dd>1.2.3<dt>CRC-32<dd>0x12ab34cd, 3464 bytes",
        "<dt>Address<dd>192.168.0.10",
        "<dt>Up<dd>1 h 2 min 3 s",
        "<dt>In IAP mode<dd>key-held",
        "<dt>Policy<dd>open",
        "action=/checklogin.cgi",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.ends_with("</main>") && !page.contains("Last error") && !page.contains('\n'));
}

#[test]
fn boards_without_a_known_application_say_so() {
    let mut board = Board::new();
    let config = board.config.clone();
    let mut view = view(&config);
    view.application = None;
    let page = answered(&mut board, &view, GET).text();
    assert!(page.contains("<dt>Application<dd>none"), "{page}");
    let unknown = header("0.0.0", 0);
    view.application = Some(application(&unknown));
    let page = answered(&mut board, &view, GET).text();
    assert!(page.contains("<dt>Application<dd>unknown"), "{page}");
}

#[test]
fn others_see_who_is_updating_and_how_far() {
    let mut board = Board::new();
    let config = board.config.clone();
    let mut view = view(&config);
    view.phase = Phase::Erasing;
    view.update = Some(update());
    let page = answered(&mut board, &view, GET).text();
    let row = "tftp from 192.168.0.9: 100 of 400 bytes, erasing";
    assert!(page.contains(row), "{page}");
    assert!(page.contains("value=100 max=400") && page.contains("http-equiv=refresh"));
    view.phase = Phase::Committed;
    let page = answered(&mut board, &view, GET).text();
    assert!(!page.contains(row) && !page.contains("refresh"), "{page}");
}

/// The longest values of everything.
fn longest<'a>(config: &'a Config, installed: &'a HeaderBytes, refusal: &'a Refusal) -> View<'a> {
    View {
        phase: Phase::Programming,
        iap_reason: IapReason::ApplicationDamaged,
        uptime_ms: u32::MAX,
        application: Some(application(installed)),
        update: Some(UpdateView {
            peer: 0xFFFF_FFFF,
            received: 917_000,
            total: 917_504,
            ..update()
        }),
        last_error: Some(refusal),
        ..view(config)
    }
}

#[test]
fn the_longest_page_and_the_longest_status_fit_the_buffer() {
    let mut board = Board::new();
    board.config.board = "b".repeat(BOARD_LEN).leak();
    let config = board.config.clone();
    let version = format!("65535.65535.65535-{}", "9".repeat(22));
    let installed = header(&version, 917_504);
    let code = ErrorCode::ALL
        .iter()
        .max_by_key(|code| code.sentence().len());
    let refusal = Refusal::with(*code.unwrap(), "9".repeat(96).as_bytes(), &[]);
    assert!(refusal.to_string().len() <= SENTENCE_LEN);
    let view = longest(&config, &installed, &refusal);
    let put = format!("PUT /upload.cgi HTTP/1.1\r\nHost: b\r\n{BASIC}Content-Length: 1\r\n\r\n1");
    board.intake.verdict_steps = 10_000;
    board.send(put.as_bytes());
    board.intake.outcome = Outcome::Failed(refusal.clone());
    let page = answered(&mut board, &view, "");
    assert_eq!(page.status, refusal.code.http_status());
    let forms = page.text().find("</section>").unwrap();
    assert!(
        page.text()[..forms].ends_with(" over TFTP."),
        "the last warning is whole"
    );
    let spare = BUFFER_LEN - page.head.len() - forms;
    std::println!("{spare} bytes to spare");
    // For the fields www-authenticate, retry-after and allow, which this refusal has not.
    assert!(spare >= 130, "{spare}");
    board.open();
    let status = answered(
        &mut board,
        &view,
        "GET /status.json HTTP/1.1\r\nHost: b\r\n\r\n",
    );
    let _: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
}

#[test]
fn style_and_script_are_compressed_and_kept_and_pages_are_not() {
    let mut board = Board::new();
    let page = board.request(GET);
    assert_eq!(page.header("cache-control").unwrap(), "no-store");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
    for (path, kind, stored) in [
        ("/iap.css", "text/css", STYLE),
        ("/iap.js", "text/javascript", SCRIPT),
    ] {
        let text = page.text();
        let named = text[text.find(path).unwrap()..]
            .split(['>', ' '])
            .next()
            .unwrap();
        assert_eq!(
            named.len(),
            path.len() + 9,
            "{named} changes with its content"
        );
        let kept = board.request(&format!("GET {named} HTTP/1.1\r\nHost: b\r\n\r\n"));
        assert_eq!(kept.header("content-type").unwrap(), kind);
        assert_eq!(kept.header("content-encoding").unwrap(), "gzip");
        assert!(kept.header("cache-control").unwrap().contains("immutable"));
        assert!(kept.body == stored && kept.body.starts_with(&[0x1F, 0x8B]));
        board.open();
        board.send(format!("HEAD {named} HTTP/1.1\r\nHost: b\r\n\r\n").as_bytes());
        assert_eq!(String::from_utf8(board.sent.clone()).unwrap(), kept.head);
        assert!(board.connection.is_idle() && !board.connection.wants_close());
    }
}
