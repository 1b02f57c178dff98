//! Who may do what: the login form, cookies, HTTP Basic, slow-down, Origin.

use super::*;

const RESET: &str = "POST /resetmcu.cgi HTTP/1.1\r\nHost: 192.168.0.10\r\n";

fn reset_status(board: &mut Board, fields: &str) -> u16 {
    board
        .request(&format!("{RESET}{fields}Content-Length: 0\r\n\r\n"))
        .status
}

#[test]
fn the_form_logs_in_whatever_its_order_and_escapes() {
    for form in [
        "username=user&password=stm32",
        "password=stm32&username=user",
        "Login=Login&username=%75s%65r&x&password=%73tm32&",
    ] {
        let mut board = Board::new();
        let response = board.request(&login(form));
        assert_eq!(response.status, 303, "{form}");
        assert_eq!(response.header("location").unwrap(), "/");
        let cookie = response.header("set-cookie").unwrap();
        let (id, attributes) = cookie.split_once("; ").unwrap();
        assert!(
            id.starts_with("iap-session=") && id.len() == 12 + 32,
            "{id}"
        );
        assert_eq!(
            attributes,
            "Path=/; HttpOnly; SameSite=Strict; Max-Age=3600"
        );
    }
}

#[test]
fn a_wrong_login_shows_the_login_page_again_with_the_reason() {
    for form in [
        "username=user&password=stm33",
        "username=user&password=",
        "username=&password=stm32",
        "username=user&password=stm32x",
        "username=User&password=stm32",
        "username=user&password=+stm32",
    ] {
        let mut board = Board::new();
        let response = board.request(&login(form));
        assert_eq!(
            (response.status, response.code()),
            (401, Some(ErrorCode::WrongPassword))
        );
        assert!(response.text().contains("wrong user or password"));
        assert!(response.text().contains("<h2>Login</h2>"));
        assert_eq!(response.header("set-cookie"), None);
    }
}

#[test]
fn programs_are_challenged_for_basic_and_browsers_are_not() {
    let mut board = Board::new();
    for (fields, scheme) in [
        ("", "Basic realm="),
        ("Accept: */*\r\n", "Basic realm="),
        ("Accept: application/json\r\n", "Basic realm="),
        ("Accept: text/html,application/xhtml+xml\r\n", "Form realm="),
        // The page's script: a window of the browser's own would hold it up.
        (
            "Accept: application/json\r\nOrigin: http://192.168.0.10\r\n",
            "Form realm=",
        ),
    ] {
        let response = board.request(&format!("{RESET}{fields}\r\n"));
        assert_eq!(response.status, 401);
        assert!(
            response
                .header("www-authenticate")
                .unwrap()
                .starts_with(scheme),
            "{fields}"
        );
    }
}

#[test]
fn a_session_opens_the_upload_page_and_log_out_ends_it() {
    let mut board = Board::new();
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: b\r\n{fields}\r\n");
    assert!(board.request(&get("")).text().contains("<h2>Login</h2>"));
    let cookie = board.log_in();
    let page = board.request(&get(&cookie)).text();
    for part in [
        "sim",
        "1.2.3",
        "name=datafile",
        "Policy open",
        "well-known defaults",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let response = board.request(&format!(
        "POST /logout.cgi HTTP/1.1\r\nHost: b\r\n{cookie}\r\n"
    ));
    assert_eq!(response.status, 303);
    assert!(
        response
            .header("set-cookie")
            .unwrap()
            .ends_with("Max-Age=0")
    );
    assert!(
        board
            .request(&get(&cookie))
            .text()
            .contains("<h2>Login</h2>")
    );
    assert_eq!(reset_status(&mut board, &cookie), 401);
}

#[test]
fn the_upload_page_warns_only_of_what_is_so() {
    let mut board = Board::new();
    board.config.policy = Policy::Signed;
    board.config.password = "secret";
    let cookie = board.request(&login("username=user&password=secret"));
    let cookie = cookie.header("set-cookie").unwrap();
    let page = board.request(&format!(
        "GET / HTTP/1.1\r\nHost: b\r\nCookie: a=b; {cookie}\r\n\r\n"
    ));
    assert!(page.text().contains("takes signed images only"));
    assert!(!page.text().contains("well-known") && !page.text().contains("Policy open"));
}

#[test]
fn a_session_is_found_among_other_cookies_and_ends_when_idle() {
    let mut board = Board::new();
    let cookie = board.log_in();
    let pair = cookie.trim_start_matches("Cookie: ").trim_end().to_string();
    for fields in [
        format!("cookie: theme=dark; {pair}; x=\"y\"\r\n"),
        format!("Cookie: {pair};\r\n"),
        format!("Cookie: iap-session=old\r\nCookie: {pair}\r\n"),
    ] {
        assert_eq!(reset_status(&mut board, &fields), 200, "{fields}");
    }
    assert_eq!(
        reset_status(&mut board, &cookie.replace("iap-session", "IAP-SESSION")),
        401
    );
    board.now += Duration::from_secs(600);
    assert_eq!(reset_status(&mut board, &cookie), 401);
}

#[test]
fn basic_works_in_any_case_and_without_padding() {
    for (value, status) in [
        ("Basic dXNlcjpzdG0zMg==", 200),
        ("basic  dXNlcjpzdG0zMg", 200),
        ("BASIC dXNlcjpzdG0zMg== ", 200),
        ("Basic dXNlcjpzdG0z", 401),
        ("Basic OnN0bTMy", 401),
        ("Basic", 401),
        ("", 401),
    ] {
        let mut board = Board::new();
        let fields = format!("Authorization: {value}\r\n");
        assert_eq!(reset_status(&mut board, &fields), status, "{value}");
    }
}

#[test]
fn a_session_holds_even_beside_a_wrong_authorization() {
    let mut board = Board::new();
    let cookie = board.log_in();
    let fields = format!("{cookie}Authorization: Basic AAAA\r\n");
    assert_eq!(reset_status(&mut board, &fields), 200);
}

#[test]
fn after_a_wrong_password_the_next_try_waits_and_nothing_is_read_meanwhile() {
    let mut board = Board::new();
    assert_eq!(
        board.request(&login("username=user&password=1")).status,
        401
    );
    board.open();
    board.send(login("username=user&password=stm32").as_bytes());
    board.send(b"GET / HTTP/1.1\r\n");
    assert!(board.sent.is_empty() && !board.unread.is_empty());
    let due = board.connection.poll_at().unwrap();
    assert_eq!(due - board.now, Duration::from_millis(500));
    board.wait_ms(400);
    assert!(board.sent.is_empty());
    board.wait_ms(100);
    assert_eq!(Response::parse(&board.sent).unwrap().status, 303);
    assert!(board.unread.is_empty());
}

#[test]
fn an_upload_with_basic_waits_with_its_body_unread() {
    let mut board = Board::new();
    assert_eq!(
        reset_status(&mut board, "Authorization: Basic AAAA\r\n"),
        401
    );
    let request = form_post(BASIC, "b", &file_form("b", &image(50)));
    board.open();
    board.send(&request);
    assert!(board.intake.begun.is_empty() && board.unread.len() > 50);
    board.wait_ms(500);
    assert_eq!(board.intake.bytes, image(50));
    assert_eq!(Response::parse(&board.sent).unwrap().status, 200);
}

#[test]
fn a_flood_of_tries_gets_429_and_the_user_of_another_machine_gets_in() {
    let mut board = Board::new();
    let wrong = login("username=user&password=1");
    for _ in 0..6 {
        board.request(&wrong);
    }
    board.open();
    board.send(wrong.as_bytes());
    let waiting = core::mem::take(&mut board.connection);
    let response = board.request(&login("username=user&password=stm32"));
    assert_eq!(
        (response.status, response.code()),
        (429, Some(ErrorCode::TooManyAttempts))
    );
    let seconds: u32 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=9).contains(&seconds));
    drop(waiting);
    board.open_from(Ipv4Address::new(192, 168, 0, 2));
    let response = board.exchange(login("username=user&password=stm32").as_bytes());
    assert_eq!(response.unwrap().status, 303);
}

