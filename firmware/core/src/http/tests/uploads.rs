//! Images in, whatever the client's habits: the intake gets exactly the file.

use super::*;

const LENGTHS: [usize; 5] = [0, 1, 3, 4, 5];

/// AN3968 figure 6, Internet Explorer 8, as printed (its cut lines stay cut), with a file that makes the Content-Length true.
const IE8: (&str, &str, usize) = (
    "POST /upload.cgi HTTP/1.1\r\n\
     Accept: image/gif, image/jpeg, image/pjpeg, application/x-shockwave-flash, applic\r\n\
     Referer: http://192.168.0.10/checklogin.cgi\r\n\
     Accept-Language: en-us\r\n\
     User-Agent: Mozilla/4.0 (compatible; MSIE 8.0; windows NT 5.1; Trident/4.0; .NET CLR 1.1.4322;\r\n\
     Content-Type: multipart/form-data; boundary=-----7db1672b29603a8\r\n\
     Accept-Encoding: gzip, deflate\r\n\
     Host: 192.168.0.10\r\n\
     Content-Length: 1969\r\n\
     Connection: keep-alive\r\n\
     Cache-Control: no-cache\r\n",
    "-----7db1672b29603a8",
    1969,
);

/// AN3968 figure 7, Firefox 7.
const FIREFOX7: (&str, &str, usize) = (
    "POST /upload.cgi HTTP/1.1\r\n\
     Host: 192.168.0.3\r\n\
     User-Agent: Mozilla/5.0 (windows NT 5.1; rv:7.0.1) Gecko/20100101 Firefox/7.0.1\r\n\
     Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
     Accept-Language: en-us,en;q=0.5\r\n\
     Accept-Encoding: gzip, deflate\r\n\
     Accept-Charset: ISO-8859-1,utf-8;q=0.7,*;q=0.7\r\n\
     Connection: keep-alive\r\n\
     Referer: http://192.168.0.3/checklogin.cgi\r\n\
     Content-Type: multipart/form-data; boundary=-----41184676334\r\n\
     Content-Length: 1961\r\n",
    "-----41184676334",
    1961,
);

fn an3968_body(boundary: &str, length: usize) -> (Vec<u8>, Vec<u8>) {
    let form = |file: &[u8]| {
        let mut body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"datafile\"; filename=\"STM324xG_EVAL_SysTick.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(file);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        body
    };
    let file = image(length - form(&[]).len());
    (form(&file), file)
}

/// A board with a session, and the request with its cookie.
fn an3968(figure: (&str, &str, usize)) -> (Board, Vec<u8>, Vec<u8>) {
    let mut board = Board::new();
    let cookie = board.log_in();
    let (body, file) = an3968_body(figure.1, figure.2);
    let mut request = format!("{}{cookie}\r\n", figure.0).into_bytes();
    request.extend_from_slice(&body);
    (board, request, file)
}

pub(super) fn assert_installed(board: &Board, file: &[u8], what: &str) {
    let response = Response::parse(&board.sent).unwrap_or_else(|| panic!("no answer: {what}"));
    assert_eq!(response.status, 200, "{what}: {}", response.text());
    assert!(response.text().contains("in flash, verified and recorded"));
    assert!(
        board.intake.finished && board.intake.bytes == file,
        "{what}"
    );
    assert_eq!(board.intake.outcome, Outcome::Committed);
}

#[test]
fn the_requests_of_an3968_arrive_whole_wherever_they_are_split() {
    for figure in [IE8, FIREFOX7] {
        let (mut board, request, file) = an3968(figure);
        for split in 0..=2000 {
            board.open();
            let (first, second) = request.split_at(split);
            board.send(first);
            board.send(second);
            assert_installed(&board, &file, &format!("split at {split}"));
        }
    }
}

