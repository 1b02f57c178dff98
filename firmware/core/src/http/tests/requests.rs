//! Requests and answers: what real clients send, keep-alive, pipelining, HEAD, formats, idle connections.

use super::*;

/// Chromium 120 on the page's form.
const CHROMIUM: &str = "POST /upload.cgi HTTP/1.1\r\nHost: 192.168.0.10\r\nConnection: keep-alive\r\n\
    Content-Length: {L}\r\nCache-Control: max-age=0\r\nUpgrade-Insecure-Requests: 1\r\nOrigin: http://192.168.0.10\r\n\
    Content-Type: multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n\
    Referer: http://192.168.0.10/\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Cookie: theme=dark; {C}\r\n\r\n";

/// curl 7.88.1: `curl --user user:stm32 -F datafile=@app.bin`, and the same with `-T`.
const CURL_F: &str = "POST /upload.cgi HTTP/1.1\r\nHost: 192.168.0.10\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\n\
    User-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Length: {L}\r\n\
    Content-Type: multipart/form-data; boundary=------------------------d74496d66958873e\r\n\r\n";
const CURL_T: &str = "PUT /upload.cgi HTTP/1.1\r\nHost: 192.168.0.10\r\nAuthorization: Basic dXNlcjpzdG0zMg==\r\n\
    User-Agent: curl/7.88.1\r\nAccept: */*\r\nContent-Length: {L}\r\nExpect: 100-continue\r\n\r\n";

const GET: &str = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";

fn with_body(head: &str, body: &[u8]) -> Vec<u8> {
    [
        head.replace("{L}", &body.len().to_string()).as_bytes(),
        body,
    ]
    .concat()
}

#[test]
fn real_clients_upload() {
    let mut board = Board::new();
    let cookie = board.log_in();
    let cookie = cookie.trim_start_matches("Cookie: ").trim_end();
    let file = image(5000);
    let chromium = file_form("----WebKitFormBoundary7MA4YWxkTrZu0gW", &file);
    let curl = file_form("------------------------d74496d66958873e", &file);
    for (head, body) in [
        (CHROMIUM.replace("{C}", cookie), &chromium),
        (CURL_F.to_string(), &curl),
        (CURL_T.to_string(), &file),
    ] {
        for piece in [1, 536, 1460, 100_000] {
            board.open();
            let request = with_body(&head, body);
            request.chunks(piece).for_each(|piece| board.send(piece));
            assert_eq!(Response::parse(&board.sent).unwrap().status, 200, "{head}");
            assert!(board.intake.finished && board.intake.bytes == file);
        }
    }
}