#[test]
fn requests_from_another_site_s_page_change_nothing() {
    for (fields, status) in [
        ("Origin: http://192.168.0.10\r\n", 200),
        ("Origin: HTTP://192.168.0.10:80\r\n", 200),
        ("Origin: http://192.168.0.10:8080\r\n", 403),
        ("Origin: http://192.168.0.100\r\n", 403),
        ("Origin: http://192.168.0.1\r\n", 403),
        ("Origin: ftp://192.168.0.10\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin:\r\n", 403),
    ] {
        let mut board = Board::new();
        let cookie = board.log_in();
        assert_eq!(
            reset_status(&mut board, &format!("{fields}{cookie}")),
            status,
            "{fields}"
        );
        let response = board.request(
            &login("username=user&password=stm32")
                .replace("Host: b\r\n", &format!("{fields}Host: 192.168.0.10\r\n")),
        );
        assert_eq!(response.status, if status == 200 { 303 } else { 403 });
    }
    let mut board = Board::new();
    let response = board.request(&format!(
        "POST http://board:81/resetmcu.cgi HTTP/1.0\r\n{BASIC}Origin: http://board:81\r\n\r\n"
    ));
    assert_eq!(response.status, 200, "the target's authority is the host");
    let response = board.request(&format!(
        "POST /resetmcu.cgi HTTP/1.0\r\n{BASIC}Origin: http://board\r\n\r\n"
    ));
    assert_eq!(response.status, 403, "nothing to compare with");
}

#[test]
fn a_reset_needs_a_post_a_login_and_an_idle_board_and_waits_for_its_answer() {
    let mut board = Board::new();
    let page = board.request(&format!(
        "GET /resetmcu.cgi HTTP/1.1\r\nHost: b\r\n{BASIC}\r\n"
    ));
    assert!(page.status == 200 && page.text().contains("<h2>Login</h2>"));
    assert!(!board.connection.reset_after_ack());
    assert_eq!(reset_status(&mut board, ""), 401);
    assert!(!board.connection.reset_after_ack());
    board.intake.held_by_other = true;
    assert_eq!(reset_status(&mut board, BASIC), 409);
    assert!(!board.connection.reset_after_ack());
    board.intake.held_by_other = false;
    board.open();
    let request = format!("{RESET}{BASIC}\r\n");
    board.with(|connection, server, context| {
        connection.receive(request.as_bytes(), server, context)
    });
    assert!(
        !board.connection.reset_after_ack(),
        "the answer is not sent yet"
    );
    board.pump();
    assert!(board.connection.reset_after_ack() && board.connection.wants_close());
    assert!(String::from_utf8_lossy(&board.sent).contains("the board resets now"));
    board.open();
    assert!(
        !board.connection.reset_after_ack(),
        "a new client did not ask for it"
    );
}

#[test]
fn a_client_that_vanishes_after_its_reset_request_gets_the_reset() {
    let mut board = Board::new();
    let request = format!("{RESET}{BASIC}\r\n");
    board.with(|connection, server, context| {
        connection.receive(request.as_bytes(), server, context)
    });
    board.with(|connection, _, context| connection.lost(context));
    assert!(board.connection.reset_after_ack());
}