#[test]
fn the_requests_of_an3968_arrive_whole_byte_by_byte() {
    for figure in [IE8, FIREFOX7] {
        let (mut board, request, file) = an3968(figure);
        board.open();
        for byte in &request {
            board.send(core::slice::from_ref(byte));
        }
        assert_installed(&board, &file, "byte by byte");
    }
}

#[test]
fn small_images_arrive_whole_in_a_form_and_raw() {
    for len in LENGTHS {
        let file = image(len);
        let mut board = Board::new();
        board.send(&form_post(BASIC, "xYz", &file_form("xYz", &file)));
        assert_installed(&board, &file, &format!("{len} bytes in a form"));
        board.open();
        board.send(&raw("PUT", "", &file));
        assert_installed(&board, &file, &format!("{len} bytes raw"));
        assert_eq!(board.intake.begun, [None, Some(len as u32)]);
    }
}

#[test]
fn a_form_tells_how_long_its_file_can_be_at_most_before_its_first_byte() {
    let file = image(500);
    // A line end behind the closing boundary is part of nothing, and may as well be the file's.
    let line_end = file_form("xYz", &file);
    let none = line_end[..line_end.len() - 2].to_vec();
    let field = b"\r\n--xYz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb";
    let mut followed = none[..none.len() - 9].to_vec();
    followed.extend_from_slice(field);
    followed.extend_from_slice(b"\r\n--xYz--");
    for (body, beyond) in [(none, 0), (line_end, 2), (followed, field.len())] {
        let request = form_post(BASIC, "xYz", &body);
        for split in 0..request.len() {
            let mut board = Board::new();
            board.send(&request[..split]);
            let begun = !board.intake.bytes.is_empty();
            assert!(!begun || board.intake.at_most.is_some());
            board.send(&request[split..]);
            assert_installed(&board, &file, "form");
            assert_eq!(board.intake.at_most, Some((500 + beyond) as u32));
        }
    }
}