#[test]
fn field_names_match_in_any_case_and_order() {
    let body = file_form("b", &image(9));
    for fields in [
        "hOsT: b|CONTENT-TYPE:MULTIPART/Form-Data;BOUNDARY=b|content-length:{L}|AUTHORIZATION: bAsIc dXNlcjpzdG0zMg==",
        "authorization:\tBasic dXNlcjpzdG0zMg==|Content-Length: \t {L} \t|content-type: multipart/form-data ; charset=utf-8; boundary=\"b\"; x=y|host:",
    ] {
        for end in ["\r\n", "\n"] {
            let head = format!("POST /upload.cgi HTTP/1.1|{fields}||").replace('|', end);
            let mut board = Board::new();
            board.send(&with_body(&head, &body));
            assert_eq!(board.intake.bytes, image(9), "{head}");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_one_by_one_and_in_order() {
    let requests = "GET /status.json HTTP/1.1\r\nHost: b\r\n\r\nGET /none HTTP/1.1\r\nHost: b\r\n\r\n\r\n\
        HEAD / HTTP/1.1\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\nConnection: foo, Close\r\n\r\nGET / HTTP/1.1\r\n";
    for piece in [1, 50, 10_000] {
        let mut board = Board::new();
        requests
            .as_bytes()
            .chunks(piece)
            .for_each(|piece| board.send(piece));
        let first = Response::parse(&board.sent).unwrap();
        assert_eq!(
            (first.status, first.body.as_slice()),
            (200, &status_json(&board.config)[..])
        );
        let second = Response::parse(&first.rest).unwrap();
        assert_eq!(second.status, 404);
        let end = second
            .rest
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .unwrap()
            + 4;
        assert!(second.rest.starts_with(b"HTTP/1.1 200 OK"));
        let last = Response::parse(&second.rest[end..]).unwrap();
        assert_eq!(last.header("connection").unwrap(), "close");
        assert!(last.rest.is_empty() && board.connection.wants_close());
    }
}

#[test]
fn bytes_behind_an_upload_belong_to_the_next_request() {
    for piece in [1, 100_000] {
        let mut board = Board::new();
        let mut requests = form_post(BASIC, "b", &file_form("b", &image(33)));
        requests.extend_from_slice(GET.as_bytes());
        requests.extend_from_slice(&with_body(CURL_T, &image(44)));
        requests.chunks(piece).for_each(|piece| board.send(piece));
        assert_eq!(board.intake.begun, [None, Some(44)]);
        assert_eq!(board.intake.bytes, image(44));
        let first = Response::parse(&board.sent).unwrap();
        let second = Response::parse(&first.rest).unwrap();
        assert!(second.text().contains("Login"));
        assert!(
            Response::parse(&second.rest)
                .unwrap()
                .text()
                .contains("in flash, verified and recorded")
        );
    }
}

#[test]
fn while_an_answer_is_not_sent_the_next_request_is_not_taken() {
    let mut board = Board::new();
    let two = [GET, GET].concat();
    let used = board
        .with(|connection, server, context| connection.receive(two.as_bytes(), server, context));
    assert_eq!(used, GET.len());
    assert!(board.connection.has_output());
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    let mut board = Board::new();
    for path in ["/", "/status.json", "/resetmcu.cgi", "/none", "/upload.cgi"] {
        let get = board.request(&format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n"));
        board.open();
        board.send(format!("HEAD {path} HTTP/1.1\r\nHost: b\r\n\r\n").as_bytes());
        assert_eq!(String::from_utf8(board.sent.clone()).unwrap(), get.head);
        assert!(board.connection.is_idle() && !board.connection.wants_close());
    }
}

#[test]
fn http_1_0_needs_no_host_and_closes() {
    let mut board = Board::new();
    let response =
        board.request("GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("connection").unwrap(), "close");
    assert!(board.connection.wants_close());
}

#[test]
fn absolute_targets_and_queries_lead_to_the_same_pages() {
    let mut board = Board::new();
    for target in [
        "/status.json?x=1&y=/../",
        "http://b/status.json",
        "HTTP://other:80/status.json?",
        "/status.json?",
    ] {
        let response = board.request(&format!("GET {target} HTTP/1.1\r\nHost: b\r\n\r\n"));
        assert_eq!(response.body, status_json(&board.config), "{target}");
    }
    for target in ["http://b", "http://b?x", "/?"] {
        let response = board.request(&format!("GET {target} HTTP/1.1\r\nHost: b\r\n\r\n"));
        assert!(response.text().contains("Login"), "{target}");
    }
}

#[test]
fn wrong_methods_are_told_the_right_ones() {
    let mut board = Board::new();
    for (request, allow) in [
        ("PUT /", "GET, HEAD"),
        ("GET /upload.cgi", "POST, PUT"),
        ("GET /checklogin.cgi", "POST"),
        ("PUT /resetmcu.cgi", "GET, HEAD, POST"),
        ("GET /logout.cgi", "POST"),
        ("POST /status.json", "GET, HEAD"),
        ("OPTIONS /", "GET, HEAD"),
    ] {
        let response = board.request(&format!("{request} HTTP/1.1\r\nHost: b\r\n\r\n"));
        assert_eq!(response.status, 405);
        assert_eq!(response.header("allow").unwrap(), allow, "{request}");
        assert_eq!(response.header("x-iap-code").unwrap(), "57");
    }
}

#[test]
fn programs_get_json_and_browsers_get_pages() {
    let mut board = Board::new();
    let json = "Accept: application/json\r\n";
    let upload = form_post(&format!("{BASIC}{json}"), "b", &file_form("b", &image(5)));
    let response = board.exchange(&upload).unwrap();
    assert_eq!(response.header("content-type").unwrap(), "application/json");
    let value: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(value["code"], 0);
    assert_eq!(
        value["text"],
        "the image is in flash, verified and recorded"
    );
    board.intake.held_by_other = true;
    board.open();
    let response = board.exchange(&upload).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(response.status, 409);
    assert_eq!(value["code"], ErrorCode::Busy as u16);
    assert_eq!(
        value["text"],
        "an update is in progress (tftp from 192.168.0.9)"
    );
    let logged_in = board
        .request(&login("username=user&password=stm32").replace("Host", &format!("{json}Host")));
    assert_eq!(
        (logged_in.status, logged_in.text().as_str()),
        (200, "{\"code\":0,\"text\":\"logged in\"}")
    );
    assert!(logged_in.header("set-cookie").is_some());
    let page = board.request(GET);
    assert_eq!(
        page.header("content-type").unwrap(),
        "text/html; charset=utf-8"
    );
}

#[test]
fn every_refusal_of_the_protocol_fits_with_its_page() {
    for &code in ErrorCode::ALL {
        let mut board = Board::new();
        board.intake.verdict_steps = 10_000;
        board.send(&with_body(CURL_T, &image(10)));
        let long = Refusal::with(code, "9".repeat(96).as_bytes(), &[]);
        board.intake.outcome = Outcome::Failed(long.clone());
        board.pump();
        let response = Response::parse(&board.sent).unwrap();
        assert_eq!(
            (response.status, response.code()),
            (code.http_status(), Some(code))
        );
        assert!(response.text().contains(long.to_string().as_str()));
        assert!(
            response.head.lines().next().unwrap().len() > "HTTP/1.1 200 ".len(),
            "{code:?} has a reason phrase"
        );
    }
}

#[test]
fn a_spare_connection_is_closed_silently_and_an_unfinished_head_is_told() {
    let mut board = Board::new();
    board.wait_ms(14_900);
    assert!(board.connection.is_idle() && !board.connection.wants_close());
    board.wait_ms(100);
    assert!(board.connection.wants_close() && board.sent.is_empty());
    board.open();
    board.send(b"GET / HT");
    assert!(!board.connection.is_idle());
    // Bytes that trickle do not prolong it.
    board.wait_ms(10_000);
    board.send(b"TP/1.1\r\n");
    board.wait_ms(5_000);
    assert_eq!(Response::parse(&board.sent).unwrap().status, 408);
}

#[test]
fn a_kept_connection_may_be_idle_for_another_fifteen_seconds() {
    let mut board = Board::new();
    for _ in 0..3 {
        board.send(GET.as_bytes());
        board.wait_ms(14_900);
        assert!(!board.connection.wants_close());
    }
    board.wait_ms(100);
    assert!(board.connection.wants_close());
}

#[test]
fn a_client_that_does_not_take_its_answer_is_given_up() {
    let mut board = Board::new();
    board.with(|connection, server, context| connection.receive(GET.as_bytes(), server, context));
    for _ in 0..50 {
        assert!(!board.connection.wants_close());
        board.now += Duration::from_millis(100);
        board.with(|connection, server, context| connection.poll(server, context));
    }
    assert!(board.connection.wants_close());
}

#[test]
fn a_client_that_closes_its_side_still_gets_its_answer() {
    let mut board = Board::new();
    board.intake.verdict_steps = 10;
    board.with(|connection, server, context| {
        connection.receive(&with_body(CURL_T, &image(10)), server, context);
        connection.peer_closed(context);
    });
    board.wait_ms(5000);
    assert_eq!(Response::parse(&board.sent).unwrap().status, 200);
    assert!(board.connection.wants_close());
    board.open();
    board.with(|connection, _, context| connection.peer_closed(context));
    assert!(board.connection.wants_close());
}