pub(super) fn raw(method: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "{method} /upload.cgi HTTP/1.1\r\nHost: b\r\n{BASIC}{fields}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

#[test]
fn raw_bodies_are_taken_by_put_without_a_type_and_by_post_with_one() {
    let file = image(100);
    let mut board = Board::new();
    let octets = "Content-Type: Application/Octet-Stream\r\n";
    for (method, fields, status) in [
        ("PUT", "", 200),
        ("PUT", octets, 200),
        ("POST", octets, 200),
        ("POST", "", 415),
        (
            "POST",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            415,
        ),
        ("PUT", "Content-Type: text/plain\r\n", 415),
    ] {
        board.open();
        let response = board.exchange(&raw(method, fields, &file)).unwrap();
        assert_eq!(response.status, status, "{method} {fields}");
        if status == 200 {
            assert_installed(&board, &file, method);
        }
    }
    assert_eq!(board.intake.begun.len(), 3);
}

#[test]
fn boundary_like_bytes_in_the_file_stay_in_the_file_at_every_offset_near_the_end() {
    let boundary = "a'()+_,-./:=?b";
    let delimiter = format!("\r\n--{boundary}");
    let mut decoys: Vec<Vec<u8>> = (1..=delimiter.len())
        .map(|len| delimiter.as_bytes()[..len].to_vec())
        .collect();
    for tail in ["x", "-", "-x", "\r", "\rx", "\r\r", "-\r\n--"] {
        decoys.push([delimiter.as_bytes(), tail.as_bytes()].concat());
    }
    decoys.push(b"\r\r\n\r\r\n-\r\n--\r".to_vec());
    let mut board = Board::new();
    for decoy in decoys {
        for distance in 0..delimiter.len() + 6 {
            // The whole delimiter at the very end would be a real one followed by a line end.
            if distance == 0 && decoy.starts_with(delimiter.as_bytes()) {
                continue;
            }
            let mut file = image(64);
            file.extend_from_slice(&decoy);
            file.extend(core::iter::repeat_n(b'.', distance));
            let request = form_post(
                BASIC,
                &format!("\"{boundary}\""),
                &file_form(boundary, &file),
            );
            for piece in [1, 7, request.len()] {
                board.open();
                request.chunks(piece).for_each(|piece| board.send(piece));
                assert_installed(&board, &file, &String::from_utf8_lossy(&decoy));
            }
        }
    }
}

#[test]
fn a_boundary_of_70_characters_and_names_of_any_characters_may_be_split_anywhere() {
    let boundary = format!("'()+_,-./:=?{}", "b".repeat(58));
    assert_eq!(boundary.len(), 70);
    // It goes on as a boundary up to its last character but one.
    let decoy = format!("\r\n--{}", &boundary[..69]);
    let file = [decoy.as_bytes(), b"\r\n--\r\n", decoy.as_bytes()].concat();
    let mut board = Board::new();
    for name in [
        "filename=\"a.bin\"",
        "filename=\"a\\\"b; filename=\\\\.bin\"", // curl
        "filename=\"a%22b.bin\"",                 // browsers
        "filename=\"\u{2620}\u{e9}\u{1f680}.bin\"",
        "filename*=UTF-8''%E2%98%A0.bin",
        "filename=\"; name=\\\"x\\\"\"",
    ] {
        let body = String::from_utf8(file_form(&boundary, &file)).unwrap();
        let body = body.replace("filename=\"app.bin\"", name);
        let request = form_post(BASIC, &format!("\"{boundary}\""), body.as_bytes());
        for split in 0..request.len() {
            board.open();
            let (first, second) = request.split_at(split);
            board.send(first);
            board.send(second);
            assert_installed(&board, &file, &format!("{name} split at {split}"));
        }
        board.open();
        request.chunks(1).for_each(|byte| board.send(byte));
        assert_installed(&board, &file, &format!("{name} byte by byte"));
    }
}

#[test]
fn a_file_that_begins_with_boundary_like_bytes_arrives_whole() {
    let mut board = Board::new();
    for start in [
        "-",
        "--",
        "--xY",
        "\r\n--xY",
        "\n",
        "\r",
        "\r\n",
        "\r\n\r\n--xY.",
    ] {
        board.open();
        board.send(&form_post(
            BASIC,
            "xYz",
            &file_form("xYz", start.as_bytes()),
        ));
        assert_installed(&board, start.as_bytes(), start);
    }
}

#[test]
fn an_intake_without_room_brakes_and_loses_nothing() {
    let boundary = "x".repeat(70);
    // Content that makes the parser hold back as much as it can, again and again.
    let decoy = format!("\r\n--{}", "x".repeat(69));
    let file = decoy.repeat(20).into_bytes();
    for (ring, drained) in [(1, 1), (2, 1), (5, 3), (73, 1), (100, 100)] {
        for request in [
            form_post(BASIC, &boundary, &file_form(&boundary, &file)),
            raw("PUT", "", &file),
        ] {
            let mut board = Board::new();
            (board.intake.ring, board.intake.drained) = (ring, drained);
            board.send(&request);
            for _ in 0..10_000 {
                board.pump();
            }
            assert_installed(&board, &file, &format!("ring of {ring}"));
        }
    }
}

#[test]
fn a_full_intake_can_be_filled_to_its_last_byte() {
    let file = image(64);
    let mut board = Board::new();
    (board.intake.ring, board.intake.drained) = (64, 0);
    board.send(&form_post(BASIC, "b", &file_form("b", &file)));
    assert_installed(&board, &file, "exactly full");
}

#[test]
fn fields_around_the_file_preamble_epilogue_and_padding_are_skipped() {
    let file = image(300);
    let text = "Content-Disposition: form-data; name=\"comment\"\r\n\r\nhello\r\n--b-\r\n-\r\n";
    let named =
        "content-DISPOSITION:form-data;FileName=\"\u{e9}\\\"x\\\\.bin\"; name=other\r\nX-Long: ";
    let mut body = format!("preamble\r\n--b\r\n{text}--b \t\r\n{named}").into_bytes();
    body.extend(core::iter::repeat_n(b'y', 5000));
    body.extend_from_slice(b"\r\n\r\n");
    body.extend_from_slice(&file);
    body.extend_from_slice(
        format!(
            "\r\n--b\r\n{text}--b\r\n\r\n\r\n--b\r\nA: no body\r\n\r\n--b-- \r\nepilogue\r\n--"
        )
        .as_bytes(),
    );
    let mut board = Board::new();
    for piece in [1, 3, 1460] {
        board.open();
        let request = form_post(BASIC, "b", &body);
        request.chunks(piece).for_each(|piece| board.send(piece));
        assert_installed(&board, &file, &format!("pieces of {piece}"));
    }
}

#[allow(clippy::too_many_lines, reason = "a table of forms")]
#[test]
fn a_form_that_is_no_complete_form_with_one_file_is_refused_and_never_finished() {
    let part = |name: &str, body: &str| {
        format!("--b\r\nContent-Disposition: form-data; {name}\r\n\r\n{body}\r\n")
    };
    let file = part("name=\"datafile\"; filename=\"a.bin\"", "1234");
    let unchosen = part("name=\"datafile\"; filename=\"\"", "");
    let text = part("name=\"comment\"", "x");
    let long = format!(
        "--b\r\nContent-Disposition: form-data; name=\"{}\"\r\n",
        "n".repeat(3000)
    );
    for (body, code) in [
        (String::new(), ErrorCode::Truncated),
        ("no boundary at all".to_string(), ErrorCode::Truncated),
        ("--b--\r\n".to_string(), ErrorCode::NoFile),
        (format!("{text}--b--"), ErrorCode::NoFile),
        (format!("{unchosen}--b--\r\n"), ErrorCode::NoFile),
        (format!("{file}{file}--b--\r\n"), ErrorCode::SeveralFiles),
        (
            format!("{file}{}--b--\r\n", part("filename=x", "")),
            ErrorCode::SeveralFiles,
        ),
        (
            format!("{file}{}--b--\r\n", part("name=datafile", "x")),
            ErrorCode::SeveralFiles,
        ),
        (file.clone(), ErrorCode::Truncated),
        (format!("{file}--b"), ErrorCode::Truncated),
        (format!("{file}--b-"), ErrorCode::Truncated),
        (format!("{file}--b\r\n"), ErrorCode::Truncated),
        (format!("{file}--b\r\nContent-Dispo"), ErrorCode::Truncated),
        (format!("{file}--b--x"), ErrorCode::BadRequest),
        (format!("{file}--b x\r\n"), ErrorCode::BadRequest),
        (
            format!("{file}--b--\r\n{file}--b--\r\n"),
            ErrorCode::BadRequest,
        ),
        (
            format!("{file}--b\r\nno colon\r\n\r\n\r\n--b--"),
            ErrorCode::BadRequest,
        ),
        (
            format!("{file}--b\r\n folded: x\r\n\r\n\r\n--b--"),
            ErrorCode::BadRequest,
        ),
        (
            format!("{file}--b\r\nNul: \0\r\n\r\n\r\n--b--"),
            ErrorCode::BadRequest,
        ),
        (long, ErrorCode::HeadersTooLarge),
        (
            format!("--b\r\n{}", "A: b\r\n".repeat(2000)),
            ErrorCode::HeadersTooLarge,
        ),
    ] {
        let mut board = Board::new();
        let response = board
            .exchange(&form_post(BASIC, "b", body.as_bytes()))
            .unwrap();
        assert_eq!(response.code(), Some(code), "{body}");
        assert_eq!(response.status, code.http_status());
        assert!(!board.intake.finished);
        assert_eq!(board.intake.aborts.len(), 1, "{body}");
        assert_eq!(board.intake.aborts[0].code, code);
    }
}

#[test]
fn an_unnamed_file_with_content_and_a_plain_datafile_field_count_as_the_file() {
    for disposition in [
        "name=\"datafile\"; filename=\"\"",
        "name=datafile",
        "name=\"data\\file\"",
        "filename*=UTF-8''a.bin",
    ] {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n1234\r\n--b--\r\n"
        );
        let mut board = Board::new();
        board.send(&form_post(BASIC, "b", body.as_bytes()));
        assert_installed(&board, b"1234", disposition);
    }
}

#[test]
fn content_length_that_ends_before_the_closing_boundary_is_refused_before_the_commit() {
    let body = file_form("b", &image(100));
    let closing = body.windows(7).position(|w| w == b"\r\n--b--").unwrap();
    for missing in 3..=body.len() - closing {
        let mut board = Board::new();
        let short = body.len() - missing;
        let response = board
            .exchange(&form_post(BASIC, "b", &body[..short]))
            .unwrap();
        assert_eq!(
            response.code(),
            Some(ErrorCode::Truncated),
            "{missing} missing"
        );
        assert!(!board.intake.finished);
    }
}

#[test]
fn expect_100_continue_is_answered_at_once_and_only_once() {
    let file = image(10);
    let mut board = Board::new();
    let request = raw("PUT", "Expect: 100-Continue\r\n", &file);
    let (head, body) = request.split_at(request.len() - file.len());
    board.send(head);
    assert_eq!(board.sent, b"HTTP/1.1 100 Continue\r\n\r\n");
    board.send(body);
    assert_installed(&board, &file, "after the 100");
    assert_eq!(
        board
            .sent
            .windows(12)
            .filter(|w| w == b"HTTP/1.1 100")
            .count(),
        1
    );
}

#[test]
fn expect_100_continue_is_answered_with_the_refusal_when_there_is_one() {
    let mut board = Board::new();
    board.intake.held_by_other = true;
    let request = raw("PUT", "Expect: 100-continue\r\n", &image(10));
    board.send(&request[..request.len() - 10]);
    assert!(board.sent.starts_with(b"HTTP/1.1 409 "));
    assert!(
        Response::parse(&board.sent)
            .unwrap()
            .text()
            .contains("tftp from 192.168.0.9")
    );
}

#[test]
fn a_100_continue_that_was_begun_is_sent_whole_before_the_answer() {
    let file = image(10);
    let request = raw("PUT", "Expect: 100-continue\r\n", &file);
    let (head, body) = request.split_at(request.len() - file.len());
    let mut board = Board::new();
    board.with(|connection, server, context| connection.receive(head, server, context));
    let mut out = [0; 5];
    assert_eq!(board.connection.transmit(board.now, &mut out), 5);
    board.sent.extend_from_slice(&out);
    board.send(body);
    assert!(
        board
            .sent
            .starts_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    );
}

#[test]
fn the_answer_comes_only_after_the_verdict() {
    let mut board = Board::new();
    board.intake.verdict_steps = 1000;
    board.send(&raw("PUT", "", &image(10)));
    board.wait_ms(20_000);
    assert!(board.sent.is_empty() && !board.connection.wants_close());
    board.wait_ms(100_000);
    assert_installed(&board, &image(10), "committed");
    let mut board = Board::new();
    board.intake.verdict_steps = 1000;
    board.send(&raw("PUT", "", &image(10)));
    board.intake.outcome = Outcome::Failed(ErrorCode::FlashVerify.into());
    board.pump();
    assert_eq!(
        Response::parse(&board.sent).unwrap().code(),
        Some(ErrorCode::FlashVerify)
    );
}

#[test]
fn the_big_window_is_for_the_uploading_connection_only() {
    let mut board = Board::new();
    assert!(!board.connection.is_uploading() && board.connection.is_idle());
    let request = raw("PUT", "", &image(100));
    board.send(&request[..request.len() - 50]);
    assert!(board.connection.is_uploading() && !board.connection.is_idle());
    board.send(&request[request.len() - 50..]);
    assert!(!board.connection.is_uploading());
}
